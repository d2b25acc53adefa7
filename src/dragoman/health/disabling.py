"""Models and providers that are left out of choices until they answer again (R-PROV-004, D17).

A breaker is short-lived and stands for one key; this is the second level: it lasts over a restart, and
for all keys. Requests are counted, not tries.

    a model      5 requests one after the other failed at it, the first of them 60 s ago or more  → disabled
    a provider   two of its models are disabled                                                   → disabled
    disabled     left out where there is another; every 60 s one request may try it where it stands
                 one answer                                                                       → enabled

Counted are failures of the provider alone, and only of models that the catalogue knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from msgspec import Struct

Spot: TypeAlias = tuple[str, str]
"""Provider and model; an empty model is the provider itself."""
Notice: TypeAlias = Callable[[str, str, bool], None]
"""Told who has been disabled (True) or enabled again: provider, and model or empty."""


class DisablingPolicy(Struct, frozen=True):
    """When somebody is disabled, and for how long nobody asks."""

    on: bool = True
    failures: int = 5
    over_s: float = 60.0
    after_models: int = 2
    """So many disabled models disable their provider."""
    probe_s: float = 60.0
    most: int = 4096
    """Rows of failures kept."""


@dataclass(slots=True)
class Switch:
    """Whether a model or provider is disabled, and since when."""

    off: bool
    at: float
    """When it was last turned, in monotonic seconds; of two reports the later one is true."""
    probe_at: float
    """From when on a request may try it."""


@dataclass(slots=True)
class _Row:
    """Failed requests one after the other."""

    count: int
    since: float


def _nobody(provider: str, model: str, off: bool) -> None:  # noqa: FBT001  as it is told
    del provider, model, off


class Disabling:
    """Who is disabled. ``switches`` is empty while everybody is well, so that asking costs nothing."""

    def __init__(self, policy: DisablingPolicy | None = None, notice: Notice = _nobody) -> None:
        self.policy = policy or DisablingPolicy()
        self.notice = notice
        self.switches: dict[Spot, Switch] = {}
        """Of all who are disabled, and of those who no longer are what others may not know yet."""
        self.rows: dict[Spot, _Row] = {}
        """Of failures, one for each model that has not answered since."""

    def is_off(self, provider: str, model: str, now: float) -> Literal["model", "provider"] | None:
        """Who had better not be asked now; where a probe is due, nobody."""
        if not self.switches:
            return None
        if self._is_shut((provider, ""), now):
            return "provider"
        return "model" if self._is_shut((provider, model), now) else None

    def _is_shut(self, spot: Spot, now: float) -> bool:
        switch = self.switches.get(spot)
        return switch is not None and switch.off and now < switch.probe_at

    def is_disabled(self, provider: str, model: str = "") -> bool:
        """Whether it is disabled, a probe due or not."""
        switch = self.switches.get((provider, model))
        return switch is not None and switch.off

    def back_in_s(self, provider: str, model: str, now: float) -> float:
        """In how many seconds a request may try it."""
        found = (self.switches.get((provider, "")), self.switches.get((provider, model)))
        return max((each.probe_at - now for each in found if each and each.off), default=0.0)

    def tried(self, provider: str, model: str, now: float) -> None:
        """A request sets out to it: the next probe is due after another interval."""
        if not self.switches:
            return
        for spot in ((provider, ""), (provider, model)):
            switch = self.switches.get(spot)
            if switch is not None and switch.off:
                switch.probe_at = now + self.policy.probe_s

    def unheard(self, provider: str, model: str) -> None:
        """The request ended without a word about the provider: the next may probe."""
        if not self.switches:
            return
        for spot in ((provider, ""), (provider, model)):
            switch = self.switches.get(spot)
            if switch is not None and switch.off:
                switch.probe_at = switch.at

    def answered(self, provider: str, model: str, now: float) -> None:
        """A request was answered to its end."""
        self.rows.pop((provider, model), None)
        if self.switches:
            self._turn((provider, model), now, off=False)
            self._turn((provider, ""), now, off=False)

    def failed(self, provider: str, model: str, now: float) -> None:
        """A request failed at a model of the catalogue, through the provider's fault."""
        if not self.policy.on:
            return
        spot = (provider, model)
        row = self.rows.get(spot)
        if row is None:
            if len(self.rows) >= self.policy.most:
                del self.rows[next(iter(self.rows))]
            row = self.rows[spot] = _Row(0, now)
        row.count += 1
        if row.count < self.policy.failures or now - row.since < self.policy.over_s:
            return
        if not self.is_disabled(provider, model):
            self._turn(spot, now, off=True)
            if len(self.models_off(provider)) >= self.policy.after_models:
                self._turn((provider, ""), now, off=True)

    def models_off(self, provider: str) -> list[str]:
        """The provider's models that are disabled."""
        # A copy: metrics are written in a thread while requests go on.
        every = list(self.switches.items())
        return [model for (name, model), each in every if each.off and model and name == provider]

    def heard(self, spot: Spot, switch: Switch) -> None:
        """What another process, or an earlier one, has told of a switch."""
        if not self.policy.on:
            return
        mine = self.switches.get(spot)
        if mine is None or switch.at > mine.at:
            was_off = mine is not None and mine.off
            self.switches[spot] = switch
            if switch.off != was_off:
                self.notice(*spot, switch.off)
        elif mine.off and switch.off:
            # Its probe counts for all, and is the only one of this interval.
            mine.probe_at = max(mine.probe_at, switch.probe_at)

    def acquit(self, provider: str, now: float) -> None:
        """Enables a provider and all of its models: it is another one now."""
        for spot in [spot for spot in self.rows if spot[0] == provider]:
            del self.rows[spot]
        for spot in [spot for spot in self.switches if spot[0] == provider]:
            self._turn(spot, now, off=False)

    def forget(self, spot: Spot) -> None:
        """Everybody knows that it is enabled: there is nothing more to be kept of it."""
        switch = self.switches.get(spot)
        if switch is not None and not switch.off:
            del self.switches[spot]

    def _turn(self, spot: Spot, now: float, *, off: bool) -> None:
        switch = self.switches.get(spot)
        if (switch is not None and switch.off) == off:
            return
        self.switches[spot] = Switch(off, now, now + self.policy.probe_s)
        self.notice(*spot, off)
