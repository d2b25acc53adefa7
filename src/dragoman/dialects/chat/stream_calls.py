"""Which tool call a fragment belongs to, however its provider numbers calls.

OpenAI numbers calls by ``index`` and names each once. Others leave the index out (Mistral,
Google, Ollama), give every call index 0 (P40), repeat id and name in each fragment or send them
empty (P41), or send several whole calls in one delta. The id decides before the index does, and
a name only where there is no id.
"""

from __future__ import annotations

import msgspec


class Call:
    """One tool call as it comes; ``number`` counts the calls of its choice from 0."""

    __slots__ = ("id", "name", "number", "pieces")

    def __init__(self, number: int) -> None:
        self.number = number
        self.id = ""
        self.name = ""
        self.pieces: list[str] = []

    @property
    def complete(self) -> bool:
        """Whether the arguments so far are a whole JSON object."""
        text = "".join(self.pieces).strip()
        if not (text.startswith("{") and text.endswith("}")):
            return False
        try:
            msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, RecursionError):
            return False
        return True


class Calls:
    """The calls of one choice, in the order in which they began."""

    __slots__ = ("_by_index", "all")

    def __init__(self) -> None:
        self.all: list[Call] = []
        self._by_index: dict[int, Call] = {}

    def place(
        self, index: int | None, call_id: str, name: str, arguments: str
    ) -> tuple[Call, bool] | None:
        """The call that a fragment continues or opens, and whether it opens it.

        None for a fragment that says nothing and belongs to nothing (P44).
        """
        known = self._known(index)
        if known is None or _differs(known, index, call_id, name):
            if not (call_id or name or arguments):
                return None
            known = Call(len(self.all))
            self.all.append(known)
            new = True
        else:
            new = False
        self._by_index[known.number if index is None else index] = known
        known.id = known.id or call_id
        known.name = known.name or name
        if arguments:
            known.pieces.append(arguments)
        return known, new

    def _known(self, index: int | None) -> Call | None:
        if index is not None:
            return self._by_index.get(index)
        return self.all[-1] if self.all else None


def _differs(known: Call, index: int | None, call_id: str, name: str) -> bool:
    """Whether a fragment at the place of a known call is another call."""
    if call_id and known.id:
        return call_id != known.id
    if not name or not known.name:
        return False
    if call_id and index is None:
        return True
    return (
        known.complete
        if name == known.name and index is None
        else name != known.name and (index is None or known.complete)
    )
