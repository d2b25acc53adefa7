"""Ollama's chat, as the checks know it."""

from __future__ import annotations

from typing import Any

from dragoman.conformance.parts import (
    PARAMETERS,
    PIXEL,
    TOOL,
    Call,
    Question,
    Told,
    member,
    parsed,
    wanted,
)


class Ollama:
    """``/api/chat``; it has no way to force a call, so the question asks for one."""

    name = "ollama"
    streams_as = "application/x-ndjson"
    stops = True

    def headers(self, key: str) -> dict[str, str]:
        """A bearer."""
        return {"authorization": f"Bearer {key}"}

    def ask(self, model: str, question: Question, *, stream: bool) -> tuple[str, dict[str, Any]]:
        """Path and body."""
        first: dict[str, Any] = {"role": "user", "content": question.text}
        if question.image:
            first["images"] = [PIXEL]
        messages: list[dict[str, Any]] = [first]
        if question.system:
            messages.insert(0, {"role": "system", "content": question.system})
        if call := question.done:
            messages.append({"role": "assistant", "content": "", "tool_calls": [call.raw]})
            messages.append({"role": "tool", "tool_name": TOOL, "content": "Sunny."})
        body: dict[str, Any] = {
            "model": model,
            "messages": messages,
            "stream": stream,
            "options": {"num_predict": question.limit},
        }
        if question.tool or question.done:
            function = {"name": TOOL, "description": "The weather.", "parameters": PARAMETERS}
            body["tools"] = [{"type": "function", "function": function}]
        if question.stop:
            body["options"]["stop"] = [question.stop]
        if question.schema:
            body["format"] = PARAMETERS
        return "/api/chat", body

    def whole(self, body: dict[str, Any]) -> Told:
        """One object that is done."""
        return _told([body])

    def stream(self, data: bytes) -> Told:
        """Lines, of which the last alone is done."""
        wanted(data.endswith(b"\n"), "the stream ends in the middle of a line")
        return _told([parsed(line) for line in data.splitlines() if line.strip()])

    def error(self, body: dict[str, Any], status: int) -> None:  # noqa: ARG002 - others need it
        """``{"error": "…"}``."""
        member(body, "error", str)


def _told(lines: list[dict[str, Any]]) -> Told:
    text, calls = "", []
    wanted(lines, "the stream holds no line")
    for line in lines:
        wanted("error" not in line, "the stream tells of an error")
        member(line, "model", str)
        member(line, "created_at", str)
        message = member(line, "message", dict)
        text += message.get("content") or ""
        for call in message.get("tool_calls") or ():
            function = member(call, "function", dict)
            arguments = member(function, "arguments", dict)
            calls.append(
                Call(call.get("id") or "", member(function, "name", str), arguments, call)
            )
    done = [member(line, "done", bool) for line in lines]
    wanted(done[-1], "the last line is not done")
    wanted(sum(done) == 1, "more than one line is done")
    reason = member(lines[-1], "done_reason", str)
    spent = member(lines[-1], "eval_count", int)
    return Told(text, calls, "tools" if calls and reason == "stop" else reason, spent=spent)
