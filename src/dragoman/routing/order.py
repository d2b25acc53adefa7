"""Puts the targets of a call in order: by a strategy over those who are well, the others behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from dragoman.catalog.resolve import Target
from dragoman.core.provider import Strategy
from dragoman.health.score import NEUTRAL
from dragoman.routing.sight import Sight, whose
from dragoman.routing.strategies import (
    Option,
    Order,
    by_conversation,
    by_cost,
    by_latency,
    by_load,
    by_quality,
    by_weight,
    expected_s,
    in_turn,
)

Weights = Mapping[tuple[str, str], int]
"""By provider and model; who is not named has 1."""


def ordered(
    targets: Sequence[Target],
    strategy: Strategy | None,
    sight: Sight,
    *,
    weights: Weights,
    name: str,
) -> list[Target]:
    """The targets, the one to be tried first in front; ``name`` is under whose name they take turns."""
    if strategy is None or len(targets) < 2:
        return list(targets)
    well = [item for item in targets if sight.is_well(item)]
    unwell = [item for item in targets if item not in well] if len(well) < len(targets) else []
    found: list[Target] = []
    for group in (well, unwell):
        if group:
            options = [_option(item, strategy, sight, weights) for item in group]
            found += [group[at] for at in _places(options, strategy, sight, name)]
    return found


def slow_last(targets: Sequence[Target], most_s: float, sight: Sight) -> list[Target]:
    """Who has lately been slower than that goes behind the others; who was never measured does not."""

    def is_slow(target: Target) -> bool:
        pace = sight.pace(target)
        return pace is not None and expected_s(pace) > most_s

    return sorted(targets, key=is_slow)


def _option(target: Target, strategy: Strategy, sight: Sight, weights: Weights) -> Option:
    """What the strategy asks for, and no more: prices of hundreds of models take a while."""
    provider, model = target.provider.name, target.model
    cost: Decimal | None = None
    rank = None
    score = NEUTRAL
    if strategy in {"cost", "quality"}:
        cost, score = sight.cost(target), sight.score(target)
    if strategy == "quality":
        rank = sight.registry.rank(provider, model)
    return Option(
        name=f"{provider}/{model}",
        weight=weights.get((provider, model), 1),
        cost=cost,
        rank=rank,
        pace=sight.pace(target) if strategy == "latency" else None,
        score=score,
        busy=sight.health.busy.of(whose(target.provider), model),
    )


def _places(options: list[Option], strategy: Strategy, sight: Sight, name: str) -> Order:
    turn = 0
    if sight.turns is not None and strategy in {"latency", "round-robin"}:
        turn = sight.turns.next(f"{name} {strategy}")
    match strategy:
        case "cost":
            return by_cost(options)
        case "quality":
            return by_quality(options)
        case "latency":
            return by_latency(options, turn)
        case "weighted":
            return by_weight(options, sight.dice)
        case "least-busy":
            return by_load(options, sight.dice)
        case "sticky":
            return by_conversation(options, sight.conversation)
        case "round-robin":
            return in_turn(options, turn)
