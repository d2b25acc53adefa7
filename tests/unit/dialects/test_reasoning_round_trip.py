"""Reasoning state through a client of the other dialect and back (`dialects.md` §2.3).

An answer goes whole and as a stream to a client, which puts together what it was told as its
SDK would, and sends that back with its next turn. What the provider reads then has to be what it
had said, byte for byte and in its order.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from dragoman.core.capability import Capability
from dragoman.core.envelope import Envelope, open_thoughts
from dragoman.core.provider import Quirks
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.base import Context, Dialect, Target, Undo
from dragoman.dialects.chat import CHAT
from dragoman.dialects.translate import Translation

ENVELOPE = Envelope({1: b"k" * 32})
CONTEXT = Context("c" * 32, 1, "m", envelope=ENVELOPE)
CLAUDE = Target("anthropic", "claude-x", capability=Capability(thinking="budget"))
OPENROUTER = Target("openrouter", "x-ai/grok-4", Quirks(flavour="openrouter"))
ODD = 's/+=é\\n"ü'

TOOLS = {
    "chat": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "anthropic": [{"name": "f", "input_schema": {"type": "object"}}],
}


# --------------------------------------------------------------------------- what SDKs put together


def sse(body: bytes) -> list[dict[str, Any]]:
    lines = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def chat_message(body: bytes, *, stream: bool) -> dict[str, Any]:
    """The assistant's message: reasoning details joined by their index, as OpenRouter's users do."""
    if not stream:
        return json.loads(body)["choices"][0]["message"]
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    details: list[dict[str, Any]] = []
    calls: dict[int, dict[str, Any]] = {}
    for chunk in sse(body):
        for choice in chunk["choices"]:
            delta = choice["delta"]
            message["content"] += delta.get("content") or ""
            details += delta.get("reasoning_details") or []
            for call in delta.get("tool_calls") or []:
                index = call.pop("index")
                if index in calls:
                    more = call["function"]["arguments"]
                    calls[index]["function"]["arguments"] += more
                else:
                    calls[index] = call
    if details:
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = list(calls.values())
    return message


def anthropic_message(body: bytes, *, stream: bool) -> dict[str, Any]:
    """The assistant's message as Anthropic's SDK accumulates it."""
    if not stream:
        return {"role": "assistant", "content": json.loads(body)["content"]}
    blocks: list[dict[str, Any]] = []
    argued: list[str] = []
    for event in sse(body):
        match event["type"]:
            case "content_block_start":
                blocks.append(event["content_block"])
                argued.append("")
            case "content_block_delta":
                block, delta = blocks[event["index"]], event["delta"]
                match delta["type"]:
                    case "text_delta":
                        block["text"] += delta["text"]
                    case "thinking_delta":
                        block["thinking"] += delta["thinking"]
                    case "signature_delta":
                        block["signature"] = delta["signature"]
                    case "input_json_delta":
                        argued[event["index"]] += delta["partial_json"]
            case "content_block_stop":
                if argued[event["index"]]:
                    blocks[event["index"]]["input"] = json.loads(argued[event["index"]])
    return {"role": "assistant", "content": blocks}


MESSAGE = {"chat": chat_message, "anthropic": anthropic_message}


def answer(
    said: bytes, provider: Dialect, client: Dialect, target: Target, *, stream: bool
) -> dict[str, Any]:
    """The message that the client holds after the provider's whole reply came either way."""
    if not stream:
        response = provider.read_response(said, target, Undo())
        return MESSAGE[client.family](client.write_response(response, CONTEXT).body, stream=False)
    relay = Translation(provider.stream_reader(target, Undo()), client.stream_writer(CONTEXT))
    data = provider.response_frames(said)
    body = b"".join(relay.feed(data[at : at + 7]) for at in range(0, len(data), 7)) + relay.close()
    return MESSAGE[client.family](body, stream=True)


def next_turn(
    message: dict[str, Any], client: Dialect, provider: Dialect, target: Target
) -> tuple[dict[str, Any], list[str]]:
    """The assistant's message as the provider reads it again, and the losses."""
    told: dict[str, Any] = {"model": "m", "max_tokens": 9000, "tools": TOOLS[client.family]}
    results: list[dict[str, Any]] = [{"role": "user", "content": "go on"}]
    if client is CHAT:
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": "r"}
            for call in message.get("tool_calls") or ()
        ] or results
    else:
        results = [
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": block["id"]}]}
            for block in message["content"]
            if block["type"] == "tool_use"
        ] or results
    told["messages"] = [{"role": "user", "content": "q"}, message, *results]
    request, lost = open_thoughts(client.read_request(json.dumps(told).encode()), ENVELOPE)
    out = provider.write_request(request, target)
    return json.loads(out.body)["messages"][1], [loss.path for loss in (*lost, *out.losses)]


# --------------------------------------------------------------------------- Anthropic for a chat client


def thinking(text: str, signature: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": signature}


REDACTED = {"type": "redacted_thinking", "data": "d+/=" + ODD}
SAID = {"type": "text", "text": "so"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}


@pytest.mark.pitfall(92, 94, 95, 97)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    "content",
    [
        [thinking("hm", ODD), SAID],
        [thinking("", ODD), SAID],
        [REDACTED, SAID],
        [thinking("one", "s1"), thinking("two", "s2"), SAID],
        [thinking("one", "s1"), REDACTED, thinking("", "s3"), REDACTED, SAID],
        [thinking("hm", ODD), USE],
        [thinking("hm", ODD), REDACTED, SAID, USE],
    ],
    ids=["text", "empty", "redacted", "two", "mixed", "call", "everything"],
)
def test_anthropics_thoughts_come_back_through_a_chat_client(content, stream):
    reply = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": content,
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    message = answer(json.dumps(reply).encode(), ANTHROPIC, CHAT, CLAUDE, stream=stream)
    back, lost = next_turn(message, CHAT, ANTHROPIC, CLAUDE)
    assert back == {"role": "assistant", "content": content}
    assert lost == []


# --------------------------------------------------------------------------- OpenRouter for Anthropic's client


def detail(kind: str, index: int, form: str = "xai-responses-v1", **more: Any) -> dict[str, Any]:
    return {"type": f"reasoning.{kind}", "format": form, "index": index, **more}


@pytest.mark.pitfall(92, 93, 94, 97, 102)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("called", [False, True], ids=["said", "called"])
@pytest.mark.parametrize(
    "details",
    [
        [detail("text", 0, text="hm", signature=ODD)],
        [detail("encrypted", 0, data=ODD)],
        [detail("encrypted", 0, data=ODD, id="rs_1")],
        [detail("text", 0, text="hm", signature="s"), detail("encrypted", 1, data="d")],
        [detail("summary", 0, summary="in short"), detail("encrypted", 0, data="d", id="rs_1")],
        [detail("text", 0, "anthropic-claude-v1", text="hm", signature=ODD)],
    ],
    ids=["signed", "encrypted", "with an id", "both", "summary", "Claude's"],
)
def test_openrouters_thoughts_come_back_through_anthropics_client(details, called, stream):
    message: dict[str, Any] = {"role": "assistant", "content": "so", "reasoning_details": details}
    message["reasoning"] = "".join(d.get("text", d.get("summary", "")) for d in details) or None
    if called:
        call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        message["tool_calls"] = [call]
    reply = {
        "id": "gen-1",
        "object": "chat.completion",
        "created": 1,
        "model": "x-ai/grok-4",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    model = "anthropic/claude-x" if "claude" in details[0]["format"] else "x-ai/grok-4"
    target = Target("openrouter", model, OPENROUTER.quirks)
    kept = answer(json.dumps(reply).encode(), CHAT, ANTHROPIC, target, stream=stream)
    text = json.dumps([block for block in kept["content"] if block["type"] == "text"])
    assert "drg1." not in text
    back, lost = next_turn(kept, ANTHROPIC, CHAT, target)
    assert back["reasoning_details"] == details
    assert back["content"] == "so"
    assert lost == []


@pytest.mark.pitfall(93)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_state_of_one_family_is_shown_to_no_other(stream):
    """A conversation that began at OpenRouter goes on at Anthropic: the thought stays behind."""
    message = {
        "role": "assistant",
        "content": "so",
        "reasoning": "hm",
        "reasoning_details": [detail("text", 0, text="hm", signature="s")],
    }
    reply = {
        "id": "gen-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    kept = answer(json.dumps(reply).encode(), CHAT, ANTHROPIC, OPENROUTER, stream=stream)
    back, lost = next_turn(kept, ANTHROPIC, ANTHROPIC, CLAUDE)
    assert back == {"role": "assistant", "content": "so"}
    assert lost == ["messages[1].content[0]"]


@pytest.mark.pitfall(93)
def test_a_forged_envelope_is_dropped_with_a_loss_and_never_shown_as_text():
    forged = thinking("pretend", "drg1.1.eyJmIjoiY2hhdCJ9.AAAAAAAAAAAAAAAAAAAAAA")
    message = {"role": "assistant", "content": [forged, SAID]}
    back, lost = next_turn(message, ANTHROPIC, CHAT, OPENROUTER)
    assert back == {"role": "assistant", "content": "so"}
    assert lost == ["messages[1].content[0]"]
