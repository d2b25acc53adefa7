"""Gemini's dialect: its laws and its pitfalls."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.core.envelope import Envelope, open_thoughts
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.events import Failure
from dragoman.core.fold import check, fold, unfold
from dragoman.core.parts import Media, Opaque, Text, Thinking, ToolCall, ToolResult
from dragoman.core.provider import Quirks
from dragoman.core.request import EmbeddingRequest
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.base import Context, ErrorContext, Target, Undo
from dragoman.dialects.chat import CHAT
from dragoman.dialects.framing.json_array import ArrayElements
from dragoman.dialects.gemini import GEMINI
from dragoman.dialects.gemini.count_tokens import COUNTER, patch_count
from dragoman.dialects.gemini.embeddings import EMBEDDER, patch_embeddings, tap_embeddings
from dragoman.dialects.gemini.signatures import UNSIGNED
from sampling import examples

OLD, NEW = Target("p", "gemini-2.5-flash"), Target("p", "gemini-3-pro")
CONTEXT = Context("a" * 32, 1, "m", envelope=Envelope({1: b"k" * 32}), request_id="r")
ARRAY = Context("a" * 32, 1, "m", request_id="r", array=True)


def part(**members: Any) -> dict[str, Any]:
    return members


def chunk(
    *parts: dict[str, Any], finish: Any = None, index: int = 0, **more: Any
) -> dict[str, Any]:
    one: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": index}
    if finish is not None:
        one["finishReason"] = finish
    return {"candidates": [one], "responseId": "id", "modelVersion": "g", **more}


def sse(*chunks: Any, end: bytes = b"\r\n\r\n") -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + end for one in chunks)


def events(data: bytes, step: int | None = None, undo: Undo | None = None) -> list[Any]:
    reader = GEMINI.stream_reader(NEW, undo or Undo())
    step = step or len(data) or 1
    found = [e for n in range(0, len(data), step) for e in reader.feed(data[n : n + step])]
    return found + reader.close()


def read(request: dict[str, Any]) -> Any:
    return GEMINI.read_request(json.dumps(request).encode())


def written(request: Any, target: Target = OLD) -> dict[str, Any]:
    return json.loads(GEMINI.write_request(request, target).body)


def chat(*messages: dict[str, Any], **members: Any) -> Any:
    body = {"model": "m", "messages": list(messages), **members}
    return CHAT.read_request(json.dumps(body).encode())


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


NAMES = (
    "contents",
    "parts",
    "text",
    "role",
    "functionCall",
    "tools",
    "name",
    "functionResponse",
    "generationConfig",
    "toolConfig",
    "inlineData",
    "response",
)
PARTS = st.one_of(
    st.builds(lambda t: part(text=t), st.text(max_size=5)),
    st.builds(lambda t: part(text=t, thought=True), st.text(max_size=5)),
    st.builds(lambda t: part(text=t, thoughtSignature="c2ln"), st.text(max_size=3)),
    st.just(part(text="hm", thought=True, thoughtSignature="c2ln")),
    st.just(part(thoughtSignature="c2ln")),
    st.just(part(thought=True, thoughtSignature="c2ln")),
    st.just(part(functionCall={"name": "f", "args": {"a": 1}})),
    st.just(part(functionCall={"name": "f", "id": "i"}, thoughtSignature="c2ln")),
    st.just(part(inlineData={"mimeType": "image/png", "data": "AAAA"})),
    st.just(part(executableCode={"language": "PYTHON", "code": "1"})),
    st.just(part(unheardOf={"x": [1]})),
    st.just({}),
)


# --------------------------------------------------------------------------- laws


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(PARTS, max_size=6))
def test_a_stream_folds_to_the_whole_and_what_is_written_is_read_again(parts):
    whole = GEMINI.read_response(json.dumps(chunk(*parts, finish="STOP")).encode(), NEW, Undo())
    streamed = events(sse(chunk(*parts), chunk(finish="STOP")))
    check(streamed)
    assert fold(streamed) == whole
    again = GEMINI.write_response(whole, CONTEXT)
    assert GEMINI.read_response(again.body, NEW, Undo()).choices == whole.choices
    writer = GEMINI.stream_writer(CONTEXT)
    out = b"".join(writer.send(event) for event in unfold(whole))
    assert fold(events(out)).choices == whole.choices
    array = GEMINI.stream_writer(ARRAY)
    out = b"".join(array.send(event) for event in unfold(whole))
    assert isinstance(json.loads(out), list)


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(PARTS, max_size=4), st.integers(1, 40), st.booleans())
def test_any_cut_gives_the_same_events(parts, step, array):
    chunks = [chunk(*parts), chunk(finish="STOP", usageMetadata={"promptTokenCount": 1})]
    data = json.dumps(chunks, indent=1).encode() if array else sse(*chunks)
    assert events(data, step) == events(data)
    relayed = GEMINI.relay(NEW, CONTEXT)
    out = b"".join(relayed.feed(data[n : n + step]) for n in range(0, len(data), step))
    out += relayed.close()
    assert fold(events(out)) == fold(events(data))
    assert relayed.facts.error is None


@settings(max_examples=examples(80), deadline=None)
@given(
    st.binary(max_size=60) | st.builds(lambda b: b"data: {" + b + b"\n\n", st.binary(max_size=40))
)
def test_any_bytes_give_events_or_an_error(data):
    assert isinstance(events(data)[-1], Failure)
    with pytest.raises(UpstreamError):
        GEMINI.read_response(data, NEW, Undo())
    with pytest.raises(CallerError):
        GEMINI.read_request(data)
    GEMINI.read_error(500, {}, data)


@settings(max_examples=examples(60), deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(NAMES),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_a_request_or_refused(value):
    try:
        request = GEMINI.read_request(json.dumps(value).encode())
        GEMINI.write_request(request, NEW)
    except CallerError:
        pass


def test_an_array_of_strings_with_signs_in_them():
    elements = [{"a": '}"]\\'}, {"b": [1, {"c": "\\"}]}]
    data = json.dumps(elements).encode()
    for step in range(1, 9):
        cut = ArrayElements()
        found = [e for n in range(0, len(data), step) for e in cut.feed(data[n : n + step])]
        assert [json.loads(one) for one in found] == elements


# --------------------------------------------------------------------------- streams


@pytest.mark.pitfall(2, 4, 8)
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_line_ends_and_a_last_frame_without_one(end):
    data = sse(chunk(part(text="a")), chunk(finish="STOP"), end=end)
    assert fold(events(data.rstrip())).choices[0].parts == (Text("a"),)


@pytest.mark.pitfall(6, 8)
def test_a_client_is_never_sent_what_it_breaks_on():
    data = (
        b": hello\n\nevent: x\ndata:" + json.dumps(chunk(part(text="a"), finish="STOP")).encode()
    )
    relay = GEMINI.relay(NEW, CONTEXT)
    out = relay.feed(data + b"\n\ndata: [DONE]\n\n") + relay.close()
    assert out.count(b"data: ") == 1
    assert out.startswith(b"data: {")
    assert b"DONE" not in out


@pytest.mark.pitfall(10)
def test_an_array_client_gets_an_array_of_what_came_as_events():
    relay = GEMINI.relay(NEW, ARRAY)
    out = relay.feed(sse(chunk(part(text="a")), chunk(finish="STOP"))) + relay.close()
    assert [one["candidates"][0].get("finishReason") for one in json.loads(out)] == [None, "STOP"]


@pytest.mark.pitfall(13, 14, 161)
@pytest.mark.parametrize("context", [CONTEXT, ARRAY])
def test_a_cut_is_an_error_and_never_an_end(context):
    relay = GEMINI.relay(NEW, context)
    out = relay.feed(sse(chunk(part(text="a")))) + relay.close()
    assert relay.facts.error is not None
    out += relay.fail(relay.facts.error)
    assert b"finishReason" not in out
    if context.array:
        assert next(iter(json.loads(out)[-1])) == "error"
    else:
        assert out.split(b"data: ")[-1].startswith(b'{"error":{"code":')
    assert isinstance(events(sse(chunk(part(text="a"))))[-1], Failure)
    assert isinstance(events(b"")[-1], Failure)


@pytest.mark.parametrize(
    "error",
    [
        b'data: {"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}\r\n\r\n',
        b'{\n "error": {\n  "code": 429,\n  "message": "slow",\n  "status": "RESOURCE_EXHAUSTED"\n }\n}\n',
    ],
)
def test_an_error_inside_a_stream(error):
    for data in (error, sse(chunk(part(text="a"))) + error):
        failure = events(data)[-1]
        assert failure.error.kind == "rate_limit"
        relay = GEMINI.relay(NEW, CONTEXT)
        relay.feed(data)
        relay.close()
        assert relay.facts.error.kind == "rate_limit"


@pytest.mark.pitfall(135, 200)
def test_a_blocked_prompt_is_no_cut():
    blocked = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 4},
    }
    assert fold(events(sse(blocked))).choices[0].finish.reason == "content_filter"
    relay = GEMINI.relay(NEW, CONTEXT)
    relay.feed(sse(blocked))
    relay.close()
    assert relay.facts.error is None
    whole = GEMINI.read_response(json.dumps(blocked).encode(), NEW, Undo())
    reply = json.loads(CHAT.write_response(whole, CONTEXT).body)
    assert reply["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.pitfall(136)
def test_a_candidate_without_content():
    whole = {"candidates": [{"finishReason": "MAX_TOKENS"}]}
    choice = GEMINI.read_response(json.dumps(whole).encode(), NEW, Undo()).choices[0]
    assert (choice.parts, choice.finish.reason) == ((), "length")


@pytest.mark.pitfall(45)
def test_calls_decide_over_stop_and_not_over_a_limit():
    call = part(functionCall={"name": "f", "args": {}})
    assert (
        fold(events(sse(chunk(call), chunk(finish="STOP")))).choices[0].finish.reason
        == "tool_calls"
    )
    assert (
        fold(events(sse(chunk(call), chunk(finish="MAX_TOKENS")))).choices[0].finish.reason
        == "length"
    )
    assert fold(events(sse(chunk(finish=1)))).choices[0].finish.reason == "stop"


@pytest.mark.pitfall(38)
def test_arguments_in_pieces():
    call = {"name": "f", "willContinue": True}
    pieces = [
        call,
        {"partialArgs": [{"jsonPath": "$.a.b[0]", "stringValue": "x"}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.a.b[0]", "stringValue": "y"}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.n", "numberValue": 2}], "willContinue": True},
        {},
    ]
    data = sse(*(chunk(part(functionCall=piece)) for piece in pieces), chunk(finish="STOP"))
    made = fold(events(data)).choices[0].parts[0]
    assert json.loads(made.arguments) == {"a": {"b": ["xy"]}, "n": 2}


@pytest.mark.pitfall(108, 128, 163)
def test_counts():
    first = {"promptTokenCount": 5, "cachedContentTokenCount": 2, "toolUsePromptTokenCount": 3}
    last = {"promptTokenCount": 5, "candidatesTokenCount": 4, "thoughtsTokenCount": 6}
    data = sse(
        chunk(part(text="a"), usageMetadata=first),
        chunk(usageMetadata={"trafficType": "ON_DEMAND"}),
        chunk(finish="STOP", usageMetadata={**last, "toolUsePromptTokenCount": 3}),
    )
    usage = fold(events(data)).usage
    assert (usage.input, usage.cache_read, usage.output, usage.reasoning) == (8, 2, 10, 6)
    whole = GEMINI.write_response(fold(events(data)), CONTEXT).body
    told = json.loads(whole)["usageMetadata"]
    assert (told["candidatesTokenCount"], told["thoughtsTokenCount"]) == (4, 6)


@pytest.mark.pitfall(85)
def test_citations_count_characters():
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.test", "title": "A"}}],
        "groundingSupports": [
            {
                "segment": {"startIndex": 3, "endIndex": 5, "text": "bc"},
                "groundingChunkIndices": [0],
            }
        ],
    }
    ended = chunk(finish="STOP")
    ended["candidates"][0]["groundingMetadata"] = grounding
    text = fold(events(sse(chunk(part(text="ä bc")), ended))).choices[0].parts[0]
    assert (text.citations[0].start, text.citations[0].end) == (2, 4)


def test_several_candidates_and_log_probabilities():
    both = {
        "candidates": [
            {"index": n, "content": {"parts": [{"text": str(n)}]}, "finishReason": "STOP",
             "logprobsResult": {"chosenCandidates": [{"token": "a", "logProbability": -1.0}]}}
            for n in range(2)
        ]
    }  # fmt: skip
    answer = fold(events(sse(both)))
    assert [choice.parts for choice in answer.choices] == [(Text("0"),), (Text("1"),)]
    assert json.loads(bytes(answer.choices[1].logprobs))["content"][0]["logprob"] == -1.0
    told = json.loads(GEMINI.write_response(answer, CONTEXT).body)["candidates"][1]
    assert told["logprobsResult"]["chosenCandidates"] == [{"token": "a", "logProbability": -1.0}]


@pytest.mark.pitfall(11)
def test_a_whole_reply_as_a_stream():
    whole = chunk(part(text="a"), finish="STOP")
    for body in (json.dumps(whole, indent=2), json.dumps([whole])):
        assert fold(events(GEMINI.response_frames(body.encode()))).choices[0].parts == (Text("a"),)
    with pytest.raises(UpstreamError):
        GEMINI.response_frames(b'[{"error":{"code":500,"message":"x"}}]')


# --------------------------------------------------------------------------- reasoning


@pytest.mark.pitfall(98, 176)
@pytest.mark.parametrize("client", [CHAT, ANTHROPIC])
def test_signatures_come_back_through_clients_without_a_slot(client):
    call = part(functionCall={"name": "f", "args": {}}, thoughtSignature="c2ln")
    other = part(functionCall={"name": "g", "args": {}})
    answer = GEMINI.read_response(
        json.dumps(chunk(part(text="hm", thought=True), call, other, finish="STOP")).encode(),
        NEW,
        Undo(),
    )
    reply = json.loads(client.write_response(answer, CONTEXT).body)
    if client is CHAT:
        message = reply["choices"][0]["message"]
        results = [
            {"role": "tool", "tool_call_id": one["id"], "content": "ok"}
            for one in message["tool_calls"]
        ]
        messages = [user("x"), message, *results]
    else:
        results = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": "ok"}
            for block in reply["content"]
            if block["type"] == "tool_use"
        ]
        messages = [
            user("x"),
            {"role": "assistant", "content": reply["content"]},
            {"role": "user", "content": results},
        ]
    body = {"model": "m", "max_tokens": 5, "messages": messages}
    back, lost = open_thoughts(client.read_request(json.dumps(body).encode()), CONTEXT.envelope)
    assert not lost
    model, answers = written(back, NEW)["contents"][1:3]
    signed = [p.get("thoughtSignature") for p in model["parts"] if "functionCall" in p]
    assert signed == ["c2ln", None]
    assert "id" not in model["parts"][-1]["functionCall"]
    assert [p["functionResponse"]["name"] for p in answers["parts"]] == ["f", "g"]


def test_foreign_state_comes_back_through_a_gemini_client():
    message = {
        "id": "x", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
        "content": [
            {"type": "thinking", "thinking": "let me", "signature": "SIG"},
            {"type": "redacted_thinking", "data": "DATA"},
            {"type": "text", "text": "hi"},
        ],
    }  # fmt: skip
    answer = ANTHROPIC.read_response(json.dumps(message).encode(), NEW, Undo())
    writer = GEMINI.stream_writer(CONTEXT)
    stream = b"".join(writer.send(event) for event in unfold(answer))
    chunks = [
        json.loads(one) for one in stream.decode().replace("data: ", "").split("\r\n\r\n")[:-1]
    ]
    kept = [one["candidates"][0]["content"] for one in chunks]
    for content in kept:
        for one in content["parts"]:
            if "thoughtSignature" in one:  # as the official client writes it anew
                data = base64.b64decode(one["thoughtSignature"])
                one["thoughtSignature"] = base64.urlsafe_b64encode(data).decode()
    contents = [{"role": "user", "parts": [{"text": "x"}]}, *kept]
    contents.append({"role": "user", "parts": [{"text": "y"}]})
    back, lost = open_thoughts(read({"contents": contents}), CONTEXT.envelope)
    assert not lost
    sent = json.loads(ANTHROPIC.write_request(back, Target("p", "c")).body)["messages"][1][
        "content"
    ]
    assert sent[:2] == message["content"][:2]
    patched = GEMINI.patch_request({"contents": json_raw(contents)}, NEW)
    assert b"thoughtSignature" not in patched.body
    assert patched.losses


def json_raw(value: Any) -> Any:
    from msgspec import Raw

    return Raw(json.dumps(value).encode())


@pytest.mark.pitfall(99)
def test_calls_of_other_models_are_marked_for_newer_ones():
    calls = [
        {"id": n, "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in "ab"
    ]
    results = [{"role": "tool", "tool_call_id": n, "content": "ok"} for n in "ba"]
    request = chat(user("x"), {"role": "assistant", "tool_calls": calls}, *results)
    model, answers = written(request, NEW)["contents"][1:3]
    assert [p.get("thoughtSignature") for p in model["parts"]] == [UNSIGNED, None]
    assert [p["functionResponse"]["id"] for p in answers["parts"]] == ["a", "b"]
    assert "thoughtSignature" not in written(request, OLD)["contents"][1]["parts"][0]


@pytest.mark.pitfall(99)
def test_a_mark_that_nothing_is_signed_is_no_reasoning_to_lose():
    call = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": UNSIGNED}
    said = {
        "contents": [
            {"role": "user", "parts": [{"text": "x"}]},
            {"role": "model", "parts": [call]},
        ]
    }
    request = GEMINI.read_request(json.dumps(said).encode())
    assert [type(part).__name__ for part in request.messages[1].parts] == ["ToolCall"]


def test_a_document_of_text_becomes_text_under_its_title_and_is_told():
    document = {
        "type": "document",
        "title": "T",
        "context": "C",
        "source": {"type": "text", "media_type": "text/plain", "data": "words"},
    }
    inner = [{"type": "text", "text": "words"}]
    for source, texts in (
        (document["source"], ["T\n\nC\n\nwords"]),
        ({"type": "content", "content": inner}, ["T", "C", "words"]),
    ):
        said = {"role": "user", "content": [{**document, "source": source}]}
        body = {"model": "m", "max_tokens": 9, "messages": [said]}
        request = ANTHROPIC.read_request(json.dumps(body).encode())
        sent = GEMINI.write_request(request, OLD)
        parts = json.loads(sent.body)["contents"][0]["parts"]
        assert [part["text"] for part in parts] == texts
        assert [(loss.path, loss.action) for loss in sent.losses] == [
            ("messages[0].content[0]", "emulated")
        ]


@pytest.mark.pitfall(198)
def test_levels_for_newer_models_and_budgets_for_older_ones():
    request = chat(user("x"), reasoning_effort="minimal")
    assert written(request, NEW)["generationConfig"]["thinkingConfig"]["thinkingLevel"] == "LOW"
    old = written(request, OLD)["generationConfig"]["thinkingConfig"]
    assert old == {"includeThoughts": True, "thinkingBudget": 1024}


# --------------------------------------------------------------------------- requests


@pytest.mark.pitfall(90, 91)
def test_snake_case_and_loose_contents():
    request = read(
        {
            "contents": {"parts": [{"text": "x"}, {"inline_data": {"mime_type": "image/png", "data": "AA-_"}}]},
            "system_instruction": {"parts": {"text": "s"}},
            "generation_config": {"max_output_tokens": 5, "response_mime_type": "application/json"},
        }
    )  # fmt: skip
    assert request.messages[0].role == "user"
    assert request.system == (Text("s"),)
    assert (request.max_tokens, request.output.format) == (5, "json")
    media = request.messages[0].parts[1]
    assert isinstance(media, Media)
    assert media.source.data == "AA+/"


@pytest.mark.pitfall(29, 30, 51, 53)
def test_results_without_ids_answer_in_order():
    call = part(functionCall={"name": "f", "args": {"a": 1}})
    answers = [
        part(functionResponse={"name": "f", "response": {"output": "one"}}),
        part(functionResponse={"name": "f", "response": {"error": "two"}}),
    ]
    request = read(
        {"contents": [
            {"role": "user", "parts": [{"text": "x"}]},
            {"role": "model", "parts": [call, call]},
            {"role": "user", "parts": answers},
        ]}
    )  # fmt: skip
    calls = [p for p in request.messages[1].parts if isinstance(p, ToolCall)]
    results = [p for p in request.messages[2].parts if isinstance(p, ToolResult)]
    assert [one.call_id for one in results] == [one.id for one in calls]
    assert len({one.id for one in calls}) == 2
    assert [one.is_error for one in results] == [False, True]
    with pytest.raises(CallerError):
        GEMINI.write_request(
            chat(user("x"), {"role": "tool", "tool_call_id": "?", "content": "y"}), OLD
        )


@pytest.mark.pitfall(50, 180)
def test_text_and_pictures_inside_a_result():
    answer = {
        "name": "f",
        "response": {"output": "one"},
        "parts": [{"text": "two"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
    }
    request = read(
        {"contents": [
            {"role": "user", "parts": [{"text": "x"}]},
            {"role": "model", "parts": [part(functionCall={"name": "f"})]},
            {"role": "user", "parts": [part(functionResponse=answer)]},
        ]}
    )  # fmt: skip
    result = request.messages[2].parts[0]
    assert [type(one) for one in result.parts] == [Text, Text, Media]
    inside = written(request, NEW)["contents"][2]["parts"][0]["functionResponse"]
    assert inside["response"] == {"output": "one\ntwo"}
    assert len(inside["parts"]) == 1
    older = written(request, OLD)["contents"]
    assert "parts" not in older[2]["parts"][0]["functionResponse"]
    assert "inlineData" in older[3]["parts"][0]


@pytest.mark.pitfall(71, 72, 155, 177, 178)
def test_the_user_speaks_first_and_last_and_never_says_nothing():
    request = chat(
        {"role": "assistant", "content": "hi"}, user(""), {"role": "assistant", "content": "a"}
    )
    contents = written(request)["contents"]
    assert [content["role"] for content in contents] == ["user", "model", "user", "model", "user"]
    assert contents[2]["parts"] == [{"text": " "}]


@pytest.mark.pitfall(57, 60, 179)
def test_tools():
    schema = {"type": "object", "$defs": {"a": {"const": 1}}, "additionalProperties": False}
    tool = {"type": "function", "function": {"name": "1 f", "parameters": schema, "strict": True}}
    outgoing = GEMINI.write_request(chat(user("x"), tools=[tool]), NEW)
    body = json.loads(outgoing.body)
    sent = body["tools"][0]["functionDeclarations"][0]
    assert sent["parametersJsonSchema"] == schema
    assert body["toolConfig"]["functionCallingConfig"]["mode"] == "VALIDATED"
    call = part(functionCall={"name": sent["name"], "args": {}})
    assert (
        fold(events(sse(chunk(call, finish="STOP")), undo=outgoing.undo)).choices[0].parts[0].name
        == "1 f"
    )
    hosted = read({"contents": "x", "tools": [{"googleSearch": {}}]})
    assert written(hosted)["tools"] == [{"googleSearch": {}}]
    with pytest.raises(CallerError):
        CHAT.write_request(hosted, OLD)


@pytest.mark.pitfall(63, 199)
def test_a_schema_beside_functions():
    tool = {"type": "function", "function": {"name": "f"}}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    request = chat(user("x"), tools=[tool], response_format=form)
    with pytest.raises(CallerError, match="Gemini 3") as refused:
        GEMINI.write_request(request, OLD)
    assert refused.value.param == "response_format"
    assert "responseJsonSchema" in written(request, NEW)["generationConfig"]
    forced = chat(user("x"), tools=[tool], response_format=form, tool_choice="required")
    for target in (OLD, NEW):
        outgoing = GEMINI.write_request(forced, target)
        assert "responseMimeType" not in json.loads(outgoing.body).get("generationConfig", {})
        assert [loss.path for loss in outgoing.losses] == ["response_format"]
    bare = chat(user("x"), tools=[tool], response_format={"type": "json_object"})
    assert written(bare, OLD)["generationConfig"]["responseMimeType"] == "application/json"


@pytest.mark.pitfall(35, 34)
def test_arguments_that_are_no_object():
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x'}}
    request = chat(user("x"), {"role": "assistant", "tool_calls": [call]},
                   {"role": "tool", "tool_call_id": "a", "content": "y"})  # fmt: skip
    assert written(request)["contents"][1]["parts"][0]["functionCall"]["args"] == {"_raw": '{"x'}


@pytest.mark.pitfall(77, 116)
def test_what_cannot_be_said_is_told():
    request = chat({**user("x"), "name": "n"}, seed=2**40, user="u", logit_bias={"1": 1})
    lost = {loss.path for loss in GEMINI.write_request(request, OLD).losses}
    assert lost == {"messages[0].name", "seed", "user", "logit_bias"}


@pytest.mark.pitfall(79)
def test_a_picture_at_an_address_is_refused():
    content = [{"type": "image_url", "image_url": {"url": "https://a.test/x.png"}}]
    with pytest.raises(CallerError, match="address"):
        GEMINI.write_request(chat({"role": "user", "content": content}), OLD)


def test_gemini_schemas_become_json_schema():
    schema = {"type": "OBJECT", "properties": {"type": {"type": "STRING", "nullable": True}}}
    tool = {"functionDeclarations": [{"name": "f", "parameters": schema}]}
    read_schema = json.loads(bytes(read({"contents": "x", "tools": [tool]}).tools[0].schema))
    assert read_schema == {"type": "object", "properties": {"type": {"type": ["string", "null"]}}}


def test_types_may_be_the_numbers_of_protocol_buffers():
    schema = {"type": 6, "properties": {"a": {"type": 1}, "b": {"type": 5, "items": {"type": 0}}}}
    tool = {"functionDeclarations": [{"name": "f", "parameters": schema}]}
    assert json.loads(bytes(read({"contents": "x", "tools": [tool]}).tools[0].schema)) == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {}}},
    }


def test_unknown_parts_are_kept_for_their_own_family_and_refused_elsewhere():
    code = part(executableCode={"language": "PYTHON", "code": "1"})
    request = read({"contents": [{"parts": [{"text": "x"}]}, {"role": "model", "parts": [code]}]})
    assert isinstance(request.messages[1].parts[0], Opaque)
    assert written(request)["contents"][1]["parts"] == [code]
    with pytest.raises(CallerError):
        ANTHROPIC.write_request(request, OLD)


def test_a_quirk_that_drops_says_so():
    target = Target("p", "m", quirks=Quirks(drop=("labels",)))
    outgoing = GEMINI.patch_request({"contents": json_raw([]), "labels": json_raw({})}, target)
    assert [loss.path for loss in outgoing.losses] == ["labels"]


# --------------------------------------------------------------------------- errors


def failed(status: int, body: Any, **headers: str) -> UpstreamError:
    return GEMINI.read_error(status, headers, json.dumps(body).encode())


@pytest.mark.pitfall(141, 201)
def test_errors_are_read():
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}
    body = {
        "error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED", "details": [info]}
    }
    assert failed(429, [body]).retry_after_s == 35
    assert failed(429, body).kind == "rate_limit"
    key = {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}
    assert (failed(400, key).code, failed(400, key).status) == ("upstream_auth", 502)
    assert GEMINI.read_error(502, {}, b"<html>secret</html>").message.endswith("502.")


@pytest.mark.pitfall(161)
def test_errors_are_written():
    error = UpstreamError("rate_limit", "slow", upstream_status=429, retry_after_s=3, provider="p")
    reply = GEMINI.write_error(error, ErrorContext("r", "t", fallback=True))
    assert reply.body.startswith(b'{"error":{"code":429,')
    info, wait = json.loads(reply.body)["error"]["details"]
    assert info["metadata"]["request_id"] == "r"
    assert all(isinstance(value, str) for value in info["metadata"].values())
    assert wait["retryDelay"] == "3s"


# --------------------------------------------------------------------------- counting, vectors


def test_counting():
    inner = {"contents": [{"parts": [{"text": "x"}]}]}
    for body in (inner, {"generateContentRequest": {"model": "models/a", **inner}}):
        assert COUNTER.read_request(json.dumps(body).encode()).messages[0].parts == (Text("x"),)
    assert COUNTER.read_response(b'{"totalTokens": 3}') == 3
    assert COUNTER.write_response(3) == b'{"totalTokens":3}'
    sent = json.loads(COUNTER.write_request(chat(user("x")), OLD).body)
    assert sent["generateContentRequest"]["model"] == "models/gemini-2.5-flash"
    members = {"generateContentRequest": json_raw({"model": "models/a", **inner})}
    patched = json.loads(patch_count(members, OLD).body)
    assert patched["generateContentRequest"]["model"] == "models/gemini-2.5-flash"


@pytest.mark.pitfall(202)
def test_vectors():
    single = {"content": {"parts": [{"text": "x"}]}, "outputDimensionality": 8}
    request = EMBEDDER.read_request(json.dumps(single).encode())
    assert (request.inputs, request.single, request.dimensions) == (("x",), True, 8)
    assert EMBEDDER.most == 100
    sent = json.loads(EMBEDDER.write_request(request, OLD).body)["requests"]
    assert sent[0]["model"] == "models/gemini-2.5-flash"
    reply = b'{"embeddings":[{"values":[0.5]}]}'
    vectors = EMBEDDER.read_response(reply, OLD)
    assert json.loads(EMBEDDER.write_response(vectors, request, CONTEXT).body) == {
        "embedding": {"values": [0.5]}
    }
    members = {name: json_raw(value) for name, value in single.items()}
    assert len(json.loads(patch_embeddings(members, OLD).body)["requests"]) == 1
    assert json.loads(tap_embeddings(reply, members).body) == {"embedding": {"values": [0.5]}}
    with pytest.raises(CallerError):
        EMBEDDER.write_request(EmbeddingRequest("m", ((1, 2),)), OLD)


def test_a_thought_of_nobody_is_left_out():
    request = chat(
        user("x"), {"role": "assistant", "content": "a", "reasoning_content": "t"}, user("y")
    )
    assert written(request)["contents"][1]["parts"] == [{"text": "a"}]
    assert isinstance(request.messages[1].parts[0], Thinking)


# --------------------------------------------------------------------------- more pitfalls


@pytest.mark.pitfall(15)
def test_nothing_is_sent_into_a_silent_stream():
    assert GEMINI.heartbeat is None


@pytest.mark.pitfall(1, 5, 25)
def test_a_frame_of_a_megabyte_in_pieces_is_one_frame():
    text = "größe 🐉" * 120_000
    assert fold(events(sse(chunk(part(text=text), finish="STOP")), 65_537)).choices[0].parts == (
        Text(text),
    )


@pytest.mark.pitfall(27)
def test_arguments_keep_their_own_spelling():
    data = (
        b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f",'
        b'"args":{"n": 12345678901234567890123, "f": 1.10}}}]},"finishReason":"STOP"}]}\n\n'
    )
    call = fold(events(data)).choices[0].parts[0]
    assert "12345678901234567890123" in call.arguments
    assert "1.10" in call.arguments


@pytest.mark.pitfall(47)
def test_results_of_one_turn_are_one_content():
    calls = [
        {"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}}
        for name in ("a", "b")
    ]
    request = chat(
        user("x"),
        {"role": "assistant", "content": None, "tool_calls": calls},
        *({"role": "tool", "tool_call_id": name, "content": name} for name in ("a", "b")),
    )
    last = written(request)["contents"][-1]
    assert [one["functionResponse"]["name"] for one in last["parts"]] == ["a", "b"]


@pytest.mark.pitfall(100)
def test_a_signature_is_never_spelled_anew():
    signed = part(text="a", thoughtSignature="-_+/ab==")
    whole = GEMINI.read_response(json.dumps(chunk(signed, finish="STOP")).encode(), NEW, Undo())
    told = json.loads(GEMINI.write_response(whole, CONTEXT).body)
    assert told["candidates"][0]["content"]["parts"][0]["thoughtSignature"] == "-_+/ab=="


@pytest.mark.pitfall(117)
def test_log_probabilities_are_asked_for_by_a_word_and_a_number():
    sent = written(chat(user("x"), logprobs=True, top_logprobs=3))["generationConfig"]
    assert (sent["responseLogprobs"], sent["logprobs"]) == (True, 3)
    assert "logprobs" not in written(chat(user("x"))).get("generationConfig", {})


@pytest.mark.pitfall(113)
def test_stops_are_a_list_and_at_most_five():
    assert written(chat(user("x"), stop="a"))["generationConfig"]["stopSequences"] == ["a"]
    asked = {"contents": [{"parts": [{"text": "x"}]}]}
    many = read({**asked, "generationConfig": {"stopSequences": list("abcdef")}})
    with pytest.raises(CallerError) as refusal:
        written(many)
    assert refusal.value.param == "stop"


@pytest.mark.pitfall(118)
def test_biases_of_another_tokenizer_are_never_sent():
    out = GEMINI.write_request(chat(user("x"), logit_bias={"50256": -100}), NEW)
    assert b"50256" not in out.body
    assert any("logit_bias" in loss.path for loss in out.losses)


def test_a_model_that_the_provider_does_not_name_is_the_one_that_was_sent():
    first, last = chunk(part(text="a")), chunk(finish="STOP")
    named = {**last}
    for one in (first, last):
        del one["modelVersion"]
    relay = GEMINI.relay(NEW, CONTEXT)
    out = relay.feed(sse(first, last)) + relay.close()
    assert out.count(b'"modelVersion":"m"') == 2
    relay = GEMINI.relay(NEW, CONTEXT)
    data = sse(named, first)
    assert relay.feed(data) + relay.close() == data
    relay = GEMINI.relay(NEW, ARRAY)
    listed = json.loads(relay.feed(sse(first, last)) + relay.close())
    assert [one["modelVersion"] for one in listed] == ["m", "m"]


@pytest.mark.pitfall(137)
@pytest.mark.parametrize("reason", ["MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE"])
def test_a_malformed_call_is_never_an_answer(reason):
    whole = GEMINI.read_response(
        json.dumps(chunk(part(functionCall={"name": "f"}), finish=reason)).encode(), NEW, Undo()
    )
    assert whole.choices[0].finish.raw == reason
    own = json.loads(GEMINI.write_response(whole, CONTEXT).body)["candidates"][0]
    assert own["finishReason"].startswith("MALFORMED")
    for dialect in (CHAT, ANTHROPIC):
        with pytest.raises(UpstreamError):
            dialect.write_response(whole, CONTEXT)
