"""A conversation is known again while it grows, and is no other's."""

import json

import pytest

from dragoman.core.ask import read_ask
from dragoman.routing.conversation import conversation_of


def told(**members) -> bytes:
    return conversation_of(read_ask(json.dumps(members).encode(), "m").members)


def said(role, text, **more):
    return {"role": role, "content": text, **more}


FIRST = [said("system", "Be brief."), said("user", "Hello")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"messages": FIRST}, {"messages": [*FIRST, said("assistant", "Hi"), said("user", "x")]}),
        (
            {
                "system": [{"type": "text", "text": "s", "cache_control": {}}],
                "messages": FIRST[1:],
            },
            {"system": [{"type": "text", "text": "s"}], "messages": FIRST[1:] * 2},
        ),
        (
            {"messages": [said("user", [{"type": "text", "text": "a", "cache_control": {}}])]},
            {"messages": [said("user", "a"), said("assistant", "b")]},
        ),
        (
            {"prompt_cache_key": "k", "messages": FIRST},
            {"prompt_cache_key": "k", "input": "other"},
        ),
        (
            {"instructions": "s", "input": [said("user", "a", id="msg_1")]},
            {"instructions": "s", "input": [said("user", "a"), said("assistant", "b")]},
        ),
        (
            {"contents": [{"role": "user", "parts": [{"text": "a"}]}]},
            {"contents": [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model"}]},
        ),
    ],
)
def test_it_is_the_same_while_it_grows(before, after) -> None:
    assert told(**before) == told(**after)


@pytest.mark.parametrize(
    "other",
    [
        {"messages": [FIRST[0], said("user", "Goodbye")]},
        {"messages": [said("system", "Be long."), FIRST[1]]},
        {"messages": FIRST, "prompt_cache_key": "k"},
        {"input": "Hello"},
        {"messages": 7},
        {},
    ],
)
def test_another_is_another(other) -> None:
    assert told(**other) != told(messages=FIRST)
    assert len(told(**other)) == 32


def test_a_conversation_without_a_user_is_told_by_its_first_turns() -> None:
    many = [said("system", str(number)) for number in range(40)]
    assert told(messages=many) == told(messages=[*many, said("user", "x")])
    assert told(messages=many[:5]) != told(messages=many[:6])
