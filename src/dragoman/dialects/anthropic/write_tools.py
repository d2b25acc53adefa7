"""Tools and the choice among them as Anthropic takes them."""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import CallerError, invalid, unsupported
from dragoman.core.request import CustomTool, FunctionTool, HostedTool, Tool
from dragoman.dialects.anthropic import schema as schemas
from dragoman.dialects.anthropic.draft import Block, Draft, own
from dragoman.dialects.anthropic.wire import DIALECT, WireError

_CUSTOM_SCHEMA = Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}'
)


class Toolbox(Struct, frozen=True):
    """The tools to send, and ``tool_choice``."""

    tools: list[Block]
    choice: dict[str, object] | None = None


def write_tools(draft: Draft, called: list[str], *, thinks: bool) -> Toolbox:
    """The tools and the choice.

    ``called``: names that the history uses, in the spelling that is sent. ``thinks``: thinking with a
    budget is on, which no forced choice goes with (P56).
    """
    offered = _offered(draft) if draft.request.tools else []
    tools = [_write_tool(draft, number, tool) for number, tool in offered]
    if not tools:
        return _without_tools(draft, called)
    return Toolbox(tools, _choice(draft, thinks=thinks))


def _offered(draft: Draft) -> list[tuple[int, Tool]]:
    """The tools that stay on offer, with their places in the caller's list."""
    request = draft.request
    seen: set[str] = set()
    for number, tool in enumerate(request.tools):
        if isinstance(tool, HostedTool):
            continue
        if tool.name in seen:  # P58
            raise invalid(
                f"The tool name {tool.name!r} is given twice: every tool needs its own.",
                f"tools[{number}]",
                "tool_schema_invalid",
            )
        seen.add(tool.name)
    choice = request.tool_choice
    every = list(enumerate(request.tools))
    if choice is None:
        return every
    filtered = choice.mode == "allowed" or (
        choice.mode == "named" and not draft.target.capability.forced_tools
    )
    if not filtered:
        return every
    draft.lose("tool_choice", "only_the_chosen_tools_are_offered", "emulated")
    return [(n, t) for n, t in every if not isinstance(t, HostedTool) and t.name in choice.names]


def _write_tool(draft: Draft, number: int, tool: Tool) -> Block:
    path = f"tools[{number}]"
    if not isinstance(tool, HostedTool):
        draft.foreign(tool.ext, path)
    match tool:
        case FunctionTool():
            return _function(draft, tool, path)
        case CustomTool():
            return _custom(draft, tool, path)
        case HostedTool():
            if tool.dialect == DIALECT:
                return tool.payload
            raise unsupported(
                f"{path} is a tool of kind {tool.kind}, which the provider of the dialect "
                f"{tool.dialect} runs itself and Anthropic does not have.",
                path,
            )
        case _:
            assert_never(tool)


def _function(draft: Draft, tool: FunctionTool, path: str) -> Block:
    if draft.target.capability.tools is False:
        raise CallerError(
            "unsupported_feature",
            f"The model {draft.target.model} does not call tools.",
            code="model_capability_mismatch",
            param="tools",
        )
    try:
        schema, changed = schemas.parameters(tool.schema, f"{path}.parameters")
        if changed:
            draft.lose(f"{path}.parameters", changed, "changed")
        strict = tool.strict is True and draft.target.capability.structured_output == "native"
        if strict:
            schema, stripped = schemas.strict(schema, f"{path}.parameters")
            if stripped:
                draft.lose(f"{path}.parameters", "keywords_moved_to_description", "changed")
    except WireError as error:
        raise invalid(
            f"The schema at {error.path} is not usable: {error.why}.",
            error.path,
            "tool_schema_invalid",
        ) from None
    written: dict[str, object] = {"name": draft.tool_name(tool.name)}
    if tool.description is not None:
        written["description"] = tool.description
    written["input_schema"] = schema
    if strict:
        written["strict"] = True
    elif tool.strict is True:
        draft.lose(f"{path}.strict", "model_does_not_enforce_schemas")
    written.update(own(tool.ext))
    if tool.cache is not None:
        written["cache_control"] = draft.cache_control(tool.cache, path)
    return written


class _Grammar(Struct, frozen=True):
    definition: str = ""
    syntax: str = ""


class _CustomFormat(Struct, frozen=True):
    type: str = "text"
    grammar: _Grammar | None = None
    definition: str = ""
    syntax: str = ""


_FORMAT = msgspec.json.Decoder(_CustomFormat)


def _custom(draft: Draft, tool: CustomTool, path: str) -> Block:
    """A free-text tool as a function of one text; readers of the reply take it off again (P67)."""
    name = draft.tool_name(tool.name)
    draft.custom.add(name)
    description = tool.description or ""
    if tool.format is not None:
        try:
            form = _FORMAT.decode(tool.format)
        except msgspec.MsgspecError:
            raise invalid(f"The format at {path} is not usable.", f"{path}.format") from None
        grammar = form.grammar or _Grammar(form.definition, form.syntax)
        if form.type == "grammar":
            draft.lose(f"{path}.format", "grammar_is_told_but_not_enforced", "emulated")
            description += (
                f"\n\nThe input has to match this {grammar.syntax} grammar:\n{grammar.definition}"
            )
    written: dict[str, object] = {"name": name}
    if description.strip():
        written["description"] = description.strip()
    written["input_schema"] = _CUSTOM_SCHEMA
    return written


def _without_tools(draft: Draft, called: list[str]) -> Toolbox:
    """No tools: nothing to choose (P54); a history of calls still needs them named (P55)."""
    if draft.request.tool_choice is not None and draft.request.tool_choice.mode != "none":
        draft.lose("tool_choice", "no_tools_to_choose_from")
    if not called:
        return Toolbox([])
    draft.lose("tools", "tools_of_the_history_are_named_and_switched_off", "emulated")
    stubs: list[Block] = [{"name": name, "input_schema": schemas.EMPTY} for name in called]
    return Toolbox(stubs, {"type": "none"})


def _choice(draft: Draft, *, thinks: bool) -> dict[str, object] | None:
    """``tool_choice``, with the switch for parallel calls in it."""
    request = draft.request
    wanted = request.tool_choice
    written: dict[str, object] | None = None
    match wanted.mode if wanted else None:
        case "none":
            return {"type": "none"}
        case "auto":
            written = {"type": "auto"}
        case "required":
            written = {"type": "any"}
        case "named" if wanted:
            written = {"type": "tool", "name": draft.tool_name(wanted.names[0])}
        case "allowed" if wanted:
            written = {"type": "any" if wanted.required else "auto"}
    if written is not None and written["type"] != "auto":
        if not draft.target.capability.forced_tools:  # P171
            draft.lose("tool_choice", "model_cannot_be_forced", "changed")
            written = {"type": "auto"}
        elif thinks:  # P56
            draft.lose("tool_choice", "cannot_be_forced_while_thinking", "changed")
            written = {"type": "auto"}
    if request.parallel_tools is False:
        return (written or {"type": "auto"}) | {"disable_parallel_tool_use": True}
    if request.parallel_tools is True and written is not None:
        written["disable_parallel_tool_use"] = False
    return written
