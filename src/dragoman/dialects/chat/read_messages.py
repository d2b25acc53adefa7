"""Messages of the chat dialect → the system's words and the turns.

Leading system and developer messages become ``Request.system``, later ones stay where they are
(P74). Consecutive tool messages become one user-side message of results (P47), and each result
learns its function's name from the nearest unanswered call with its id (P30, P31). The
deprecated ``function_call`` and role ``function`` become calls and results with the synthetic
ids ``call_<n>``, counted over the conversation, so that reading twice gives the same (P68).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from msgspec import structs

from dragoman.core.errors import invalid
from dragoman.core.parts import (
    FileRef,
    Media,
    Message,
    Part,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from dragoman.dialects.chat.read_content import mark_last, read_content
from dragoman.dialects.chat.reasoning import read_thinking
from dragoman.dialects.chat.wire import leftover, take_cache
from dragoman.dialects.members import Object, array, mapping, missing, need, string, take


@dataclass(slots=True)
class _Calls:
    """Which calls were made, and which of them have no result yet."""

    made: int = 0
    open: list[tuple[str, str]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def add(self, call_id: str | None, name: str) -> str:
        call_id = call_id or f"call_{self.made}"
        self.made += 1
        self.open.append((call_id, name))
        self.names[call_id] = name
        return call_id

    def answer(self, call_id: str) -> str | None:
        """The name of the nearest unanswered call with this id, else of the last one."""
        for i in range(len(self.open) - 1, -1, -1):
            if self.open[i][0] == call_id:
                return self.open.pop(i)[1]
        return self.names.get(call_id)

    def oldest(self, name: str | None = None) -> str | None:
        """The id of the first unanswered call, of this name if one is given."""
        for call_id, called in self.open:
            if name is None or called == name:
                return call_id
        return None


_INSTRUCTING = frozenset({"system", "developer"})


def read_messages(values: list[object]) -> tuple[tuple[Part, ...], tuple[Message, ...]]:
    """System parts and turns."""
    system: list[Part] = []
    turns: list[Message] = []
    calls = _Calls()
    results: list[ToolResult] = []
    for i, value in enumerate(values):
        at = f"messages[{i}]"
        message = mapping(value, at)
        role = need(message, "role", string, at)
        if role in {"tool", "function"}:
            read = _tool if role == "tool" else _function
            results.append(read(message, calls, at))
            continue
        if results:
            turns.append(Message("user", tuple(results)))
            results = []
        words = message.get("content") if len(message) == 1 else None
        if words and isinstance(words, str):  # nothing but words, as most messages
            spoken = (Text(words),)
            if role == "user":
                turns.append(Message("user", spoken))
                continue
            if role == "assistant":
                turns.append(Message("assistant", spoken))
                continue
            if not turns and role in _INSTRUCTING:
                system += spoken
                continue
        match role:
            case "user":
                turns.append(_user(message, at))
            case "assistant":
                turns.append(_assistant(message, calls, at))
            case "system" | "developer":
                if turns:
                    turns.append(_system(message, role, at))
                else:
                    system += _leading(message, at)
            case _:
                raise invalid(
                    f"{at}.role is {role[:64]!r}; it must be system, developer, user, assistant or tool.",
                    f"{at}.role",
                    "invalid_value",
                )
    if results:
        turns.append(Message("user", tuple(results)))
    return tuple(system), tuple(turns)


def _content(message: Object, at: str) -> tuple[Part, ...]:
    content = message.pop("content", None)
    return mark_last(read_content(content, f"{at}.content"), take_cache(message, at))


def _said(message: Object, at: str) -> tuple[Part, ...]:
    """Content that must be there."""
    if message.get("content") is None:
        raise missing(f"{at}.content")
    return _content(message, at)


def _user(message: Object, at: str) -> Message:
    parts = _said(message, at)
    return Message("user", parts, take(message, "name", string, at), ext=leftover(message))


def _system(message: Object, role: str, at: str) -> Message:
    parts = _said(message, at)
    name = take(message, "name", string, at)
    return Message("system", parts, name, role, leftover(message))


def _leading(message: Object, at: str) -> list[Part]:
    """Parts of ``Request.system``; what belongs to the message rides on its first text."""
    parts = list(_said(message, at))
    for i, part in enumerate(parts):
        if not isinstance(part, Text):
            where = f"{at}.content[{i}].type"
            raise invalid(f"{where} must be text in a system message.", where, "invalid_value")
    extra = leftover(message)
    if extra is not None and parts and isinstance(parts[0], Text):
        own = (parts[0].ext or {}).get("chat", {})
        parts[0] = structs.replace(parts[0], ext={"chat": {**own, **extra["chat"]}})
    return parts


def _assistant(message: Object, calls: _Calls, at: str) -> Message:
    parts: list[Part] = [*read_thinking(message, at), *_content(message, at)]
    refusal = take(message, "refusal", string, at)
    if refusal:
        parts.append(Refusal(refusal))
    audio = take(message, "audio", mapping, at)
    if audio is not None:
        held = FileRef(need(audio, "id", string, f"{at}.audio"), "chat")
        spoken = take(audio, "transcript", string, f"{at}.audio")
        parts.append(Media("audio", held, transcript=spoken))
    for i, call in enumerate(take(message, "tool_calls", array, at) or ()):
        parts.append(_call(mapping(call, f"{at}.tool_calls[{i}]"), calls, f"{at}.tool_calls[{i}]"))
    legacy = take(message, "function_call", mapping, at)
    if legacy is not None:
        name = need(legacy, "name", string, f"{at}.function_call")
        parts.append(ToolCall(calls.add(None, name), name, _arguments(legacy)))
    if message.get("prefix") is False:
        del message["prefix"]  # the default, spelled out
    name_said = take(message, "name", string, at)
    return Message("assistant", tuple(parts), name_said, ext=leftover(message))


def _call(call: Object, calls: _Calls, at: str) -> ToolCall:
    call_id = take(call, "id", string, at)
    kind = take(call, "type", string, at) or "function"
    call.pop("index", None)  # left over from a stream
    cache = take_cache(call, at)
    signature = _signature(call)
    if kind == "custom":
        custom = need(call, "custom", mapping, at)
        name = need(custom, "name", string, f"{at}.custom")
        text = take(custom, "input", string, f"{at}.custom") or ""
        made = calls.add(call_id, name)
        return ToolCall(made, name, text, "custom", signature, None, cache, leftover(call))
    if kind != "function":
        raise invalid(
            f"{at}.type is {kind[:64]!r}; it must be function or custom.",
            f"{at}.type",
            "invalid_value",
        )
    function = need(call, "function", mapping, at)
    name = need(function, "name", string, f"{at}.function")
    made = calls.add(call_id, name)
    arguments = _arguments(function)
    return ToolCall(made, name, arguments, "function", signature, None, cache, leftover(call))


def _signature(call: Object) -> str | None:
    """Gemini's thought signature, where its own compatible endpoint puts it."""
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    found = google.get("thought_signature") if isinstance(google, dict) else None
    if isinstance(found, str):
        del call["extra_content"]
        return found
    return None


def _arguments(function: Object) -> str:
    """The original text; an object, as Mistral and Ollama have it, becomes text (P37)."""
    value = function.pop("arguments", None)
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _tool(message: Object, calls: _Calls, at: str) -> ToolResult:
    call_id = take(message, "tool_call_id", string, at) or calls.oldest()
    if call_id is None:
        raise missing(f"{at}.tool_call_id")
    called = calls.answer(call_id)
    name = take(message, "name", string, at)
    content = message.pop("content", None)
    cache = take_cache(message, at)
    parts = read_content(content, f"{at}.content")
    return ToolResult(call_id, parts, name=name or called, cache=cache, ext=leftover(message))


def _function(message: Object, calls: _Calls, at: str) -> ToolResult:
    name = need(message, "name", string, at)
    call_id = calls.oldest(name) or calls.add(None, name)
    calls.answer(call_id)
    parts = read_content(message.pop("content", None), f"{at}.content")
    return ToolResult(call_id, parts, name=name, ext=leftover(message))
