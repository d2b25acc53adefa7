"""The places that a process holds of its keys, some to spare: who leaves one makes it free for the next.

A place is as good as another. Those that are taken at once have a name in common, and a number that only ever
falls. What nobody has needed for a while goes back, so that who asks at an even pace keeps what that takes.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from dragoman.admission.ports import Past, Short, Taken, Unknown
from dragoman.admission.rules import Rule
from dragoman.store.shared.patience import patiently
from dragoman.store.shared.ports import PATIENCE_S, Held, Leased, SharedCounter

IDLE_S = 0.125
"""How often it is seen what nobody has needed since: twice as long a place is held for nobody."""
SHARE = 100
"""Places to spare are at most this part of all."""
MOST_SPARE = 100
"""And no more than these, however many there are."""

Keep = Callable[[str, str, int], None]
"""Hears whose places are given back, under which name, and how many are still held under it."""


@dataclass(slots=True, eq=False)
class Places:
    """A key's places that this process holds in the counter: those under way, and those to spare."""

    key_id: str
    most: int
    """How many it keeps to spare."""
    holders: set[str] = field(default_factory=set)
    free: int = 0
    least: int = 0
    """The fewest that were free of late."""
    held: dict[str, int] = field(default_factory=dict)
    """How many it holds under which name."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    asked: int = 0
    """How often the counter was asked."""
    refused: Short | None = None
    """What it said last."""
    timer: asyncio.TimerHandle | None = None

    def add(self, name: str, number: int) -> None:
        """So many more were taken."""
        self.held[name] = number
        self.free += number

    def hold(self, holder: str) -> None:
        """One of the free ones is taken."""
        self.free -= 1
        self.least = min(self.least, self.free)
        self.holders.add(holder)

    def give_back(self, number: int) -> list[tuple[str, int]]:
        """So many of the free ones go: the names, and how many are still held under them."""
        told: list[tuple[str, int]] = []
        self.free -= number
        self.least = min(self.least, self.free)
        while number:
            name, held = self.held.popitem()
            left = max(0, held - number)
            number -= held - left
            told.append((name, left))
            if left:
                self.held[name] = left
        return told


class LeasedPlaces:
    """By key, as long as there are any."""

    def __init__(self, shared: SharedCounter, check: Callable[[], None], keep: Keep) -> None:
        """``check`` fails where the counter is not asked now; ``keep`` hears of what is given back."""
        self._shared = shared
        self._check = check
        self._keep = keep
        self._by_key: dict[str, Places] = {}
        self._names = map(f"{os.urandom(6).hex()}-{{}}".format, itertools.count())

    def of(self, key_id: str, rule: Rule) -> Places:
        """A key's."""
        places = self._by_key.get(key_id)
        if places is None:
            places = self._by_key[key_id] = Places(key_id, 0)
        places.most = min(rule.places // SHARE, MOST_SPARE)
        return places

    def leave(self, key_id: str, holder: str) -> bool:
        """Whether that one had a place; now it has none."""
        places = self._by_key.get(key_id)
        if places is None or holder not in places.holders:
            return False
        places.holders.remove(holder)
        places.free += 1
        if places.timer is None:
            self._look_later(places)
        if places.free > places.most:
            self._give_back(places, places.free - places.most)
        return True

    async def more(self, places: Places, rule: Rule, past: Past | None) -> Short | Unknown | None:
        """At least one that is free, for all who wait; None: there is one.

        Raises:
            HouseError: the counter fails.
            TimeoutError: it takes too long.
        """
        asked = places.asked
        places.waiting += 1
        try:
            async with places.lock:
                self._check()
                if places.free:
                    return None
                if places.asked > asked and places.refused is not None:
                    return places.refused  # since this one came, for all who waited
                places.asked += 1
                places.refused = None
                found = await self._take(places, rule, past)
                if isinstance(found, Short):
                    places.refused = found
                return None if isinstance(found, Taken) else found
        finally:
            places.waiting -= 1
            self._forget_empty(places)

    async def _take(
        self, places: Places, rule: Rule, past: Past | None
    ) -> Taken | Short | Unknown:
        name, key_id = next(self._names), places.key_id
        wanted, spare = places.waiting, places.most
        try:
            asked = self._shared.take(
                key_id, rule, 0, place=name, places=wanted, spare=spare, past=past
            )
            found = await patiently(asked, PATIENCE_S)
        except BaseException:
            self._keep(key_id, name, 0)  # they may have been taken, and nobody was told
            raise
        if isinstance(found, Leased):
            places.add(name, found.places)
            if places.timer is None:
                self._look_later(places)
        return found

    def held(self) -> Iterator[Held]:
        """What is to be renewed."""
        for key_id, places in self._by_key.items():
            for name, number in places.held.items():
                yield Held(key_id, name, number)

    def close(self) -> None:
        """Gives back what nobody needs."""
        for places in self._by_key.values():
            if places.timer is not None:
                places.timer.cancel()
            self._give_back(places, places.free)

    def _look_later(self, places: Places) -> None:
        places.timer = asyncio.get_running_loop().call_later(IDLE_S, self.idle, places)

    def idle(self, places: Places) -> None:
        """Gives back what nobody has had any use for of late."""
        places.timer = None
        self._give_back(places, places.least)
        places.least = places.free
        if places.free:
            self._look_later(places)
        self._forget_empty(places)

    def _forget_empty(self, places: Places) -> None:
        if not (places.held or places.waiting):
            self._by_key.pop(places.key_id, None)

    def _give_back(self, places: Places, number: int) -> None:
        for name, left in places.give_back(number):
            self._keep(places.key_id, name, left)
