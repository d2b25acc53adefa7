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
        self.ends: dict[Spot, float] = {}
        """When each rest ends; empty while nobody rests, so that asking costs nothing."""
        self.turned: dict[Spot, float] = {}
        """When each rest was last begun or ended early; of two reports the later one is true."""

    def cool(
        self, provider: str, credential: str, model: str, now: float, for_s: float | None
    ) -> None:
        """The key met a rate limit for that model; who does not say for how long shortens no rest."""
        spot = (provider, credential, model)
        if for_s is None:
            self._set(spot, now, max(now + DEFAULT_S, self.ends.get(spot, now)))
        else:
            self._set(spot, now, now + min(max(for_s, 0.0), LONGEST_S))

    def quarantine(self, provider: str, credential: str, now: float) -> None:
        """The key was refused, or its account is empty."""
        self._set((provider, credential, ""), now, now + QUARANTINE_S)

    def release(self, provider: str, credential: str, model: str, now: float) -> None:
        """The key worked."""
        for spot in ((provider, credential, model), (provider, credential, "")):
            if self.ends.pop(spot, None) is not None:
                self.turned[spot] = now

    def end(self, provider: str, now: float) -> None:
        """Ends all rests of a provider's keys."""
        for spot in [spot for spot in self.ends if spot[0] == provider]:
            del self.ends[spot]
            self.turned[spot] = now

    def rests(self, provider: str, credential: str, model: str, now: float) -> bool:
        """Whether the key had better not be used for that model now."""
        return bool(self.ends) and self.back_at(provider, credential, model, now) > now

    def back_at(self, provider: str, credential: str, model: str, now: float) -> float:
        """When the key's rest is over; not later than ``now`` where it has none."""
        if not self.ends:
            return now
        one = self.ends.get((provider, credential, model), now)
        whole = self.ends.get((provider, credential, ""), now)
        return max(one, whole)

    def until(self, spot: Spot) -> float | None:
        """When a rest ends; None: it has ended early."""
        return self.ends.get(spot)

    def heard(self, spot: Spot, at: float, until: float | None, now: float) -> None:
        """What another process, or an earlier one, has told of a rest; None: it has ended early."""
        if at <= self.turned.get(spot, float("-inf")):
            return
        if until is None:
            self.ends.pop(spot, None)
            self.turned[spot] = at
        elif until > now:
            self._set(spot, now, min(until, now + LONGEST_S))
            self.turned[spot] = at

    def forget(self, before: float) -> None:
        """Forgets reports of rests that nobody disputes any more."""
        if self.turned:
            self.turned = {spot: at for spot, at in self.turned.items() if at > before}

    def _set(self, spot: Spot, now: float, until: float) -> None:
        if len(self.ends) >= MOST:
            self.ends = {item: end for item, end in self.ends.items() if end > now}
        if len(self.ends) >= MOST:
            del self.ends[next(iter(self.ends))]
        self.ends[spot] = until
        if len(self.turned) >= 2 * MOST:
            self.turned.clear()
        self.turned[spot] = now
