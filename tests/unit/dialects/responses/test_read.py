"""A Responses request as the canonical one (`dialects.md` §1.2, §3.1)."""

from __future__ import annotations

import json

import pytest

from dragoman.core.errors import CallerError
from dragoman.core.parts import (
    CacheMark,
    FileRef,
    Inline,
    Media,
    Message,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from dragoman.core.request import CustomTool, FunctionTool, HostedTool, Reasoning, ToolChoice
from dragoman.dialects.base import Target
from dragoman.dialects.chat import CHAT
from dragoman.dialects.responses import RESPONSES

HELLO = [{"role": "user", "content": "Hi"}]


def read(items=HELLO, **members):
    return RESPONSES.read_request(json.dumps({"model": "m", "input": items, **members}).encode())


def refused(items=HELLO, **members) -> CallerError:
    with pytest.raises(CallerError) as caught:
        read(items, **members)
    assert caught.value.status == 400
    return caught.value


def parts(items) -> tuple:
    return read(items).messages[0].parts


def user(*content):
    return [{"role": "user", "content": list(content)}]


def test_a_text_alone_is_the_users():
    assert read("Hi").messages == (Message("user", (Text("Hi"),)),)


@pytest.mark.pitfall(149)
def test_easy_messages_need_neither_type_nor_id():
    request = read(
        [
            *HELLO,
            {"role": "assistant", "content": [{"type": "output_text", "text": "Yes"}]},
            *HELLO,
        ]
    )
    assert [message.role for message in request.messages] == ["user", "assistant", "user"]
    assert request.messages[1].parts == (Text("Yes"),)


@pytest.mark.pitfall(74)
def test_instructions_and_leading_items_are_the_system_and_later_ones_stay():
    request = read(
        [
            {"role": "system", "content": "Two"},
            {"type": "message", "role": "developer", "content": "Three"},
            *HELLO,
            {"role": "developer", "content": "Four"},
        ],
        instructions="One",
    )
    assert [part.text for part in request.system] == ["One", "Two", "Three"]
    assert request.messages[1] == Message("system", (Text("Four"),), role_name="developer")


def test_what_the_assistant_did_in_one_go_is_one_message():
    request = read(
        [
            *HELLO,
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e"},
            {"type": "message", "role": "assistant", "content": "Well"},
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "a",
                "name": "f",
                "arguments": "{}",
            },
            {"type": "custom_tool_call", "call_id": "b", "name": "g", "input": "x"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {"type": "custom_tool_call_output", "call_id": "b", "output": "2"},
            *HELLO,
        ]
    )
    assistant, results, last = request.messages[1:]
    assert [type(part) for part in assistant.parts] == [Thinking, Text, ToolCall, ToolCall]
    assert assistant.parts[2] == ToolCall("a", "f", "{}", item_id="fc_1")
    assert assistant.parts[3] == ToolCall("b", "g", "x", kind="custom")
    assert results.parts == (
        ToolResult("a", (Text("1"),), name="f"),
        ToolResult("b", (Text("2"),), name="g"),
    )
    assert last == Message("user", (Text("Hi"),))


@pytest.mark.pitfall(71)
def test_two_answers_in_a_row_stay_two():
    said = {"role": "assistant", "content": "So"}
    assert len(read([*HELLO, said, said, *HELLO]).messages) == 4


@pytest.mark.pitfall(31, 30)
def test_a_result_belongs_to_the_nearest_call_that_waits():
    items = []
    for name in ("f", "g"):
        items.append({"type": "function_call", "call_id": "x", "name": name, "arguments": "{}"})
        items.append({"type": "function_call_output", "call_id": "x", "output": name})
    results = [message.parts[0] for message in read([*HELLO, *items]).messages[2::2]]
    assert [result.name for result in results] == ["f", "g"]


@pytest.mark.pitfall(78, 81, 82)
@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"type": "input_image", "image_url": "data:image/jpg;base64,iVBORw0KGgo="},
            Media("image", Inline("iVBORw0KGgo=", "image/png")),
        ),
        (
            {"type": "input_image", "image_url": "https://e/i.png", "detail": "low"},
            Media("image", Url("https://e/i.png"), detail="low"),
        ),
        (
            {"type": "input_image", "file_id": "file-1"},
            Media("image", FileRef("file-1", "responses")),
        ),
        (
            {"type": "input_image", "image_url": "data:application/pdf;base64,JVBERi0xLjQ="},
            Media("document", Inline("JVBERi0xLjQ=", "application/pdf")),
        ),
        (
            {"type": "input_file", "file_data": "JVBERi0xLjQ=", "filename": "a.pdf"},
            Media("document", Inline("JVBERi0xLjQ=", "application/pdf"), filename="a.pdf"),
        ),
        (
            {"type": "input_file", "file_url": "https://e/a.pdf"},
            Media("document", Url("https://e/a.pdf")),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            Media("audio", Inline("AAAA", "audio/mpeg")),
        ),
        ({"type": "refusal", "refusal": "No"}, Refusal("No")),
        (
            {"type": "input_text", "text": "T", "prompt_cache_breakpoint": {"ttl": "30m"}},
            Text("T", cache=CacheMark("30m")),
        ),
    ],
)
def test_content_of_every_kind(part, expected):
    assert parts(user(part)) == (expected,)


def test_a_tools_result_may_be_parts():
    items = [
        *HELLO,
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": ""},
        {
            "type": "function_call_output",
            "call_id": "a",
            "output": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": "https://e/i"},
            ],
        },
    ]
    (result,) = read(items).messages[2].parts
    assert result.parts == (Text("see"), Media("image", Url("https://e/i")))


@pytest.mark.pitfall(88)
@pytest.mark.parametrize(
    ("items", "param"),
    [
        (user({"type": "input_video"}), "input[0].content[0].type"),
        (user({"type": "input_image"}), "input[0].content[0].image_url"),
        (user({"type": "input_file"}), "input[0].content[0].file_data"),
        ([{"role": "oracle", "content": "x"}], "input[0].role"),
        ([{"role": "user"}], "input[0].content"),
        ([{"type": 7}], "input[0].type"),
        (7, "input"),
        ([{"type": "function_call", "call_id": "a"}], "input[0].name"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_its_path(items, param):
    assert refused(items).param == param


@pytest.mark.pitfall(151, 148)
@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
    ],
)
def test_what_is_kept_elsewhere_is_refused(members, param):
    assert refused(**members).param == param


@pytest.mark.pitfall(151)
def test_a_reference_that_nobody_resolved_is_refused():
    assert refused([{"type": "item_reference", "id": "msg_1"}]).param == "input[0]"


@pytest.mark.pitfall(89)
def test_nulls_are_absent():
    names = [
        "tools",
        "tool_choice",
        "text",
        "reasoning",
        "max_output_tokens",
        "previous_response_id",
    ]
    assert read(**dict.fromkeys(names)) == read()


@pytest.mark.parametrize("store", [None, True, False])
def test_whether_it_is_kept_is_no_ones_affair_but_the_gateways(store):
    assert read(store=store).store is None


def test_tools_are_flat():
    request = read(
        tools=[
            {
                "type": "function",
                "name": "f",
                "description": "d",
                "parameters": {},
                "strict": True,
            },
            {
                "type": "custom",
                "name": "g",
                "format": {"type": "grammar", "syntax": "lark", "definition": "s"},
            },
            {"type": "web_search", "user_location": {"type": "approximate"}},
        ],
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=False,
    )
    function, custom, hosted = request.tools
    assert isinstance(function, FunctionTool)
    assert (function.name, function.description, function.strict) == ("f", "d", True)
    assert isinstance(custom, CustomTool)
    assert json.loads(bytes(custom.format)) == {
        "type": "grammar",
        "grammar": {"syntax": "lark", "definition": "s"},
    }
    assert isinstance(hosted, HostedTool)
    assert (hosted.dialect, hosted.kind) == ("responses", "web_search")
    assert request.tool_choice == ToolChoice("named", ("f",), "function")
    assert request.parallel_tools is False


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", ToolChoice("required")),
        ({"type": "custom", "name": "g"}, ToolChoice("named", ("g",), "custom")),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}],
            },
            ToolChoice("allowed", ("f",), required=True),
        ),
    ],
)
def test_choices(choice, expected):
    assert read(tool_choice=choice).tool_choice == expected


@pytest.mark.pitfall(65)
def test_the_choice_of_a_providers_own_tool_is_refused():
    assert refused(tool_choice={"type": "file_search"}).param == "tool_choice.type"


@pytest.mark.pitfall(152)
def test_what_coding_agents_send_is_taken():
    """Free-text tools, searched tools and groups of them, reasoning state, cache keys."""
    request = read(
        [
            *HELLO,
            {"type": "reasoning", "summary": [], "content": None, "encrypted_content": "gAAA"},
            {
                "type": "tool_search_call",
                "call_id": "s",
                "execution": "client",
                "arguments": {"q": 1},
            },
            {
                "type": "tool_search_output",
                "call_id": "s",
                "execution": "client",
                "tools": [{"type": "function", "name": "found", "parameters": {}}],
            },
            {
                "type": "additional_tools",
                "role": "developer",
                "tools": [{"type": "custom", "name": "late"}],
            },
        ],
        tools=[
            {"type": "custom", "name": "apply_patch", "format": {"type": "text"}},
            {"type": "tool_search"},
            {
                "type": "namespace",
                "name": "files",
                "tools": [
                    {"type": "function", "name": "open", "parameters": {}, "defer_loading": True}
                ],
            },
        ],
        prompt_cache_key="k",
        stream=True,
        stream_options={"include_obfuscation": False},
        include=["reasoning.encrypted_content"],
        store=False,
        text={"verbosity": "low"},
        reasoning={"effort": "medium", "summary": "auto"},
    )
    assert [tool.name for tool in request.tools] == ["apply_patch", "open", "found", "late"]
    assert request.cache_key == "k"
    assert request.reasoning == Reasoning(effort="medium", visibility="summary")
    assert request.messages[1].parts[1] == ToolCall("s", "tool_search", '{"q":1}')
    sent = CHAT.write_request(request, Target("p", "m"))
    assert json.loads(sent.body)["tools"][1]["function"]["name"] == "open"


def test_items_that_only_this_dialect_knows_are_kept_whole():
    call = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    (opaque,) = read([call, *HELLO]).messages[0].parts
    assert isinstance(opaque, Opaque)
    assert json.loads(bytes(opaque.payload)) == call


@pytest.mark.pitfall(191)
def test_the_phase_rides_on_the_first_text():
    said = {"type": "message", "role": "assistant", "phase": "commentary", "content": "Hm"}
    (text,) = read([*HELLO, said, *HELLO]).messages[1].parts
    assert bytes(text.ext["responses"]["phase"]) == b'"commentary"'


@pytest.mark.pitfall(26)
def test_a_body_of_any_kind_is_an_error_of_the_callers():
    for body in (
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"model":"m","input":' + b"[" * 3000,
        b'{"model":1}',
    ):
        with pytest.raises(CallerError):
            RESPONSES.read_request(body)


def test_the_form_of_the_answer():
    schema = {"type": "object"}
    form = {"type": "json_schema", "name": "n", "schema": schema, "strict": True}
    output = read(text={"format": form}).output
    assert (output.format, output.schema_name, output.strict) == ("json_schema", "n", True)
    assert json.loads(bytes(output.schema)) == schema
    assert read(text={"format": {"type": "json_object"}}).output.format == "json"
    assert refused(text={"format": {"type": "xml"}}).param == "text.format.type"
    assert (
        refused(text={"format": {"type": "json_schema", "name": "n"}}).param
        == "text.format.schema"
    )


def test_what_others_do_not_know_is_kept_to_be_told():
    request = read(
        truncation="auto", max_tool_calls=3, reasoning={"effort": "low", "context": "all_turns"}
    )
    assert set(request.ext["responses"]) == {"truncation", "max_tool_calls", "reasoning.context"}
    assert read(truncation="disabled", stream_options={"include_obfuscation": True}).ext is None
