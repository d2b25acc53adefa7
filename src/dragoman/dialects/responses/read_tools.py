"""Tools and the choice among them, from this dialect's members to canonical ones.

Functions are flat here; a ``namespace`` groups some, and ``tool_search`` finds deferred ones: other
dialects are offered all of them at once.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.errors import unsupported
from dragoman.core.parts import raw
from dragoman.core.request import CustomTool, FunctionTool, HostedTool, Tool, ToolChoice
from dragoman.dialects.members import (
    NULL,
    Object,
    array,
    boolean,
    items_of,
    mapping,
    members_of,
    need,
    one_of,
    plain,
    string,
    take,
    take_raw,
)
from dragoman.dialects.responses.wire import DIALECT, leftover, take_cache

_MODES: dict[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
}


def read_tools(body: Object, more: list[tuple[object, str]]) -> tuple[Tool, ...]:
    """Takes ``tools``, and what items brought along."""
    value = take_raw(body, "tools")
    given = [] if value is None else items_of(value, "tools")
    tools: list[Tool] = []
    for i, item in enumerate(given):
        tools += _read(members_of(item, f"tools[{i}]"), f"tools[{i}]")
    names = {tool.name for tool in tools if not isinstance(tool, HostedTool)}
    for brought, at in more:
        for tool in _read(members_of(raw(mapping(brought, at)), at), at):
            if isinstance(tool, HostedTool):
                tools.append(tool)
            elif tool.name not in names:  # the same search may have found it twice
                names.add(tool.name)
                tools.append(tool)
    return tuple(tools)


def _read(tool: Object, at: str) -> list[Tool]:
    whole = dict(tool)
    kind = take(tool, "type", string, at) or "function"
    match kind:
        case "function":
            return [_function(tool, at)]
        case "custom":
            return [_custom(tool, at)]
        case "namespace":
            return _namespace(tool, at)
        case "tool_search":
            return _search(tool, at)
        case _:
            return [HostedTool(DIALECT, kind, raw(whole))]


def _function(tool: Object, at: str) -> FunctionTool:
    name = need(tool, "name", string, at)
    description = take(tool, "description", string, at)
    schema = take_raw(tool, "parameters")
    if schema is not None:
        members_of(schema, f"{at}.parameters")  # an object, or a refusal that names the place
    strict = take(tool, "strict", boolean, at)
    cache = take_cache(tool, at)
    tool.pop("defer_loading", None)  # every tool is on offer from the start elsewhere
    return FunctionTool(name, description, schema, strict, cache, leftover(tool))


def _custom(tool: Object, at: str) -> CustomTool:
    name = need(tool, "name", string, at)
    description = take(tool, "description", string, at)
    form = take_raw(tool, "format")
    tool.pop("defer_loading", None)
    return CustomTool(name, description, None if form is None else _form(form, at), leftover(tool))


def _form(form: Raw, at: str) -> Raw:
    """A grammar as the chat family nests it, which is the canonical spelling."""
    members = members_of(form, f"{at}.format")
    if bytes(members.get("type", NULL)) != b'"grammar"' or "grammar" in members:
        return form
    inner = {name: value for name, value in members.items() if name != "type"}
    return raw({"type": "grammar", "grammar": inner})


def _namespace(tool: Object, at: str) -> list[Tool]:
    """The functions of a group; each remembers the group for the way back."""
    name = need(tool, "name", string, at)
    inner = take_raw(tool, "tools")
    tools: list[Tool] = []
    for i, item in enumerate([] if inner is None else items_of(inner, f"{at}.tools")):
        place = f"{at}.tools[{i}]"
        for found in _read(members_of(item, place), place):
            if isinstance(found, FunctionTool):
                own = {**(found.ext or {}).get(DIALECT, {}), "namespace": raw(name)}
                tools.append(replace(found, ext={DIALECT: own}))
            else:
                tools.append(found)
    return tools


def _search(tool: Object, at: str) -> list[Tool]:
    """A search that the caller's program runs is a function.

    The provider's own is not needed where every tool is on offer.
    """
    if take(tool, "execution", string, at) != "client":
        return []
    description = take(tool, "description", string, at)
    own = {"execution": raw("client")}
    schema = take_raw(tool, "parameters")
    return [FunctionTool("tool_search", description, schema, ext={DIALECT: own})]


# --------------------------------------------------------------------------- tool choice


def read_tool_choice(body: Object) -> ToolChoice | None:
    """Takes ``tool_choice``."""
    value = take_raw(body, "tool_choice")
    if value is None:
        return None
    choice = plain(value, "tool_choice")
    if isinstance(choice, str):
        return ToolChoice(one_of(_MODES)(choice, "tool_choice"))
    members = mapping(choice, "tool_choice")
    kind = need(members, "type", string, "tool_choice")
    match kind:
        case "function" | "custom":
            inner = take(members, kind, mapping, "tool_choice") or members  # chat's spelling
            return ToolChoice("named", (need(inner, "name", string, "tool_choice"),), kind)
        case "allowed_tools":
            return _allowed(members)
        case _:
            raise unsupported(
                f"tool_choice.type {kind[:64]!r} names a tool that only its own provider runs; "
                "use function, custom or allowed_tools.",
                "tool_choice.type",
            )


def _allowed(choice: Object) -> ToolChoice:
    at = "tool_choice"
    required = take(choice, "mode", one_of({"auto": False, "required": True}), at)
    names: list[str] = []
    for i, value in enumerate(need(choice, "tools", array, at)):
        tool = mapping(value, f"{at}.tools[{i}]")
        names.append(need(tool, "name", string, f"{at}.tools[{i}]"))
    return ToolChoice("allowed", tuple(names), required=bool(required))
