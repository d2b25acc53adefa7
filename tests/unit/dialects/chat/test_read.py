"""Reading chat completion requests."""

from __future__ import annotations

import base64
import json

import pytest
from msgspec import Raw

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
from dragoman.dialects.chat.read import read_request
from recorded import exchanges

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 8).decode()
PDF = base64.b64encode(b"%PDF-1.4 tiny").decode()


def read(*messages, **members):
    body = {"model": "m", "messages": list(messages) or [user("hi")], **members}
    return read_request(json.dumps(body).encode())


def user(content, **more):
    return {"role": "user", "content": content, **more}


def parts_of(*content):
    return read(user(list(content))).messages[0].parts


def refusal_of(body):
    with pytest.raises(CallerError) as caught:
        read_request(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert caught.value.status == 400
    return caught.value


def refused(*messages, **members):
    return refusal_of({"model": "m", "messages": list(messages) or [user("hi")], **members})


# ------------------------------------------------------------------ messages


def test_a_plain_conversation_becomes_turns():
    request = read(user("hi", name="ann"), {"role": "assistant", "content": "hello"}, user("bye"))
    assert request.model == "m"
    assert request.messages == (
        Message("user", (Text("hi"),), name="ann"),
        Message("assistant", (Text("hello"),)),
        Message("user", (Text("bye"),)),
    )


@pytest.mark.pitfall(74)
def test_leading_instructions_are_the_system_and_later_ones_stay_in_place():
    request = read(
        {"role": "system", "content": "one"},
        {"role": "developer", "content": [{"type": "text", "text": "two"}]},
        user("hi"),
        {"role": "developer", "content": "three"},
        {"role": "system", "content": "four"},
    )
    assert request.system == (Text("one"), Text("two"))
    assert request.messages[1] == Message("system", (Text("three"),), role_name="developer")
    assert request.messages[2] == Message("system", (Text("four"),), role_name="system")


def test_the_name_of_a_leading_message_is_kept():
    request = read({"role": "system", "content": "a", "name": "boss"}, user("hi"))
    assert request.system == (Text("a", ext={"chat": {"name": Raw(b'"boss"')}}),)


@pytest.mark.pitfall(73)
def test_a_request_of_system_messages_only_has_no_turns():
    assert read({"role": "system", "content": "a"}).messages == ()


def test_a_picture_in_a_system_message_is_refused_by_its_path():
    image = {"type": "image_url", "image_url": {"url": "http://x/y.png"}}
    error = refused({"role": "system", "content": [{"type": "text", "text": "a"}, image]})
    assert error.param == "messages[0].content[1].type"


@pytest.mark.pitfall(69)
@pytest.mark.parametrize("content", [None, "", []])
def test_an_assistant_that_only_calls_tools_has_no_text_part(content):
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    request = read({"role": "assistant", "content": content, "tool_calls": [call]})
    assert request.messages[0].parts == (ToolCall("c", "f", "{}"),)


def test_an_assistant_without_a_content_member_is_read():
    assert read({"role": "assistant", "refusal": "no"}).messages[0].parts == (Refusal("no"),)


def test_text_then_refusal_then_calls_stand_in_this_order():
    message = {
        "role": "assistant",
        "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}],
        "refusal": "c",
        "tool_calls": [{"id": "1", "type": "custom", "custom": {"name": "g", "input": "x y"}}],
    }
    assert read(message).messages[0].parts == (
        Text("a"),
        Refusal("b"),
        Refusal("c"),
        ToolCall("1", "g", "x y", "custom"),
    )


@pytest.mark.pitfall(87)
def test_spoken_history_is_a_file_of_its_provider():
    part = read({"role": "assistant", "audio": {"id": "a1"}}).messages[0].parts[0]
    assert part == Media("audio", FileRef("a1", "chat"))


def test_unknown_members_of_a_message_ride_in_its_bag_but_nothings_do_not():
    message = read(
        {
            "role": "assistant",
            "content": "a",
            "prefix": False,
            "annotations": [],
            "parsed": None,
            "x": 1,
        }
    ).messages[0]
    assert message.ext == {"chat": {"x": Raw(b"1")}}


def test_a_true_prefix_is_kept():
    message = read({"role": "assistant", "content": "a", "prefix": True}).messages[0]
    assert message.ext == {"chat": {"prefix": Raw(b"true")}}


# ------------------------------------------------------------------ tools in the history


def call(call_id, name, arguments="{}"):
    function = {"name": name} if arguments is None else {"name": name, "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def assistant(*calls):
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


def tool(call_id, content="ok", **more):
    return {"role": "tool", "tool_call_id": call_id, "content": content, **more}


@pytest.mark.pitfall(47)
@pytest.mark.req("R-TOOL-001", "R-ADD-013")
def test_consecutive_results_are_one_turn_and_the_next_words_another():
    request = read(assistant(call("1", "f"), call("2", "g")), tool("1"), tool("2"), user("and?"))
    assert request.messages[1:] == (
        Message(
            "user",
            (
                ToolResult("1", (Text("ok"),), name="f"),
                ToolResult("2", (Text("ok"),), name="g"),
            ),
        ),
        Message("user", (Text("and?"),)),
    )


@pytest.mark.pitfall(28)
def test_call_and_result_share_their_id():
    request = read(assistant(call("toolu_0", "f")), tool("toolu_0"))
    assert request.messages[0].parts[0].id == request.messages[1].parts[0].call_id == "toolu_0"


@pytest.mark.pitfall(30)
def test_a_result_has_its_own_name_or_that_of_its_call():
    request = read(assistant(call("1", "f")), tool("1", name="own"), tool("zzz"))
    assert [part.name for part in request.messages[1].parts] == ["own", None]


@pytest.mark.pitfall(31)
def test_a_repeated_id_means_the_nearest_unanswered_call():
    request = read(
        assistant(call("call_0", "f")),
        tool("call_0"),
        assistant(call("call_0", "g")),
        tool("call_0"),
    )
    assert request.messages[1].parts[0].name == "f"
    assert request.messages[3].parts[0].name == "g"


def test_a_result_that_repeats_an_answered_id_still_knows_its_name():
    request = read(assistant(call("1", "f")), tool("1"), tool("1", "again"))
    assert [part.name for part in request.messages[1].parts] == ["f", "f"]


def test_a_result_without_an_id_answers_the_oldest_open_call():
    message = {"role": "tool", "content": "x"}
    request = read(assistant({"function": {"name": "f"}}), message)
    made = request.messages[0].parts[0]
    assert (made.id, made.arguments) == ("call_0", "")
    assert request.messages[1].parts[0] == ToolResult("call_0", (Text("x"),), name="f")
    assert refused(message).param == "messages[0].tool_call_id"


@pytest.mark.pitfall(34, 37)
@pytest.mark.parametrize(
    ("given", "kept"),
    [("", ""), (None, ""), ({"a": 1}, '{"a":1}'), ('{"a": 1.0}', '{"a": 1.0}')],
)
def test_arguments_are_the_original_text(given, kept):
    assert read(assistant(call("1", "f", given))).messages[0].parts[0].arguments == kept


@pytest.mark.pitfall(27)
def test_big_numbers_and_doubled_keys_in_arguments_are_not_touched():
    text = '{"n": 12345678901234567890123, "n": 2}'
    assert read(assistant(call("1", "f", text))).messages[0].parts[0].arguments == text


def test_a_call_of_an_unknown_type_is_refused():
    error = refused(assistant({"id": "1", "type": "magic"}))
    assert error.param == "messages[0].tool_calls[0].type"


def test_stream_leftovers_on_a_call_are_ignored_and_strange_members_kept():
    made = read(assistant({**call("1", "f"), "index": 0, "odd": 2})).messages[0].parts[0]
    assert made.ext == {"chat": {"odd": Raw(b"2")}}


@pytest.mark.pitfall(98)
@pytest.mark.parametrize(
    ("extra", "signature"),
    [
        ({"google": {"thought_signature": "s+/="}}, "s+/="),
        ({"google": {}}, None),
        ({"other": 1}, None),
        ("text", None),
    ],
)
def test_a_thought_signature_on_a_call_is_read(extra, signature):
    made = read(assistant({**call("1", "f"), "extra_content": extra})).messages[0].parts[0]
    assert made.signature == signature
    assert (made.ext is None) is (signature is not None)


@pytest.mark.pitfall(68)
def test_legacy_functions_become_tools_with_the_same_ids_each_time():
    body = {
        "model": "m",
        "functions": [{"name": "f", "parameters": {"type": "object"}}],
        "function_call": {"name": "f"},
        "messages": [
            user("hi"),
            {
                "role": "assistant",
                "content": None,
                "function_call": {"name": "f", "arguments": "{}"},
            },
            {"role": "function", "name": "f", "content": "1"},
            {"role": "function", "name": "lost", "content": "2"},
            assistant(call("1", "g")),
            {"role": "function", "name": "late", "content": "3"},
        ],
    }
    request = read_request(json.dumps(body).encode())
    assert request == read_request(json.dumps(body).encode())
    assert request.legacy_functions
    assert request.tools == (FunctionTool("f", schema=Raw(b'{"type": "object"}')),)
    assert request.tool_choice == ToolChoice("named", ("f",))
    assert request.messages[1].parts == (ToolCall("call_0", "f", "{}"),)
    assert request.messages[2].parts == (
        ToolResult("call_0", (Text("1"),), name="f"),
        ToolResult("call_1", (Text("2"),), name="lost"),
    )
    assert request.messages[4].parts[0].call_id == "call_3"


# ------------------------------------------------------------------ content parts


@pytest.mark.pitfall(78)
@pytest.mark.req("R-TOOL-003")
@pytest.mark.parametrize(
    "url",
    [
        f"data:image/png;base64,{PNG}",
        f"data:image/jpg;base64,{PNG}",
        f"data:;base64,{PNG}",
        f"DATA:image/PNG;charset=utf-8;base64,{PNG}",
        f"data:image/png;base64,{PNG[:10]}\n {PNG[10:]}",
        f"data:image/png;base64,{PNG.rstrip('=')}",
        f"data:image/png;base64,{PNG.replace('+', '-').replace('/', '_')}",
    ],
)
def test_spellings_of_a_data_url_are_one_image(url):
    part = parts_of({"type": "image_url", "image_url": {"url": url, "detail": "low"}})[0]
    assert part == Media("image", Inline(PNG, "image/png"), detail="low")


def test_jpg_is_jpeg():
    url = "data:image/jpg;base64,AAAA"
    part = parts_of({"type": "image_url", "image_url": {"url": url}})[0]
    assert part.source == Inline("AAAA", "image/jpeg")


@pytest.mark.parametrize(
    "head", [b"RIFF0000WEBP", b"RIFF0000WAVE", b"RIFF0000AVI ", b"\xff\xf3aa"]
)
def test_bytes_tell_their_type_where_the_caller_does_not(head):
    known = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
    wanted = "audio/mpeg" if head[0] == 255 else known.get(head[8:], "application/octet-stream")
    data = base64.b64encode(head).decode()
    part = parts_of({"type": "file", "file": {"file_data": data}})[0]
    assert part.source.mime == wanted


def test_an_image_may_be_a_bare_address():
    assert parts_of({"type": "image_url", "image_url": "https://x/y"})[0] == Media(
        "image", Url("https://x/y")
    )


@pytest.mark.pitfall(81)
def test_a_pdf_in_an_images_place_is_a_document():
    url = f"data:application/pdf;base64,{PDF}"
    part = parts_of({"type": "image_url", "image_url": {"url": url}})[0]
    assert part == Media("document", Inline(PDF, "application/pdf"))


def test_a_data_url_may_be_percent_encoded_text():
    part = parts_of({"type": "file", "file": {"file_data": "data:,a%20b"}})[0]
    assert part == Media("document", Inline("YSBi", "text/plain"))


@pytest.mark.parametrize("url", ["data:image/png;base64,@@@@", "data:image/png;base64"])
def test_a_broken_data_url_is_refused_by_its_path(url):
    error = refused(user([{"type": "image_url", "image_url": {"url": url}}]))
    assert error.param == "messages[0].content[0].image_url.url"


@pytest.mark.pitfall(83, 186)
@pytest.mark.parametrize(
    ("audio", "source"),
    [
        ({"data": "AAAA", "format": "mp3"}, Inline("AAAA", "audio/mpeg")),
        ({"data": "AAAA", "format": "wav"}, Inline("AAAA", "audio/wav")),
        ({"data": "AAAA", "format": "FLAC"}, Inline("AAAA", "audio/flac")),
        ({"data": "data:audio/mp3;base64,AAAA", "format": "wav"}, Inline("AAAA", "audio/mpeg")),
        ("AAAA", Inline("AAAA", "application/octet-stream")),
        ("https://x/a.mp3", Url("https://x/a.mp3")),
    ],
)
def test_audio_formats_are_mime_types(audio, source):
    part = parts_of({"type": "input_audio", "input_audio": audio})[0]
    assert part == Media("audio", source)


def test_files_come_as_bytes_addresses_or_ids():
    data = f"data:application/pdf;base64,{PDF}"
    assert parts_of(
        {"type": "file", "file": {"file_data": data, "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": PDF}},
        {"type": "file", "file": {"file_data": "https://x/a.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file_id": "file-2"},
        {"type": "document_url", "document_url": "https://x/b.pdf", "document_name": "b"},
        {"type": "video_url", "video_url": {"url": "https://x/c.mp4"}},
    ) == (
        Media("document", Inline(PDF, "application/pdf"), filename="a.pdf"),
        Media("document", Inline(PDF, "application/pdf")),
        Media("document", Url("https://x/a.pdf")),
        Media("document", FileRef("file-1", "chat")),
        Media("document", FileRef("file-2", "chat")),
        Media("document", Url("https://x/b.pdf"), filename="b"),
        Media("video", Url("https://x/c.mp4")),
    )


def test_an_image_in_a_file_part_is_an_image():
    part = parts_of({"type": "file", "file": {"file_data": f"data:image/png;base64,{PNG}"}})[0]
    assert part.kind == "image"


def test_groqs_documents_stay_as_they_are():
    part = parts_of({"type": "document", "document": {"id": "d"}})[0]
    assert part == Opaque("chat", "document", Raw(b'{"type":"document","document":{"id":"d"}}'))
    assert refused(user([{"type": "document"}])).param == "messages[0].content[0]"


@pytest.mark.pitfall(88)
def test_an_unknown_part_is_refused_by_its_path():
    error = refused(user([{"type": "text", "text": "a"}, {"type": "smell"}]))
    assert error.param == "messages[0].content[1].type"
    assert error.code == "unknown_content_type"


@pytest.mark.pitfall(124)
def test_cache_marks_of_openai_and_openrouter_are_one_thing():
    mark = {"mode": "explicit", "ttl": "30m"}
    request = read(
        user([{"type": "text", "text": "a", "prompt_cache_breakpoint": mark}]),
        user("b", cache_control={"type": "ephemeral"}),
        user([{"type": "text", "text": "c", "cache_control": {"ttl": "1h"}}], cache_control={}),
        {"role": "assistant", "content": None, "cache_control": {}, "refusal": "x"},
        tools=[{"type": "function", "function": {"name": "f"}, "cache_control": {"ttl": "5m"}}],
        cache_control={"type": "ephemeral", "ttl": "1h"},
    )
    assert [message.parts[0].cache for message in request.messages[:3]] == [
        CacheMark("30m"),
        CacheMark(None),
        CacheMark("1h"),
    ]
    assert request.messages[3].parts == (Refusal("x"),)
    assert request.tools[0].cache == CacheMark("5m")
    assert request.cache == CacheMark("1h")


def test_a_mark_behind_what_can_carry_none_is_let_go():
    assert read(
        {
            "role": "assistant",
            "content": [{"type": "refusal", "refusal": "x"}],
            "cache_control": {},
        }
    ).messages[0].parts == (Refusal("x"),)


# ------------------------------------------------------------------ reasoning


@pytest.mark.pitfall(181)
def test_reasoning_is_read_under_both_names_and_never_twice():
    both = {"role": "assistant", "content": "a", "reasoning_content": "t", "reasoning": "t"}
    one = {"role": "assistant", "content": "a", "reasoning": "t"}
    wanted = (Thinking("t", family="chat"), Text("a"))
    assert read(both).messages[0].parts == read(one).messages[0].parts == wanted


@pytest.mark.pitfall(94, 97)
def test_reasoning_details_are_joined_by_index_and_counted_once():
    details = [
        {"type": "reasoning.text", "text": "a", "index": 0, "format": "anthropic-claude-v1"},
        {"type": "reasoning.text", "text": "b", "index": 0, "format": "anthropic-claude-v1"},
        {"type": "reasoning.text", "signature": "s", "index": 0, "format": "anthropic-claude-v1"},
        {"type": "reasoning.text", "text": "c", "signature": "u", "index": 1},
        {"type": "reasoning.encrypted", "data": "e", "index": 2, "id": "r"},
        {"type": "reasoning.encrypted", "data": "f", "index": 2},
    ]
    message = {
        "role": "assistant",
        "content": "x",
        "reasoning": "abc",
        "reasoning_details": details,
    }
    assert read(message).messages[0].parts[:-1] == (
        Thinking("ab", signature="s", format="anthropic-claude-v1", family="anthropic"),
        Thinking("c", signature="u", family="chat"),
        Thinking(encrypted="e", redacted=True, id="r", family="chat"),
        Thinking(encrypted="f", redacted=True, family="chat"),
    )


def test_a_summary_and_its_encrypted_reasoning_are_one_thought():
    form = "openai-responses-v1"
    details = [
        {"type": "reasoning.summary", "summary": "s", "index": 0, "format": form, "id": "rs"},
        {"type": "reasoning.encrypted", "data": "e", "index": 0, "format": form, "id": "rs"},
        {"type": "reasoning.encrypted", "data": "e2", "index": 0, "format": form},
        {"type": "reasoning.summary", "summary": "t", "index": 1, "format": form},
        {"type": "reasoning.text", "text": "u", "index": 1, "format": form},
    ]
    first, second, third, fourth = (
        read({"role": "assistant", "content": "", "reasoning_details": details}).messages[0].parts
    )
    assert first == Thinking(
        "s", encrypted="e", id="rs", format=form, family="responses", summary=True
    )
    assert second.encrypted == "e2"
    assert (third.text, third.summary, fourth.text, fourth.summary) == ("t", True, "u", False)


def test_encrypted_reasoning_does_not_hide_the_text_beside_it():
    details = [{"type": "reasoning.encrypted", "data": "e"}]
    parts = (
        read({"role": "assistant", "content": "", "reasoning": "t", "reasoning_details": details})
        .messages[0]
        .parts
    )
    assert parts[0] == Thinking("t", family="chat")
    assert parts[1].encrypted == "e"


def test_reasoning_of_a_kind_nobody_knows_is_kept_for_the_family():
    details = [{"type": "reasoning.server_tool_call", "tool_name": "x"}]
    message = read({"role": "assistant", "content": "a", "reasoning_details": details}).messages[0]
    assert message.parts == (Text("a"),)
    kept = message.ext["chat"]["reasoning_details"]
    assert json.loads(bytes(kept)) == details


@pytest.mark.pitfall(203)
def test_mistrals_thinking_chunks_are_thinking():
    chunk = {
        "type": "thinking",
        "thinking": [{"type": "text", "text": "a"}, {"type": "reference"}],
    }
    flat = {"type": "thinking", "thinking": "b", "signature": "s"}
    empty = {"type": "thinking", "thinking": None}
    parts = read({"role": "assistant", "content": [chunk, flat, empty]}).messages[0].parts
    assert parts == (
        Thinking("a", family="chat"),
        Thinking("b", signature="s", family="chat"),
        Thinking(family="chat"),
    )


@pytest.mark.req("R-ADD-016")
@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({"reasoning_effort": "xhigh"}, Reasoning(effort="xhigh")),
        ({"reasoning_effort": "ultra"}, Reasoning(effort="max")),
        ({"reasoning_effort": "default"}, Reasoning(mode="enabled")),
        (
            {"reasoning": {"effort": "low", "exclude": True}},
            Reasoning(effort="low", visibility="hidden"),
        ),
        (
            {"reasoning": {"max_tokens": 2000, "summary": "auto"}},
            Reasoning(budget=2000, visibility="summary"),
        ),
        ({"reasoning": {"enabled": False}}, Reasoning(mode="disabled")),
        ({"reasoning": {"enabled": True}}, Reasoning(mode="enabled")),
        ({"thinking": {"type": "disabled"}}, Reasoning(mode="disabled")),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 9}},
            Reasoning(mode="enabled", budget=9),
        ),
        ({"thinking": {"budget_tokens": 9}}, Reasoning(budget=9)),
        ({"include_reasoning": False}, Reasoning(visibility="hidden")),
        ({"include_reasoning": True}, Reasoning(visibility="full")),
        ({"reasoning_format": "hidden"}, Reasoning(visibility="hidden")),
        ({"reasoning_format": "parsed"}, Reasoning(visibility="full")),
    ],
)
def test_every_flavours_wish_for_thinking_is_understood(members, wanted):
    request = read(**members)
    assert request.reasoning == wanted
    assert request.ext is None


def test_an_unknown_effort_is_refused_with_the_known_ones():
    error = refused(reasoning_effort="enormous")
    assert error.param == "reasoning_effort"
    assert "medium" in error.message


# ------------------------------------------------------------------ tools and parameters


@pytest.mark.req("R-TOOL-001")
def test_tools_keep_their_schemas_byte_for_byte():
    body = b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"function":{"name":"f","description":"d","parameters":{"type":"object", "x": 1e0},"strict":true,"odd":1},"eager":true},{"type":"custom","custom":{"name":"g","format":{"type":"text"}}},{"type":"openrouter:web_search","parameters":{}}]}'
    function, custom, hosted = read_request(body).tools
    assert function == FunctionTool(
        "f",
        "d",
        Raw(b'{"type":"object", "x": 1e0}'),
        strict=True,
        ext={"chat": {"eager": Raw(b"true"), "function": Raw(b'{"odd":1}')}},
    )
    assert custom == CustomTool("g", format=Raw(b'{"type":"text"}'))
    assert (hosted.dialect, hosted.kind) == ("chat", "openrouter:web_search")


@pytest.mark.pitfall(65)
def test_web_search_is_a_tool_that_the_provider_runs():
    tools = read(web_search_options={}, plugins=[{"id": "web"}]).tools
    assert tools == (
        HostedTool("chat", "web_search_options", Raw(b"{}")),
        HostedTool("chat", "plugins", Raw(b'[{"id": "web"}]')),
    )
    assert read(plugins=[]).tools == ()


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ("any", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("named", ("f",))),
        ({"function": {"name": "f"}}, ToolChoice("named", ("f",))),
        ({"type": "function", "name": "f"}, ToolChoice("named", ("f",))),
        ({"type": "custom", "custom": {"name": "f"}}, ToolChoice("named", ("f",), "custom")),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "f"}},
                        {"type": "custom", "custom": {"name": "g"}},
                        {"type": "function", "name": "h"},
                    ],
                },
            },
            ToolChoice("allowed", ("f", "g", "h"), required=True),
        ),
        ({"type": "allowed_tools", "tools": []}, ToolChoice("allowed")),
    ],
)
def test_tool_choices(given, wanted):
    assert read(tool_choice=given).tool_choice == wanted


@pytest.mark.pitfall(89)
def test_null_is_absent_everywhere():
    names = "tools tool_choice stop temperature stream_options max_tokens n seed response_format stream logit_bias reasoning thinking user store functions function_call metadata audio prediction whatever"
    assert read(**dict.fromkeys(names.split())) == read()


@pytest.mark.pitfall(110)
def test_the_new_bound_wins_over_the_old():
    assert read(max_tokens=5, max_completion_tokens=7).max_tokens == 7
    assert read(max_tokens=5.0).max_tokens == 5
    assert refused(max_tokens=-1).param == "max_tokens"
    assert refused(max_tokens=1.5).param == "max_tokens"


@pytest.mark.pitfall(113, 116)
@pytest.mark.req("R-ADD-013")
def test_every_parameter_is_read():
    request = read(
        temperature=1,
        top_p=0.5,
        top_k=4,
        min_p=0.1,
        random_seed=3,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        repetition_penalty=1.1,
        logit_bias={"50256": -100},
        stop="END",
        n=2,
        logprobs=True,
        top_logprobs=3,
        parallel_tool_calls=False,
        verbosity="low",
        modalities=["text", "audio"],
        audio={"voice": "alloy"},
        prediction={"type": "content", "content": "x"},
        prompt_cache_key="k",
        prompt_cache_retention="24h",
        service_tier="flex",
        metadata={"a": "b"},
        user="u",
        safety_identifier="s",
        store=False,
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        provider={"order": ["x"]},
        routing={"max_attempts": 1},
        models=["a"],
        moderation={"model": "x"},
    )
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p) == (
        1,
        0.5,
        4,
        0.1,
    )
    assert (sampling.seed, sampling.stop, sampling.n) == (3, ("END",), 2)
    assert sampling.logit_bias == {"50256": -100}
    assert (sampling.logprobs, sampling.top_logprobs) == (True, 3)
    assert (request.parallel_tools, request.store) == (False, False)
    assert (request.end_user, request.safety_id, request.metadata) == ("u", "s", {"a": "b"})
    assert (request.cache_key, request.cache_retention, request.service_tier) == (
        "k",
        "24h",
        "flex",
    )
    assert request.output.modalities == ("text", "audio")
    assert request.output.audio == Raw(b'{"voice": "alloy"}')
    assert request.prediction == Raw(b'{"type": "content", "content": "x"}')
    assert request.preferences == Raw(b'{"order": ["x"]}')
    assert (request.stream, request.include_usage) == (True, True)
    assert request.ext == {
        "chat": {
            "moderation": Raw(b'{"model": "x"}'),
            "stream_options": Raw(b'{"include_obfuscation":false}'),
        }
    }


def test_own_seed_wins_over_mistrals():
    assert read(seed=1, random_seed=2).sampling.seed == 1


def test_stream_options_beside_nothing_else_are_kept():
    assert read(stream_options={"include_obfuscation": True}).ext is not None


def test_output_formats():
    assert read(response_format={"type": "text"}).output.format == "text"
    assert read(response_format={"type": "json_object"}).output.format == "json"
    schema = {"name": "n", "description": "d", "schema": {"type": "object"}, "strict": True}
    output = read(response_format={"type": "json_schema", "json_schema": schema}).output
    assert (output.format, output.schema_name, output.schema_description, output.strict) == (
        "json_schema",
        "n",
        "d",
        True,
    )
    assert output.schema == Raw(b'{"type": "object"}')
    assert (
        read(response_format={"type": "json_schema", "json_schema": {"name": "n"}}).output.schema
        is None
    )


# ------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": 3}, "model"),
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [user(["x"])]}, "messages[0].content[0]"),
        ({"messages": [user([{"text": "x"}])]}, "messages[0].content[0].type"),
        ({"messages": [user([{"type": "text"}])]}, "messages[0].content[0].text"),
        ({"messages": [user([{"type": "image_url"}])]}, "messages[0].content[0].image_url"),
        (
            {"messages": [user([{"type": "file", "file": {}}])]},
            "messages[0].content[0].file.file_id",
        ),
        ({"messages": [assistant("x")]}, "messages[0].tool_calls[0]"),
        ({"temperature": "hot"}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"logprobs": 1}, "logprobs"),
        ({"n": True}, "n"),
        ({"stop": 3}, "stop"),
        ({"stop": [3]}, "stop[0]"),
        ({"tools": {}}, "tools"),
        ({"tools": [3]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "custom"}]}, "tools[0].custom"),
        ({"tools": [{"function": {}}]}, "tools[0].function.name"),
        (
            {"tools": [{"function": {"name": "f", "parameters": 3}}]},
            "tools[0].function.parameters",
        ),
        ({"tool_choice": 3}, "tool_choice"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"logit_bias": {"a": "b"}}, "logit_bias.a"),
        ({"stream_options": 1}, "stream_options"),
        ({"reasoning": {"effort": "some"}}, "reasoning.effort"),
    ],
)
def test_a_wrong_member_is_refused_by_its_path(members, param):
    body = {"model": "m", "messages": [user("hi")], **members}
    assert refusal_of(body).param == param


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff\xfe",
        b'{"model":"m","\xff":1}',
        b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":1e999}',
        b'{"model":"m","messages":' + b"[" * 90000 + b"]" * 90000 + b"}",
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"thinking":'
        + b'{"a":' * 90000
        + b"1"
        + b"}" * 90001,
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"function":{"name":"\\ud800"}}]}',
    ],
)
def test_what_is_no_json_is_the_callers_fault(body):
    assert refusal_of(body).kind == "invalid_request"


@pytest.mark.parametrize("place", ["message", "member", "tool"])
def test_whatever_the_depth_there_is_a_request_or_a_refusal(place):
    """Around the limit a value may be decoded and yet be too deep to be looked at again."""
    refusals = 0
    depths = [
        *range(300, 1010),
        90000,
    ]  # since 3.12 the limit is another one, deep in the thousands
    for depth in depths:
        deep = b'{"a":' * depth + b"1" + b"}" * depth
        message = b'"x":' + deep if place == "message" else b'"x":1'
        member = b'"reasoning":' + deep if place == "member" else b'"y":1'
        tool = deep if place == "tool" else b"{}"
        body = (
            b'{"model":"m","messages":[{"role":"user","content":"x",%b}],%b,'
            b'"tools":[{"function":{"name":"f","parameters":%b}}]}' % (message, member, tool)
        )
        try:
            read_request(body)
        except CallerError:
            refusals += 1
    assert 0 < refusals < len(depths)


def test_the_last_of_two_equal_keys_wins():
    body = b'{"model":"a","model":"b","messages":[{"role":"user","content":"x"}]}'
    assert read_request(body).model == "b"


def test_every_recorded_request_reads():
    refusals = []
    for record in exchanges("openai_chat"):
        if not isinstance(record["request_json"], dict):
            continue
        try:
            read_request(json.dumps(record["request_json"]).encode())
        except CallerError as error:
            refusals.append((record["status"], error.param))
    assert refusals == [(400, "temperature")]  # the provider refused it too


@pytest.mark.pitfall(89, 124)
def test_a_null_mark_does_not_hide_the_other_spelling():
    marked = user("a", prompt_cache_breakpoint=None, cache_control={"type": "ephemeral"})
    bare = user("b", cache_control=None)
    messages = read(marked, bare).messages
    assert [message.parts[0].cache for message in messages] == [CacheMark(None), None]


@pytest.mark.pitfall(89)
def test_the_short_way_of_plain_requests_reads_what_the_long_one_does():
    messages = [
        {"role": "system", "content": "s"},
        {"role": "developer", "content": "d"},
        user("u"),
        {"role": "assistant", "content": "a"},
        {"role": "system", "content": "in the middle"},
        user(""),
        user([{"type": "text", "text": "b"}]),
    ]
    said = {
        "temperature": 0.5,
        "top_p": 1,
        "max_tokens": 9,
        "max_completion_tokens": 8,
        "stop": ["x"],
        "seed": 0,
        "n": 1,
        "frequency_penalty": 0.1,
        "presence_penalty": None,
        "user": "me",
        "stream": True,
    }
    short = read(*messages, **said)
    assert short == read(*messages, **said, store=None)
    assert short.sampling.seed == 0
    assert (short.max_tokens, short.end_user, short.stream) == (8, "me", True)
    assert [part.text for part in short.system] == ["s", "d"]
