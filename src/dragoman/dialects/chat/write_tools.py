"""Tools and the choice among them, for the target's flavour."""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec import Raw

from dragoman.core.errors import invalid, unsupported
from dragoman.core.request import CustomTool, FunctionTool, HostedTool, Request, ToolChoice
from dragoman.dialects.chat.draft import Draft
from dragoman.dialects.chat.flavours.flavour import thinks
from dragoman.dialects.chat.write_content import mark
from dragoman.dialects.members import Object, members_of

EMPTY_SCHEMA: Object = {"type": "object", "properties": {}}
_INPUT_SCHEMA: Object = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
}
_OBJECT = Raw(b'"object"')
_NO_PROPERTIES = Raw(b"{}")


def write_tools(request: Request, draft: Draft) -> Object:
    """``tools``, ``tool_choice``, ``parallel_tool_calls`` and what a hosted search needs."""
    members: Object = {}
    tools: list[Object] = []
    seen: set[str] = set()
    choice = request.tool_choice
    offered = _offered(choice, draft)
    for i, tool in enumerate(request.tools):
        at = f"tools[{i}]"
        if isinstance(tool, HostedTool):
            _hosted(tool, at, tools, members)
            continue
        if tool.name in seen:
            raise invalid(f"{at} has the name of another tool, {tool.name[:64]!r}.", at)  # P58
        seen.add(tool.name)
        if offered is None or tool.name in offered:
            tools.append(_tool(tool, at, draft))
    if request.tools and not draft.target.capability.tools:
        target = draft.target
        raise unsupported(f"{target.provider}/{target.model} takes no tools.", "tools")
    if not tools:
        _tell_toolless(request, draft)
        return members
    members["tools"] = tools
    if choice is not None:
        members["tool_choice"] = _choice(choice, request, draft)
    if request.parallel_tools is not None:
        members["parallel_tool_calls"] = request.parallel_tools
    return members


def _tell_toolless(request: Request, draft: Draft) -> None:
    """Without tools there is nothing to choose, and OpenAI refuses to hear of it (P54)."""
    if request.tool_choice is not None and request.tool_choice.mode not in {"auto", "none"}:
        draft.lose("tool_choice", "there are no tools to choose from")
    if request.parallel_tools is False:
        draft.lose("parallel_tool_calls", "there are no tools to call")


def _offered(choice: ToolChoice | None, draft: Draft) -> frozenset[str] | None:
    """The names to offer where a choice among some can only be made by leaving the others out."""
    if choice is None or choice.mode != "allowed" or draft.flavour.allowed_tools:
        return None
    draft.lose("tool_choice", "only the chosen tools are offered", "emulated")
    return frozenset(choice.names)


def _tool(tool: FunctionTool | CustomTool, at: str, draft: Draft) -> Object:
    match tool:
        case FunctionTool():
            return _function(tool, at, draft)
        case CustomTool():
            return _custom(tool, at, draft)
        case _:
            assert_never(tool)


def _function(tool: FunctionTool, at: str, draft: Draft) -> Object:
    function: Object = {"name": draft.name(tool.name)}
    if tool.description is not None:
        function["description"] = tool.description
    schema = _schema(tool.schema, at, draft)
    if schema is not None:
        function["parameters"] = schema
    if tool.strict is not None:
        if draft.flavour.strict_tools:
            function["strict"] = tool.strict
        elif tool.strict:
            draft.lose(f"{at}.strict", "this provider does not enforce schemas of tools")
    item: Object = {"type": "function", "function": function}
    _mark(item, tool, at, draft)
    ext = tool.ext
    if ext is not None and "function" in ext.get("chat", {}):
        chat = dict(ext["chat"])
        function.update(members_of(chat.pop("function"), at))
        ext = {**ext, "chat": chat}
    draft.extend(item, ext, at)
    return item


def _mark(item: Object, tool: FunctionTool, at: str, draft: Draft) -> None:
    """OpenRouter alone has cache marks on tools (§1.7)."""
    if tool.cache is None:
        return
    if draft.flavour.marks == "cache_control":
        mark(item, tool.cache, at, draft)
    else:
        draft.lose(f"{at}.cache_control", "tools carry no cache marks at this provider")


def _schema(schema: Raw | None, at: str, draft: Draft) -> Raw | Object | None:
    """A schema is an object with a type; its own bytes go out otherwise (P59)."""
    if schema is None:
        return None if draft.flavour.bare_tools else EMPTY_SCHEMA
    members = members_of(schema, f"{at}.parameters")
    if not members:
        return EMPTY_SCHEMA
    if "type" in members:
        return schema
    shaped = {"type": _OBJECT, **members}
    if "$ref" not in members and "anyOf" not in members:
        shaped.setdefault("properties", _NO_PROPERTIES)
    return shaped


def _custom(tool: CustomTool, at: str, draft: Draft) -> Object:
    """A free-text tool, native or wrapped as a function with one text (P67)."""
    name = draft.name(tool.name)
    body: Object = {"name": name}
    if tool.description is not None:
        body["description"] = tool.description
    if draft.flavour.custom_tools:
        if tool.format is not None:
            body["format"] = tool.format
        item: Object = {"type": "custom", "custom": body}
    else:
        draft.wrapped.add(name)
        if tool.format is not None and _grammar(tool.format, at):
            draft.lose(f"{at}.custom.format", "the grammar is not enforced", "emulated")
        item = {"type": "function", "function": {**body, "parameters": _INPUT_SCHEMA}}
    draft.extend(item, tool.ext, at)
    return item


def _grammar(value: Raw, at: str) -> bool:
    kind = members_of(value, f"{at}.custom.format").get("type")
    return kind is not None and msgspec.json.decode(kind) != "text"


def _hosted(tool: HostedTool, at: str, tools: list[Object], members: Object) -> None:
    """A tool that a provider runs exists in its own dialect only (P65)."""
    if tool.dialect != "chat":
        raise unsupported(
            f"{at} is {tool.kind}, a tool that only {tool.dialect} providers run; leave it out or "
            f"use a model of that dialect.",
            at,
        )
    if tool.kind in {"web_search_options", "plugins"}:
        members[tool.kind] = tool.payload
    else:
        tools.append(members_of(tool.payload, at))


# --------------------------------------------------------------------------- tool choice


def _choice(choice: ToolChoice, request: Request, draft: Draft) -> str | Object:
    match choice.mode:
        case "auto" | "none":
            return choice.mode
        case "required":
            return "auto" if _must_not_force(request, draft) else "required"
        case "named":
            return "auto" if _must_not_force(request, draft) else _named(choice, draft)
        case "allowed":
            return _allowed(choice, request, draft)
        case _:
            assert_never(choice.mode)


def _must_not_force(request: Request, draft: Draft) -> bool:
    """Models that refuse a forced tool, always or while they think, choose for themselves (P56, P171)."""
    barred = thinks(request.reasoning) and "tool_choice" in draft.flavour.barred_while_thinking
    if barred or not draft.target.capability.forced_tools:
        draft.lose("tool_choice", "this model cannot be made to call a tool", "changed")
        return True
    return False


def _named(choice: ToolChoice, draft: Draft) -> Object:
    name = {"name": draft.name(choice.names[0])}
    if choice.kind == "custom" and draft.flavour.custom_tools:
        return {"type": "custom", "custom": name}
    return {"type": "function", "function": name}


def _allowed(choice: ToolChoice, request: Request, draft: Draft) -> str | Object:
    if not draft.flavour.allowed_tools:
        forced = choice.required and not _must_not_force(request, draft)
        return "required" if forced else "auto"
    custom = {tool.name for tool in request.tools if isinstance(tool, CustomTool)}
    tools: list[Object] = []
    for name in choice.names:
        kind = "custom" if name in custom else "function"
        tools.append({"type": kind, kind: {"name": draft.name(name)}})
    mode = "required" if choice.required else "auto"
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
