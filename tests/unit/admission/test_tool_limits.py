"""What a request's tools are held to, wherever its dialect has them; nothing unless it is said."""

import json

import pytest

from dragoman.admission.tool_limits import ToolLimits, check_tools, depth_of
from dragoman.core.ask import read_ask
from dragoman.core.errors import CallerError

SCHEMA = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}}
CHAT = [{"type": "function", "function": {"name": "look", "description": "x" * 30, "parameters": SCHEMA}}]  # fmt: skip
FLAT = [{"type": "function", "name": "look", "description": "x" * 30, "parameters": SCHEMA}]
CLAUDE = [{"name": "look", "description": "x" * 30, "input_schema": SCHEMA}]
GEMINI = [{"functionDeclarations": [{"name": "look", "description": "x" * 30, "parameters": SCHEMA}]}]  # fmt: skip
OFFERS = [
    ("chat", "tools", CHAT, "tools[0].function", "parameters"),
    ("chat", "functions", [CHAT[0]["function"]], "functions[0]", "parameters"),
    ("ollama", "tools", CHAT, "tools[0].function", "parameters"),
    ("responses", "tools", FLAT, "tools[0]", "parameters"),
    ("anthropic", "tools", CLAUDE, "tools[0]", "input_schema"),
    ("gemini", "tools", GEMINI, "tools[0].functionDeclarations[0]", "parameters"),
]
ARGUMENTS = '{"a":"ä"}'
CALLED = {"a": "ä"}
CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": ARGUMENTS}}
USE = {"type": "tool_use", "id": "c", "name": "look", "input": CALLED}
ITEM = {"type": "function_call", "call_id": "c", "name": "look", "arguments": ARGUMENTS}
PART = {"functionCall": {"name": "look", "args": CALLED}}
HISTORIES = [
    ("chat", {"messages": [{"role": "assistant", "tool_calls": [CALL, CALL]}]}, "messages[0]"),
    ("anthropic", {"messages": [{"role": "assistant", "content": [USE, USE]}]}, "messages[0]"),
    ("responses", {"input": [ITEM, {"type": "reasoning"}, ITEM]}, "input"),
    ("gemini", {"contents": [{"role": "model", "parts": [PART, PART]}]}, "contents[0]"),
]


def judged(limits, family, warned=None, **members):
    ask = read_ask(json.dumps({"model": "m", **members}).encode())
    check_tools(limits, ask, family, [].append if warned is None else warned.append)


def refused(limits, family, **members):
    with pytest.raises(CallerError) as caught:
        judged(limits, family, **members)
    assert caught.value.status == 400
    return caught.value


@pytest.mark.req("R-ADD-035")
@pytest.mark.parametrize(("family", "member", "tools", "at", "schema"), OFFERS)
def test_every_limit_of_a_tool_is_told_with_its_place(family, member, tools, at, schema):
    offered = {member: tools}
    judged(ToolLimits(), family, **offered)
    judged(ToolLimits(1, 4, 30, 3), family, **offered)
    assert refused(ToolLimits(max_tools=0), family, **offered).param == member
    error = refused(ToolLimits(max_name_chars=3), family, **offered)
    assert (error.code, error.param) == ("tool_limit_exceeded", f"{at}.name")
    assert "'look' has 4 characters; at most 3" in error.message
    error = refused(ToolLimits(max_description_chars=29), family, **offered)
    assert error.param == f"{at}.description"
    assert "has 30 characters; at most 29" in error.message
    error = refused(ToolLimits(max_schema_depth=2), family, **offered)
    assert error.param == f"{at}.{schema}"
    assert "has 3 levels; at most 2" in error.message


@pytest.mark.parametrize(("family", "member", "tools", "at", "schema"), OFFERS)
def test_names_that_are_not_allowed_are_refused_warned_of_or_let_pass(
    family, member, tools, at, schema
):
    del schema
    offered, warned = {member: tools}, []
    judged(ToolLimits(allowed_names=("l*k",), allowlist="enforce"), family, **offered)
    error = refused(ToolLimits(allowed_names=("get_*",), allowlist="enforce"), family, **offered)
    assert (error.code, error.param) == ("tool_not_allowed", f"{at}.name")
    assert "'look'" in error.message
    assert "get_*" in error.message
    judged(ToolLimits(allowed_names=("get_*",), allowlist="warn"), family, warned, **offered)
    assert len(warned) == 1
    judged(ToolLimits(allowed_names=("get_*",)), family, warned, **offered)
    assert len(warned) == 1


@pytest.mark.parametrize(("family", "history", "at"), HISTORIES)
def test_calls_of_the_history_are_bounded_in_number_and_size(family, history, at):
    size = len(ARGUMENTS.encode())
    judged(ToolLimits(max_calls=2, max_argument_bytes=size), family, **history)
    error = refused(ToolLimits(max_calls=1), family, **history)
    assert error.param == at
    assert "holds 2 calls; at most 1" in error.message
    error = refused(ToolLimits(max_argument_bytes=size - 1), family, **history)
    assert error.param is not None
    assert error.param.startswith(at)
    assert f"have {size} bytes; at most {size - 1}" in error.message


def test_calls_of_two_turns_are_counted_apart():
    output = {"type": "function_call_output", "call_id": "c", "output": "1"}
    judged(ToolLimits(max_calls=1), "responses", input=[ITEM, output, ITEM, output])


@pytest.mark.parametrize(
    ("schema", "depth"),
    [
        (None, 0),
        ({}, 0),
        ({"type": "string"}, 1),
        ({"anyOf": [{"type": "string"}, {"not": {"const": 1}}]}, 3),
        ({"properties": {"properties": {"type": "string"}}}, 2),
        ({"$defs": {"a": {"items": {"type": "string"}}}, "additionalProperties": False}, 3),
        ({"enum": [{"properties": {"a": {"items": {}}}}]}, 1),
    ],
)
def test_levels_are_schemas_within_schemas(schema, depth):
    assert depth_of(schema) == depth


@pytest.mark.parametrize("tools", [7, "x", [7], [{"function": 7}], [{"name": 7}], None, [[]]])
def test_what_is_no_tool_is_left_to_its_reader(tools):
    everything = ToolLimits(1, 1, 1, 1, 1, 1, ("a",), "enforce")
    judged(everything, "chat", tools=tools, messages=tools)
    judged(everything, "gemini", tools=tools, contents=tools)
    judged(everything, "responses", tools=tools, input=tools)
