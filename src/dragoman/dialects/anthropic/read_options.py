"""Everything of a request beside its conversation: tools, choice, thinking, output, the rest."""

from __future__ import annotations

from typing import get_args

import msgspec
from msgspec import Raw, Struct

from dragoman.core.parts import Ext
from dragoman.core.request import (
    Effort,
    FunctionTool,
    HostedTool,
    Output,
    Reasoning,
    Sampling,
    Tool,
    ToolChoice,
)
from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.read_blocks import mark
from dragoman.dialects.anthropic.wire import DIALECT, WireError

Members = dict[str, Raw]

_FLOAT = msgspec.json.Decoder(float | None)
_INT = msgspec.json.Decoder(int | None)
_STRINGS = msgspec.json.Decoder(list[str] | None)
EFFORTS: dict[str, Effort] = {word: word for word in get_args(Effort)}


def integer(members: Members, name: str) -> int | None:
    """A whole number, or None."""
    return wire.value(_INT, members[name], name) if name in members else None


# --------------------------------------------------------------------------- tools


class _Tool(Struct, frozen=True, forbid_unknown_fields=True):
    name: str = "tool"
    type: str | None = None
    description: str | None = None
    input_schema: Raw = wire.NULL
    strict: bool | None = None
    cache_control: wire.CacheControl | None = None


_TOOL = msgspec.json.Decoder(_Tool)


def read_tools(members: Members) -> tuple[Tool, ...]:
    """The tools: the caller's own as functions, those of the provider as they stand."""
    raw = members.get("tools")
    if raw is None or wire.is_null(raw):
        return ()
    return tuple(
        _read_tool(item, f"tools[{number}]")
        for number, item in enumerate(wire.items(raw, "tools"))
    )


def _read_tool(raw: Raw, path: str) -> Tool:
    kind = wire.kind(raw)
    if kind not in {None, "custom"}:
        return HostedTool(DIALECT, kind or "", raw)
    tool, ext = wire.block(_TOOL, raw, path)
    schema = tool.input_schema
    return FunctionTool(
        name=tool.name,
        description=tool.description,
        schema=None if wire.is_null(schema) else schema,
        strict=tool.strict,
        cache=mark(tool.cache_control),
        ext=ext,
    )


class _Choice(Struct, frozen=True):
    type: str | None = None
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


_CHOICE = msgspec.json.Decoder(_Choice | None)


def read_choice(members: Members) -> tuple[ToolChoice | None, bool | None]:
    """Which tool has to be used, and whether several at once may be (R-XLATE-010)."""
    raw = members.get("tool_choice")
    choice = None if raw is None else wire.value(_CHOICE, raw, "tool_choice")
    if choice is None:
        return None, None
    parallel = None
    if choice.disable_parallel_tool_use is not None:
        parallel = not choice.disable_parallel_tool_use
    match choice.type:
        case "auto":
            return ToolChoice("auto"), parallel
        case "none":
            return ToolChoice("none"), parallel
        case "any" | "required":
            return ToolChoice("required"), parallel
        case "tool" if choice.name:
            return ToolChoice("named", (choice.name,)), parallel
        case _:
            return None, parallel


# --------------------------------------------------------------------------- thinking, output


class _Thinking(Struct, frozen=True):
    type: str | None = None
    budget_tokens: int | None = None
    display: str | None = None


_THINKING = msgspec.json.Decoder(_Thinking | None)


def read_reasoning(members: Members, effort: Effort | None, ext: Members) -> Reasoning:
    """``thinking`` and the effort of ``output_config`` as one wish."""
    raw = members.get("thinking")
    thinking = None if raw is None else wire.value(_THINKING, raw, "thinking")
    if raw is None or thinking is None:
        return Reasoning(effort=effort)
    visibility = {"omitted": "hidden", "summarized": "summary", "full": "full"}.get(
        thinking.display or ""
    )
    match thinking.type:
        case "enabled" | "adaptive" | "disabled":
            mode = thinking.type
        case None:
            raise WireError("thinking.type", "it is required")
        case _:
            # Kinds that have no canonical word (between_tools) think; their own words are kept.
            mode = "enabled"
            ext["thinking"] = raw
    return msgspec.convert(
        {
            "mode": mode,
            "effort": effort,
            "budget": thinking.budget_tokens if mode == "enabled" else None,
            "visibility": visibility,
        },
        Reasoning,
    )


class _Format(Struct, frozen=True):
    type: str | None = None
    schema: Raw = wire.NULL


_FORMAT = msgspec.json.Decoder(_Format | None)


_TEXT = Output()


def read_output(members: Members, ext: Members) -> tuple[Output, Effort | None]:
    """``output_config`` (and its beta's ``output_format``): the answer's form, and the effort."""
    raw = members.get("output_config")
    config = {} if raw is None or wire.is_null(raw) else wire.members(raw, "output_config")
    form = config.pop("format", members.get("output_format"))
    effort: Effort | None = None
    if (said := config.pop("effort", None)) is not None and not wire.is_null(said):
        effort = EFFORTS.get(wire.text(said, "output_config.effort"))
        if effort is None:
            raise WireError("output_config.effort", f"it has to be one of {sorted(EFFORTS)}")
    if config:
        ext["output_config"] = Raw(wire.encode(config))
    return _TEXT if form is None else _read_format(form), effort


def _read_format(raw: Raw) -> Output:
    form = wire.value(_FORMAT, raw, "output_config.format")
    if form is None:
        return _TEXT
    if form.type != "json_schema" or wire.is_null(form.schema):
        raise WireError("output_config.format", "it has to be a json_schema with a schema")
    return Output("json_schema", schema=form.schema)


def read_sampling(members: Members) -> Sampling:
    """The knobs that older models still have."""

    def number(name: str) -> float | None:
        return wire.value(_FLOAT, members[name], name) if name in members else None

    stop = members.get("stop_sequences")
    return Sampling(
        temperature=number("temperature"),
        top_p=number("top_p"),
        top_k=integer(members, "top_k"),
        stop=tuple(wire.value(_STRINGS, stop, "stop_sequences") or ()) if stop else (),
    )


# --------------------------------------------------------------------------- the rest

TIER_READ = {"auto": "auto", "standard_only": "default"}
"""Request tiers in the chat family's words, which are the canonical ones (P119)."""


def read_user(members: Members, ext: Members) -> str | None:
    """``metadata.user_id``."""
    raw = members.get("metadata")
    if raw is None or wire.is_null(raw):
        return None
    data = wire.members(raw, "metadata")
    user = data.pop("user_id", None)
    if data:
        ext["metadata"] = Raw(wire.encode(data))
    return None if user is None or wire.is_null(user) else wire.text(user, "metadata.user_id")


def bag(ext: Members) -> Ext | None:
    """The extension bag of a request, None if nothing is in it."""
    return {DIALECT: ext} if ext else None
