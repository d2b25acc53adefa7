"""`[routes.NAME]` of ``dragoman.toml``: a name for several models, and how one of them is chosen (D37)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, get_args

from msgspec import Struct

from dragoman.catalog.schema import CatalogError, read_strictly
from dragoman.core.provider import Strategy

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
MOST_WEIGHT = 1_000_000
_LONGEST = 40
"""Of a foreign word, as it is shown again."""


class Leg(Struct, frozen=True, forbid_unknown_fields=True):
    """One of the models, and its share under `weighted`, `least-busy` and `sticky`."""

    model: str
    weight: int = 1


class NamedRoute(Struct, frozen=True):
    """A route as its operator wrote it."""

    strategy: Strategy | None
    """None: in the order of the legs."""
    legs: tuple[Leg, ...]


class _Row(Struct, frozen=True, forbid_unknown_fields=True):
    candidates: tuple[Any, ...]
    strategy: str | None = None


def read_routes(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, NamedRoute]:
    """The routes by name.

    Raises:
        CatalogError: a member is unknown or wrong; the message names the route and the member.
    """
    return {name: _route(name, table) for name, table in tables.items()}


def _route(name: str, table: Mapping[str, Any]) -> NamedRoute:
    where = f"[routes.{name}]"
    row = read_strictly(_Row, table, where)
    legs = []
    for number, item in enumerate(row.candidates, 1):
        leg = Leg(item) if isinstance(item, str) else _leg(item, f"{where} candidate {number}")
        if not leg.model.strip():
            raise CatalogError(f"{where}: candidate {number} names no model.")
        if not 1 <= leg.weight <= MOST_WEIGHT:
            raise CatalogError(
                f"{where}: the weight of {leg.model} must be from 1 to {MOST_WEIGHT}, not {leg.weight}."
            )
        legs.append(leg)
    if not name or not legs:
        raise CatalogError(f"{where} must name at least one model in candidates.")
    twice = {leg.model for leg in legs if [each.model for each in legs].count(leg.model) > 1}
    if twice:
        raise CatalogError(f"{where} names {min(twice)} twice; give it a weight instead.")
    return NamedRoute(_strategy(row.strategy, where), tuple(legs))


def _leg(item: object, where: str) -> Leg:
    if not isinstance(item, dict):
        raise CatalogError(f'{where} must be a model or {{ model = "…", weight = 2 }}.')
    return read_strictly(Leg, item, where)


def _strategy(said: str | None, where: str) -> Strategy | None:
    strategy = None if said is None else strategy_named(said)
    if said is not None and strategy is None:
        raise CatalogError(f"{where}: {no_strategy(said)}")
    return strategy


def strategy_named(said: str) -> Strategy | None:
    """The strategy of that name."""
    return next((known for known in STRATEGIES if known == said), None)


def no_strategy(said: str) -> str:
    """What is told to whoever names a strategy that is none."""
    near = difflib.get_close_matches(said, STRATEGIES, 1)
    hint = f"did you mean {near[0]}?" if near else f"say one of {', '.join(STRATEGIES)}."
    shown = said if len(said) <= _LONGEST else said[:_LONGEST] + "…"
    return f"there is no strategy {shown!r}; {hint}"


def read_ranks(said: Mapping[str, Any]) -> dict[str, int]:
    """The operator's own ranks by model, from `[quality]`.

    Raises:
        CatalogError: a rank is no whole number from 0 to 100.
    """
    for name, rank in said.items():
        if isinstance(rank, bool) or not isinstance(rank, int) or not 0 <= rank <= 100:
            raise CatalogError(
                f"[quality]: the rank of {name} must be a whole number from 0 to 100."
            )
    return dict(said)
