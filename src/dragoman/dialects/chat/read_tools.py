"""Tools and the choice among them, from chat's members to canonical ones."""

from __future__ import annotations

from typing import Literal

from msgspec import Raw

from dragoman.core.errors import unsupported
from dragoman.core.parts import Ext, raw
from dragoman.core.request import CustomTool, FunctionTool, HostedTool, Tool, ToolChoice
from dragoman.dialects.chat.wire import leftover, take_cache
from dragoman.dialects.members import (
    Object,
    array,
    boolean,
    items_of,
    mapping,
    members_of,
    missing,
    need,
    one_of,
    plain,
    string,
    take,
    take_raw,
)

_EMPTY = Raw(b"[]")
_MODES: dict[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",  # Mistral's word
}


def read_tools(body: Object) -> tuple[Tool, ...]:
    """Takes ``tools``, the deprecated ``functions`` (P68) and ``web_search_options``.

    Web search is a tool that the provider runs, so that other dialects refuse it as such (P65).
    """
    tools: list[Tool] = []
    for i, value in enumerate(_entries(body, "tools")):
        tools.append(_tool(value, f"tools[{i}]"))
    for i, value in enumerate(_entries(body, "functions")):
        tools.append(_function(value, f"functions[{i}]", {}))
    for name in ("web_search_options", "plugins"):
        options = take_raw(body, name)
        if options is not None and options != _EMPTY:
            tools.append(HostedTool("chat", name, options))
    return tuple(tools)


def _entries(body: Object, name: str) -> list[Object]:
    """An array of objects whose members keep their own bytes."""
    value = take_raw(body, name)
    if value is None:
        return []
    return [members_of(item, f"{name}[{i}]") for i, item in enumerate(items_of(value, name))]


def _tool(tool: Object, at: str) -> Tool:
    whole = dict(tool)
    kind = take(tool, "type", string, at) or "function"
    match kind:
        case "function":
            inner = take_raw(tool, "function")
            if inner is None:
                raise missing(f"{at}.function")
            return _function(members_of(inner, f"{at}.function"), f"{at}.function", tool)
        case "custom":
            inner = take_raw(tool, "custom")
            if inner is None:
                raise missing(f"{at}.custom")
            return _custom(members_of(inner, f"{at}.custom"), f"{at}.custom", tool)
        case _:
            return HostedTool("chat", kind, raw(whole))


def _function(function: Object, at: str, around: Object) -> FunctionTool:
    """A function; ``around`` is what stands beside it in its tool."""
    name = need(function, "name", string, at)
    description = take(function, "description", string, at)
    schema = take_raw(function, "parameters")
    if schema is not None:
        members_of(schema, f"{at}.parameters")  # an object, or a refusal that names the place
    strict = take(function, "strict", boolean, at)
    cache = take_cache(around, at) or take_cache(function, at)
    return FunctionTool(name, description, schema, strict, cache, _bag(function, around))


def _custom(custom: Object, at: str, around: Object) -> CustomTool:
    name = need(custom, "name", string, at)
    description = take(custom, "description", string, at)
    return CustomTool(name, description, take_raw(custom, "format"), _bag(custom, around))


def _bag(inner: Object, around: Object) -> Ext | None:
    """What nobody knows: of the tool under its own name, of the function under ``function``."""
    within = leftover(inner)
    beside = leftover(around)
    if within is None:
        return beside
    kept = beside["chat"] if beside is not None else {}
    return {"chat": {**kept, "function": raw(within["chat"])}}


# --------------------------------------------------------------------------- tool choice


def read_tool_choice(body: Object) -> ToolChoice | None:
    """Takes ``tool_choice``, or the deprecated ``function_call``."""
    for name in ("tool_choice", "function_call"):
        raw_choice = take_raw(body, name)
        if raw_choice is None:
            continue
        choice = plain(raw_choice, name)
        if isinstance(choice, str):
            return ToolChoice(one_of(_MODES)(choice, name))
        return _choice(mapping(choice, name), name)
    return None


def _choice(choice: Object, at: str) -> ToolChoice:
    kind = take(choice, "type", string, at) or "function"
    match kind:
        case "function" | "custom":
            inner = take(choice, kind, mapping, at)
            where = at if inner is None else f"{at}.{kind}"
            name = need(choice if inner is None else inner, "name", string, where)
            return ToolChoice("named", (name,), kind)
        case "allowed_tools":
            return _allowed(choice, at)
        case _:
            raise unsupported(
                f"{at}.type {kind[:64]!r} is not known; use function, custom or allowed_tools.",
                f"{at}.type",
            )


def _allowed(choice: Object, at: str) -> ToolChoice:
    inner = take(choice, "allowed_tools", mapping, at) or choice
    where = f"{at}.allowed_tools"
    mode = take(inner, "mode", one_of({"auto": False, "required": True}), where)
    names: list[str] = []
    for i, value in enumerate(need(inner, "tools", array, where)):
        tool = mapping(value, f"{where}.tools[{i}]")
        function = take(tool, "function", mapping, where) or take(tool, "custom", mapping, where)
        names.append(need(function or tool, "name", string, f"{where}.tools[{i}]"))
    return ToolChoice("allowed", tuple(names), required=bool(mode))
