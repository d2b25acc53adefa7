"""Whole replies in both directions (`dialects.md` §1.2, §3.2)."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from msgspec import Raw

from dragoman.core.envelope import Envelope
from dragoman.core.errors import UpstreamError
from dragoman.core.parts import (
    Citation,
    Inline,
    Media,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from dragoman.core.request import FunctionTool, Reasoning, Request, Sampling, ToolChoice
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.responses import RESPONSES

TARGET = Target("openai", "m")
STOP = Finish("stop")
CONTEXT = Context("c" * 32, 1700000000, "m", envelope=Envelope({1: b"k" * 32}))


def read(*output, **members) -> Response:
    body = {"id": "resp_1", "object": "response", "model": "gpt", "status": "completed"}
    body |= {"output": list(output), **members}
    return RESPONSES.read_response(json.dumps(body).encode(), TARGET, Undo())


def parts(*output) -> tuple:
    return read(*output).choices[0].parts


def written(*said, finish=STOP, context=CONTEXT, **members) -> dict:
    response = Response("", "gpt", (Choice(said, finish),), **members)
    return json.loads(RESPONSES.write_response(response, context).body)


def losses(*said, finish=STOP) -> list[str]:
    response = Response("", "gpt", (Choice(said, finish),))
    return [loss.path for loss in RESPONSES.write_response(response, CONTEXT).losses]


def message(*content) -> dict:
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": list(content)}


def text(words, **members) -> dict:
    return {"type": "output_text", "text": words, "annotations": [], **members}


# --------------------------------------------------------------------------- reading


def test_items_become_parts_in_their_order():
    assert parts(
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm"}]},
        message(text("One"), {"type": "refusal", "refusal": "No"}),
        {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": '{"a":1}'},
        {"type": "custom_tool_call", "id": "ctc", "call_id": "d", "name": "g", "input": "x"},
    ) == (
        Thinking("Hm", id="rs", family="responses", format="openai-responses-v1", summary=True),
        Text("One"),
        Refusal("No"),
        ToolCall("c", "f", '{"a":1}', item_id="fc"),
        ToolCall("d", "g", "x", kind="custom", item_id="ctc"),
    )


def test_raw_reasoning_wins_over_its_summary_and_paragraphs_are_joined():
    (thought,) = parts(
        {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "S"}],
            "content": [{"type": "reasoning_text", "text": "A"}, {"text": "B"}],
            "encrypted_content": "e",
        }
    )
    assert (thought.text, thought.summary, thought.encrypted) == ("A\n\nB", False, "e")


def test_what_says_nothing_is_no_part():
    assert parts({"type": "reasoning", "id": "rs", "summary": []}, message(text(""))) == ()


def test_a_picture_that_was_made_is_a_picture():
    (picture,) = parts({"type": "image_generation_call", "id": "ig", "result": "AAAA"})
    assert picture == Media("image", Inline("AAAA", "image/png"))


@pytest.mark.pitfall(65)
def test_a_providers_own_tools_are_kept_whole_and_are_no_calls():
    response = read({"type": "web_search_call", "id": "ws"}, message(text("Found")))
    assert isinstance(response.choices[0].parts[0], Opaque)
    assert response.choices[0].finish.reason == "stop"


@pytest.mark.pitfall(85)
def test_citations_count_within_their_part():
    note = {"type": "url_citation", "url": "u", "title": "t", "start_index": 1, "end_index": 3}
    (said,) = parts(message(text("Found", annotations=[note])))
    (citation,) = said.citations
    assert (citation.url, citation.title, citation.start, citation.end) == ("u", "t", 1, 3)
    assert json.loads(bytes(citation.raw)) == note


@pytest.mark.parametrize(
    ("members", "reason", "raw"),
    [
        ({}, "stop", "completed"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "length",
            "max_output_tokens",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "content_filter",
            "content_filter",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "steered"}},
            "unknown",
            "steered",
        ),
        ({"status": "incomplete"}, "length", None),
    ],
)
def test_why_it_ended(members, reason, raw):
    finish = read(message(text("x")), **members).choices[0].finish
    assert (finish.reason, finish.raw) == (reason, raw)


@pytest.mark.pitfall(46)
def test_calls_end_an_answer_in_calls_but_never_one_that_was_cut():
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}
    assert read(call).choices[0].finish.reason == "tool_calls"
    assert read(call, status="incomplete").choices[0].finish.reason == "length"


@pytest.mark.pitfall(37)
def test_arguments_that_are_an_object_become_text():
    (call,) = parts({"type": "function_call", "call_id": "c", "name": "f", "arguments": {"a": 1}})
    assert call.arguments == '{"a":1}'


def test_usage():
    usage = read(
        {"type": "web_search_call", "id": "ws"},
        usage={
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
            "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 3},
            "total_tokens": 16,
            "cost": 0.25,
        },
    ).usage
    assert usage == Usage(
        input=9,
        cache_read=4,
        cache_write=2,
        output=7,
        reasoning=3,
        total=16,
        web_searches=1,
        cost=Decimal("0.25"),
    )


@pytest.mark.pitfall(117)
def test_log_probabilities_are_in_chats_shape():
    token = {"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}
    choice = read(message(text("x", logprobs=[token]))).choices[0]
    assert json.loads(bytes(choice.logprobs)) == {"content": [token], "refusal": None}
    body = written(Text("x"), finish=Finish("stop"))
    assert body["output"][0]["content"][0]["logprobs"] == []


@pytest.mark.pitfall(140, 11)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"error":{"message":"x","code":500}}',
        b'{"status":"failed","error":{"code":"server_error","message":"x"},"output":[]}',
        b'{"status":"cancelled","output":[]}',
        b'{"output":[7]}',
    ],
)
def test_a_200_without_an_answer_is_the_providers_error(body):
    with pytest.raises(UpstreamError) as caught:
        RESPONSES.read_response(body, TARGET, Undo())
    assert caught.value.status >= 500
    with pytest.raises(UpstreamError):
        RESPONSES.response_frames(body)


@pytest.mark.parametrize(
    "item",
    [{"type": "message", "content": "Hi"}, {"type": "function_call", "call_id": "c", "name": 7}],
)
def test_words_and_calls_that_cannot_be_read_are_never_left_out(item):
    with pytest.raises(UpstreamError):
        read(item)


def test_an_answer_that_is_not_finished_is_no_answer():
    with pytest.raises(UpstreamError):
        read(status="in_progress")


def test_a_model_is_named_where_the_provider_named_none():
    tapped = RESPONSES.tap_response(b'{"output":[]}', TARGET, CONTEXT)
    assert json.loads(tapped.body)["model"] == "m"


@pytest.mark.pitfall(26)
def test_half_a_character_is_replaced():
    body = b'{"output":[{"type":"message","content":[{"type":"output_text","text":"a\\ud83d"}]}]}'
    response = RESPONSES.read_response(body, TARGET, Undo())
    assert response.choices[0].parts == (Text("a\N{REPLACEMENT CHARACTER}"),)
    assert RESPONSES.tap_response(b'{"model":"x",' + body[1:], TARGET, CONTEXT).id is None


# --------------------------------------------------------------------------- writing


@pytest.mark.pitfall(146, 147)
def test_a_whole_answer():
    body = written(Text("One"), Text("Two"), usage=Usage(input=3, output=2))
    assert body["object"] == "response"
    assert (body["status"], body["error"], body["incomplete_details"]) == ("completed", None, None)
    assert body["id"] == "resp_" + "c" * 32
    assert body["created_at"] == 1700000000
    assert (body["tools"], body["tool_choice"], body["parallel_tool_calls"]) == ([], "auto", True)
    assert body["store"] is False
    (item,) = body["output"]
    assert (item["type"], item["role"], item["status"]) == ("message", "assistant", "completed")
    assert [part["text"] for part in item["content"]] == ["One", "Two"]
    assert all(part["annotations"] == part["logprobs"] == [] for part in item["content"])
    assert body["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 5,
    }


@pytest.mark.pitfall(147)
def test_what_was_asked_is_told_again():
    asked = Request(
        "x",
        (),
        tools=(FunctionTool("a tool", schema=Raw(b'{"type":"object"}')),),
        tool_choice=ToolChoice("named", ("a tool",)),
        parallel_tools=False,
        sampling=Sampling(temperature=0.5, top_p=0.9),
        reasoning=Reasoning(effort="low", visibility="summary"),
        max_tokens=99,
        metadata={"a": "b"},
        end_user="u",
    )
    context = Context("c" * 32, 1, "m", request=asked)
    body = written(Text("x"), context=context)
    assert body["tools"] == [
        {"type": "function", "name": "a tool", "parameters": {"type": "object"}, "strict": False}
    ]
    assert body["tool_choice"] == {"type": "function", "name": "a tool"}
    assert body["parallel_tool_calls"] is False
    assert (body["temperature"], body["top_p"], body["max_output_tokens"]) == (0.5, 0.9, 99)
    assert body["reasoning"] == {"effort": "low", "summary": "auto"}
    assert (body["metadata"], body["user"]) == ({"a": "b"}, "u")


@pytest.mark.pitfall(134)
@pytest.mark.parametrize(
    ("given", "told"),
    [("resp_1", "resp_1"), ("chatcmpl-1", "resp_1"), ("msg_1", "resp_1"), ("x", "resp_x")],
)
def test_ids_have_the_dialects_prefix(given, told):
    response = Response(given, "gpt", (Choice((), Finish("stop")),))
    assert json.loads(RESPONSES.write_response(response, CONTEXT).body)["id"] == told


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("stop", "completed", None),
        ("stop_sequence", "completed", None),
        ("tool_calls", "completed", None),
        ("pause", "completed", None),
        ("unknown", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("context_overflow", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("refusal", "incomplete", "content_filter"),
    ],
)
def test_the_end(reason, status, why):
    body = written(Text("x"), finish=Finish(reason))
    assert body["status"] == body["output"][0]["status"] == status
    assert (body["incomplete_details"] or {}).get("reason") == why


@pytest.mark.pitfall(139)
def test_a_pause_is_told_as_changed():
    assert losses(Text("x"), finish=Finish("pause")) == ["status"]


@pytest.mark.pitfall(137)
@pytest.mark.parametrize("reason", ["error", "malformed_tool_call"])
def test_a_broken_end_is_no_answer(reason):
    with pytest.raises(UpstreamError):
        written(Text("x"), finish=Finish(reason))


@pytest.mark.pitfall(86, 138)
def test_words_of_refusal_have_a_part_of_their_own():
    (item,) = written(Refusal("No."))["output"]
    assert item["content"] == [{"type": "refusal", "refusal": "No."}]
    body = written(finish=Finish("refusal", explanation="Unsafe."))
    assert body["output"] == []
    assert body["stop_details"]["explanation"] == "Unsafe."


def test_summaries_and_raw_thoughts_have_their_own_places():
    first, second = written(Thinking("S", summary=True, family="chat"), Thinking("R"))["output"]
    assert first["summary"] == [{"type": "summary_text", "text": "S"}]
    assert first["encrypted_content"].startswith("drg1.")
    assert second["summary"] == []
    assert second["content"] == [{"type": "reasoning_text", "text": "R"}]
    assert "encrypted_content" not in second


@pytest.mark.pitfall(34)
def test_calls_have_ids_and_arguments():
    first, second = written(ToolCall("", "f"), ToolCall("x", "g", "y", kind="custom"))["output"]
    assert first["call_id"].startswith("call_")
    assert (first["arguments"], first["id"][:3]) == ("{}", "fc_")
    assert (second["type"], second["call_id"], second["input"]) == ("custom_tool_call", "x", "y")


def test_a_function_of_a_group_is_called_within_it():
    own = {"responses": {"namespace": Raw(b'"files"')}}
    asked = Request("x", (), tools=(FunctionTool("open", ext=own),))
    context = Context("c" * 32, 1, "m", request=asked)
    (item,) = written(ToolCall("c", "open", "{}"), context=context)["output"]
    assert item["namespace"] == "files"


def test_citations_of_other_dialects():
    far = Citation("search", url="https://e", title="E", cited_text="x", unit="block")
    filed = Citation("page", file_id="file_1", title="F")
    nowhere = Citation("char", document=0, start=1, end=2)
    response = Text("abc", (far, filed, nowhere))
    (item,) = written(response)["output"]
    assert item["content"][0]["annotations"] == [
        {
            "type": "url_citation",
            "url": "https://e",
            "title": "E",
            "start_index": 0,
            "end_index": 3,
        },
        {"type": "file_citation", "file_id": "file_1", "filename": "F", "index": 3},
    ]
    assert losses(response) == ["content[0].citations"]


def test_pictures_and_what_cannot_be_said():
    picture = Media("image", Inline("AAAA", "image/webp"))
    (item,) = written(picture)["output"]
    assert (item["type"], item["result"], item["output_format"]) == (
        "image_generation_call",
        "AAAA",
        "webp",
    )
    assert losses(Opaque("anthropic", "x", Raw(b"{}"))) == ["content[0]"]


@pytest.mark.pitfall(115)
def test_only_one_answer_is_told():
    choices = (Choice((Text("a"),), Finish("stop")), Choice((Text("b"),), Finish("stop"), 1))
    told = RESPONSES.write_response(Response("", "gpt", choices), CONTEXT)
    assert [loss.path for loss in told.losses] == ["choices[1]"]


@pytest.mark.pitfall(119)
@pytest.mark.parametrize(("tier", "told"), [("flex", "flex"), ("on_demand", None), (None, None)])
def test_a_tier_that_the_dialect_has_no_word_for_is_not_told(tier, told):
    assert written(Text("x"), service_tier=tier)["service_tier"] == told
