"""Input items of the Responses dialect → the system's words and the turns.

Items are flat: what the assistant thought, said and called in one go becomes one message, as do
the results of its calls. Leading system and developer messages become ``Request.system``, later
ones stay where they are (P74). Each result learns its function's name from the nearest
unanswered call with its id (P30, P31).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from msgspec.structs import replace

from dragoman.core.errors import CallerError, invalid
from dragoman.core.parts import (
    Ext,
    Media,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    raw,
)
from dragoman.dialects.members import Object, array, mapping, missing, need, string, take
from dragoman.dialects.responses.envelope import received
from dragoman.dialects.responses.read_content import read_content
from dragoman.dialects.responses.wire import DIALECT, leftover

_OUTPUT = frozenset({"function_call_output", "custom_tool_call_output"})


@dataclass(slots=True)
class Turns:
    """The conversation as it is read, item by item."""

    system: list[Part] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    tools: list[tuple[object, str]] = field(default_factory=list)
    """Tools that items bring along, with their paths."""
    _assistant: list[Part] = field(default_factory=list)
    _results: list[ToolResult] = field(default_factory=list)
    _calls: list[tuple[str, str]] = field(default_factory=list)
    _names: dict[str, str] = field(default_factory=dict)

    def flush(self) -> None:
        """Closes whatever is being collected."""
        if self._assistant:
            self.messages.append(Message("assistant", tuple(self._assistant)))
            self._assistant = []
        if self._results:
            self.messages.append(Message("user", tuple(self._results)))
            self._results = []

    def add(self, message: Message) -> None:
        """A message that stands for itself."""
        self.flush()
        self.messages.append(message)

    def lead(self, parts: tuple[Part, ...]) -> bool:
        """Takes instructions before the first turn."""
        if self.messages or self._assistant or self._results:
            return False
        self.system += parts
        return True

    def say(self, parts: list[Part], *, opens: bool) -> None:
        """More of the assistant's turn; ``opens``: it begins another one if words end the last."""
        if self._results:
            self.flush()
        ended = any(isinstance(part, (Text, Refusal, Media)) for part in self._assistant)
        if opens and ended and not any(isinstance(p, ToolCall) for p in self._assistant):
            self.flush()
        self._assistant += parts

    def call(self, call: ToolCall) -> None:
        """A call of the assistant's."""
        self.say([call], opens=False)
        self._calls.append((call.id, call.name))
        self._names[call.id] = call.name

    def result(self, result: ToolResult) -> None:
        """What came of a call, with the call's name."""
        if self._assistant:
            self.flush()
        name = self._names.get(result.call_id)
        for place in range(len(self._calls) - 1, -1, -1):
            if self._calls[place][0] == result.call_id:
                name = self._calls.pop(place)[1]
                break
        self._results.append(replace(result, name=name))


def read_input(value: object) -> Turns:
    """System parts, turns and tools in ``input``."""
    turns = Turns()
    if isinstance(value, str):
        turns.add(Message("user", (Text(value),) if value else ()))
        return turns
    for i, item in enumerate(array(value, "input")):
        _item(mapping(item, f"input[{i}]"), turns, f"input[{i}]")
    turns.flush()
    return turns


def _item(item: Object, turns: Turns, at: str) -> None:
    kind = item.get("type") or "message"
    match kind:
        case "message":
            _message(item, turns, at)
        case "function_call" | "custom_tool_call":
            turns.call(_call(item, kind, at))
        case "function_call_output" | "custom_tool_call_output":
            turns.result(_output(item, at))
        case "reasoning":
            thinking = _reasoning(item, at)
            if thinking is not None:
                turns.say([thinking], opens=True)
        case "item_reference":
            raise CallerError(
                "unsupported_feature",
                f"{at} refers to an item that is not kept here; send the item itself.",
                code="unsupported_feature",
                param=at,
            )  # P151
        case "additional_tools":
            for n, tool in enumerate(take(item, "tools", array, at) or ()):
                turns.tools.append((tool, f"{at}.tools[{n}]"))
        case "tool_search_call":
            _search_call(item, turns, at)
        case "tool_search_output":
            _search_output(item, turns, at)
        case str():
            turns.say([Opaque(DIALECT, kind, raw(item))], opens=False)
        case _:
            raise invalid(f"{at}.type must be a string.", f"{at}.type", "invalid_type")


# --------------------------------------------------------------------------- messages


def _message(item: Object, turns: Turns, at: str) -> None:
    role = need(item, "role", string, at)
    for name in ("type", "id", "status"):
        item.pop(name, None)  # of the item as it was kept by its provider
    if "content" not in item:
        raise missing(f"{at}.content")
    parts = read_content(item.pop("content"), f"{at}.content")
    ext = leftover(item)
    match role:
        case "user":
            turns.add(Message("user", parts, ext=ext))
        case "assistant":
            turns.say(_marked(parts, ext), opens=True)
        case "system" | "developer":
            for i, part in enumerate(parts):
                if not isinstance(part, Text):
                    where = f"{at}.content[{i}].type"
                    raise invalid(f"{where} must be input_text here.", where, "invalid_value")
            if not turns.lead(parts):
                turns.add(Message("system", parts, role_name=role, ext=ext))
        case _:
            raise invalid(
                f"{at}.role is {role[:64]!r}; it must be system, developer, user or assistant.",
                f"{at}.role",
                "invalid_value",
            )


def _marked(parts: tuple[Part, ...], ext: Ext | None) -> list[Part]:
    """The parts; what belongs to their message (its ``phase``, P191) rides on its first text."""
    marked = list(parts)
    if ext is not None and marked and isinstance(first := marked[0], Text):
        own = {**(first.ext or {}).get(DIALECT, {}), **ext[DIALECT]}
        marked[0] = replace(first, ext={DIALECT: own})
    return marked


# --------------------------------------------------------------------------- calls


def _call(item: Object, kind: Literal["function_call", "custom_tool_call"], at: str) -> ToolCall:
    custom = kind == "custom_tool_call"
    name = need(item, "name", string, at)
    words = take(item, "input" if custom else "arguments", string, at) or ""
    item_id = take(item, "id", string, at)
    call_id = take(item, "call_id", string, at) or item_id
    if call_id is None:
        made = hashlib.blake2b(f"{at} {name} {words}".encode("utf-8", "replace"), digest_size=12)
        call_id = f"call_{made.hexdigest()}"
    for member in ("type", "status"):
        item.pop(member, None)
    return ToolCall(
        id=call_id,
        name=name,
        arguments=words,
        kind="custom" if custom else "function",
        item_id=item_id,
        ext=leftover(item),
    )


def _output(item: Object, at: str) -> ToolResult:
    call_id = need(item, "call_id", string, at)
    for member in ("type", "status", "id"):
        item.pop(member, None)
    parts = read_content(item.pop("output", None), f"{at}.output")
    return ToolResult(call_id, parts, ext=leftover(item))


def _search_call(item: Object, turns: Turns, at: str) -> None:
    """A search for tools by the caller's own program, which is a call like any other.

    The provider's own search has left nothing but the tools that it found.
    """
    call_id = take(item, "call_id", string, at)
    if item.get("execution") != "client" or call_id is None:
        return
    arguments = item.get("arguments")
    words = arguments if isinstance(arguments, str) else bytes(raw(arguments or {})).decode()
    turns.call(ToolCall(call_id, "tool_search", words))


def _search_output(item: Object, turns: Turns, at: str) -> None:
    """What a search for tools found is on offer from now on."""
    call_id = take(item, "call_id", string, at)
    found = take(item, "tools", array, at) or []
    for n, tool in enumerate(found):
        turns.tools.append((tool, f"{at}.tools[{n}]"))
    if item.get("execution") == "client" and call_id is not None:
        names = [tool.get("name") for tool in found if isinstance(tool, dict)]
        told = Text(f"Tools found: {', '.join(str(name) for name in names) or 'none'}")
        turns.result(ToolResult(call_id, (told,)))


# --------------------------------------------------------------------------- reasoning


def _reasoning(item: Object, at: str) -> Thinking | None:
    """Reasoning as a client sends it back: this family's own, in its envelope, or nobody's."""
    content = _texts(item, "content", at)
    summary = _texts(item, "summary", at)
    text = content or summary
    encrypted = take(item, "encrypted_content", string, at)
    item_id = take(item, "id", string, at)
    return received(
        Thinking(
            text,
            encrypted=encrypted or None,
            id=item_id,
            summary=not content,
        )
    )


def _texts(item: Object, name: str, at: str) -> str:
    """The paragraphs of a reasoning item as one text."""
    found: list[str] = []
    for i, value in enumerate(take(item, name, array, at) or ()):
        part = mapping(value, f"{at}.{name}[{i}]")
        found.append(take(part, "text", string, f"{at}.{name}[{i}]") or "")
    return "\n\n".join(text for text in found if text)
