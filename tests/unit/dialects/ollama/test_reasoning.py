"""Reasoning between Ollama and the other families' clients, and back (`dialects.md` §2.3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dragoman.core.capability import Capability
from dragoman.core.envelope import Envelope, open_thoughts
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.base import Context, Dialect, Target, Undo
from dragoman.dialects.chat import CHAT
from dragoman.dialects.ollama import OLLAMA
from dragoman.dialects.translate import Translation

ENVELOPE = Envelope({1: b"k" * 32})
CONTEXT = Context("c" * 32, 1, "m", envelope=ENVELOPE)
TARGET = Target("ollama", "qwen3")
CLAUDE = Target("anthropic", "claude-x", capability=Capability(thinking="budget"))
REPLY = {
    "model": "qwen3",
    "created_at": "2026-01-01T00:00:00Z",
    "message": {
        "role": "assistant",
        "content": "So.",
        "thinking": "hm ü",
        "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}],
    },
    "done": True,
    "done_reason": "stop",
}


def told(client: Dialect, body: bytes) -> dict[str, Any]:
    response = OLLAMA.read_response(body, TARGET, Undo())
    return json.loads(client.write_response(response, CONTEXT).body)


def replayed(client: Dialect, turn: dict[str, Any], result: dict[str, Any]) -> list[Any]:
    """The messages that Ollama gets when a client sends its answer back."""
    said = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "q"}, turn, result],
    }
    request, lost = open_thoughts(client.read_request(json.dumps(said).encode()), ENVELOPE)
    out = OLLAMA.write_request(request, TARGET)
    assert lost == out.losses == ()
    return json.loads(out.body)["messages"]


@pytest.mark.pitfall(93)
def test_ollamas_thinking_comes_back_through_anthropics_client():
    blocks = told(ANTHROPIC, json.dumps(REPLY).encode())["content"]
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use"]
    assert blocks[0]["signature"].startswith("drg1.")
    result = {"type": "tool_result", "tool_use_id": blocks[2]["id"], "content": "r"}
    turn = {"role": "assistant", "content": blocks}
    messages = replayed(ANTHROPIC, turn, {"role": "user", "content": [result]})
    assert (messages[1]["thinking"], messages[1]["content"]) == ("hm ü", "So.")
    assert messages[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": {"a": 1}}
    assert (messages[2]["tool_name"], messages[2]["content"]) == ("f", "r")


@pytest.mark.pitfall(181)
def test_ollamas_thinking_comes_back_through_a_chat_client():
    message = told(CHAT, json.dumps(REPLY).encode())["choices"][0]["message"]
    assert message["reasoning_content"] == "hm ü"
    call = message["tool_calls"][0]["id"]
    messages = replayed(CHAT, message, {"role": "tool", "tool_call_id": call, "content": "r"})
    assert (messages[1]["thinking"], messages[2]["tool_name"]) == ("hm ü", "f")


@pytest.mark.pitfall(95)
def test_claudes_thinking_is_shown_to_ollamas_client_and_its_state_is_told_as_lost():
    thinking = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
    reply = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [thinking, call],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }
    body = json.dumps(reply).encode()
    response = ANTHROPIC.read_response(body, CLAUDE, Undo())
    written = OLLAMA.write_response(response, CONTEXT)
    assert [loss.path for loss in written.losses] == ["message.content[0].signature"]
    message = json.loads(written.body)["message"]
    assert message["thinking"] == "hm"
    way = Translation(ANTHROPIC.stream_reader(CLAUDE, Undo()), OLLAMA.stream_writer(CONTEXT))
    streamed = way.feed(ANTHROPIC.response_frames(body)) + way.close()
    assert b'"thinking":"hm"' in streamed
    assert [loss.path for loss in way.facts.losses] == ["message.content[0].signature"]
    # On the next turn Claude may not think in this loop any more, and says why.
    del message["tool_calls"][0]["id"]  # as the official client leaves it out
    said = {
        "model": "m",
        "think": True,
        "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        ],
        "messages": [
            {"role": "user", "content": "q"},
            message,
            {"role": "tool", "tool_name": "f", "content": "r"},
        ],
    }
    out = ANTHROPIC.write_request(OLLAMA.read_request(json.dumps(said).encode()), CLAUDE)
    sent = json.loads(out.body)
    assert sent["thinking"] == {"type": "disabled"}
    use, result = sent["messages"][1]["content"][0], sent["messages"][2]["content"][0]
    assert use["id"] == result["tool_use_id"]
    assert "reasoning_effort" in {loss.path for loss in out.losses}
