"""Messages of ``/api/chat`` → the system's words and the turns.

Leading system messages become ``Request.system``, later ones stay where they are (P74).
Consecutive tool messages become one user-side message of results (P47), each with the id of
the call that it answers.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dragoman.core.errors import invalid
from dragoman.core.parts import Message, Part, Text, Thinking, ToolCall, ToolResult
from dragoman.dialects.ollama import wire
from dragoman.dialects.ollama.calls import Calls
from dragoman.dialects.ollama.images import read_image
from dragoman.dialects.ollama.wire import Members

_TEXTS = msgspec.json.Decoder(list[str])
_WORDS = msgspec.json.Decoder(str)


def read_messages(raw: Raw) -> tuple[tuple[Part, ...], tuple[Message, ...]]:
    """System parts and turns."""
    system: list[Part] = []
    turns: list[Message] = []
    results: list[Part] = []
    calls = Calls()
    for number, item in enumerate(wire.items(raw, "messages")):
        at = f"messages[{number}]"
        message = wire.members(item, at)
        role = wire.take_text(message, "role", f"{at}.")
        if role == "tool":
            results.append(_result(message, calls, at))
            continue
        if results:
            turns.append(Message("user", tuple(results)))
            results = []
        match role:
            case "user":
                parts = _said(message, at)
                turns.append(Message("user", parts, ext=wire.bag(message)))
            case "assistant":
                calls.next_turn()
                turns.append(_assistant(message, calls, at))
            case "system" if turns:
                turns.append(Message("system", _said(message, at), ext=wire.bag(message)))
            case "system":
                system += _leading(message, at)
            case _:
                raise invalid(
                    f"{at}.role is {role[:64]!r}; it must be system, user, assistant or tool.",
                    f"{at}.role",
                    "invalid_value",
                )
    if results:
        turns.append(Message("user", tuple(results)))
    return tuple(system), tuple(turns)


def read_images(members: Members, at: str) -> list[Part]:
    """The images of a message or of a prompt."""
    raw = wire.take(members, "images")
    if raw is None:
        return []
    path = f"{at}images"
    texts = wire.value(_TEXTS, raw, path)
    return [read_image(text, f"{path}[{number}]") for number, text in enumerate(texts)]


def _said(message: Members, at: str) -> tuple[Part, ...]:
    """Words and images; words that are empty say nothing, unless there is nothing else."""
    words = wire.take_text(message, "content", f"{at}.")
    images = read_images(message, f"{at}.")
    if words or not images:
        return (Text(words), *images)
    return tuple(images)


def _leading(message: Members, at: str) -> tuple[Part, ...]:
    parts = _said(message, at)
    if len(parts) > 1 or not isinstance(parts[0], Text):
        raise invalid(f"{at} is a system message and may hold no images.", f"{at}.images")
    ext = wire.bag(message)
    return parts if ext is None else (msgspec.structs.replace(parts[0], ext=ext),)


def _assistant(message: Members, calls: Calls, at: str) -> Message:
    parts: list[Part] = []
    thinking = wire.take_text(message, "thinking", f"{at}.")
    if thinking:
        parts.append(Thinking(thinking))
    words = wire.take_text(message, "content", f"{at}.")
    images = read_images(message, f"{at}.")
    made: list[Part] = []
    raw = wire.take(message, "tool_calls")
    for number, item in enumerate(() if raw is None else wire.items(raw, f"{at}.tool_calls")):
        made.append(_call(wire.members(item, at), calls, f"{at}.tool_calls[{number}]"))
    if words or not (parts or images or made):
        parts.append(Text(words))
    return Message("assistant", (*parts, *images, *made), ext=wire.bag(message))


def _call(call: Members, calls: Calls, at: str) -> ToolCall:
    raw = wire.take(call, "function")
    if raw is None:
        raise invalid(f"{at}.function is required.", f"{at}.function", "missing_required_field")
    function = wire.members(raw, f"{at}.function")
    name = wire.take_text(function, "name", f"{at}.function.")
    if not name:
        where = f"{at}.function.name"
        raise invalid(f"{where} is required.", where, "missing_required_field")
    function.pop("index", None)  # left over from a stream
    call.pop("type", None)
    made = calls.make(wire.take_text(call, "id", f"{at}."), name)
    return ToolCall(made, name, _arguments(function, f"{at}.function"), ext=wire.bag(call))


def _arguments(function: Members, at: str) -> str:
    """The original text of the object; text, as other dialects have it, is taken as it is (P37)."""
    raw = function.pop("arguments", None)
    if raw is None or bytes(raw) == b"null":
        return ""
    if wire.starts_with(raw, b'"'):
        return wire.value(_WORDS, raw, f"{at}.arguments")
    return wire.compact(raw).decode()


def _result(message: Members, calls: Calls, at: str) -> ToolResult:
    given = wire.take_text(message, "tool_call_id", f"{at}.")
    name = wire.take_text(message, "tool_name", f"{at}.")
    name = name or wire.take_text(message, "name", f"{at}.")
    message.pop("name", None)
    found = calls.answer(given, name)
    if found is None:
        raise invalid(
            f"{at} is the result of a call that no assistant message before it makes.",
            at,
            "tool_call_id_invalid",
        )  # P30
    words = wire.take_text(message, "content", f"{at}.")
    images = read_images(message, f"{at}.")
    parts = (Text(words), *images) if words else tuple(images)
    return ToolResult(found[0], parts, name=name or found[1], ext=wire.bag(message))
