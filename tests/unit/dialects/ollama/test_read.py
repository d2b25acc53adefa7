"""A caller's requests to ``/api/chat`` and ``/api/generate`` in canonical words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from dragoman.core.errors import CallerError
from dragoman.core.parts import Inline, Media, Message, Text, Thinking, ToolCall, ToolResult
from dragoman.core.request import FunctionTool, Output, Reasoning, Request
from dragoman.dialects.ollama import GENERATE, OLLAMA

HI = {"role": "user", "content": "hi"}
PNG, JPEG, WEBP = "iVBORw0KGgo=", "/9j/4AAQ", "UklGRgAAAABXRUJQ"


def chat(**members: Any) -> Request:
    said = {"model": "m", "messages": [HI], **members}
    return OLLAMA.read_request(json.dumps(said).encode())


def generate(**members: Any) -> Request:
    said = {"model": "m", "prompt": "hi", **members}
    return GENERATE.read_request(json.dumps(said).encode())


def refusal(read: Any, **members: Any) -> CallerError:
    with pytest.raises(CallerError) as caught:
        read(**members)
    return caught.value


# --------------------------------------------------------------------------- streams and nothings


@pytest.mark.pitfall(121)
@pytest.mark.parametrize("read", [chat, generate])
@pytest.mark.parametrize(
    ("said", "meant"),
    [({}, True), ({"stream": None}, True), ({"stream": True}, True), ({"stream": False}, False)],
)
def test_the_answer_streams_unless_the_caller_says_no(read, said, meant):
    assert read(**said).stream is meant


@pytest.mark.pitfall(89)
def test_the_nothings_that_ollamas_clients_send_are_nothing():
    empty = {"format": "", "options": {}, "keep_alive": None, "tools": [], "think": None}
    assert chat(**empty) == chat()
    more = {"system": "", "template": "", "context": [], "raw": False, "images": [], "suffix": ""}
    assert generate(**empty, **more) == generate()


# --------------------------------------------------------------------------- messages


@pytest.mark.pitfall(74)
def test_leading_instructions_are_the_systems_and_later_ones_stay():
    later = {"role": "system", "content": "c"}
    request = chat(messages=[{"role": "system", "content": x} for x in "ab"] + [HI, later, HI])
    assert request.system == (Text("a"), Text("b"))
    assert [message.role for message in request.messages] == ["user", "system", "user"]


@pytest.mark.pitfall(78)
@pytest.mark.parametrize(
    ("given", "data", "mime"),
    [
        (PNG, PNG, "image/png"),
        (JPEG, JPEG, "image/jpeg"),
        (WEBP, WEBP, "image/webp"),
        ("R0lGODdh", "R0lGODdh", "image/gif"),
        (f"data:image/jpg;base64,{PNG}", PNG, "image/png"),
        ("_9j_4AAQ", JPEG, "image/jpeg"),
        ("iVBORw0K\nGgo", PNG, "image/png"),
        ("data:image/heic;base64,AAAA", "AAAA", "image/heic"),
        ("AAAA", "AAAA", "application/octet-stream"),
    ],
)
def test_an_image_is_what_its_bytes_are(given, data, mime):
    for request in (chat(messages=[{**HI, "images": [given]}]), generate(images=[given])):
        assert request.messages[0].parts == (Text("hi"), Media("image", Inline(data, mime)))


def test_what_is_no_base64_is_refused_by_its_path():
    error = refusal(chat, messages=[HI, {**HI, "images": [PNG, "not base64!"]}])
    assert error.param == "messages[1].images[1]"
    assert error.code == "invalid_base64"


def test_an_image_alone_needs_no_words():
    request = chat(messages=[{"role": "user", "content": "", "images": [PNG]}])
    assert request.messages[0].parts == (Media("image", Inline(PNG, "image/png")),)
    assert generate(prompt="", images=[PNG]).messages[0].parts == request.messages[0].parts


# --------------------------------------------------------------------------- calls and results


def call(name: str, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}, **more}


def calling(*calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": list(calls), **more}


def result(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "content": text, **more}


@pytest.mark.pitfall(29)
@pytest.mark.pitfall(31)
@pytest.mark.pitfall(47)
def test_calls_without_ids_get_some_and_results_find_theirs_in_order():
    turn = [
        calling(call("f", {"a": 1}), call("g", {}), call("f", {"a": 2}), thinking="hm"),
        result("g's", tool_name="g"),
        result("first f's", tool_name="f"),
        result("second f's", tool_name="f"),
    ]
    request = chat(messages=[HI, *turn, *turn[:1], result("one"), result("two"), result("three")])
    made = request.messages[1].parts
    assert made[0] == Thinking("hm")
    assert made[1:] == (
        ToolCall("call_0", "f", '{"a":1}'),
        ToolCall("call_1", "g", "{}"),
        ToolCall("call_2", "f", '{"a":2}'),
    )
    assert request.messages[2] == Message(
        "user",
        (
            ToolResult("call_1", (Text("g's"),), name="g"),
            ToolResult("call_0", (Text("first f's"),), name="f"),
            ToolResult("call_2", (Text("second f's"),), name="f"),
        ),
    )
    again = request.messages[4].parts
    assert [(part.call_id, part.name) for part in again] == [
        ("call_3", "f"),
        ("call_4", "g"),
        ("call_5", "f"),
    ]


@pytest.mark.pitfall(30)
@pytest.mark.pitfall(31)
def test_a_result_with_an_id_belongs_to_the_nearest_call_of_that_id():
    turn = [calling(call("f", {}, id="call_0")), result("x", tool_call_id="call_0")]
    other = [calling(call("g", {}, id="call_0")), result("y", tool_call_id="call_0")]
    request = chat(messages=[HI, *turn, *other])
    names = [message.parts[0].name for message in request.messages[2::2]]
    assert names == ["f", "g"]


@pytest.mark.pitfall(30)
@pytest.mark.parametrize(
    "stray",
    [
        result("x", tool_call_id="call_9"),
        result("x", tool_name="h"),
        result("x"),
    ],
)
def test_a_result_of_no_call_is_refused(stray):
    before = [] if stray == result("x") else [calling(call("f", {}))]
    error = refusal(chat, messages=[HI, *before, stray])
    assert (error.status, error.code) == (400, "tool_call_id_invalid")
    assert error.param == f"messages[{1 + len(before)}]"


@pytest.mark.pitfall(27)
@pytest.mark.pitfall(37)
def test_arguments_keep_their_own_text():
    body = (
        b'{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f",'
        b'"arguments":{"a": 123456789012345678901, "a": 1.50}}},'
        b'{"type":"function","function":{"name":"g","arguments":"{\\"b\\":2}"}},'
        b'{"function":{"name":"h"}}]}]}'
    )
    parts = OLLAMA.read_request(body).messages[0].parts
    assert [part.arguments for part in parts] == [
        '{"a":123456789012345678901,"a":1.50}',
        '{"b":2}',
        "",
    ]


# --------------------------------------------------------------------------- everything else


@pytest.mark.pitfall(122)
def test_options_have_canonical_names_or_ride_along():
    options = {
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 40,
        "min_p": 0.1,
        "seed": 7,
        "repeat_penalty": 1.1,
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
        "stop": "END",
        "num_predict": 100,
        "num_ctx": 4096,
        "mirostat": 2,
    }
    request = chat(options=options, keep_alive="5m", logprobs=True, top_logprobs=3, truncate=False)
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p) == (
        0,
        0.5,
        40,
        0.1,
    )
    assert (sampling.seed, sampling.repetition_penalty) == (7, 1.1)
    assert (sampling.presence_penalty, sampling.frequency_penalty) == (0.2, 0.3)
    assert sampling.stop == ("END",)
    assert (sampling.logprobs, sampling.top_logprobs) == (True, 3)
    assert request.max_tokens == 100
    assert request.include_usage
    assert request.ext == {
        "ollama": {
            "options.num_ctx": Raw(b"4096"),
            "options.mirostat": Raw(b"2"),
            "keep_alive": Raw(b'"5m"'),
            "truncate": Raw(b"false"),
        }
    }


@pytest.mark.pitfall(122)
@pytest.mark.parametrize("limit", [-1, -2, 0])
def test_an_unlimited_answer_has_no_limit(limit):
    assert chat(options={"num_predict": limit}).max_tokens is None


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (True, Reasoning("enabled")),
        (False, Reasoning("disabled")),
        ("low", Reasoning(effort="low")),
        ("max", Reasoning(effort="max")),
    ],
)
def test_a_wish_to_think_is_a_yes_a_no_or_a_level(said, meant):
    assert chat(think=said).reasoning == meant
    assert generate(think=said).reasoning == meant


def test_a_form_is_json_or_a_schema():
    schema = {"type": "object"}
    assert chat(format="json").output == Output("json")
    assert chat(format=schema).output == Output("json_schema", schema=Raw(b'{"type": "object"}'))
    assert refusal(chat, format="xml").param == "format"
    assert refusal(chat, format=[1]).param == "format"


def test_tools_are_functions():
    function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    request = chat(tools=[{"type": "function", "function": function}, {"function": {"name": "g"}}])
    assert request.tools == (
        FunctionTool("f", "d", Raw(b'{"type": "object"}')),
        FunctionTool("g"),
    )
    assert refusal(chat, tools=[{"type": "function"}]).param == "tools[0].function"
    assert (
        refusal(chat, tools=[{"function": {"description": "d"}}]).param == "tools[0].function.name"
    )


@pytest.mark.parametrize(
    ("read", "members", "param"),
    [
        (chat, {"model": ""}, "model"),
        (chat, {"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        (chat, {"messages": [{**HI, "content": [1]}]}, "messages[0].content"),
        (chat, {"messages": "hi"}, "messages"),
        (chat, {"messages": [calling({})]}, "messages[0].tool_calls[0].function"),
        (chat, {"messages": [calling(call("", {}))]}, "messages[0].tool_calls[0].function.name"),
        (
            chat,
            {"messages": [{"role": "system", "content": "x", "images": [PNG]}]},
            "messages[0].images",
        ),
        (chat, {"options": {"temperature": "hot"}}, "options.temperature"),
        (chat, {"options": {"stop": [1]}}, "options.stop"),
        (chat, {"options": [1]}, "options"),
        (chat, {"think": "ultra"}, "think"),
        (chat, {"stream": "yes"}, "stream"),
        (generate, {"prompt": 7}, "prompt"),
        (generate, {"model": None}, "model"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_its_path(read, members, param):
    error = refusal(read, **members)
    assert (error.status, error.param) == (400, param)


@pytest.mark.parametrize("dialect", [OLLAMA, GENERATE], ids=lambda one: one.family)
@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 5000])
def test_what_is_no_json_object_is_refused(dialect, body):
    with pytest.raises(CallerError):
        dialect.read_request(body)


def test_a_request_without_words_loads_a_model_which_only_ollama_does():
    assert refusal(chat, messages=[]).code == "unsupported_feature"
    assert refusal(chat, messages=None).param == "messages"
    assert refusal(generate, prompt="").param == "prompt"


# --------------------------------------------------------------------------- prompts


def test_a_prompt_is_what_the_user_says():
    request = generate(system="be brief", options={"num_predict": 3}, keep_alive=0)
    assert request.system == (Text("be brief"),)
    assert request.messages == (Message("user", (Text("hi"),)),)
    assert request.max_tokens == 3
    assert request.ext == {"ollama": {"keep_alive": Raw(b"0")}}


@pytest.mark.parametrize(
    ("name", "value"),
    [("suffix", "z"), ("template", "{{ .Prompt }}"), ("context", [1, 2]), ("raw", True)],
)
def test_what_reaches_below_a_conversation_is_refused(name, value):
    error = refusal(generate, **{name: value})
    assert (error.code, error.param) == ("unsupported_feature", name)
