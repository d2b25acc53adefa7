"""What a process asks of the store for its counters, what goes back, and which are forgotten with it. Pure.

A counter that somebody waits for stays as it is: what is leased for him must not be lost with it. One whose
bound was lowered is a former one from then on: calls from before settle there, and whatever they do not cost
goes back, so that nobody who comes later spends it; a new one has what is leased under the new bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from dragoman.admission.budget_lease import Counter
from dragoman.admission.budget_ports import Back, Want
from dragoman.core.budget import Pot, Span

Counters: TypeAlias = dict[Pot, Counter]


def bound_anew(
    counters: Counters, former: list[Counter], limits: Mapping[tuple[str, Span], int]
) -> None:
    """Has other bounds count, by budget and stretch; one that is not said there is lowered to nothing."""
    for counter in (*former, *counters.values()):
        limit = limits.get((counter.pot.budget, counter.pot.span), 0)
        if limit < counter.limit and counters.get(counter.pot) is counter:
            former.append(counters.pop(counter.pot))
        counter.limit = limit
        counter.used_at = counter.asked_at = float("-inf")


def wants_of(waiting: Mapping[Counter, Sequence[int]]) -> list[tuple[Want, Counter]]:
    """What is asked for those who wait for so much each; nothing of a counter whose last one has left."""
    return [
        (
            Want(
                counter.pot,
                counter.limit,
                max(1, sum(amounts) - counter.free),
                max(1, min(amounts) - counter.free),
            ),
            counter,
        )
        for counter, amounts in waiting.items()
        # It may have been given back meanwhile, and forgotten.
        if counter.waiting
    ]


def of_former(former: list[Counter], counters: Counters) -> list[Back]:
    """All that is free of the former ones; of whom nothing is in use is one no more."""
    backs: list[Back] = []
    for counter in tuple(former):
        if counter.waiting:
            continue
        is_last = False
        if counter.is_idle:
            former.remove(counter)
            is_last = counter.pot not in counters and counter.pot not in _pots_of(former)
        _give(counter, backs, idle=is_last)
    return backs


def of_unused(
    counters: Counters, former: list[Counter], unused_since: float
) -> tuple[list[Back], set[Counter]]:
    """What is free of those that no call has used lately, and whom of them nobody needs, who go."""
    backs: list[Back] = []
    gone = set()
    shared = _pots_of(former)
    for pot, counter in tuple(counters.items()):
        if counter.waiting or counter.used_at > unused_since:
            continue
        is_idle = counter.is_idle
        if is_idle:
            del counters[pot]
            gone.add(counter)
        # The store has one lease for both.
        _give(counter, backs, idle=is_idle and pot not in shared)
    return backs, gone


def _give(counter: Counter, backs: list[Back], *, idle: bool) -> None:
    free = max(0, counter.free)
    # Given away before it is written: what cannot be written is nobody's for a while.
    counter.granted -= free
    if free or idle:
        backs.append(Back(counter.pot, free, idle))


def _pots_of(counters: list[Counter]) -> set[Pot]:
    return {counter.pot for counter in counters}
