"""Tools and the choice among them, as this dialect spells them: flat."""

from __future__ import annotations

from typing import assert_never

from msgspec import Raw

from dragoman.core.errors import invalid, unsupported
from dragoman.core.parts import raw
from dragoman.core.request import CustomTool, FunctionTool, HostedTool, Request, ToolChoice
from dragoman.dialects.members import Object, members_of
from dragoman.dialects.responses.draft import Draft
from dragoman.dialects.responses.wire import DIALECT
from dragoman.dialects.responses.write_content import mark

EMPTY_SCHEMA: Object = {"type": "object", "properties": {}}
_OF_THE_WAY_BACK = frozenset({"namespace", "execution"})
"""What a tool of a caller's own remembers for its calls; no member of a function."""
_OBJECT = Raw(b'"object"')
_NO_PROPERTIES = Raw(b"{}")


def write_tools(request: Request, draft: Draft) -> Object:
    """``tools``, ``tool_choice`` and ``parallel_tool_calls``.

    Raises:
        CallerError: a tool of another provider's own (P65), or two of one name (P58).
    """
    tools: list[Object] = []
    seen: set[str] = set()
    for i, tool in enumerate(request.tools):
        at = f"tools[{i}]"
        if isinstance(tool, HostedTool):
            tools.append(_hosted(tool, at))
            continue
        if tool.name in seen:
            raise invalid(f"{at} has the name of another tool, {tool.name[:64]!r}.", at)
        seen.add(tool.name)
        tools.append(write_tool(tool, at, draft))
    if tools and not draft.target.capability.tools:
        target = draft.target
        raise unsupported(f"{target.provider}/{target.model} takes no tools.", "tools")
    if not tools:
        _tell_toolless(request, draft)
        return {}
    members: Object = {"tools": tools}
    choice = request.tool_choice
    if choice is not None:
        forced = choice.mode in {"required", "named"} or choice.required
        if forced and not draft.target.capability.forced_tools:
            draft.lose("tool_choice", "this model cannot be made to call a tool", "changed")
            members["tool_choice"] = "auto"
        else:
            members["tool_choice"] = write_choice(choice, request, draft)
    if request.parallel_tools is not None:
        members["parallel_tool_calls"] = request.parallel_tools
    return members


def _tell_toolless(request: Request, draft: Draft) -> None:
    """Without tools there is nothing to choose, and OpenAI refuses to hear of it (P54)."""
    if request.tool_choice is not None and request.tool_choice.mode not in {"auto", "none"}:
        draft.lose("tool_choice", "there are no tools to choose from")
    if request.parallel_tools is False:
        draft.lose("parallel_tool_calls", "there are no tools to call")


def write_tool(tool: FunctionTool | CustomTool, at: str, draft: Draft) -> Object:
    """One of the caller's tools. ``strict`` is always said: left out, it means true here (P62)."""
    item: Object = {"type": "function", "name": draft.name(tool.name)}
    if tool.description is not None:
        item["description"] = tool.description
    match tool:
        case FunctionTool():
            item["parameters"] = _schema(tool.schema, at)
            item["strict"] = bool(tool.strict)
            mark(item, tool.cache, at, draft)
        case CustomTool():
            item["type"] = "custom"
            if tool.format is not None:
                item["format"] = _form(tool.format, at)
        case _:
            assert_never(tool)
    ext = dict(tool.ext or {})
    if DIALECT in ext:
        inner = ext[DIALECT].items()
        ext[DIALECT] = {name: said for name, said in inner if name not in _OF_THE_WAY_BACK}
    draft.extend(item, ext, at)
    return item


def _schema(schema: Raw | None, at: str) -> Raw | Object:
    """A schema is an object with a type; its own bytes go out otherwise (P59)."""
    members = members_of(schema, f"{at}.parameters") if schema is not None else {}
    if schema is None or not members:
        return EMPTY_SCHEMA
    if "type" in members:
        return schema
    shaped = {"type": _OBJECT, **members}
    if "$ref" not in members and "anyOf" not in members:
        shaped.setdefault("properties", _NO_PROPERTIES)
    return shaped


def _form(form: Raw, at: str) -> Raw:
    """A grammar is flat here, and nested in the canonical spelling."""
    members = members_of(form, f"{at}.format")
    inner = members.get("grammar")
    if inner is None:
        return form
    return raw({"type": "grammar", **members_of(inner, f"{at}.format.grammar")})


def _hosted(tool: HostedTool, at: str) -> Object:
    """A tool that a provider runs exists in its own dialect only (P65)."""
    if tool.dialect != DIALECT:
        raise unsupported(
            f"{at} is {tool.kind}, a tool that only {tool.dialect} providers run; leave it out or "
            f"use a model of that dialect.",
            at,
        )
    return members_of(tool.payload, at)


def write_choice(choice: ToolChoice, request: Request, draft: Draft) -> str | Object:
    """``tool_choice``."""
    match choice.mode:
        case "auto" | "none" | "required":
            return choice.mode
        case "named":
            return _named(choice.names[0], request, draft)
        case "allowed":
            mode = "required" if choice.required else "auto"
            tools = [_named(name, request, draft) for name in choice.names]
            return {"type": "allowed_tools", "mode": mode, "tools": tools}
        case _:
            assert_never(choice.mode)


def _named(name: str, request: Request, draft: Draft) -> Object:
    custom = any(isinstance(tool, CustomTool) and tool.name == name for tool in request.tools)
    return {"type": "custom" if custom else "function", "name": draft.name(name)}
