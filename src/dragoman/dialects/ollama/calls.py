"""Which calls a conversation has made, and which result belongs to which (P29, P30, P31).

Most clients of this dialect give calls no ids: their results name the function, or stand in the
order of the calls, and nothing else tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class _Made:
    id: str
    name: str
    turn: int


class Calls:
    """The calls of a conversation in their order."""

    def __init__(self) -> None:
        self._count = 0
        self._turn = 0
        self._waiting: list[_Made] = []
        self._answered: list[_Made] = []

    def next_turn(self) -> None:
        """Another message of the assistant begins."""
        self._turn += 1

    def make(self, given: str, name: str) -> str:
        """A call; the id made for one without hangs on its place, so that reading twice gives the same."""
        made = given or f"call_{self._count}"
        self._count += 1
        self._waiting.append(_Made(made, name, self._turn))
        return made

    def answer(self, given: str, name: str) -> tuple[str, str] | None:
        """The id and the name of the call that a result answers; None if there is none.

        By its id the nearest call before it; without one the oldest call of that name in the
        latest turn that still waits, or just the oldest.
        """
        if given:
            found = [made for made in self._waiting if made.id == given]
            if not found:
                # A second result of one call: the caller's to judge, the pair stays a pair.
                found = [made for made in self._answered if made.id == given]
                return (given, found[-1].name) if found else None
        else:
            found = [made for made in self._waiting if not name or made.name == name]
        if not found:
            return None
        latest = max(made.turn for made in found)
        chosen = next(made for made in found if made.turn == latest)
        self._waiting.remove(chosen)
        self._answered.append(chosen)
        return chosen.id, chosen.name
