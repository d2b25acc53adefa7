"""Reasoning state through clients of other dialects and back (`dialects.md` §2.3).

An answer goes whole and as a stream to a client, which sends back what it was told. What the
provider reads then has to be what it had said, byte for byte and in its order.
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
from dragoman.dialects.responses import RESPONSES
from dragoman.dialects.translate import Translation

ENVELOPE = Envelope({1: b"k" * 32})
CONTEXT = Context("c" * 32, 1, "m", envelope=ENVELOPE)
CLAUDE = Target("anthropic", "claude-x", capability=Capability(thinking="budget"))
OPENROUTER = Target("openrouter", "x-ai/grok-4", Quirks(flavour="openrouter"))
GPT = Target("openai", "gpt-5", capability=Capability(reasons_by_default=True))
ODD = 's/+=é\\n"ü'

each_way = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def answer(
    said: Any, provider: Dialect, client: Dialect, target: Target, *, stream: bool
) -> bytes:
    """The body that the client got, or the stream."""
    body = json.dumps(said).encode()
    if not stream:
        return client.write_response(provider.read_response(body, target, Undo()), CONTEXT).body
    relay = Translation(provider.stream_reader(target, Undo()), client.stream_writer(CONTEXT))
    return relay.feed(provider.response_frames(body)) + relay.close()


def output(body: bytes, *, stream: bool) -> list[dict[str, Any]]:
    """The items that a client of Responses holds."""
    if stream:
        body = body.split(b"\n\n")[-2].partition(b"data: ")[2]
        return json.loads(body)["response"]["output"]
    return json.loads(body)["output"]


def next_turn(
    told: dict[str, Any], client: Dialect, provider: Dialect, target: Target
) -> tuple[dict[str, Any], list[str]]:
    """The request that the provider gets next, and what was lost on the way."""
    request, lost = open_thoughts(client.read_request(json.dumps(told).encode()), ENVELOPE)
    out = provider.write_request(request, target)
    return json.loads(out.body), [loss.path for loss in (*lost, *out.losses)]


# --------------------------------------------------------------------------- others for a Responses client


def thinking(text: str, signature: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": text, "signature": signature}


REDACTED = {"type": "redacted_thinking", "data": "d+/=" + ODD}
SAID = {"type": "text", "text": "so"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}


@pytest.mark.pitfall(92, 94, 95)
@each_way
@pytest.mark.parametrize(
    "content",
    [
        [thinking("hm\n\nhm", ODD), SAID],
        [thinking("", ODD), SAID],
        [REDACTED, SAID],
        [thinking("one", "s1"), thinking("two", "s2"), SAID],
        [thinking("one", "s1"), REDACTED, thinking("", "s3"), SAID],
        [thinking("hm", ODD), USE],
        [thinking("hm", ODD), SAID, USE],
    ],
    ids=["text", "empty", "redacted", "two", "mixed", "call", "everything"],
)
def test_anthropics_thoughts_come_back_through_a_responses_client(content, stream):
    reply = {"id": "msg_1", "type": "message", "role": "assistant", "model": "c"}
    reply |= {"content": content, "stop_reason": "end_turn", "usage": {"input_tokens": 1}}
    items = output(answer(reply, ANTHROPIC, RESPONSES, CLAUDE, stream=stream), stream=stream)
    calls = [item for item in items if item["type"] == "function_call"]
    results = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "r"}
        for call in calls
    ]
    told = {"model": "m", "max_output_tokens": 9000, "reasoning": {"effort": "low"}}
    told["tools"] = [{"type": "function", "name": "f", "parameters": {"type": "object"}}]
    question = {"role": "user", "content": "q"}
    told["input"] = [question, *items, *(results or [question])]
    body, lost = next_turn(told, RESPONSES, ANTHROPIC, CLAUDE)
    assert body["messages"][1] == {"role": "assistant", "content": content}
    assert lost == []


@pytest.mark.pitfall(97, 181)
@each_way
@pytest.mark.parametrize(
    "details",
    [
        [{"type": "reasoning.text", "text": "hm", "signature": ODD}],
        [{"type": "reasoning.encrypted", "data": ODD, "id": "rs_1"}],
        [{"type": "reasoning.summary", "summary": "in short"}],
    ],
    ids=["signed", "encrypted", "summary"],
)
def test_openrouters_thoughts_come_back_through_a_responses_client(details, stream):
    details = [{**entry, "format": "xai-responses-v1", "index": 0} for entry in details]
    message = {"role": "assistant", "content": "so", "reasoning_details": details}
    reply = {"id": "gen-1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    items = output(answer(reply, CHAT, RESPONSES, OPENROUTER, stream=stream), stream=stream)
    question = {"role": "user", "content": "q"}
    told = {"model": "m", "input": [question, *items, question]}
    body, lost = next_turn(told, RESPONSES, CHAT, OPENROUTER)
    back = body["messages"][1]
    assert back["reasoning_details"] == details
    assert back["content"] == "so"
    assert lost == []
    _, lost = next_turn(told, RESPONSES, ANTHROPIC, CLAUDE)  # P93
    assert lost == ["messages[1].content[0]"]


# --------------------------------------------------------------------------- Responses for other clients

SHOWN = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "encrypted_content": ODD,
}
HIDDEN = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": ODD}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}


def without_id(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "id"}


@pytest.mark.pitfall(104)
@each_way
@pytest.mark.parametrize(
    "items", [[SHOWN], [HIDDEN], [SHOWN, HIDDEN]], ids=["shown", "hidden", "both"]
)
def test_this_familys_thoughts_come_back_through_anthropics_client(items, stream):
    reply = {"id": "resp_1", "status": "completed", "model": "g", "output": [*items, CALL]}
    told = answer(reply, RESPONSES, ANTHROPIC, GPT, stream=stream)
    content = blocks(told) if stream else json.loads(told)["content"]
    turns = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]},
    ]
    asked = {"model": "m", "max_tokens": 900, "messages": turns}
    asked["tools"] = [{"name": "f", "input_schema": {"type": "object"}}]
    body, lost = next_turn(asked, ANTHROPIC, RESPONSES, GPT)
    assert body["input"][1:-2] == [without_id(item) for item in items]
    assert lost == []


def blocks(data: bytes) -> list[dict[str, Any]]:
    """Content as Anthropic's SDK accumulates it."""
    found: list[dict[str, Any]] = []
    for line in data.decode().split("\n"):
        if not line.startswith("data: "):
            continue
        event = json.loads(line[6:])
        if event["type"] == "content_block_start":
            found.append(event["content_block"])
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            for name in ("thinking", "signature"):
                if name in delta:
                    found[event["index"]][name] += delta[name]
    return found


@pytest.mark.pitfall(97, 104)
@each_way
@pytest.mark.parametrize("items", [[SHOWN], [HIDDEN]], ids=["shown", "hidden"])
def test_this_familys_thoughts_come_back_through_a_chat_client(items, stream):
    reply = {"id": "resp_1", "status": "completed", "model": "g", "output": [*items, CALL]}
    told = answer(reply, RESPONSES, CHAT, GPT, stream=stream)
    message: dict[str, Any] = {"role": "assistant", "content": None, "reasoning_details": []}
    message["tool_calls"] = [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]
    lines = told.decode().split("\n") if stream else ["data: " + told.decode()]
    for line in lines:
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                said = choice.get("delta", choice.get("message"))
                message["reasoning_details"] += said.get("reasoning_details") or []
    turns = [{"role": "user", "content": "q"}, message]
    turns.append({"role": "tool", "tool_call_id": "c", "content": "r"})
    body, lost = next_turn({"model": "m", "messages": turns}, CHAT, RESPONSES, GPT)
    assert body["input"][1:-2] == [without_id(item) for item in items]
    assert lost == []
