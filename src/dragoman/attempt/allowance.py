"""How many tries beyond a request's first are made: a fifth of requests, and three a second (U12).

In an outage every request would be tried again, and everywhere. What all that costs is bounded for
each provider and for all of them together, so that an outage of one, or of all, is met with little
more load than there was. Who is answering is no part of an outage: a request that falls back to it
costs nothing. The clock is passed in; nothing here waits but ``Allowances.word``.
"""

from __future__ import annotations

import asyncio
from math import inf

from dragoman.core.provider import ACCOUNT
from dragoman.health.breaker import Key

SAVED = 20.0
"""What a quiet time saves up of the share."""
MOST = 4096
"""Candidates that are remembered as failing; model names are foreign input."""


class Allowance:
    """A bucket that each request fills by ``share`` and each second by ``floor``."""

    __slots__ = ("_floor", "_idle", "_level", "_most", "_seen", "_share", "numbers")

    def __init__(self, share: float = 0.2, floor: float = 3.0) -> None:
        self.numbers = share, floor
        self._share = share
        self._floor = floor
        self._idle = max(1.0, floor) if floor else 0.0
        """What the seconds alone fill it to: one try at least, however few they bring."""
        self._most = self._idle + SAVED
        self._level = self._idle
        self._seen: float | None = None

    def request(self, now: float) -> None:
        """A request has come."""
        if self._level == self._most:
            self._seen = now  # as it is while nobody fails
            return
        if self._level < self._idle:
            self._refill(now)
        else:
            self._seen = now
        self._level = min(self._most, self._level + self._share)

    def afford(self, now: float) -> bool:
        """Whether one further try is left."""
        self._refill(now)
        return self._level >= 1

    def spend(self) -> None:
        """It is made."""
        self._level -= 1

    def _refill(self, now: float) -> None:
        # The floor alone never saves up for more than a second: what requests have earned
        # above it is kept until it is spent.
        if self._seen is not None and self._level < self._idle:
            self._level = min(self._idle, self._level + (now - self._seen) * self._floor)
        self._seen = now


class Allowances:
    """The allowance of each provider and of all, and whose last word was a failure.

    An account that is a tenant's own has one for itself alone: a key of somebody's that fails takes no
    further try from anybody else.
    """

    def __init__(self, share: float = 0.2, floor: float = 3.0) -> None:
        self._numbers = share, floor
        self._all = Allowance(share, floor)
        self._each: dict[str, Allowance] = {}
        self._failing: dict[Key, None] = {}
        self._awaited: dict[Key, asyncio.Future[None]] = {}

    def request(self, provider: str, now: float) -> None:
        """A request is tried for the first time."""
        if ACCOUNT not in provider:
            self._all.request(now)
        (self._each.get(provider) or self._of(provider)).request(now)

    def afford(self, provider: str, now: float) -> bool:
        """Whether a further try at the provider is left."""
        all_can = ACCOUNT in provider or self._all.afford(now)
        return all_can and self._of(provider).afford(now)

    def spend(self, provider: str) -> None:
        """A further try at the provider is made."""
        if ACCOUNT not in provider:
            self._all.spend()
        self._of(provider).spend()

    def take(self, provider: str, now: float) -> bool:
        """Spends a further try if one is left."""
        if not self.afford(provider, now):
            return False
        self.spend(provider)
        return True

    def is_failing(self, key: Key) -> bool:
        """Whether the candidate's last word was a failure."""
        return key in self._failing

    def answered(self, key: Key) -> None:
        """The candidate has answered."""
        if self._failing:
            self._failing.pop(key, None)
        if self._awaited:
            self._tell(key)

    def failed(self, key: Key) -> None:
        """The candidate has failed, in whatever way."""
        if len(self._failing) >= MOST:
            del self._failing[next(iter(self._failing))]
        self._failing[key] = None
        self._tell(key)

    def forget(self, provider: str) -> None:
        """The provider is another one now: its last word was not this one's."""
        for key in [key for key in self._failing if key[0] == provider]:
            del self._failing[key]

    async def word(self, key: Key, within_s: float) -> None:
        """Returns when the candidate has answered or failed, or the time is over."""
        awaited = self._awaited.get(key)
        if awaited is None:
            if len(self._awaited) >= MOST:
                return
            awaited = self._awaited[key] = asyncio.get_running_loop().create_future()
        await asyncio.wait({awaited}, timeout=None if within_s == inf else max(0.0, within_s))

    def _of(self, provider: str) -> Allowance:
        found = self._each.get(provider)
        if found is None:
            if len(self._each) >= MOST:
                del self._each[next(iter(self._each))]
            found = self._each[provider] = Allowance(*self._numbers)
        return found

    def _tell(self, key: Key) -> None:
        awaited = self._awaited.pop(key, None)
        if awaited is not None and not awaited.done():
            awaited.set_result(None)
