"""Whole chat completions: read, written, tapped."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from msgspec import Raw

from dragoman.core.errors import UpstreamError
from dragoman.core.parts import (
    Citation,
    Inline,
    Media,
    Opaque,
    Refusal,
    SearchResult,
    Text,
    Thinking,
    ToolCall,
    raw,
)
from dragoman.core.provider import Quirks
from dragoman.core.request import Request
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.chat.reply_write import write_response
from dragoman.dialects.chat.response import read_response, tap_response

CONTEXT = Context(call_id="0192-ab", created=17, model="sent")
TARGET = Target("p", "m")


def body(message=None, finish="stop", **members):
    choice = {"index": 0, "message": message or {}, "finish_reason": finish}
    base = {
        "id": "c1",
        "object": "chat.completion",
        "created": 5,
        "model": "m-1",
        "choices": [choice],
    }
    return json.dumps({**base, **members}).encode()


def read(data, undo=None):
    return read_response(data, TARGET, undo or Undo())


def parts(message, undo=None):
    return read(body(message), undo).choices[0].parts


def write(*found, finish=None, **more):
    response = Response(
        "id1", "m-1", (Choice(found, finish or Finish("stop")),), created=5, **more
    )
    written = write_response(response, CONTEXT)
    return json.loads(written.body), written.losses


def message(*found, finish=None):
    return write(*found, finish=finish)[0]["choices"][0]["message"]


# --------------------------------------------------------------------------- reading


def test_a_plain_answer_is_read():
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "cost": 0.1}
    found = read(
        body({"content": "hi"}, usage=usage, service_tier="flex", system_fingerprint="fp")
    )
    assert found == Response(
        "c1",
        "m-1",
        (Choice((Text("hi"),), Finish("stop", "stop")),),
        Usage(input=1, output=2, total=3, cost=Decimal("0.1")),
        5,
        "flex",
        "fp",
    )


def test_missing_usage_is_unknown_and_not_zero():
    assert read(body({"content": "hi"})).usage is None


def test_blank_lines_and_a_mark_before_the_json_are_tolerated():
    assert read(b"\n\n \n" + body({"content": "hi"})).choices[0].parts == (Text("hi"),)
    assert read(b"\xef\xbb\xbf" + body({"content": "hi"})).choices[0].parts == (Text("hi"),)


@pytest.mark.req("R-XLATE-024")
@pytest.mark.parametrize("choices", [[], None])
def test_no_choice_is_one_empty_one(choices):
    assert read(body(choices=choices)).choices == (Choice((), Finish("unknown")),)


@pytest.mark.pitfall(140)
@pytest.mark.parametrize(
    ("data", "kind", "code"),
    [
        (b'{"error":{"code":429,"message":"slow"},"user_id":"u"}', "rate_limit", None),
        (b'{"id":"c1","choices":[{"error":{"code":502,"message":"x"}}]}', "upstream", None),
        (body({"content": "a"}, "error"), "upstream", "provider_error"),
        (body({}, "insufficient_system_resource"), "overloaded", "upstream_overloaded"),
        (b"", "upstream", "upstream_malformed"),
        (b"\n\n", "upstream", "upstream_malformed"),
        (b"<html>oops</html>", "upstream", "upstream_malformed"),
        (b"[1]", "upstream", "upstream_malformed"),
        (b'{"pathname":"/bin"}', "upstream", "upstream_malformed"),
        (b'{"a":' * 3000, "upstream", "upstream_malformed"),
        (b"\xff\xfe{}", "upstream", "upstream_malformed"),
    ],
)
def test_a_200_without_a_completion_is_an_error(data, kind, code):
    for use in (read, lambda data: tap_response(data, TARGET, CONTEXT)):
        with pytest.raises(UpstreamError) as caught:
            use(data)
        assert (caught.value.kind, caught.value.code) == (kind, code)
        assert caught.value.upstream_status == 200


def test_every_kind_of_word_has_its_part_in_a_fixed_order():
    call = {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    found = parts(
        {
            "tool_calls": [call],
            "refusal": "no",
            "content": "so",
            "reasoning_content": "hm",
            "function_call": {"name": "g", "arguments": "{}"},
            "images": [{"image_url": {"url": "data:;base64,AA"}}],
            "audio": {"id": "a", "transcript": "t"},
            "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}],
        }
    )
    assert [type(part) for part in found] == [
        Thinking,
        Text,
        Refusal,
        ToolCall,
        ToolCall,
        Media,
        Opaque,
    ]
    assert found[1].citations[0].url == "u"
    assert found[3] == ToolCall("x", "f", "{}")
    assert found[4].name == "g"
    assert found[5] == Media("image", Inline("AA", "image/png"))
    assert json.loads(bytes(found[6].payload)) == {"id": "a", "transcript": "t"}


def test_citations_without_a_text_make_one_and_unknown_kinds_are_kept():
    cited = {"type": "url_citation", "url_citation": {"url": "u"}}
    file = {"type": "file", "file": {}}
    found = read(body({"content": None, "annotations": [cited, file]})).choices[0]
    assert [(part.text, len(part.citations)) for part in found.parts] == [("", 1)]
    assert json.loads(bytes(found.ext["chat"]["annotations"])) == [file]


@pytest.mark.pitfall(94, 97)
def test_reasoning_details_are_merged_and_keep_their_state():
    form = "anthropic-claude-v1"

    def detail(kind, index, **members):
        return {"type": f"reasoning.{kind}", "format": form, "index": index, **members}

    details = [
        detail("text", 0, text="a"),
        detail("text", 0, text="b", signature="s"),
        detail("text", 1, text="c"),
        detail("encrypted", 2, data="e"),
        detail("summary", 3, summary="d"),
        detail("encrypted", 3, data="f"),
    ]
    common = {"format": form, "family": "anthropic"}
    assert parts({"reasoning": "abcd", "reasoning_details": details}) == (
        Thinking("ab", signature="s", **common),
        Thinking("c", **common),
        Thinking(encrypted="e", redacted=True, **common),
        Thinking("d", encrypted="f", summary=True, **common),
    )


def test_mistrals_content_list_is_read_in_its_order():
    content = [
        {
            "type": "thinking",
            "thinking": [{"type": "text", "text": "h"}, {"type": "text", "text": "m"}],
        },
        {"type": "text", "text": "s"},
        {"type": "text", "text": "o"},
        {"type": "refusal", "refusal": "no"},
        {"type": "thinking", "thinking": "x", "signature": "sig"},
        {"type": "reference", "reference_ids": [1]},
    ]
    assert parts({"content": content}) == (
        Thinking("hm", family="chat"),
        Text("so"),
        Refusal("no"),
        Thinking("x", signature="sig", family="chat"),
    )


@pytest.mark.pitfall(37, 44)
def test_calls_of_odd_form_are_read():
    calls = [
        {"id": "", "function": {"name": "f", "arguments": {"a": 1}}},
        {"function": {"name": "g"}, "custom": {"name": "", "input": ""}},
        {},
        {"id": "y", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
    ]
    found = parts({"content": None, "tool_calls": calls})
    told = [(call.name, call.arguments, call.kind) for call in found]
    assert told == [("f", '{"a": 1}', "function"), ("g", "", "function"), ("sh", "ls", "custom")]
    assert len({call.id for call in found}) == 3


@pytest.mark.pitfall(46)
@pytest.mark.parametrize(
    ("finish", "reason"), [("stop", "tool_calls"), ("", "tool_calls"), ("length", "length")]
)
def test_the_finish_agrees_with_the_calls(finish, reason):
    call = {"id": "x", "function": {"name": "f", "arguments": "{}"}}
    found = read(body({"tool_calls": [call]}, finish)).choices[0]
    assert found.finish.reason == reason
    assert read(body({"content": "a"}, "tool_calls")).choices[0].finish.reason == "stop"


@pytest.mark.pitfall(57, 64, 67)
def test_what_translation_changed_is_changed_back():
    def call(name, arguments):
        return {"id": name, "function": {"name": name, "arguments": arguments}}

    calls = [call("my_tool", "{}"), call("json", '{"a":1}'), call("sh", '{"input":"ls"}')]
    undo = Undo({"my_tool": "my.tool"}, "json", frozenset({"sh"}))
    found = read(body({"tool_calls": calls}), undo).choices[0]
    assert found.parts == (
        ToolCall("my_tool", "my.tool", "{}"),
        Text('{"a":1}'),
        ToolCall("sh", "sh", "ls", "custom"),
    )
    alone = read(body({"tool_calls": calls[1:2]}), undo).choices[0]
    assert alone.finish.reason == "stop"


@pytest.mark.pitfall(26)
def test_halves_of_characters_in_a_whole_reply_are_replaced_or_joined():
    data = rb'{"id":"c1","choices":[{"index":0,"message":{"content":"a\ud83c b\ud83c\udf0d"}}]}'
    assert read(data).choices[0].parts == (Text("a\ufffd b🌍"),)


def test_perplexitys_empty_delta_beside_the_message_is_ignored():
    choice = {
        "index": 0,
        "message": {"content": "a"},
        "delta": {"content": ""},
        "finish_reason": "stop",
    }
    assert read(body(choices=[choice])).choices[0].parts == (Text("a"),)
    tapped = tap_response(body(choices=[choice]), TARGET, CONTEXT)
    assert tapped.body == body(choices=[choice])


def test_log_probabilities_are_kept_in_openais_shape_alone():
    def logprobs(value):
        choice = {"index": 0, "message": {}, "finish_reason": "stop", "logprobs": value}
        return read(body(choices=[choice])).choices[0].logprobs

    assert json.loads(bytes(logprobs({"content": [{"token": "a"}]}))) == {
        "content": [{"token": "a"}]
    }
    assert logprobs({"tokens": 5}) is None
    assert logprobs(None) is None


# --------------------------------------------------------------------------- writing


def test_a_plain_answer_is_written():
    usage = Usage(input=1, output=2)
    assert write(Text("hi"), usage=usage, service_tier="flex")[0] == {
        "id": "id1",
        "object": "chat.completion",
        "created": 5,
        "model": "m-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        "service_tier": "flex",
    }


def test_what_the_provider_does_not_say_comes_from_the_call():
    written = json.loads(
        write_response(Response("", "", (Choice((), Finish("stop")),)), CONTEXT).body
    )
    assert (written["id"], written["model"], written["created"]) == ("chatcmpl-0192ab", "sent", 17)
    assert "usage" not in written


@pytest.mark.pitfall(69)
def test_content_is_null_where_something_else_speaks_and_a_string_otherwise():
    assert message(ToolCall("x", "f", "{}"))["content"] is None
    assert message(Refusal("no"))["content"] is None
    assert message(Text("a"), ToolCall("x", "f", "{}"))["content"] == "a"
    assert message(Thinking("hm"))["content"] == ""
    assert message()["content"] == ""


@pytest.mark.pitfall(84)
def test_texts_are_joined_as_one_utterance():
    assert message(Text("a"), Text("b"))["content"] == "ab"


@pytest.mark.pitfall(34, 36, 46)
def test_calls_are_written_with_text_for_arguments():
    written, _ = write(ToolCall("x", "f"), ToolCall("y", "g", "[1]"))
    choice = written["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert [call["function"]["arguments"] for call in choice["message"]["tool_calls"]] == [
        "{}",
        "[1]",
    ]
    cut = message(ToolCall("x", "f"), finish=Finish("length"))
    assert cut["tool_calls"][0]["function"]["arguments"] == ""
    assert "tool_calls" not in message(Text("a"))


@pytest.mark.pitfall(68)
def test_a_caller_of_functions_gets_a_function_call():
    context = Context("0", 1, "m", request=Request("m", (), legacy_functions=True))
    response = Response("i", "m", (Choice((ToolCall("x", "f"),), Finish("tool_calls")),))
    choice = json.loads(write_response(response, context).body)["choices"][0]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert choice["finish_reason"] == "function_call"
    assert "tool_calls" not in choice["message"]


@pytest.mark.pitfall(181)
def test_thinking_is_reasoning_content_with_its_state_beside_it():
    written = message(
        Thinking("a", signature="s", family="anthropic"),
        Thinking("b", family="chat"),
        Thinking(encrypted="e", redacted=True, family="anthropic"),
        Thinking("c", encrypted="f", summary=True, id="rs", family="responses"),
    )
    claude = {"format": "anthropic-claude-v1"}
    openai = {"format": "openai-responses-v1", "id": "rs", "index": 3}
    assert written["reasoning_content"] == "abc"
    assert written["reasoning_details"] == [
        {"type": "reasoning.text", "text": "a", "signature": "s", **claude, "index": 0},
        {"type": "reasoning.encrypted", "data": "e", **claude, "index": 2},
        {"type": "reasoning.summary", "summary": "c", **openai},
        {"type": "reasoning.encrypted", "data": "f", **openai},
    ]


@pytest.mark.pitfall(138)
def test_a_refusal_that_is_a_stop_reason_stands_beside_the_finish():
    details = raw({"type": "refusal", "category": "cyber", "explanation": "policy"})
    finish = Finish("refusal", "refusal", explanation="policy", details=details)
    choice = write(finish=finish)[0]["choices"][0]
    assert choice["finish_reason"] == "content_filter"
    assert choice["native_finish_reason"] == "refusal"
    assert choice["stop_details"]["explanation"] == "policy"
    assert choice["message"]["refusal"] is None
    assert message(Refusal("own"), finish=finish)["refusal"] == "own"
    bare = write(finish=Finish("refusal", "refusal", explanation="policy"))[0]["choices"][0]
    assert bare["stop_details"] == {"type": "refusal", "explanation": "policy"}


def test_citations_stand_where_their_text_stands():
    cited = Text("cd", (Citation("url", url="u", title="t"),))
    assert message(Text("ab"), cited)["annotations"] == [
        {
            "type": "url_citation",
            "url_citation": {"url": "u", "title": "t", "start_index": 2, "end_index": 4},
        }
    ]


def test_what_chat_cannot_say_is_told_as_a_loss():
    page = Text("a", (Citation("page", document=0, unit="page"),))
    odd = Opaque("anthropic", "server_tool_use", Raw(b"{}"))
    _, losses = write(
        page,
        odd,
        SearchResult("s", "t", ()),
        Media("video", Inline("AA", "video/mp4")),
        finish=Finish("pause", "pause_turn"),
    )
    assert [(loss.path, loss.action) for loss in losses] == [
        ("choices[0].message.citation", "dropped"),
        ("choices[0].message.server_tool_use", "dropped"),
        ("choices[0].message.SearchResult", "dropped"),
        ("choices[0].message.video", "dropped"),
        ("choices[0].finish_reason", "changed"),
    ]


def test_the_stop_sequence_that_was_met_is_a_loss():
    _, losses = write(Text("a"), finish=Finish("stop_sequence", stop_sequence="END"))
    assert [loss.path for loss in losses] == ["choices[0].stop_sequence"]


def test_unknown_finishes_logprobs_images_and_sound_are_written():
    choice = Choice(
        (Media("image", Inline("AA", "image/png")), Opaque("chat", "audio", Raw(b'{"id":"a"}'))),
        Finish("unknown", "odd"),
        logprobs=Raw(b'{"content":[]}'),
        ext={"chat": {"annotations": raw([{"type": "file"}])}},
    )
    written = json.loads(write_response(Response("i", "m", (choice,)), CONTEXT).body)["choices"][0]
    assert written["native_finish_reason"] == "odd"
    assert written["logprobs"] == {"content": []}
    assert written["message"]["audio"] == {"id": "a"}
    assert written["message"]["images"][0]["image_url"]["url"] == "data:image/png;base64,AA"
    assert written["message"]["annotations"] == [{"type": "file"}]
    assert written["message"]["content"] is None


@pytest.mark.pitfall(137)
@pytest.mark.parametrize("reason", ["malformed_tool_call", "error"])
def test_an_answer_that_ended_in_a_failure_is_an_error(reason):
    with pytest.raises(UpstreamError) as caught:
        write(finish=Finish(reason))
    assert caught.value.status == 502


# --------------------------------------------------------------------------- tapping


def tap(data, flavour="openai"):
    return tap_response(data, Target("p", "m", Quirks(flavour=flavour)), CONTEXT)


def test_a_reply_of_the_same_dialect_keeps_its_own_bytes():
    data = b'\n\n{"id":"c1", "odd":1.0,"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3}}'
    tapped = tap(data)
    assert tapped.body is data
    assert (tapped.usage, tapped.finish, tapped.id) == (
        Usage(input=3),
        Finish("stop", "stop"),
        "c1",
    )


def test_a_reply_without_choices_is_tapped_as_it_is():
    tapped = tap(body(choices=[]))
    assert tapped.body == body(choices=[])
    assert tapped.finish == Finish("unknown")


def test_the_finish_of_a_tapped_reply_agrees_with_its_calls():
    call = {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert tap(body({"tool_calls": [call]})).finish == Finish("tool_calls", "stop")


@pytest.mark.pitfall(37)
def test_what_an_openai_client_could_not_read_is_mended():
    call = {"id": "x", "function": {"name": "f", "arguments": {"a": 1}}}
    content = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}]
    data = body({"content": content, "tool_calls": [call]}, odd=1)
    mended = json.loads(tap(data, "mistral").body)
    function = {"name": "f", "arguments": '{"a": 1}'}
    assert mended["odd"] == 1
    assert mended["choices"][0]["message"] == {
        "content": "so",
        "reasoning_content": "hm",
        "tool_calls": [{"type": "function", "id": "x", "function": function}],
    }


def test_a_missing_type_is_not_added_to_openais_own_calls():
    data = body(
        {"content": None, "tool_calls": [{"id": "x", "function": {"name": "f", "arguments": ""}}]}
    )
    assert tap(data).body == data
    assert b'"type":"function"' in tap(data, "plain").body


def test_a_reply_that_no_repair_understands_goes_through_as_it_came():
    choice = {"index": 0, "message": {"content": [], "tool_calls": [5]}, "finish_reason": "stop"}
    data = body(choices=[choice])
    assert tap(data, "plain").body == data
    silent = body(choices=[{"index": "0", "message": None}])
    assert json.loads(tap(silent, "plain").body) == json.loads(silent)
