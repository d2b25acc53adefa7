"""Keys that are given a rest: after a 429 for one model, after a 401 or 402 for all of them (D17).

A rest is advice for the order of a plan. The last key is always tried: whether another one
works is seen where the plan is made.
"""

from __future__ import annotations

from typing import TypeAlias

Spot: TypeAlias = tuple[str, str, str]
"""Provider, credential, model; an empty model means all of them."""
QUARANTINE_S = 300.0
DEFAULT_S = 5.0
"""After a 429 that does not say when to come back."""
LONGEST_S = 3600.0
MOST = 4096


class Rests:
    """Who rests until when."""

    def __init__(self) -> None:
        self._until: dict[Spot, float] = {}

    def cool(
        self, provider: str, credential: str, model: str, now: float, for_s: float | None
    ) -> None:
        """The key met a rate limit for that model."""
        wait = DEFAULT_S if for_s is None else min(max(for_s, 0.0), LONGEST_S)
        self._set((provider, credential, model), now, now + wait)

    def quarantine(self, provider: str, credential: str, now: float) -> None:
        """The key was refused, or its account is empty."""
        self._set((provider, credential, ""), now, now + QUARANTINE_S)

    def release(self, provider: str, credential: str, model: str) -> None:
        """The key worked."""
        if self._until:
            self._until.pop((provider, credential, model), None)
            self._until.pop((provider, credential, ""), None)

    def forget(self, provider: str) -> None:
        """Ends all rests of a provider's keys."""
        for spot in [spot for spot in self._until if spot[0] == provider]:
            del self._until[spot]

    def rests(self, provider: str, credential: str, model: str, now: float) -> bool:
        """Whether the key had better not be used for that model now."""
        if not self._until:
            return False
        one = self._until.get((provider, credential, model), now)
        whole = self._until.get((provider, credential, ""), now)
        return max(one, whole) > now

    def _set(self, spot: Spot, now: float, until: float) -> None:
        if len(self._until) >= MOST:
            self._until = {item: end for item, end in self._until.items() if end > now}
        if len(self._until) >= MOST:
            del self._until[next(iter(self._until))]
        self._until[spot] = until
