"""Tools, and a choice among them that Ollama does not have: emulated by what is offered (§5)."""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import invalid, unsupported
from dragoman.core.request import CustomTool, FunctionTool, HostedTool
from dragoman.dialects.halves import mend
from dragoman.dialects.ollama import wire
from dragoman.dialects.ollama.draft import Draft, Object

_EMPTY: Object = {"type": "object", "properties": {}}
_INPUT: Object = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}
_OBJECT = Raw(b'"object"')
_NO_PROPERTIES = Raw(b"{}")


class _Format(Struct, frozen=True):
    type: str = "text"


_FORMAT = msgspec.json.Decoder(_Format)


def write_tools(draft: Draft) -> tuple[list[Object], str | None]:
    """The tools to offer, and the instruction that stands for a forced choice."""
    request, target = draft.request, draft.target
    seen: set[str] = set()
    for number, tool in enumerate(request.tools):
        at = f"tools[{number}]"
        if isinstance(tool, HostedTool):
            raise unsupported(
                f"{at} is {tool.kind}, a tool that only {tool.dialect} providers run; leave it out "
                "or use a model of that dialect.",
                at,
            )  # P65
        if tool.name in seen:
            raise invalid(f"{at} has the name of another tool, {tool.name[:64]!r}.", at)  # P58
        seen.add(tool.name)
    if request.tools and not target.capability.tools:
        raise unsupported(f"{target.provider}/{target.model} takes no tools.", "tools")
    if request.parallel_tools is False and request.tools:
        draft.lose("parallel_tool_calls", "calls are not limited to one at a time here")
    offered, instruction = _offered(draft)
    written = [
        _tool(tool, f"tools[{number}]", draft)
        for number, tool in enumerate(request.tools)
        if not isinstance(tool, HostedTool) and (offered is None or tool.name in offered)
    ]
    return written, instruction if written else None


def _offered(draft: Draft) -> tuple[frozenset[str] | None, str | None]:
    """The names that stay on offer (None: all), and what is asked for in words."""
    choice = draft.request.tool_choice
    if choice is None or choice.mode == "auto":
        return None, None
    if not draft.request.tools:
        if choice.mode != "none":
            draft.lose("tool_choice", "there are no tools to choose from")  # P54
        return None, None
    match choice.mode:
        case "none":
            draft.lose("tool_choice", "the tools are not offered", "emulated")
            return frozenset(), None
        case "required":
            draft.lose("tool_choice", "an instruction asks for it", "emulated")
            return None, _MUST
        case "named":
            draft.lose("tool_choice", "only this tool is offered, and asked for", "emulated")
            return frozenset(choice.names), _MUST
        case "allowed":
            draft.lose("tool_choice", "only the chosen tools are offered", "emulated")
            return frozenset(choice.names), _MUST if choice.required else None
        case _:
            assert_never(choice.mode)


_MUST = "You must answer by calling one of your tools."


def _tool(tool: FunctionTool | CustomTool, at: str, draft: Draft) -> Object:
    function: Object = {"name": mend(tool.name)}
    if tool.description is not None:
        function["description"] = mend(tool.description)
    match tool:
        case FunctionTool():
            function["parameters"] = _schema(tool, at)
            if tool.strict:
                draft.lose(f"{at}.strict", "this provider does not enforce schemas of tools")
            if tool.cache is not None:
                draft.lose(f"{at}.cache_control", "no cache marks at this provider")
        case CustomTool():
            function["parameters"] = _INPUT
            draft.wrapped.add(tool.name)
            if tool.format is not None and wire.value(_FORMAT, tool.format, at).type != "text":
                draft.lose(f"{at}.custom.format", "the grammar is not enforced", "emulated")
        case _:
            assert_never(tool)
    item: Object = {"type": "function", "function": function}
    draft.extend(item, tool.ext, at)
    return item


def _schema(tool: FunctionTool, at: str) -> Raw | Object:
    """A schema is an object with a type; its own bytes go out otherwise (P59)."""
    if tool.schema is None:
        return _EMPTY
    members = wire.members(tool.schema, f"{at}.parameters")
    if not members:
        return _EMPTY
    if "type" in members:
        return tool.schema
    shaped = {"type": _OBJECT, **members}
    if "$ref" not in members and "anyOf" not in members:
        shaped.setdefault("properties", _NO_PROPERTIES)
    return shaped
