"""Several keys at one provider: each gets its share, in turn (smooth weighted round robin)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dragoman.catalog.schema import Keyed
from dragoman.core.provider import Credential


class Pool:
    """The credentials of one provider; whoever asks gets all of them, the one whose turn it is first."""

    def __init__(self, keyed: Sequence[Keyed]) -> None:
        self._keyed = tuple(keyed)
        self._credit = [0] * len(self._keyed)
        self._total = sum(item.weight for item in self._keyed)
        self._only = tuple(item.credential for item in self._keyed)

    def turn(self) -> tuple[Credential, ...]:
        """The credentials, the next one's first; the others are what is left if it fails."""
        if len(self._keyed) < 2:
            return self._only
        for place, item in enumerate(self._keyed):
            self._credit[place] += item.weight
        chosen = max(range(len(self._keyed)), key=self._credit.__getitem__)
        self._credit[chosen] -= self._total
        order = sorted(range(len(self._keyed)), key=lambda place: -self._credit[place])
        order.remove(chosen)
        return tuple(self._keyed[place].credential for place in (chosen, *order))


class Pools:
    """The pools of all providers; a provider without keys has an empty one."""

    def __init__(self, credentials: Mapping[str, Sequence[Keyed]]) -> None:
        self._pools = {name: Pool(keyed) for name, keyed in credentials.items()}

    def turn(self, provider: str) -> tuple[Credential, ...]:
        """The credentials of a provider, the next one's first."""
        pool = self._pools.get(provider)
        return pool.turn() if pool is not None else ()
