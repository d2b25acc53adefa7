"""Tools and the choice among them as Gemini takes them."""

from __future__ import annotations

from typing import assert_never

from msgspec import Raw, Struct

from dragoman.core.errors import CallerError, invalid, unsupported
from dragoman.core.request import CustomTool, FunctionTool, HostedTool
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.draft import Draft, own
from dragoman.dialects.gemini.wire import DIALECT

_CUSTOM_SCHEMA = Raw(
    b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}'
)


class Toolbox(Struct, frozen=True):
    """``tools`` and ``toolConfig``; whether a call is demanded, whether there are functions."""

    tools: list[object]
    config: dict[str, object]
    forced: bool = False
    functions: bool = False


def write_tools(draft: Draft) -> Toolbox:
    """The tools and the choice (P58, P179)."""
    request = draft.request
    functions: list[dict[str, object]] = []
    hosted: list[object] = []
    seen: set[str] = set()
    for number, tool in enumerate(request.tools):
        path = f"tools[{number}]"
        match tool:
            case FunctionTool() | CustomTool():
                if tool.name in seen:
                    raise invalid(
                        f"The tool name {tool.name!r} is given twice: every tool needs its own.",
                        path,
                        "tool_schema_invalid",
                    )
                seen.add(tool.name)
                if not draft.target.capability.tools:
                    raise CallerError(
                        "unsupported_feature",
                        f"The model {draft.target.model} does not call tools.",
                        code="model_capability_mismatch",
                        param="tools",
                    )
                draft.foreign(tool.ext, path)
                functions.append(
                    _function(draft, tool, path)
                    if isinstance(tool, FunctionTool)
                    else _custom(draft, tool, path)
                )
            case HostedTool():
                if tool.dialect != DIALECT:
                    raise unsupported(
                        f"{path} is a tool of kind {tool.kind}, which the provider of the dialect "
                        f"{tool.dialect} runs itself and Gemini does not have.",
                        path,
                    )
                hosted.append(tool.payload)
            case _:
                assert_never(tool)
    tools: list[object] = [{"functionDeclarations": functions}] if functions else []
    config: dict[str, object] = dict(
        wire.members(own(request.ext)["toolConfig"], "toolConfig")
        if "toolConfig" in own(request.ext)
        else {}
    )
    choice = _choice(draft, strict=_strict(draft)) if functions else None
    if not functions and request.tool_choice is not None and request.tool_choice.mode != "none":
        draft.lose("tool_choice", "no_functions_to_choose_from")
    if choice is not None:
        config["functionCallingConfig"] = choice
    if request.parallel_tools is False and functions:
        draft.lose("parallel_tool_calls", "not_in_dialect")
    forced = choice is not None and choice["mode"] == "ANY"
    return Toolbox([*tools, *hosted], config, forced=forced, functions=bool(functions))


def _strict(draft: Draft) -> bool:
    return any(isinstance(tool, FunctionTool) and tool.strict for tool in draft.request.tools)


def _function(draft: Draft, tool: FunctionTool, path: str) -> dict[str, object]:
    written: dict[str, object] = {"name": draft.tool_name(tool.name)}
    if tool.description is not None:
        written["description"] = tool.description
    if tool.schema is not None and bytes(tool.schema) != b"null":
        written["parametersJsonSchema"] = _object_schema(tool.schema, path)
    if tool.cache is not None:
        draft.lose(f"{path}.cache_control", "caching_is_implicit_here")
    return written | own(tool.ext)


def _object_schema(schema: Raw, path: str) -> object:
    """The schema as it is, but of an object: Gemini wants one at the root (P60)."""
    try:
        found = wire.any_value(schema, path)
    except wire.WireError as error:
        raise invalid(
            f"The schema at {path} is not usable: {error.why}.", path, "tool_schema_invalid"
        ) from None
    if not isinstance(found, dict):
        raise invalid(
            f"The schema at {path} is not usable: it has to be an object.",
            path,
            "tool_schema_invalid",
        )
    if not found:
        return {"type": "object", "properties": {}}
    if "type" not in found and "$ref" not in found:
        return {"type": "object", **found}
    return schema


def _custom(draft: Draft, tool: CustomTool, path: str) -> dict[str, object]:
    """A free-text tool as a function of one text; readers of the reply take it off again (P67)."""
    name = draft.tool_name(tool.name)
    draft.custom.add(name)
    description = tool.description or ""
    if tool.format is not None and b'"grammar"' in bytes(tool.format):
        draft.lose(f"{path}.format", "grammar_is_told_but_not_enforced", "emulated")
        description += f"\n\nThe input has to match this format:\n{wire.compact(tool.format)}"
    written: dict[str, object] = {"name": name}
    if description.strip():
        written["description"] = description.strip()
    written["parametersJsonSchema"] = _CUSTOM_SCHEMA
    return written


def _choice(draft: Draft, *, strict: bool) -> dict[str, object] | None:
    """``functionCallingConfig``; strict tools are enforced where the model may choose (P179)."""
    wanted = draft.request.tool_choice
    names = [draft.tool_name(name) for name in wanted.names] if wanted else []
    match wanted.mode if wanted else None:
        case None:
            return {"mode": "VALIDATED"} if strict and draft.modern else None
        case "none":
            return {"mode": "NONE"}
        case "auto":
            return {"mode": "VALIDATED" if strict and draft.modern else "AUTO"}
        case "required":
            return {"mode": "ANY"}
        case "named":
            return {"mode": "ANY", "allowedFunctionNames": names}
        case "allowed":
            required = wanted is not None and wanted.required
            return {"mode": "ANY" if required else "VALIDATED", "allowedFunctionNames": names}
