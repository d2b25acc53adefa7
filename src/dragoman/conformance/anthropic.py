"""Anthropic's Messages, as the checks know them."""

from __future__ import annotations

from typing import Any

from dragoman.conformance.parts import (
    PARAMETERS,
    PIXEL,
    TOOL,
    Call,
    Question,
    Told,
    frames,
    member,
    parsed,
    wanted,
)

_FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tools",
}


class Anthropic:
    """``/v1/messages``."""

    name = "anthropic"
    streams_as = "text/event-stream"
    stops = True

    def headers(self, key: str) -> dict[str, str]:
        """Anthropic's header, and the version."""
        return {"x-api-key": key, "anthropic-version": "2023-06-01"}

    def ask(self, model: str, question: Question, *, stream: bool) -> tuple[str, dict[str, Any]]:
        """Path and body."""
        content: list[dict[str, Any]] = [{"type": "text", "text": question.text}]
        if question.image:
            source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
            content.append({"type": "image", "source": source})
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if call := question.done:
            messages.append({"role": "assistant", "content": [call.raw]})
            result = {"type": "tool_result", "tool_use_id": call.id, "content": "Sunny."}
            messages.append({"role": "user", "content": [result]})
        body: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": question.limit}
        if question.system:
            body["system"] = question.system
        if question.tool or question.done:
            body["tools"] = [{"name": TOOL, "input_schema": PARAMETERS}]
        if question.tool:
            body["tool_choice"] = {"type": "tool", "name": TOOL}
        if question.schema:
            body["output_config"] = {"format": {"type": "json_schema", "schema": PARAMETERS}}
        if question.stop:
            body["stop_sequences"] = [question.stop]
        if stream:
            body["stream"] = True
        return "/v1/messages", body

    def whole(self, body: dict[str, Any]) -> Told:
        """A ``message``."""
        wanted(member(body, "type", str) == "message", "type is not message")
        wanted(member(body, "role", str) == "assistant", "role is not assistant")
        id_ = member(body, "id", str)
        member(body, "model", str)
        usage = member(body, "usage", dict)
        member(usage, "input_tokens", int)
        spent = member(usage, "output_tokens", int)
        return _told(member(body, "content", list), member(body, "stop_reason", str), id_, spent)

    def stream(self, data: bytes) -> Told:
        """Start, blocks that open and close in order, the delta with usage, stop."""
        blocks: list[dict[str, Any]] = []
        seen: list[str] = []
        finish, is_open, id_, spent = "", False, "", None
        for name, payload in frames(data):
            event = parsed(payload)
            kind = member(event, "type", str)
            wanted(name == kind, f"an event named {name!r} has type {kind!r}")
            wanted(kind != "error", "the stream tells of an error")
            if kind == "ping":
                continue
            wanted(seen or kind == "message_start", "the first event is not message_start")
            seen.append(kind)
            if kind == "message_start":
                id_ = str(member(event, "message", dict).get("id") or "")
            elif kind == "content_block_start":
                wanted(not is_open, "a block opens within another")
                wanted(member(event, "index", int) == len(blocks), "a block's index is not next")
                blocks.append({**member(event, "content_block", dict), "_json": ""})
                is_open = True
            elif kind == "content_block_delta":
                wanted(is_open, "a delta came outside a block")
                _add(blocks[-1], member(event, "delta", dict))
            elif kind == "content_block_stop":
                wanted(is_open, "a block closed that was not open")
                is_open = False
            elif kind == "message_delta":
                wanted(not is_open, "the message ended within a block")
                spent = member(member(event, "usage", dict), "output_tokens", int)
                finish = member(event, "delta", dict).get("stop_reason") or finish
        wanted(seen[-1:] == ["message_stop"], "the stream does not end with message_stop")
        for once in ("message_start", "message_stop"):
            wanted(seen.count(once) == 1, f"{once} came more than once")
        wanted(finish, "no stop reason came")
        for block in blocks:
            joined = block.pop("_json")
            if block.get("type") == "tool_use":
                block["input"] = parsed(joined) if joined else block.get("input", {})
        return _told(blocks, finish, id_, spent)

    def error(self, body: dict[str, Any], status: int) -> None:
        """``{"type": "error", "error": {"type", "message"}}``, with the status's own type."""
        wanted(member(body, "type", str) == "error", "type is not error")
        error = member(body, "error", dict)
        member(error, "message", str)
        named = {
            400: "invalid_request_error",
            401: "authentication_error",
            404: "not_found_error",
        }.get(status)
        kind = member(error, "type", str)
        wanted(named in {None, kind}, f"a {status} has type {kind}, not {named}")


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    kind = member(delta, "type", str)
    if kind == "text_delta":
        block["text"] = block.get("text", "") + member(delta, "text", str)
    elif kind == "input_json_delta":
        block["_json"] += member(delta, "partial_json", str)


def _told(blocks: list[dict[str, Any]], finish: str, id_: str, spent: int | None) -> Told:
    text, calls = "", []
    for block in blocks:
        kind = member(block, "type", str)
        if kind == "text":
            text += member(block, "text", str)
        elif kind == "tool_use":
            name, call_id = member(block, "name", str), member(block, "id", str)
            calls.append(Call(call_id, name, member(block, "input", dict), block))
    return Told(text, calls, _FINISHES.get(finish, finish), id_, spent)
