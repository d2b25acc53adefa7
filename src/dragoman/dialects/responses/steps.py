"""Named request steps: what servers of this dialect want that a rename or a refused member cannot say.

A provider's file or an operator's row names the steps. In a request that is passed on, items are
opened one level deep and every member that a step does not touch keeps its bytes (D2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Raw

from dragoman.dialects.members import Object, items_of, members_of, plain

Step: TypeAlias = Callable[[list[Object]], list[Object]]

_CALLS = frozenset({"function_call", "custom_tool_call"})
_RESULTS = frozenset({"function_call_output", "custom_tool_call_output"})


def calls_last(items: list[Object]) -> list[Object]:
    """Calls behind everything else that the assistant said in the same turn, as DeepSeek wants (P192)."""
    sent: list[Object] = []
    calls: list[Object] = []
    for item in items:
        kind = _kind(item)
        if kind in _CALLS:
            calls.append(item)
            continue
        if calls and _ends_turn(item, kind):
            sent += calls
            calls = []
        sent.append(item)
    return sent + calls


def null_call_status(items: list[Object]) -> list[Object]:
    """Calls with a status of null, which vLLM insists on (P192)."""
    return [{**item, "status": None} if _kind(item) in _CALLS else item for item in items]


STEPS: dict[str, Step] = {"calls_last": calls_last, "null_call_status": null_call_status}
"""The steps by the names that providers' files use."""


def apply_steps(body: Object, names: tuple[str, ...]) -> Object:
    """The request after the steps; a plain text has no items to change."""
    value = body.get("input")
    if isinstance(value, Raw):
        if bytes(value).lstrip()[:1] != b"[":
            return body
        items = [
            members_of(item, f"input[{i}]") for i, item in enumerate(items_of(value, "input"))
        ]
    elif isinstance(value, list):
        items = value
    else:
        return body
    for name in names:
        items = STEPS[name](items)
    return {**body, "input": items}


def _kind(item: Object) -> object:
    return plain(item.get("type"), "type") or "message"


def _ends_turn(item: Object, kind: object) -> bool:
    if kind == "message":
        return bool(plain(item.get("role"), "role") != "assistant")
    return kind in _RESULTS
