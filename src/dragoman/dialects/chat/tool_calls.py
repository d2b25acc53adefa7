"""A tool call on the wire ↔ ours, and what translation of the request has to be undone in it."""

from __future__ import annotations

from hashlib import sha256

import msgspec
from msgspec import Raw

from dragoman.core.parts import ToolCall
from dragoman.dialects.base import Undo
from dragoman.dialects.chat.reply_wire import CallWire


class _Google(msgspec.Struct, gc=False):
    thought_signature: str | None = None


class _Wrapped(msgspec.Struct, gc=False):
    input: str


_WRAPPED = msgspec.json.Decoder(_Wrapped)


def call_of(wire: CallWire) -> ToolCall:
    """The call, or the piece of one, that an element of ``tool_calls`` holds.

    Some send an empty ``custom`` beside every function (Snowflake): what has a name counts.
    """
    custom = wire.custom
    call_id = wire.id or ""
    if custom is not None and (custom.name or custom.input):
        return ToolCall(call_id, custom.name or "", custom.input or "", "custom")
    function = wire.function
    if function is None:
        return ToolCall(call_id, "")
    signature = _signature(wire.extra_content) if wire.extra_content else None
    return ToolCall(call_id, function.name or "", function.arguments or "", signature=signature)


def _signature(extra: dict[str, Raw]) -> str | None:
    """Gemini's thought signature, where its own compatible endpoint puts it."""
    try:
        return msgspec.json.decode(extra.get("google", b"{}"), type=_Google).thought_signature
    except msgspec.ValidationError:
        return None


def spoken_name(name: str, undo: Undo) -> str:
    """The caller's own name of a tool (P57)."""
    return undo.tool_names.get(name, name)


def unwrap(arguments: str) -> str:
    """The free text that was wrapped as ``{"input": text}``; anything else as it is (P67)."""
    try:
        return _WRAPPED.decode(arguments).input
    except (msgspec.DecodeError, UnicodeEncodeError):
        return arguments


def id_seed(reply_id: str) -> str:
    """What keeps ids made here apart from those of other answers in one conversation (P31)."""
    return f"_{sha256(reply_id.encode('utf-8', 'replace')).hexdigest()[:10]}" if reply_id else ""


def made_id(number: int, choice: int, seed: str) -> str:
    """An id where the provider gave none: the same for the same answer, however it came."""
    return f"call_{number + 1000 * choice}{seed}"


def write_call(call: ToolCall, index: int | None = None) -> dict[str, object]:
    """An element of ``tool_calls``, numbered in a stream."""
    wire: dict[str, object] = {} if index is None else {"index": index}
    wire |= {"id": call.id, "type": call.kind}
    if call.kind == "custom":
        wire["custom"] = {"name": call.name, "input": call.arguments}
    else:
        wire["function"] = {"name": call.name, "arguments": call.arguments}
    if call.signature is not None:
        wire["extra_content"] = {"google": {"thought_signature": call.signature}}
    return wire
