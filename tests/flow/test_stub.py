"""The stub over real HTTP: what the quick start invites a stranger to try."""

import json
import time

import pytest


def test_the_stub_says_the_same_to_the_same(lonely):
    def said():
        reply = lonely.chat().json()
        assert abs(reply.pop("created") - time.time()) < 60
        return reply

    assert said() == said()


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
