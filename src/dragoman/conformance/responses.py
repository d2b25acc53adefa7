"""OpenAI's Responses, as the checks know them."""

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

_ENDS = {"response.completed", "response.incomplete", "response.failed"}


class Responses:
    """``/v1/responses``."""

    name = "responses"
    streams_as = "text/event-stream"
    stops = False

    def headers(self, key: str) -> dict[str, str]:
        """A bearer."""
        return {"authorization": f"Bearer {key}"}

    def ask(self, model: str, question: Question, *, stream: bool) -> tuple[str, dict[str, Any]]:
        """Path and body."""
        content: list[dict[str, Any]] = [{"type": "input_text", "text": question.text}]
        if question.image:
            url = f"data:image/png;base64,{PIXEL}"
            content.append({"type": "input_image", "image_url": url, "detail": "auto"})
        items: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if call := question.done:
            items.append(call.raw)
            items.append({"type": "function_call_output", "call_id": call.id, "output": "Sunny."})
        body: dict[str, Any] = {
            "model": model,
            "input": items,
            "max_output_tokens": question.limit,
            "store": False,
        }
        if question.system:
            body["instructions"] = question.system
        if question.tool or question.done:
            tool = {"type": "function", "name": TOOL, "parameters": PARAMETERS, "strict": True}
            body["tools"] = [tool]
        if question.tool:
            body["tool_choice"] = {"type": "function", "name": TOOL}
        if question.schema:
            kind = {"type": "json_schema", "name": "place", "schema": PARAMETERS, "strict": True}
            body["text"] = {"format": kind}
        if stream:
            body["stream"] = True
        return "/v1/responses", body

    def whole(self, body: dict[str, Any]) -> Told:
        """A ``response`` that ended."""
        wanted(member(body, "object", str) == "response", "object is not response")
        member(body, "id", str)
        member(body, "model", str)
        member(body, "created_at", (int, float))
        usage = member(body, "usage", dict)
        for name in ("input_tokens", "output_tokens", "total_tokens"):
            member(usage, name, int)
        status = member(body, "status", str)
        text, calls = "", []
        for item in member(body, "output", list):
            kind = member(item, "type", str)
            if kind == "message":
                text += "".join(part.get("text", "") for part in member(item, "content", list))
            elif kind == "function_call":
                arguments = parsed(member(item, "arguments", str))
                id_, name = member(item, "call_id", str), member(item, "name", str)
                calls.append(Call(id_, name, arguments, item))
        finish = "tools" if calls else "stop"
        if status == "incomplete":
            reason = member(member(body, "incomplete_details", dict), "reason", str)
            finish = "length" if reason == "max_output_tokens" else reason
        elif status != "completed":
            finish = status
        return Told(text, calls, finish, body["id"], usage["output_tokens"])

    def stream(self, data: bytes) -> Told:
        """Numbered events from ``response.created`` to one end, whose deltas are its whole."""
        text, last, opened, closed = "", "", set(), set()
        ended: dict[str, Any] | None = None
        for number, (name, payload) in enumerate(frames(data)):
            event = parsed(payload)
            kind = member(event, "type", str)
            wanted(name == kind, f"an event named {name!r} has type {kind!r}")
            wanted(event.get("sequence_number") == number, "the events are not numbered in order")
            wanted(number or kind == "response.created", "the first event is no response.created")
            wanted(kind != "error", "the stream tells of an error")
            wanted(ended is None, "an event follows the last")
            if kind == "response.output_item.added":
                opened.add(member(event, "output_index", int))
            elif kind == "response.output_item.done":
                closed.add(member(event, "output_index", int))
            elif kind == "response.output_text.delta":
                wanted(event.get("output_index") in opened - closed, "words outside an open item")
                text += member(event, "delta", str)
            elif kind in _ENDS:
                ended = member(event, "response", dict)
            last = kind
        wanted(last in _ENDS and ended is not None, f"the stream ends with {last}")
        wanted(opened == closed, "an item that opened did not close")
        told = self.whole(ended or {})
        wanted(told.text == text, "the deltas do not join to the text of the whole")
        return told

    def error(self, body: dict[str, Any], status: int) -> None:  # noqa: ARG002 - others need it
        """``{"error": {"message", "type", …}}``."""
        error = member(body, "error", dict)
        member(error, "message", str)
        member(error, "type", str)
