"""The stub over real HTTP: what the quick start invites a stranger to try."""

import json
import re
import time

import pytest


def test_the_stub_says_the_same_to_the_same_under_a_new_id(lonely):
    ids = set()

    def said():
        reply = lonely.chat().json()
        assert abs(reply.pop("created") - time.time()) < 60
        ids.add(reply.pop("id"))
        return reply

    assert said() == said()
    assert len(ids) == 2


STRICT = {"x-dragoman-strict": "true"}
ASKED = [{"role": "user", "content": "?"}]
LIMITED = {
    "/v1/chat/completions": {"messages": ASKED, "max_completion_tokens": 3},
    "/v1/completions": {"prompt": "?", "max_tokens": 3},
    "/v1/messages": {"messages": ASKED, "max_tokens": 3},
    "/v1/responses": {"input": "?", "max_output_tokens": 3},
    "/api/chat": {"messages": ASKED, "options": {"num_predict": 3}},
    "/api/generate": {"prompt": "?", "options": {"num_predict": 3}},
    "/v1beta/models/openai/gpt-4o-mini:generateContent": {
        "contents": [{"role": "user", "parts": [{"text": "?"}]}],
        "generationConfig": {"maxOutputTokens": 3},
    },
}
CUT = re.compile(
    rb'"(?:finish_reason|stop_reason|done_reason|finishReason|reason)": ?"'
    rb'(?:length|max_tokens|MAX_TOKENS|max_output_tokens)"'
)


@pytest.mark.parametrize("path", LIMITED)
@pytest.mark.parametrize("stream", [False, True])
def test_a_limit_of_tokens_holds_on_every_surface(lonely, path, stream):
    body = {"model": "openai/gpt-4o-mini", **LIMITED[path]}
    if path.startswith("/v1beta"):
        path = path.replace(":g", ":streamG") + "?alt=sse" if stream else path
        del body["model"]
    else:
        body["stream"] = stream
    reply = lonely.ask("POST", path, body, STRICT)
    assert reply.status == 200, reply.body
    assert CUT.search(reply.body), reply.body
    assert b"Dragoman" not in reply.body
    assert lonely.row(reply.headers["x-request-id"])["output_tokens"] == 3


STOPPED = {
    "/v1/chat/completions": {"messages": ASKED, "stop": "Dragoman"},
    "/v1/completions": {"prompt": "?", "stop": ["Dragoman"]},
    "/v1/messages": {"messages": ASKED, "max_tokens": 99, "stop_sequences": ["Dragoman"]},
    "/api/chat": {"messages": ASKED, "options": {"stop": ["Dragoman"]}},
    "/api/generate": {"prompt": "?", "options": {"stop": ["Dragoman"]}},
    "/v1beta/models/openai/gpt-4o-mini:generateContent": {
        "contents": [{"role": "user", "parts": [{"text": "?"}]}],
        "generationConfig": {"stopSequences": ["Dragoman"]},
    },
}


@pytest.mark.parametrize("path", STOPPED)
@pytest.mark.parametrize("stream", [False, True])
def test_stop_sequences_hold_on_every_surface(lonely, path, stream):
    body = {"model": "openai/gpt-4o-mini", **STOPPED[path]}
    if path.startswith("/v1beta"):
        path = path.replace(":g", ":streamG") + "?alt=sse" if stream else path
        del body["model"]
    else:
        body["stream"] = stream
    reply = lonely.ask("POST", path, body, STRICT)
    assert reply.status == 200, reply.body
    assert b"Hello" in reply.body
    assert b"Dragoman" not in reply.body
    assert not CUT.search(reply.body)


def test_several_choices_come_where_a_surface_knows_them(lonely):
    chat = lonely.chat(n=2, headers=STRICT).json()
    assert [choice["index"] for choice in chat["choices"]] == [0, 1]
    body = {"model": "openai/gpt-4o-mini", "prompt": "?", "n": 2}
    old = lonely.ask("POST", "/v1/completions", body, STRICT).json()
    assert [choice["index"] for choice in old["choices"]] == [0, 1]
    body = {
        "contents": [{"role": "user", "parts": [{"text": "?"}]}],
        "generationConfig": {"candidateCount": 2},
    }
    path = "/v1beta/models/openai/gpt-4o-mini:generateContent"
    google = lonely.ask("POST", path, body, STRICT)
    assert len(google.json()["candidates"]) == 2, google.body


@pytest.mark.pitfall(21)
def test_a_stream_speaks_of_usage_only_to_those_who_ask(lonely):
    assert b'"usage"' not in lonely.chat(stream=True).body
    told = lonely.chat(stream=True, stream_options={"include_usage": True}).body
    assert told.count(b'"usage":null') == told.count(b"data: {") - 1
    rows = lonely.ask("GET", "/v1/usage?group=request&limit=2").json()["data"]
    assert all(row["output_tokens"] > 0 for row in rows)


TOOL = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}


def test_a_demanded_tool_is_called_in_either_dialect(lonely):
    function = {"name": "weather", "parameters": TOOL}
    offered = {"tools": [{"type": "function", "function": function}]}
    choice = lonely.chat(**offered, tool_choice="required").json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    called = choice["message"]["tool_calls"][0]["function"]
    assert (called["name"], json.loads(called["arguments"])) == ("weather", {"city": "stub city"})

    body = {
        "model": "openai/gpt-4o-mini",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "?"}],
        "tools": [{"name": "weather", "input_schema": TOOL}],
        "tool_choice": {"type": "tool", "name": "weather"},
    }
    told = lonely.ask("POST", "/v1/messages", body).json()
    assert told["stop_reason"] == "tool_use"
    assert told["content"][0]["input"] == {"city": "stub city"}
    stream = lonely.ask("POST", "/v1/messages", {**body, "stream": True}).body
    assert b'"stop_reason":"tool_use"' in stream


@pytest.mark.parametrize("messages", [{}, {"messages": "hi"}, {"messages": []}])
def test_a_request_without_messages_is_refused_in_the_callers_dialect(lonely, messages):
    body = {"model": "openai/gpt-4o-mini", "max_tokens": 9, **messages}
    chat = lonely.ask("POST", "/v1/chat/completions", body)
    assert (chat.status, chat.json()["error"]["param"]) == (400, "messages")
    claude = lonely.ask("POST", "/v1/messages", body)
    assert (claude.status, claude.json()["error"]["type"]) == (400, "invalid_request_error")
