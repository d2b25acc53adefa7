"""A provider's declared differences, applied to the top level of a request on its way out."""

from __future__ import annotations

from msgspec import Raw

from dragoman.core.loss import Loss
from dragoman.dialects.base import Target
from dragoman.dialects.chat.steps import STEPS
from dragoman.dialects.members import NULL, Object

_EMPTY = (NULL, Raw(b"[]"), Raw(b"{}"))
_DEFAULTS: dict[str, tuple[object, Raw]] = {
    "logprobs": (False, Raw(b"false")),
    "store": (False, Raw(b"false")),
    "parallel_tool_calls": (True, Raw(b"true")),
    "n": (1, Raw(b"1")),
}
"""Values that say no more than silence: nothing is lost with them."""


def apply_quirks(body: Object, target: Target, losses: list[Loss]) -> Object:
    """The request without what the provider refuses, under its names, after its steps."""
    quirks = target.quirks
    for name in quirks.drop:
        if name in body:
            value = body.pop(name)
            if _says_something(name, value, target):
                losses.append(Loss(name, f"{target.provider} does not take it"))
    for name, other in quirks.rename.items():
        if name in body:
            body = _renamed(body, name, other)
    for step in quirks.steps:
        body, told = STEPS[step](body, target)
        losses.extend(told)
    return body


def _says_something(name: str, value: object, target: Target) -> bool:
    if name == "stream_options" and target.quirks.usage_in_stream == "always":
        return False  # usage comes without being asked for
    if value is None or value in _DEFAULTS.get(name, ()):
        return False
    return value not in _EMPTY


def _renamed(body: Object, name: str, other: str) -> Object:
    """A member under its other name; null says nothing, else it wins over the other (P110)."""
    value = body[name]
    kept = {key: item for key, item in body.items() if key != name}
    if value is None or value == NULL:
        return kept
    return {**kept, other: value}
