"""Several keys at one provider: each gets its share, in turn (smooth weighted round robin).

Accounts may be taken in another order (R-CRED-011): the one that was served last for as long as it is well,
or any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dragoman.catalog.schema import Keyed
from dragoman.core.provider import Credential, Rotation


def _always(credential: Credential) -> bool:
    del credential
    return True


class Pool:
    """The credentials of one provider; whoever asks gets all of them, the one whose turn it is first."""

    def __init__(
        self,
        keyed: Sequence[Keyed],
        rotation: Rotation = "balanced",
        dice: Callable[[], float] = float,
    ) -> None:
        self._rotation = rotation
        self._dice = dice
        self._stay = 0
        self._keyed = tuple(keyed)
        self._credit = [0] * len(self._keyed)
        self._only = tuple(item.credential for item in self._keyed)

    def turn(self, is_well: Callable[[Credential], bool] = _always) -> tuple[Credential, ...]:
        """The credentials, the next one's first; the others are what is left if it fails.

        Who is not well does not take part, and its share goes to all others by their weights; where
        nobody is well, all take part.
        """
        if len(self._keyed) < 2:
            return self._only
        every = range(len(self._keyed))
        well = [place for place in every if is_well(self._keyed[place].credential)] or every
        if self._rotation != "balanced":
            return self._taken(well)
        for place in well:
            self._credit[place] += self._keyed[place].weight
        chosen = max(well, key=self._credit.__getitem__)
        self._credit[chosen] -= sum(self._keyed[place].weight for place in well)
        order = sorted(every, key=lambda place: -self._credit[place])
        order.remove(chosen)
        return tuple(self._keyed[place].credential for place in (chosen, *order))

    def _taken(self, well: Sequence[int]) -> tuple[Credential, ...]:
        """Any of those that are well first, or the one that was first before."""
        every = range(len(self._keyed))
        if self._rotation == "performance":
            order = sorted(every, key=lambda _: self._dice())
        else:
            while self._stay not in well:
                self._stay = (self._stay + 1) % len(every)
            order = [*every[self._stay :], *every[: self._stay]]
        order.sort(key=lambda place: place not in well)
        return tuple(self._keyed[place].credential for place in order)


class Pools:
    """The pools of all providers; a provider without keys has an empty one."""

    def __init__(
        self,
        credentials: Mapping[str, Sequence[Keyed]],
        rotations: Mapping[str, Rotation] | None = None,
        dice: Callable[[], float] = float,
    ) -> None:
        said = rotations or {}
        self._pools = {
            name: Pool(keyed, said.get(name, "balanced"), dice)
            for name, keyed in credentials.items()
        }

    def beside(self, credentials: Mapping[str, Sequence[Keyed]], *, alone: bool = False) -> Pools:
        """Pools with other credentials for some of the providers; of the rest the turn goes on as here.

        ``alone``: there are no others.
        """
        found = Pools(credentials)
        if not alone:
            found._pools = {**self._pools, **found._pools}
        return found

    def turn(
        self, provider: str, is_well: Callable[[Credential], bool] = _always
    ) -> tuple[Credential, ...]:
        """The credentials of a provider, the next one's first."""
        pool = self._pools.get(provider)
        return pool.turn(is_well) if pool is not None else ()
