"""How capable a model is held to be, for the strategy `quality`: the rules of ``ranks.toml``, applied.

The operator's own ranks go before them. A rank orders, and says nothing else; a model that no rule
names has none.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache

from msgspec import Struct

from dragoman.catalog.files import rank_rules
from dragoman.catalog.schema import CatalogError, read_strictly

HIGHEST = 100


class Rank(Struct, frozen=True, forbid_unknown_fields=True):
    """A rank from 0 to 100, and the ids that have it: of several rules the last that fits counts."""

    match: str
    rank: int


class OtherUse(Struct, frozen=True, forbid_unknown_fields=True):
    """Ids of models that do not answer chats, so that `auto` does not choose them for one."""

    match: str
    use: str


@cache
def _rules() -> tuple[tuple[re.Pattern[str], int], ...]:
    found = []
    for number, table in enumerate(rank_rules()["ranks"], 1):
        rule = read_strictly(Rank, table, f"ranks.toml, rank {number}")
        if not 0 <= rule.rank <= HIGHEST:
            raise CatalogError(
                f"ranks.toml, rank {number}: {rule.rank} is not from 0 to {HIGHEST}."
            )
        found.append((re.compile(rule.match), rule.rank))
    return tuple(found)


@cache
def _uses() -> tuple[tuple[re.Pattern[str], str], ...]:
    found = []
    for number, table in enumerate(rank_rules()["other_uses"], 1):
        rule = read_strictly(OtherUse, table, f"ranks.toml, use {number}")
        found.append((re.compile(rule.match), rule.use))
    return tuple(found)


@lru_cache(maxsize=4096)
def rank_of(model: str) -> int | None:
    """The shipped rank of an id; None: no rule names it."""
    name = _bare(model)
    found = None
    for pattern, rank in _rules():
        if pattern.search(name):
            found = rank
    return found


@lru_cache(maxsize=4096)
def other_use(model: str) -> str:
    """What a model is for that is not made for chats; empty: it may well be."""
    name = _bare(model)
    return next((use for pattern, use in _uses() if pattern.search(name)), "")


def _bare(model: str) -> str:
    return model.lower().rsplit("/", 1)[-1]
