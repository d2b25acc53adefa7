"""Taking back in a reply what ``write_request`` changed in the tools (P57, P64, P67)."""

from __future__ import annotations

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dragoman.core.parts import Part, Text, ToolCall
from dragoman.dialects.anthropic import wire
from dragoman.dialects.base import Undo


class _Wrapped(Struct, frozen=True):
    input: str


_WRAPPED = msgspec.json.Decoder(_Wrapped)


def undo_call(part: ToolCall, undo: Undo) -> Part:
    """A call as the caller knows the tool: JSON text of the schema's tool, free text, its own name."""
    if part.name == undo.json_tool:
        return Text(part.arguments)
    name = undo.tool_names.get(part.name, part.name)
    if part.name in undo.custom_tools:
        return replace(part, name=name, kind="custom", arguments=unwrap_custom(part.arguments))
    return part if name == part.name else replace(part, name=name)


def unwrap_custom(arguments: str) -> str:
    """The free text in ``{"input": text}``; whatever else the model wrote as it is."""
    try:
        return _WRAPPED.decode(arguments).input
    except wire.BAD_JSON:
        return arguments
