"""A call whose arguments come in pieces, as Vertex can stream them (P38).

``{name, willContinue}``, then ``partialArgs`` with a path and a value each, then an empty call.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from msgspec import Raw

from dragoman.dialects.gemini import wire

_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d{1,4})\]|\['([^']*)'\]")
_VALUES = ("stringValue", "numberValue", "boolValue", "nullValue")


class PartialCall:
    """One call under way."""

    __slots__ = ("_args", "_call", "_rest")

    def __init__(self) -> None:
        self._call: dict[str, Raw] = {}
        self._rest: dict[str, Raw] = {}
        self._args: dict[str, Any] = {}

    @staticmethod
    def begins(raw: Raw) -> bool:
        """Whether a part is the first of several."""
        if bytes(raw).find(b"illContinue") < 0 and bytes(raw).find(b"artialArgs") < 0:
            return False
        found = wire.members(raw, "part")
        call = wire.members(found["functionCall"], "part") if "functionCall" in found else {}
        return "willContinue" in call or "partialArgs" in call

    def add(self, raw: Raw) -> Raw | None:
        """The whole part, once it has come."""
        found = wire.members(raw, "part")
        if "functionCall" not in found:
            return self._whole(found)
        call = wire.members(found.pop("functionCall"), "part")
        more = "willContinue" in call and wire.boolean(call.pop("willContinue"), "part")
        for piece in wire.items(call.pop("partialArgs"), "part") if "partialArgs" in call else ():
            self._piece(wire.members(piece, "part"))
        self._call.update(call)
        return None if more else self._whole(found)

    def _piece(self, piece: dict[str, Raw]) -> None:
        path = wire.opt_text(piece, "jsonPath", "part") or "$"
        steps = [
            int(index) if index else name or quoted
            for name, index, quoted in _STEP.findall(path.removeprefix("$"))
        ]
        for name in _VALUES:
            if name in piece and steps:
                value = wire.any_value(piece[name], "part")
                _put(self._args, steps, None if name == "nullValue" else value)

    def _whole(self, found: dict[str, Raw]) -> Raw:
        self._rest.update(found)
        call: dict[str, object] = dict(self._call)
        if self._args or "args" not in call:
            call["args"] = self._args
        return Raw(wire.encode({**self._rest, "functionCall": call}))


def _put(node: Any, steps: list[Any], value: Any) -> None:
    """Sets a value at its path; strings that come in pieces are joined."""
    for step, following in itertools.pairwise(steps):
        empty: Any = [] if isinstance(following, int) else {}
        node = _child(node, step, empty)
        if node is None:
            return
    last = steps[-1]
    if isinstance(node, dict):
        earlier = node.get(str(last))
        both = isinstance(earlier, str) and isinstance(value, str)
        node[str(last)] = earlier + value if both else value
    elif isinstance(node, list) and isinstance(last, int):
        if last < len(node):
            both = isinstance(node[last], str) and isinstance(value, str)
            node[last] = node[last] + value if both else value
        else:
            node.append(value)


def _child(node: Any, step: Any, empty: Any) -> Any:
    if isinstance(node, dict):
        return node.setdefault(str(step), empty)
    if isinstance(node, list) and isinstance(step, int):
        if step >= len(node):
            node.append(empty)
            return empty
        return node[step]
    return None
