"""The names most like a string, cheaply: a caller's typing error must not cost a search of its own."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from heapq import nlargest

_LONGEST = 64
"""Characters of the string that are looked at."""
_CLOSER = 12
"""Names that are compared letter by letter, after all were compared by their pairs of letters."""


def nearest(name: str, among: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """The names most like ``name``, best first; a provider in front of one counts only if it is asked for."""
    text = name.lower()[:_LONGEST]
    pairs = {text[at : at + 2] for at in range(len(text) - 1)} or {text}
    bare = "/" not in text

    def shown(other: str) -> str:
        low = other.lower()
        return low.partition("/")[2] or low if bare else low

    def alike(other: str) -> float:
        low = shown(other)
        return 2 * sum(pair in low for pair in pairs) / (len(pairs) + max(1, len(low) - 1))

    def ratio(other: str) -> float:
        return SequenceMatcher(None, text, shown(other)[:_LONGEST], autojunk=False).ratio()

    return tuple(nlargest(count, nlargest(_CLOSER, among, key=alike), key=ratio))
