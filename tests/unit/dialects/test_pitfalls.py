"""Pitfalls of both dialects that no other test shows (`dialects.md` §4), by their numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dragoman.attempt.letterhead import letterhead_of
from dragoman.attempt.policy import Policy
from dragoman.attempt.prepare import Prepared, prepare
from dragoman.catalog.load import load_providers
from dragoman.core.ask import read_ask
from dragoman.core.call import Call
from dragoman.core.errors import CallerError
from dragoman.core.provider import Candidate, Quirks
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.base import Context, ErrorContext, Target, Undo
from dragoman.dialects.chat import CHAT
from dragoman.dialects.registry import DIALECTS
from dragoman.dialects.translate import Translation

CONTEXT = Context("c" * 32, 1, "m")
TARGET = Target("p", "m")
HI = [{"role": "user", "content": "hi"}]


def chat_reply(**message: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    return json.dumps({"id": "c1", "model": "m", "choices": [choice]}).encode()


def chat_stream(*deltas: dict[str, Any], finish: str = "stop") -> bytes:
    chunks = [{"id": "c1", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)


def to_anthropic(stream: bytes) -> Translation:
    """A chat provider's whole stream, written for Anthropic's client."""
    way = Translation(CHAT.stream_reader(TARGET, Undo()), ANTHROPIC.stream_writer(CONTEXT))
    way.feed(stream)
    way.close()
    return way


# --------------------------------------------------------------------------- what is asked for


@pytest.mark.pitfall(121)
@pytest.mark.parametrize("family", ["chat", "anthropic"])
@pytest.mark.parametrize(
    ("said", "meant"), [({}, False), ({"stream": None}, False), ({"stream": True}, True)]
)
def test_nobody_streams_unasked(family, said, meant):
    body = {"model": "m", "max_tokens": 1, "messages": HI, **said}
    request = DIALECTS[family].read_request(json.dumps(body).encode())
    assert request.stream is meant
    for other in DIALECTS.values():
        if other.family == "gemini":  # says so in the path
            continue
        sent = json.loads(other.write_request(request, Target("p", "m", stream=meant)).body)
        assert sent.get("stream", False) is meant


async def unread() -> bytes:
    """The body is at hand already."""
    return b""


def prepared(client: str, provider: str, said: dict[str, Any], **headers: str) -> Prepared:
    registry = load_providers({f"{provider.upper()}_API_KEY": "our-own-key"}, [])
    candidate = Candidate(
        registry.providers[provider], "m", registry.credentials[provider][0].credential
    )
    call = Call(
        id="0" * 32,
        request_id="r",
        trace_id="1" * 32,
        operation="chat",
        dialect=client,
        route="/v1/x",
        proof=None,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        read_body=unread,
        received=0.0,
        wall=1.0,
    )
    body = {"model": "x", "max_tokens": 5, "messages": HI, **said}
    ask = read_ask(json.dumps(body).encode())
    letterhead = letterhead_of(
        candidate, client, "chat", stream=ask.stream, user_agent="dragoman/test"
    )
    return prepare(call, ask, candidate, letterhead, Policy(), lambda *_: None, "0" * 36, 1.0)


BETAS = {
    "anthropic-beta": "context-1m",
    "anthropic-version": "2099-01-01",
    "openai-beta": "assistants=v2",
    "x-goog-api-client": "genai",
    "authorization": "Bearer caller",
    "x-api-key": "caller",
    "cookie": "caller",
    "x-stainless-lang": "python",
    "x-dragoman-strict": "false",
}


@pytest.mark.pitfall(165)
@pytest.mark.parametrize(
    ("client", "provider", "kept"),
    [
        (
            "anthropic",
            "anthropic",
            {"anthropic-beta": "context-1m", "anthropic-version": "2099-01-01"},
        ),
        ("chat", "anthropic", {"anthropic-version": "2023-06-01"}),
        ("chat", "openai", {"openai-beta": "assistants=v2"}),
        ("anthropic", "openai", {}),
        ("chat", "groq", {"openai-beta": "assistants=v2"}),
    ],
)
def test_a_familys_headers_go_to_that_family_alone(client, provider, kept):
    sent = prepared(client, provider, {}, **BETAS).request.headers
    assert {
        name: value
        for name, value in sent.items()
        if name in BETAS and name not in {"x-api-key", "authorization"}
    } == kept
    assert "caller" not in " ".join(sent.values())
    assert any("our-own-key" in value for value in sent.values())


# --------------------------------------------------------------------------- what is answered


@pytest.mark.pitfall(103)
def test_tags_in_a_text_are_the_text():
    """Nobody configured a splitter, so nobody guesses that a model meant to think."""
    words = "<think>hm</think>so"
    whole = CHAT.read_response(chat_reply(content=words), TARGET, Undo())
    assert json.loads(ANTHROPIC.write_response(whole, CONTEXT).body)["content"] == [
        {"type": "text", "text": words}
    ]


@pytest.mark.pitfall(108)
def test_reasoning_is_part_of_the_output_and_counted_once():
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": 30,
        "total_tokens": 35,
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    reply = json.loads(chat_reply(content="a")) | {"usage": usage}
    whole = CHAT.read_response(json.dumps(reply).encode(), TARGET, Undo())
    assert whole.usage is not None
    assert whole.usage.billed_output == 30
    told = json.loads(ANTHROPIC.write_response(whole, CONTEXT).body)["usage"]
    assert told["output_tokens"] == 30
    back = ANTHROPIC.read_response(ANTHROPIC.write_response(whole, CONTEXT).body, TARGET, Undo())
    again = json.loads(CHAT.write_response(back, CONTEXT).body)["usage"]
    assert (again["completion_tokens"], again["total_tokens"]) == (30, 35)


@pytest.mark.pitfall(114)
def test_which_stop_sequence_was_met_is_told_where_there_is_a_word_for_it():
    reply = {
        "type": "message",
        "id": "msg_1",
        "content": [{"type": "text", "text": "a"}],
        "stop_reason": "stop_sequence",
        "stop_sequence": "END",
    }
    whole = ANTHROPIC.read_response(json.dumps(reply).encode(), TARGET, Undo())
    own = json.loads(ANTHROPIC.write_response(whole, CONTEXT).body)
    assert (own["stop_reason"], own["stop_sequence"]) == ("stop_sequence", "END")
    assert own["content"][0]["text"] == "a"
    chat = CHAT.write_response(whole, CONTEXT)
    told = json.loads(chat.body)["choices"][0]
    assert (told["finish_reason"], told["message"]["content"]) == ("stop", "a")
    assert [loss.path for loss in chat.losses] == ["choices[0].stop_sequence"]


@pytest.mark.pitfall(195)
@pytest.mark.parametrize("client", ["chat", "anthropic"])
def test_a_call_that_groq_could_not_read_is_an_error_with_what_the_model_wrote(client):
    written = '{"name": "f", "arguments": {'
    body = {
        "error": {
            "message": "Failed to call a function.",
            "type": "invalid_request_error",
            "code": "tool_use_failed",
            "failed_generation": written,
        }
    }
    error = CHAT.read_error(400, {}, json.dumps(body).encode())
    assert error.details["failed_generation"] == written
    reply = DIALECTS[client].write_error(error, ErrorContext("r"))
    assert reply.status == 400
    assert b"tool_calls" not in reply.body
    assert b'tool_use"' not in reply.body
    assert "Failed to call a function." in reply.body.decode()


# --------------------------------------------------------------------------- losses of the answer (D6)

ANNOTATION = {
    "type": "url_citation",
    "url_citation": {"url": "https://x", "title": "t", "start_index": 0, "end_index": 1},
}


def test_citations_that_anthropic_cannot_hold_are_told_as_lost():
    whole = CHAT.read_response(chat_reply(content="a", annotations=[ANNOTATION]), TARGET, Undo())
    written = ANTHROPIC.write_response(whole, CONTEXT)
    assert b"https://x" not in written.body
    assert [loss.path for loss in written.losses] == ["content[0].citations"]
    way = to_anthropic(chat_stream({"content": "a"}, {"annotations": [ANNOTATION, ANNOTATION]}))
    assert [loss.path for loss in way.facts.losses] == ["content[0].citations"]


def test_what_a_stream_cannot_say_is_known_at_its_end():
    chunks = chat_stream({"content": "a"}, {"images": [{"image_url": {"url": "https://x"}}]})
    second = {
        "id": "c1",
        "choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": "stop"}],
    }
    way = to_anthropic(chunks + b"data: " + json.dumps(second).encode() + b"\n\ndata: [DONE]\n\n")
    assert [loss.path for loss in way.facts.losses] == ["content[1]", "choices[1]"]
    assert to_anthropic(chat_stream({"content": "a"})).facts.losses == ()
    stopped = Translation(ANTHROPIC.stream_reader(TARGET, Undo()), CHAT.stream_writer(CONTEXT))
    reply = {
        "type": "message",
        "id": "msg_1",
        "content": [{"type": "text", "text": "a"}],
        "stop_reason": "stop_sequence",
        "stop_sequence": "END",
    }
    stopped.feed(ANTHROPIC.response_frames(json.dumps(reply).encode()))
    stopped.close()
    assert [loss.path for loss in stopped.facts.losses] == ["choices[0].stop_sequence"]


# --------------------------------------------------------------------------- words and ids that differ


@pytest.mark.pitfall(194)
@pytest.mark.parametrize("family", ["chat", "responses"])
@pytest.mark.parametrize("said", ["in-memory", "in_memory", "24h"])
def test_how_long_a_cache_is_kept_has_openais_word(family, said):
    asked = {"messages": HI} if family == "chat" else {"input": "hi"}
    body = {"model": "m", "prompt_cache_retention": said, **asked}
    request = DIALECTS[family].read_request(json.dumps(body).encode())
    for other in ("chat", "responses"):
        target = Target("p", "m", quirks=Quirks(flavour="openai"))
        sent = json.loads(DIALECTS[other].write_request(request, target).body)
        assert sent["prompt_cache_retention"] == said.replace("-", "_")


@pytest.mark.pitfall(193)
def test_call_ids_that_begin_anew_with_each_answer_stay_apart():
    """Each turn's call is its own at a provider that wants unique ids, and pairs stay pairs."""
    history: list[dict[str, Any]] = []
    for number in ("1", "2", "3"):
        history += [
            {"type": "message", "role": "user", "content": number},
            {
                "type": "function_call",
                "call_id": "call_0",
                "name": f"f{number}",
                "arguments": "{}",
            },
            {"type": "function_call_output", "call_id": "call_0", "output": number},
        ]
    request = DIALECTS["responses"].read_request(
        json.dumps({"model": "m", "input": history}).encode()
    )
    sent = json.loads(ANTHROPIC.write_request(request, Target("p", "m")).body)["messages"]
    blocks = [block for message in sent for block in message["content"] if isinstance(block, dict)]
    calls = {block["id"]: block["name"] for block in blocks if block["type"] == "tool_use"}
    results = {
        block["tool_use_id"]: block["content"]
        for block in blocks
        if block["type"] == "tool_result"
    }
    assert len(calls) == 3
    assert {calls[call_id]: text for call_id, text in results.items()} == {
        "f1": "1",
        "f2": "2",
        "f3": "3",
    }
    named = json.loads(DIALECTS["gemini"].write_request(request, Target("p", "m")).body)
    answers = [
        part["functionResponse"]["name"]
        for content in named["contents"]
        for part in content["parts"]
        if "functionResponse" in part
    ]
    assert answers == ["f1", "f2", "f3"]


SERVER_TOOLS = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
    {"type": "tool_reference", "tool_name": "far"},
]


@pytest.mark.pitfall(175)
@pytest.mark.parametrize("block", SERVER_TOOLS, ids=lambda block: block["type"])
def test_a_history_of_server_tools_stays_with_its_dialect(block):
    """It goes back with the caller's own tools beside it, or not at all (P65)."""
    body = {
        "model": "m",
        "max_tokens": 9,
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "messages": [*HI, {"role": "assistant", "content": [block]}, *HI],
    }
    ask = read_ask(json.dumps(body).encode())
    sent = json.loads(ANTHROPIC.patch_request(ask.members, Target("p", "m")).body)
    assert (sent["messages"], sent["tools"]) == (body["messages"], body["tools"])
    request = ANTHROPIC.read_request(json.dumps({**body, "tools": []}).encode())
    for family in ("chat", "responses", "gemini", "ollama"):
        with pytest.raises(CallerError, match=block["type"]) as refused:
            DIALECTS[family].write_request(request, Target("p", "m"))
        assert refused.value.status == 400


# --------------------------------------------------------------------------- white space before a thought


def blocks_of(stream: bytes) -> list[tuple[str, str]]:
    """Kind and words of the blocks that Anthropic's client sees."""
    way = Translation(CHAT.stream_reader(TARGET, Undo()), ANTHROPIC.stream_writer(CONTEXT))
    found: list[tuple[str, str]] = []
    for frame in (way.feed(stream) + way.close()).split(b"\n\n")[:-1]:
        event = json.loads(frame.partition(b"data: ")[2])
        if event["type"] == "content_block_start":
            found.append((event["content_block"]["type"], ""))
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            words = delta.get("text") or delta.get("thinking") or delta.get("partial_json") or ""
            found[-1] = (found[-1][0], found[-1][1] + words)
    return found


CALL = {"index": 0, "id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.pitfall(197)
@pytest.mark.parametrize(
    ("deltas", "told"),
    [
        (
            [
                {"content": "\n"},
                {"content": "\n"},
                {"reasoning_content": "hm"},
                {"content": "Yes"},
            ],
            [("thinking", "hm"), ("text", "\n\nYes")],
        ),
        ([{"content": " "}, {"content": "Yes"}], [("text", " Yes")]),
        ([{"content": "\n\n"}, {"tool_calls": [CALL]}], [("text", "\n\n"), ("tool_use", "{}")]),
        ([{"content": "\n\n"}], [("text", "\n\n")]),
        ([{"content": "\n\n"}, {"refusal": "No."}], [("text", "\n\n"), ("text", "No.")]),
        (
            [{"reasoning_content": "hm"}, {"content": "\n\n"}, {"content": "Yes"}],
            [("thinking", "hm"), ("text", "\n\nYes")],
        ),
        (
            [{"content": "Yes"}, {"content": "\n"}, {"reasoning_content": "hm"}],
            [("text", "Yes\n"), ("thinking", "hm")],
        ),
    ],
)
def test_white_space_before_a_thought_opens_no_block_and_is_not_lost(deltas, told):
    assert blocks_of(chat_stream(*deltas)) == told
