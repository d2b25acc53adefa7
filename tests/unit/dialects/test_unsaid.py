"""Losses that were once kept silent: each is told, by the path that the caller knows, and told once."""

import json

import pytest

from dragoman.core.capability import Capability
from dragoman.core.parts import Message, Text
from dragoman.core.request import Reasoning, Request
from dragoman.dialects.base import Target
from dragoman.dialects.registry import DIALECTS

SAID = (Message("user", (Text("hi"),)),)
HI = {"role": "user", "content": "hi"}
MARK = {"cache_control": {"type": "ephemeral"}}
FOUND = {
    "type": "search_result",
    "title": "T",
    "source": "s",
    "content": [{"type": "text", "text": "w"}],
    "citations": {"enabled": True},
    **MARK,
}
STRICT = {
    "type": "function",
    "function": {"name": "f", "strict": True, "parameters": {"type": "object"}},
}


def told(client, said, family, model="m"):
    asked = {"model": "m", "messages": [HI], "max_tokens": 50, **said}
    request = DIALECTS[client].read_request(json.dumps(asked).encode())
    out = DIALECTS[family].write_request(request, Target("p", model))
    return sorted((loss.path, loss.action) for loss in out.losses)


@pytest.mark.parametrize("family", ["gemini", "ollama"])
def test_a_search_results_citations_and_its_cache_mark(family):
    content = [{"type": "text", "text": "hi"}, FOUND]
    assert told("anthropic", {"messages": [{"role": "user", "content": content}]}, family) == [
        ("messages[0].content[1]", "emulated"),
        ("messages[0].content[1].cache_control", "dropped"),
        ("messages[0].content[1].citations", "dropped"),
    ]


def test_a_search_results_citations_at_responses_which_keeps_the_mark():
    content = [{"type": "text", "text": "hi"}, FOUND]
    assert told(
        "anthropic", {"messages": [{"role": "user", "content": content}]}, "responses"
    ) == [
        ("messages[0].content[1]", "emulated"),
        ("messages[0].content[1].citations", "dropped"),
    ]


def test_what_stands_in_a_tools_result_at_gemini():
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    inner = [{"type": "text", "text": "r", **MARK}, FOUND]
    result = {"type": "tool_result", "tool_use_id": "t1", "content": inner}
    said = {
        "messages": [
            HI,
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    }
    at = "messages[2].content[0].content"
    assert told("anthropic", said, "gemini") == [
        (f"{at}[0].cache_control", "dropped"),
        (f"{at}[1]", "emulated"),
        (f"{at}[1].cache_control", "dropped"),
        (f"{at}[1].citations", "dropped"),
    ]


@pytest.mark.pitfall(179)
@pytest.mark.parametrize(
    ("model", "choice", "lost"),
    [
        ("gemini-2.5-pro", {}, True),
        ("gemini-2.5-pro", {"tool_choice": "auto"}, True),
        ("gemini-2.5-pro", {"tool_choice": "required"}, False),
        ("gemini-2.5-pro", {"tool_choice": "none"}, False),
        ("gemini-3-pro", {}, False),
    ],
)
def test_a_strict_tool_where_gemini_enforces_nothing(model, choice, lost):
    found = told("chat", {"tools": [STRICT], **choice}, "gemini", model)
    assert found == ([("tools[0].strict", "dropped")] if lost else [])


def test_what_a_schema_is_for_at_gemini():
    schema = {"name": "n", "description": "d", "schema": {"type": "object"}}
    said = {"response_format": {"type": "json_schema", "json_schema": schema}}
    assert told("chat", said, "gemini") == [("response_format.json_schema.description", "dropped")]


@pytest.mark.parametrize(
    ("reasoning", "lost"),
    [
        (Reasoning(visibility="summary"), True),
        (Reasoning(visibility="full"), True),
        (Reasoning(visibility="hidden"), False),
        (Reasoning("adaptive", visibility="summary"), False),
    ],
)
def test_a_wish_to_see_thoughts_that_nobody_asked_claude_for(reasoning, lost):
    target = Target("p", "m", capability=Capability(thinking="both"))
    asked = Request(model="m", messages=SAID, max_tokens=4000, reasoning=reasoning)
    losses = DIALECTS["anthropic"].write_request(asked, target).losses
    assert [loss.path for loss in losses] == (["reasoning.visibility"] if lost else [])
