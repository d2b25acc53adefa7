"""The named request steps, over plain values and over the caller's own bytes."""

from __future__ import annotations

import copy
import json
import re

import msgspec
import pytest
from msgspec import Raw

from dragoman.core.errors import CallerError
from dragoman.core.provider import Quirks
from dragoman.dialects.base import Target
from dragoman.dialects.chat.steps import STEPS, short_id

TARGET = Target("somewhere", "m")


@pytest.fixture(params=["plain", "raw"])
def run(request):
    """Runs a step on a body in either form, and shows that the input stays as it was."""

    def _run(name, body, target=TARGET):
        given = body if request.param == "plain" else _raw(body)
        before = copy.copy(given)
        deep = json.dumps(body)
        out, losses = STEPS[name](given, target)
        assert given == before
        assert json.dumps(body) == deep
        return json.loads(msgspec.json.encode(out)), losses

    return _run


def _raw(body):
    return msgspec.json.decode(json.dumps(body).encode(), type=dict[str, Raw])


def chat(*messages, **members):
    return {"messages": list(messages), **members}


def said(role, content="x", **more):
    return {"role": role, "content": content, **more}


def called(call_id="call_1", **more):
    calls = [{"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    return said("assistant", None, tool_calls=calls, **more)


def test_every_step_of_the_catalogue_has_its_name():
    assert set(STEPS) == {
        "developer_to_system",
        "merge_system",
        "drop_names",
        "join_text",
        "json_word",
        "schema_to_json_object",
        "short_tool_ids",
        "bridge_after_tool",
        "prefix_prefill",
        "replay_reasoning",
        "reject_many",
        "reasoning_name",
    }


@pytest.mark.parametrize("name", sorted(STEPS))
def test_a_step_leaves_alone_what_does_not_concern_it(run, name):
    body = chat(said("system"), said("user"), said("assistant", "a"), said("user", "b"), n=1)
    assert run(name, body) == (body, ())


@pytest.mark.parametrize("name", sorted(STEPS))
def test_a_step_done_twice_is_a_step_done_once(run, name):
    body = chat(
        said("developer", [{"type": "text", "text": "a"}], name="n"),
        said("system", "b"),
        said("user", "c"),
        called("toolu_01", reasoning="r"),
        said("tool", "1", tool_call_id="toolu_01"),
        said("user", "d"),
        said("assistant", "e"),
        response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": {}}},
    )
    once, _ = run(name, body)
    twice, losses = run(name, once)
    assert once == twice
    assert losses == ()


@pytest.mark.pitfall(75)
def test_developer_becomes_system(run):
    out, losses = run(
        "developer_to_system", chat(said("developer"), said("user"), said("developer"))
    )
    assert [message["role"] for message in out["messages"]] == ["system", "user", "system"]
    assert losses == ()


@pytest.mark.pitfall(184)
def test_leading_instructions_become_one_message(run):
    parts = [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]
    body = chat(said("system", "a"), said("developer", parts), said("user"), said("system", "z"))
    out, _ = run("merge_system", body)
    assert out["messages"] == [said("system", "a\n\nb\nc"), said("user"), said("system", "z")]


@pytest.mark.pitfall(184)
def test_instructions_without_words_merge_to_nothing(run):
    out, _ = run("merge_system", chat(said("system", None), said("system", "")))
    assert out["messages"] == [said("system", "")]


@pytest.mark.pitfall(77, 204)
def test_names_are_dropped_with_a_word_except_where_they_say_nothing_new(run):
    body = chat(
        said("user", name="ann"),
        said("tool", tool_call_id="1", name="f"),
        said("function", name="g"),
        said("assistant", name=None),
    )
    out, losses = run("drop_names", body)
    assert [message.get("name") for message in out["messages"]] == [None, None, "g", None]
    assert [loss.path for loss in losses] == ["messages[0].name"]


@pytest.mark.pitfall(84)
def test_lists_of_texts_become_strings(run):
    def parts():
        return [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    image = {"type": "image_url", "image_url": {"url": "x"}}
    marked = [{"type": "text", "text": "c", "cache_control": {}, "extra": None}]
    body = chat(
        said("user", parts()),
        said("assistant", parts()),
        said("user", [*parts(), image]),
        said("user", []),
        said("user", marked),
        said("user", [{"type": "text", "text": 3}]),
    )
    out, losses = run("join_text", body)
    contents = [message["content"] for message in out["messages"]]
    assert contents == ["a\nb", "ab", [*parts(), image], [], "c", [{"type": "text", "text": 3}]]
    assert [loss.path for loss in losses] == ["messages[4].content[0].cache_control"]


JSON_MODE = {"type": "json_object"}


@pytest.mark.pitfall(123)
@pytest.mark.parametrize(
    ("first", "wanted"),
    [
        (said("user", "hi"), [said("system", "Respond with a JSON object."), said("user", "hi")]),
        (said("system", "Be kind."), [said("system", "Be kind.\n\nRespond with a JSON object.")]),
        (said("system", ""), [said("system", "Respond with a JSON object.")]),
        (
            said("system", [{"type": "text", "text": "a"}]),
            [
                said(
                    "system",
                    [
                        {"type": "text", "text": "a"},
                        {"type": "text", "text": "Respond with a JSON object."},
                    ],
                )
            ],
        ),
    ],
)
def test_json_mode_gets_its_word(run, first, wanted):
    out, losses = run("json_word", chat(first, response_format=JSON_MODE))
    assert out["messages"] == wanted
    assert [(loss.path, loss.action) for loss in losses] == [("response_format", "emulated")]


@pytest.mark.pitfall(123)
def test_json_mode_that_has_its_word_is_left_alone(run):
    texts = [
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "Some json"},
        "?",
    ]
    body = chat(said("user", None), said("user", texts), response_format=JSON_MODE)
    assert run("json_word", body) == (body, ())


def test_a_schema_becomes_json_mode_and_an_instruction(run):
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    out, losses = run("schema_to_json_object", chat(said("user"), response_format=form))
    assert out["response_format"] == JSON_MODE
    words = out["messages"][0]["content"]
    assert json.loads(words.partition("\n")[2]) == schema
    assert losses[0].action == "emulated"


@pytest.mark.parametrize("inner", [None, {"name": "s"}])
def test_a_missing_schema_is_any_object(run, inner):
    form = {"type": "json_schema", "json_schema": inner}
    out, _ = run("schema_to_json_object", chat(said("user"), response_format=form))
    assert '{"type":"object"}' in out["messages"][0]["content"]


@pytest.mark.pitfall(32)
def test_call_ids_have_nine_letters_and_digits_on_both_sides(run):
    out, _ = run(
        "short_tool_ids",
        chat(called("toolu_01ABC"), said("tool", tool_call_id="toolu_01ABC"), called("abcDEF123")),
    )
    first, result, second = out["messages"]
    new = first["tool_calls"][0]["id"]
    assert re.fullmatch("[a-zA-Z0-9]{9}", new)
    assert result["tool_call_id"] == new
    assert second["tool_calls"][0]["id"] == "abcDEF123"


@pytest.mark.pitfall(32)
def test_short_ids_differ_and_stay_the_same():
    assert len({short_id(f"call_{n}") for n in range(500)}) == 500
    assert short_id("call_1") == short_id("call_1")


@pytest.mark.pitfall(32)
def test_calls_without_a_readable_id_are_left_alone(run):
    body = chat(
        {**said("assistant"), "tool_calls": ["x", {"id": 3}]}, said("tool", tool_call_id=None)
    )
    assert run("short_tool_ids", body) == (body, ())


@pytest.mark.pitfall(153)
def test_a_bridge_stands_between_results_and_the_users_words(run):
    body = chat(said("user"), called(), said("tool", tool_call_id="1"), said("tool"), said("user"))
    out, _ = run("bridge_after_tool", body)
    roles = [message["role"] for message in out["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "assistant", "user"]
    assert out["messages"][4]["content"]


@pytest.mark.pitfall(154)
def test_an_answer_at_the_end_is_a_beginning(run):
    out, _ = run("prefix_prefill", chat(said("user"), said("assistant", "Once")))
    assert out["messages"][-1] == said("assistant", "Once", prefix=True)


@pytest.mark.pitfall(154)
@pytest.mark.parametrize("last", [called(), said("assistant", "a", prefix=False)])
def test_a_call_at_the_end_or_a_said_prefix_is_left_alone(run, last):
    body = chat(said("user"), last)
    assert run("prefix_prefill", body) == (body, ())


@pytest.mark.pitfall(101)
def test_every_assistant_turn_around_tools_carries_its_reasoning(run):
    body = chat(
        called(),
        said("tool", tool_call_id="call_1"),
        said("assistant", "a", reasoning="r"),
        said("assistant", "b", reasoning_content="s", reasoning="t"),
    )
    out, _ = run("replay_reasoning", body)
    found = [message.get("reasoning_content") for message in out["messages"]]
    assert found == ["", None, "r", "s"]
    assert "reasoning" not in out["messages"][2]


@pytest.mark.pitfall(101)
def test_without_thinking_nothing_is_replayed(run):
    body = chat(called(), thinking={"type": "disabled"})
    assert run("replay_reasoning", body) == (body, ())


@pytest.mark.pitfall(101)
def test_reasoning_that_is_there_stays_as_it_is(run):
    body = chat(called(reasoning_content="r"), thinking={"type": "enabled"})
    assert run("replay_reasoning", body) == (body, ())


@pytest.mark.pitfall(115, 204)
def test_more_than_one_answer_is_refused(run):
    with pytest.raises(CallerError) as caught:
        run("reject_many", chat(said("user"), n=2))
    assert (caught.value.param, caught.value.code) == ("n", "unsupported_feature")
    assert "somewhere" in caught.value.message


@pytest.mark.pitfall(181)
@pytest.mark.parametrize(
    ("flavour", "given", "wanted"),
    [
        ("groq", {"reasoning_content": "r"}, {"reasoning": "r"}),
        ("openrouter", {"reasoning_content": "r", "reasoning": "s"}, {"reasoning": "s"}),
        ("deepseek", {"reasoning": "r"}, {"reasoning_content": "r"}),
        ("plain", {"reasoning": "r"}, {"reasoning_content": "r"}),
    ],
)
def test_reasoning_has_the_name_that_the_flavour_reads(run, flavour, given, wanted):
    target = Target("p", "m", Quirks(flavour=flavour))
    out, _ = run("reasoning_name", chat(said("assistant", "a", **given), said("user")), target)
    assert out["messages"][0] == said("assistant", "a", **wanted)
