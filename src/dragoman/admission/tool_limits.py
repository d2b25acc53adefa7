"""How many tools a request may offer, how large they may be and what they may be called (R-ADD-035).

Nothing is limited unless the operator says so, and a gateway without limits never comes here. They are looked
at before anybody is chosen to answer; the gateway runs no tool, so what it bounds is what callers send: the
tools on offer, and the calls that the history of a conversation holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from dragoman.admission.tools_said import Tool, tools_of, turns_of
from dragoman.core.ask import Ask
from dragoman.core.errors import CallerError
from dragoman.core.provider import Family

Heed: TypeAlias = Literal["enforce", "warn", "off"]
"""What becomes of a request with a tool whose name is not allowed."""

_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords that hold schemas by names."""
_HOLDERS = frozenset(
    {
        *("items", "prefixItems", "additionalItems", "additionalProperties", "contains"),
        *("anyOf", "oneOf", "allOf", "not", "if", "then", "else", "propertyNames"),
        *("unevaluatedItems", "unevaluatedProperties"),
    }
)
"""Keywords that hold a schema or a list of them."""
_SHOWN = 64


class ToolLimits(Struct, frozen=True):
    """What a request's tools are held to; None: not limited."""

    max_tools: int | None = None
    max_name_chars: int | None = None
    max_description_chars: int | None = None
    max_schema_depth: int | None = None
    max_argument_bytes: int | None = None
    """Of each call in the history."""
    max_calls: int | None = None
    """Calls of one turn of the model's."""
    allowed_names: tuple[str, ...] = ()
    """Patterns, as ``get_*``."""
    allowlist: Heed = "off"


def check_tools(limits: ToolLimits, ask: Ask, family: Family, warn: Callable[[str], None]) -> None:
    """Lets a request go on that keeps to the limits; ``warn`` hears of names that are only warned of.

    Raises:
        CallerError: it does not; the message names the member, its value and the limit.
    """
    members = ask.members
    tools = list(tools_of(members))
    if limits.max_tools is not None and len(tools) > limits.max_tools:
        raise _exceeded(
            f"{len(tools)} tools are offered; at most {limits.max_tools} are accepted.",
            "functions" if "tools" not in members else "tools",
        )
    for tool in tools:
        _check_tool(tool, limits)
    if limits.allowlist != "off":
        _check_names(tools, limits, warn)
    if limits.max_calls is not None or limits.max_argument_bytes is not None:
        _check_calls(limits, ask, family)


def _check_tool(tool: Tool, limits: ToolLimits) -> None:
    name, at = _shown(tool.name), tool.at
    _bound(
        len(tool.name), limits.max_name_chars, f"{at}.name", f"{at}.name {name} has", "characters"
    )
    _bound(
        len(tool.description),
        limits.max_description_chars,
        f"{at}.description",
        f"The description of the tool {name} has",
        "characters",
    )
    if limits.max_schema_depth is not None:
        _bound(
            depth_of(tool.schema),
            limits.max_schema_depth,
            tool.schema_at,
            f"The schema of the tool {name} has",
            "levels",
        )


def _check_names(tools: Iterable[Tool], limits: ToolLimits, warn: Callable[[str], None]) -> None:
    for tool in tools:
        if any(fnmatchcase(tool.name, pattern) for pattern in limits.allowed_names):
            continue
        message = (
            f"The tool {_shown(tool.name)} is not among those that this gateway allows"
            f" ({', '.join(limits.allowed_names[:10])}{', …' if len(limits.allowed_names) > 10 else ''})."
        )
        if limits.allowlist == "enforce":
            raise CallerError(
                "invalid_request", message, code="tool_not_allowed", param=f"{tool.at}.name"
            )
        warn(message)


def _check_calls(limits: ToolLimits, ask: Ask, family: Family) -> None:
    for turn in turns_of(ask.members, family):
        _bound(len(turn.calls), limits.max_calls, turn.at, f"A turn of {turn.at} holds", "calls")
        for at, size in turn.calls:
            _bound(size, limits.max_argument_bytes, at, f"The arguments of {at} have", "bytes")


def _bound(size: int, limit: int | None, param: str, what: str, unit: str) -> None:
    if limit is not None and size > limit:
        raise _exceeded(f"{what} {size} {unit}; at most {limit} are accepted.", param)


def _exceeded(message: str, param: str) -> CallerError:
    return CallerError("invalid_request", message, code="tool_limit_exceeded", param=param)


def _shown(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")


def depth_of(schema: object) -> int:
    """How many schemas stand within one another, the outermost among them; no schema has none."""
    deepest = 0
    waiting: list[tuple[object, int]] = [(schema, 1)]
    while waiting:
        found, level = waiting.pop()
        if isinstance(found, list):
            waiting += [(each, level) for each in found]
        elif isinstance(found, dict) and found:
            deepest = max(deepest, level)
            waiting += [(inner, level + 1) for inner in _inner(found)]
    return deepest


def _inner(schema: dict[str, Any]) -> Iterable[object]:
    for keyword, value in schema.items():
        if keyword in _MAPS and isinstance(value, dict):
            yield from value.values()
        elif keyword in _HOLDERS:
            yield value
