"""How the flavours of the chat family differ: thinking asked for, and thinking replayed."""

from __future__ import annotations

import json

import pytest

from dragoman.core.capability import Capability
from dragoman.core.parts import Message, Text, Thinking, ToolCall
from dragoman.core.provider import Quirks
from dragoman.core.request import Reasoning, Request
from dragoman.dialects.base import Target
from dragoman.dialects.chat.flavours import FLAVOURS, flavour_of
from dragoman.dialects.chat.flavours.flavour import effort_of, nearest, thinks
from dragoman.dialects.chat.read import read_request
from dragoman.dialects.chat.write import write_request

USER = Message("user", (Text("hi"),))


def asked(flavour, reasoning, capability=None):
    """What a wish for thinking becomes, and what it cost."""
    target = Target("p", "m", Quirks(flavour=flavour), capability or Capability())
    out = write_request(Request("m", (USER,), reasoning=reasoning), target)
    body = json.loads(out.body)
    del body["model"], body["messages"]
    return body, [loss.path for loss in out.losses]


def replayed(flavour, *parts, model="m"):
    """An assistant message with reasoning, and what it cost."""
    request = Request("m", (Message("assistant", parts), USER))
    out = write_request(request, Target("p", model, Quirks(flavour=flavour)))
    return json.loads(out.body)["messages"][0], [loss.path for loss in out.losses]


def test_an_unknown_flavour_is_a_compatible_server():
    assert set(FLAVOURS) == {"openai", "plain", "groq", "openrouter", "mistral", "deepseek"}
    assert flavour_of("nobody") is FLAVOURS["plain"]


# ------------------------------------------------------------------ effort and budget


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (Reasoning(), None),
        (Reasoning(effort="low", budget=60000), "low"),
        (Reasoning(budget=0), "none"),
        (Reasoning(budget=1024), "minimal"),
        (Reasoning(budget=1025), "low"),
        (Reasoning(budget=16384), "high"),
        (Reasoning(budget=999999), "max"),
    ],
)
def test_a_budget_is_the_smallest_effort_that_reaches_it(reasoning, effort):
    assert effort_of(reasoning) == effort


@pytest.mark.pitfall(107, 169)
@pytest.mark.parametrize(
    ("effort", "accepted", "sent"),
    [
        ("xhigh", (), "xhigh"),
        ("high", ("low", "high"), "high"),
        ("xhigh", ("low", "medium", "high"), "high"),
        ("minimal", ("low", "medium", "high"), "low"),
        ("none", ("minimal", "low"), "minimal"),
        ("medium", ("low", "high"), "low"),
        ("high", ("strange",), "high"),
    ],
)
def test_an_effort_becomes_the_nearest_that_is_accepted(effort, accepted, sent):
    assert nearest(effort, accepted) == sent


@pytest.mark.parametrize(
    ("reasoning", "answer"),
    [
        (Reasoning(), False),
        (Reasoning(mode="disabled", effort="high"), False),
        (Reasoning(mode="adaptive"), True),
        (Reasoning(effort="none"), False),
        (Reasoning(budget=2000), True),
    ],
)
def test_whether_thinking_was_asked_for(reasoning, answer):
    assert thinks(reasoning) is answer


# ------------------------------------------------------------------ asking


@pytest.mark.req("R-ADD-016")
@pytest.mark.parametrize("flavour", ["openai", "plain", "mistral"])
def test_most_have_one_effort(flavour):
    assert asked(flavour, Reasoning(effort="high")) == ({"reasoning_effort": "high"}, [])
    assert asked(flavour, Reasoning(mode="enabled", budget=8000)) == (
        {"reasoning_effort": "medium"},
        [],
    )


@pytest.mark.pitfall(107, 169)
def test_an_effort_out_of_the_set_is_clamped_with_a_word():
    few = Capability(efforts=("low", "high"))
    assert asked("openai", Reasoning(effort="max"), few) == (
        {"reasoning_effort": "high"},
        ["reasoning_effort"],
    )
    assert asked("openai", Reasoning(budget=99999), few) == ({"reasoning_effort": "high"}, [])


def test_thinking_is_switched_off_only_where_it_would_be_on():
    off = Reasoning(mode="disabled")
    assert asked("openai", off) == ({}, [])
    thinker = Capability(reasons_by_default=True, efforts=("minimal", "low"))
    assert asked("openai", off, thinker) == ({"reasoning_effort": "minimal"}, ["reasoning_effort"])
    assert asked("openai", off, Capability(efforts=("none", "low"))) == (
        {"reasoning_effort": "none"},
        [],
    )


def test_a_switch_without_an_effort_is_told_where_there_is_no_switch():
    assert asked("openai", Reasoning(mode="adaptive")) == ({}, ["thinking"])
    thinker = Capability(reasons_by_default=True)
    assert asked("openai", Reasoning(mode="adaptive"), thinker) == ({}, [])


def test_reasoning_that_cannot_be_shown_is_told():
    assert asked("openai", Reasoning(effort="low", visibility="summary"))[1] == [
        "reasoning.visibility"
    ]
    assert asked("openai", Reasoning(effort="low", visibility="hidden"))[1] == []


@pytest.mark.parametrize(
    ("reasoning", "body", "told"),
    [
        (Reasoning(effort="none"), {"reasoning_effort": "none"}, []),
        (Reasoning(effort="minimal"), {"reasoning_effort": "low"}, ["reasoning_effort"]),
        (Reasoning(effort="max"), {"reasoning_effort": "high"}, ["reasoning_effort"]),
        (Reasoning(budget=60000), {"reasoning_effort": "high"}, []),
        (Reasoning(visibility="hidden"), {"reasoning_format": "hidden"}, []),
        (Reasoning(visibility="full"), {"reasoning_format": "parsed"}, []),
        (Reasoning(visibility="summary"), {}, []),
    ],
)
def test_groq_has_three_efforts_and_a_format(reasoning, body, told):
    assert asked("groq", reasoning) == (body, told)


@pytest.mark.pitfall(196)
@pytest.mark.parametrize(
    ("reasoning", "sent", "told"),
    [
        (Reasoning(effort="xhigh"), {"effort": "xhigh"}, []),
        (Reasoning(mode="enabled", budget=3000), {"max_tokens": 3000}, []),
        (Reasoning(budget=3000, effort="low"), {"max_tokens": 3000}, ["reasoning.effort"]),
        (Reasoning(mode="disabled"), {"enabled": False}, []),
        (Reasoning(mode="adaptive"), {"enabled": True}, []),
        (Reasoning(visibility="hidden"), {"exclude": True}, []),
        (Reasoning(effort="low", visibility="summary"), {"effort": "low", "summary": "auto"}, []),
    ],
)
def test_openrouter_has_one_object_with_effort_or_budget(reasoning, sent, told):
    assert asked("openrouter", reasoning) == ({"reasoning": sent}, told)


def test_openrouter_says_nothing_of_what_was_not_asked():
    assert asked("openrouter", Reasoning()) == ({}, [])
    few = Capability(efforts=("low",))
    assert asked("openrouter", Reasoning(effort="max"), few) == (
        {"reasoning": {"effort": "low"}},
        ["reasoning.effort"],
    )


@pytest.mark.pitfall(107)
@pytest.mark.parametrize(
    ("reasoning", "body", "told"),
    [
        (Reasoning(), {}, []),
        (Reasoning(mode="disabled", effort="high"), {"thinking": {"type": "disabled"}}, []),
        (Reasoning(effort="none"), {"thinking": {"type": "disabled"}}, []),
        (Reasoning(mode="adaptive"), {"thinking": {"type": "enabled"}}, []),
        (Reasoning(effort="high"), {"reasoning_effort": "high"}, []),
        (Reasoning(effort="medium"), {"reasoning_effort": "high"}, ["reasoning_effort"]),
        (
            Reasoning(mode="enabled", budget=1024),
            {"thinking": {"type": "enabled"}, "reasoning_effort": "low"},
            [],
        ),
        (Reasoning(visibility="hidden"), {}, ["reasoning.visibility"]),
    ],
)
def test_deepseek_has_a_switch_and_three_efforts(reasoning, body, told):
    assert asked("deepseek", reasoning) == (body, told)


# ------------------------------------------------------------------ replaying

OWN = Thinking("because", family="chat")
SIGNED = Thinking("because", signature="sig+/=", format="anthropic-claude-v1", family="anthropic")


@pytest.mark.pitfall(101, 181, 203)
@pytest.mark.parametrize(
    ("flavour", "message"),
    [
        ("groq", {"content": "so", "reasoning": "because"}),
        ("deepseek", {"content": "so", "reasoning_content": "because"}),
        ("openrouter", {"content": "so", "reasoning": "because"}),
        (
            "mistral",
            {
                "content": [
                    {
                        "type": "thinking",
                        "thinking": [{"type": "text", "text": "because"}],
                        "closed": True,
                    },
                    {"type": "text", "text": "so"},
                ]
            },
        ),
    ],
)
def test_own_reasoning_goes_back_where_it_came_from(flavour, message):
    sent, told = replayed(flavour, OWN, Text("so"))
    assert sent == {"role": "assistant", **message}
    assert told == []
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}, sent]}
    again = read_request(json.dumps(body).encode())
    assert again.messages[1].parts == (OWN, Text("so"))


@pytest.mark.pitfall(93)
@pytest.mark.parametrize("flavour", ["groq", "deepseek", "mistral", "openrouter"])
def test_foreign_reasoning_is_left_out_with_a_word(flavour):
    sent, told = replayed(flavour, SIGNED, Text("so"))
    assert sent == {"role": "assistant", "content": "so"}
    assert told == ["messages[0].content[0]"]


@pytest.mark.pitfall(92, 94)
def test_openrouter_gets_signed_reasoning_of_the_same_maker_byte_for_byte():
    hidden = Thinking(
        encrypted="e+/=", redacted=True, format="anthropic-claude-v1", family="anthropic"
    )
    sent, told = replayed(
        "openrouter", SIGNED, OWN, hidden, Text("so"), model="anthropic/claude-x"
    )
    assert told == []
    assert "reasoning" not in sent
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}, sent]}
    again = read_request(json.dumps(body).encode())
    assert again.messages[1].parts == (SIGNED, OWN, hidden, Text("so"))


def test_a_summary_and_the_encrypted_state_beside_it_come_back_as_they_came():
    form = "openai-responses-v1"
    details = [
        {"type": "reasoning.summary", "summary": "s", "format": form, "index": 0},
        {"type": "reasoning.encrypted", "data": "e", "format": form, "id": "rs_1", "index": 0},
        {"type": "reasoning.text", "text": "t", "signature": "g", "format": None, "index": 1},
    ]
    messages = [{"role": "assistant", "content": "b", "reasoning_details": details}]
    messages.append({"role": "user", "content": "x"})
    request = read_request(json.dumps({"model": "m", "messages": messages}).encode())
    out = write_request(request, Target("p", "openai/gpt", Quirks(flavour="openrouter")))
    assert json.loads(out.body)["messages"][0]["reasoning_details"] == details


def test_reasoning_entries_that_nobody_can_read_come_back_beside_the_others():
    strange = {"type": "reasoning.server_tool_call", "tool_name": "x"}
    details = [{"type": "reasoning.text", "text": "a", "signature": "s", "index": 0}, strange]
    body = {
        "model": "m",
        "messages": [
            {"role": "assistant", "content": "b", "reasoning_details": details},
            {"role": "user", "content": "x"},
        ],
    }
    request = read_request(json.dumps(body).encode())
    out = write_request(request, Target("openrouter", "m", Quirks(flavour="openrouter")))
    found = json.loads(out.body)["messages"][0]["reasoning_details"]
    assert [entry["type"] for entry in found] == ["reasoning.text", "reasoning.server_tool_call"]


@pytest.mark.pitfall(155)
@pytest.mark.parametrize("flavour", ["groq", "deepseek", "mistral", "openrouter"])
def test_reasoning_without_words_leaves_no_member(flavour):
    sent, _ = replayed(flavour, Thinking(family="chat"))
    assert sent == {"role": "assistant", "content": ""}


def test_mistrals_signatures_come_back():
    signed = Thinking("a", signature="s", family="chat")
    sent, _ = replayed("mistral", signed)
    assert sent["content"][0]["signature"] == "s"


@pytest.mark.pitfall(69)
def test_reasoning_beside_a_call_leaves_the_content_null():
    sent, _ = replayed("deepseek", OWN, ToolCall("1", "f"))
    assert (sent["content"], sent["reasoning_content"]) == (None, "because")
