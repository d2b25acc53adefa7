"""OpenAI's chat dialect, as the checks know it."""

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

_FINISHES = {"stop": "stop", "length": "length", "tool_calls": "tools"}


class Chat:
    """``/v1/chat/completions``."""

    name = "chat"
    streams_as = "text/event-stream"
    stops = True

    def headers(self, key: str) -> dict[str, str]:
        """A bearer."""
        return {"authorization": f"Bearer {key}"}

    def ask(self, model: str, question: Question, *, stream: bool) -> tuple[str, dict[str, Any]]:
        """Path and body."""
        content: Any = question.text
        if question.image:
            url = {"url": f"data:image/png;base64,{PIXEL}"}
            content = [
                {"type": "text", "text": question.text},
                {"type": "image_url", "image_url": url},
            ]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        if question.system:
            messages.insert(0, {"role": "system", "content": question.system})
        if call := question.done:
            messages.append({"role": "assistant", "content": None, "tool_calls": [call.raw]})
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "Sunny."})
        body: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": question.limit}
        if question.tool or question.done:
            body["tools"] = [
                {"type": "function", "function": {"name": TOOL, "parameters": PARAMETERS}}
            ]
        if question.tool:
            body["tool_choice"] = {"type": "function", "function": {"name": TOOL}}
        if question.schema:
            schema = {"name": "place", "schema": PARAMETERS, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if question.stop:
            body["stop"] = [question.stop]
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return "/v1/chat/completions", body

    def whole(self, body: dict[str, Any]) -> Told:
        """A ``chat.completion``."""
        wanted(member(body, "object", str) == "chat.completion", "object is not chat.completion")
        for name, kind in (("id", str), ("created", int), ("model", str)):
            member(body, name, kind)
        choices = member(body, "choices", list)
        wanted(choices, "choices is empty")
        message = member(choices[0], "message", dict)
        wanted(message.get("role") == "assistant", "the message's role is not assistant")
        spent = _usage(member(body, "usage", dict))
        finish = member(choices[0], "finish_reason", str)
        calls = [_call(each) for each in message.get("tool_calls") or ()]
        text = message.get("content") or ""
        return Told(text, calls, _ended(finish, calls), body["id"], spent)

    def stream(self, data: bytes) -> Told:
        """Chunks, one finish, usage last as asked for, then ``[DONE]``."""
        events = [data for _, data in frames(data)]
        wanted(events[-1] == "[DONE]", "the stream does not end with [DONE]")
        wanted(events.count("[DONE]") == 1, "[DONE] came more than once")
        text, finish, spent, ids = "", "", None, set()
        calls: dict[int, dict[str, Any]] = {}
        for chunk in map(parsed, events[:-1]):
            wanted("error" not in chunk, "the stream tells of an error")
            wanted(chunk.get("object") == "chat.completion.chunk", "an event is no chunk")
            ids.add(member(chunk, "id", str))
            if chunk.get("usage"):
                spent = _usage(chunk["usage"])
            for choice in member(chunk, "choices", list):
                delta = member(choice, "delta", dict)
                wanted(not finish or not delta.get("content"), "words follow the finish reason")
                text += delta.get("content") or ""
                for part in delta.get("tool_calls") or ():
                    _joined(calls, part)
                if reason := choice.get("finish_reason"):
                    wanted(not finish, "a finish reason came twice")
                    finish = reason
        wanted(len(ids) == 1, "the chunks have several ids")
        wanted(finish, "no finish reason came")
        wanted(spent is not None, "usage was asked for and did not come")
        found = [_call(each) for each in calls.values()]
        return Told(text, found, _ended(finish, found), ids.pop(), spent)

    def error(self, body: dict[str, Any], status: int) -> None:  # noqa: ARG002 - others need it
        """``{"error": {"message", "type", …}}``."""
        error = member(body, "error", dict)
        member(error, "message", str)
        member(error, "type", str)


def _joined(calls: dict[int, dict[str, Any]], part: dict[str, Any]) -> None:
    function = member(part, "function", dict)
    index = member(part, "index", int)
    if index not in calls:
        opened = {"name": member(function, "name", str), "arguments": ""}
        calls[index] = {"id": member(part, "id", str), "type": "function", "function": opened}
    calls[index]["function"]["arguments"] += function.get("arguments") or ""


def _usage(usage: dict[str, Any]) -> int:
    """The tokens of the answer."""
    into, out = (member(usage, name, int) for name in ("prompt_tokens", "completion_tokens"))
    total = member(usage, "total_tokens", int)
    wanted(total >= into + out, "total_tokens is less than its parts")
    return int(out)


def _call(call: dict[str, Any]) -> Call:
    function = member(call, "function", dict)
    arguments = parsed(member(function, "arguments", str))
    return Call(member(call, "id", str), member(function, "name", str), arguments, call)


def _ended(finish: str, calls: list[Call]) -> str:
    """A named call may end as ``stop``: OpenAI's own habit."""
    return "tools" if calls and finish == "stop" else _FINISHES.get(finish, finish)
