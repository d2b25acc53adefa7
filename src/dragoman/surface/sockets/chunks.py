"""The pieces of a streamed chat completion, added up to the message that they are pieces of.

Members that nobody here knows are added up as well: texts are joined, objects member by member, lists by the
``index`` that their elements have.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

_SET = frozenset({"id", "role", "type", "name", "index", "format", "signature"})
"""Texts that are said whole, however often."""
_MOST = 256
"""Pieces that are kept one by one."""


class _Choice(Struct):
    index: int = 0
    delta: dict[str, Any] | None = None
    finish_reason: str | None = None


class _Chunk(Struct):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: Raw = Raw(b"null")
    error: dict[str, Any] | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)


class Sum(Struct):
    """What the pieces of one answer come to, of its first choice."""

    finish_reason: str | None = None
    usage: Raw | None = None
    model: str | None = None
    _deltas: list[dict[str, Any]] = []

    def add(self, data: bytes) -> str | None:
        """Adds a piece; its text, or None where it tells of a failure.

        Raises:
            msgspec.DecodeError: it is no piece of a chat completion.
            RecursionError: it is nested too deeply to be read.
        """
        chunk = _CHUNK.decode(data)
        if chunk.error is not None:
            return None
        self.model = chunk.model or self.model
        self.usage = said_usage(chunk.usage) or self.usage
        said = ""
        for choice in chunk.choices or ():
            if choice.index:
                continue
            self.finish_reason = choice.finish_reason or self.finish_reason
            if choice.delta:
                self._keep(choice.delta)
                content = choice.delta.get("content")
                said += content if isinstance(content, str) else ""
        return said

    def message(self) -> dict[str, Any]:
        """The message so far."""
        return joined(self._deltas)

    def _keep(self, delta: dict[str, Any]) -> None:
        self._deltas.append(delta)
        if len(self._deltas) > _MOST:
            self._deltas = [joined(self._deltas)]


def said_usage(usage: Raw) -> Raw | None:
    """A usage that stands for itself; None where nothing is said."""
    found = bytes(usage)
    return None if found == b"null" else Raw(found)


def joined(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """The object that these are pieces of, in their order."""
    values: dict[str, list[Any]] = {}
    for piece in pieces:
        for name, value in piece.items():
            values.setdefault(name, []).append(value)
    return {name: _one(name, said) for name, said in values.items()}


def _one(name: str, said: list[Any]) -> Any:
    told = [value for value in said if value is not None]
    if not told:
        return None
    last = told[-1]
    if isinstance(last, str) and name not in _SET:
        return "".join(value for value in told if isinstance(value, str))
    try:
        if isinstance(last, dict):
            return joined([value for value in told if isinstance(value, dict)])
        if isinstance(last, list):
            return _elements([each for value in told if isinstance(value, list) for each in value])
    except RecursionError:
        return last  # nested deeper than any answer is: as it was said last
    return last


def _elements(all_of_them: list[Any]) -> list[Any]:
    """A list of which elements with an index come in pieces."""
    found: list[list[Any]] = []
    places: dict[int, list[Any]] = {}
    for each in all_of_them:
        index = each.get("index") if isinstance(each, dict) else None
        if isinstance(index, int) and index in places:
            places[index].append(each)
            continue
        found.append([each])
        if isinstance(index, int):
            places[index] = found[-1]
    return [joined(pieces) if len(pieces) > 1 else pieces[0] for pieces in found]
