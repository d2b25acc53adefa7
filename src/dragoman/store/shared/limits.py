"""The limits of several processes, as one of them goes by them: shared as long as that works, else its own part.

What costs a call is asked for seldom (D28):

- A rule with nothing under a thousand is taken from in leases: at most a hundredth of its smallest limit, for a
  quarter of a second; the nearer to the limit, the smaller; what is left of one is given back.
- A refusal holds until there can be room again, and is not asked for twice.
- What is given back, corrected or renewed goes in batches, which no request waits for.

Where the shared counter fails, each process goes on by its share: a limit divided by the processes that there
were, with what it had let through itself. So rates fail open, but never without a limit (D27). It looks
again twice a second, beside the requests, and comes back by itself, with what it let through meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from dragoman.admission.ports import Past, Short, Taken, Unknown
from dragoman.admission.rules import Bound, Rule, Unit
from dragoman.core.call import Gauge
from dragoman.core.clock import Clock
from dragoman.core.errors import HouseError
from dragoman.store.memory.limits import MemoryLimits
from dragoman.store.shared.ports import PLACE_S, Correction, Held, SharedCounter

LEASED_FROM = 1000
"""The smallest limit of a rule that is taken from in leases."""
LEASE_S = 0.25
SHARE = 100
"""A lease is at most this part of the smallest limit."""
OF_FREE = 16
"""And at most this part of what is free."""
PATIENCE_S = 0.25
"""How long a request waits for the counter."""
LOOK_S = 0.5
"""How often one that has failed is asked again."""
USED_ALONE_S = 5.0
"""Alone, how long what the ledger said of an allowance is believed."""
BEAT_S = 5.0
"""How often processes say that they are there."""
TOKENS_REFUSED_S = 0.25
"""How long a refusal of tokens holds at most: others may give some back."""
MOST_REMEMBERED = 10_000

_NO_LIMIT = 2**52

Told = Callable[[str, Exception | None], None]
State = Literal["shared", "alone"]


@dataclass(slots=True)
class _Lease:
    """What was taken for requests that may come."""

    rule: Rule
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    taken: Taken | None = None
    left: int = 0
    until: float = 0.0
    free: int | None = None
    """What was free when it was last asked."""


class SharedLimits:
    """A ``LimitStore`` over a counter that several processes share; one for each process."""

    def __init__(self, shared: SharedCounter, clock: Clock, told: Told, processes: int) -> None:
        """``told`` hears when the counter fails and why; ``processes`` are there at first."""
        self.state: State = "shared"
        self.processes = processes
        self._shared = shared
        self._clock = clock
        self._told = told
        self._own = MemoryLimits(clock, USED_ALONE_S)
        self._leases: dict[tuple[str, Unit], _Lease] = {}
        self._refused: dict[tuple[str, Unit], tuple[float, Rule, int, Short]] = {}
        self._meanwhile: dict[tuple[str, Unit], tuple[Rule, int]] = {}
        """What was let through alone."""
        self._pending: list[Correction] = []
        self._sending: asyncio.Task[None] | None = None
        self._held: dict[str, Held] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self._failed = asyncio.Event()

    # --- what admission asks for

    def take_now(
        self, key_id: str, rule: Rule, amount: int, place: str | None = None
    ) -> Taken | None:
        """What ``take`` would say, where there is a lease of which so much is left."""
        name = (key_id, rule.unit)
        lease = self._leases.get(name)
        if lease is None or lease.rule is not rule or place is not None or name in self._refused:
            return None
        found = self._from_lease(lease, amount)
        if found is not None:
            self._own.note(key_id, rule, amount)
        return found

    async def take(
        self,
        key_id: str,
        rule: Rule,
        amount: int,
        *,
        place: str | None = None,
        past: Past | None = None,
    ) -> Taken | Short | Unknown:
        """Counts ``amount`` if every limit has room for it, and nothing if one has not."""
        if self.state == "alone":
            return await self._alone(key_id, rule, amount, place, past)
        refused = self._still_refused(key_id, rule, amount)
        if refused is not None:
            return refused
        try:
            if place is None and is_leased(rule):
                found = await self._leased(key_id, rule, amount, past)
            else:
                async with asyncio.timeout(PATIENCE_S):
                    found = await self._shared.take(key_id, rule, amount, place=place, past=past)
        except (HouseError, TimeoutError) as error:
            self._fail(error)
            self._give_up(key_id, rule, place)
            return await self._alone(key_id, rule, amount, place, past)
        except asyncio.CancelledError:
            self._give_up(key_id, rule, place)
            raise
        if isinstance(found, Taken):
            self._own.note(key_id, rule, amount)
            if place is not None:
                self._held[place] = Held(key_id, place)
        elif isinstance(found, Short):
            self._remember(key_id, rule, amount, found)
        return found

    def correct(self, key_id: str, rule: Rule, taken: Taken, change: int) -> None:
        """What was taken came to more, or to less."""
        if self.state == "alone":
            self._own.correct(key_id, rule, taken, change)
        else:
            self._send(Correction(key_id, rule.unit, taken, change))

    def leave(self, key_id: str, rule: Rule, place: str) -> None:
        """Gives a place back."""
        self._own.leave(key_id, rule, place)
        if self._held.pop(place, None) is not None:
            self._send(Correction(key_id, rule.unit, place=place))

    def _give_up(self, key_id: str, rule: Rule, place: str | None) -> None:
        """Gives back a place that may have been taken, and nobody was told."""
        if place is not None:
            self._send(Correction(key_id, rule.unit, place=place))

    # --- leases

    async def _leased(
        self, key_id: str, rule: Rule, amount: int, past: Past | None
    ) -> Taken | Short | Unknown:
        name = (key_id, rule.unit)
        lease = self._leases.get(name)
        if lease is None or lease.rule != rule:
            if lease is not None:
                self._give_back(key_id, lease)
            if len(self._leases) >= MOST_REMEMBERED:
                self._forget_leases()
            lease = self._leases[name] = _Lease(rule)
        found = self._from_lease(lease, amount)
        if found is not None:
            return found
        async with lease.lock:
            found = self._from_lease(lease, amount)
            if found is not None:
                return found
            refused = self._still_refused(key_id, rule, amount)
            if refused is not None:
                return refused
            self._give_back(key_id, lease)
            async with asyncio.timeout(PATIENCE_S):
                taken = await self._shared.take(
                    key_id, rule, amount, most=lease_size(rule, lease.free), past=past
                )
            if not isinstance(taken, Taken):
                lease.free = 0
                return taken
            lease.taken, lease.left = taken, taken.amount - amount
            lease.until = self._clock.monotonic() + LEASE_S
            lease.free = taken.gauge.remaining if taken.gauge is not None else None
            if lease.left:
                self._later(key_id, lease)
            return Taken(taken.at, amount, taken.gauge, taken.which)

    def _from_lease(self, lease: _Lease, amount: int) -> Taken | None:
        taken = lease.taken
        if taken is None or lease.left < amount or self._clock.monotonic() >= lease.until:
            return None
        lease.left -= amount
        return Taken(taken.at, amount, taken.gauge, taken.which)

    def _give_back(self, key_id: str, lease: _Lease) -> None:
        taken, left = lease.taken, lease.left
        lease.taken, lease.left = None, 0
        if taken is not None and left:
            self._send(Correction(key_id, lease.rule.unit, taken, -left))

    def _later(self, key_id: str, lease: _Lease) -> None:
        """Gives back what is left of the lease when its time is over."""
        taken = lease.taken

        def over() -> None:
            self._timers.discard(timer)
            if lease.taken is taken:
                self._give_back(key_id, lease)

        timer = asyncio.get_running_loop().call_later(LEASE_S, over)
        self._timers.add(timer)

    def _forget_leases(self) -> None:
        for (key_id, _), lease in self._leases.items():
            self._give_back(key_id, lease)
        self._leases.clear()

    # --- refusals that hold

    def _still_refused(self, key_id: str, rule: Rule, amount: int) -> Short | None:
        name = (key_id, rule.unit)
        found = self._refused.get(name)
        if found is None:
            return None
        until, of, asked, short = found
        now = self._clock.monotonic()
        if now >= until or of != rule:
            del self._refused[name]
            return None
        if amount < asked:
            return None
        return Short(short.name, short.limit, short.free, until - now)

    def _remember(self, key_id: str, rule: Rule, amount: int, short: Short) -> None:
        # Without a wait it depends on what was asked; places come back at any time.
        if short.wait_s is None or rule.places:
            return
        wait = short.wait_s if rule.unit == "requests" else min(short.wait_s, TOKENS_REFUSED_S)
        if is_leased(rule):
            wait = min(wait, LEASE_S)  # others may give back what is left of their leases
        if len(self._refused) >= MOST_REMEMBERED:
            self._refused.clear()
        until = self._clock.monotonic() + wait
        self._refused[key_id, rule.unit] = (until, rule, amount, short)

    # --- alone

    async def _alone(
        self, key_id: str, rule: Rule, amount: int, place: str | None, past: Past | None
    ) -> Taken | Short | Unknown:
        part = rule.shared_by(self.processes)
        past = None if past is None else past.shared_by(self.processes)
        found = await self._own.take(key_id, part, amount, place=place, past=past)
        if isinstance(found, Unknown):
            return found
        if isinstance(found, Taken):
            _, before = self._meanwhile.get((key_id, rule.unit), (rule, 0))
            if len(self._meanwhile) >= MOST_REMEMBERED:
                self._meanwhile.clear()
            self._meanwhile[key_id, rule.unit] = (rule, before + amount)
        return told_whole(found, rule, part)

    def _fail(self, error: Exception) -> None:
        if self.state == "alone":
            return
        self.state = "alone"
        self._leases.clear()
        self._refused.clear()
        self._told("limits are no longer shared: each process goes by its part of them", error)
        self._failed.set()

    # --- what goes beside the requests

    def _send(self, correction: Correction) -> None:
        self._pending.append(correction)
        if len(self._pending) > MOST_REMEMBERED:
            del self._pending[0]
        if self._sending is None and self.state == "shared":
            self._sending = asyncio.get_running_loop().create_task(self._sent())

    async def _sent(self) -> None:
        try:
            while self._pending and self.state == "shared":
                batch, self._pending = self._pending, []
                async with asyncio.timeout(PATIENCE_S * 4):
                    await self._shared.correct(batch)
        except (HouseError, TimeoutError) as error:
            self._fail(error)
        finally:
            self._sending = None

    async def run(self) -> None:
        """Says that this process is there, renews its places, and looks for a counter that has failed."""
        renewed = 0.0
        while True:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    self.processes = await self._shared.processes()
                now = self._clock.monotonic()
                if self._held and now - renewed > PLACE_S / 4:
                    renewed = now
                    async with asyncio.timeout(BEAT_S):
                        await self._shared.renew(list(self._held.values()))
            except (HouseError, TimeoutError) as error:
                self._fail(error)
            else:
                if self.state == "alone":
                    await self._come_back()
            self._failed.clear()
            wait = BEAT_S if self.state == "shared" else LOOK_S
            try:
                async with asyncio.timeout(wait):
                    await self._failed.wait()
                await asyncio.sleep(LOOK_S)
            except TimeoutError:
                pass

    async def _come_back(self) -> None:
        self.state = "shared"
        meanwhile, self._meanwhile = self._meanwhile, {}
        try:
            for (key_id, unit), (rule, amount) in meanwhile.items():
                for bound in rule.bounds:
                    counted = min(amount, self._own.used(key_id, unit, bound.name))
                    if counted:
                        # What is through is through: there is room for it, whatever the limit is.
                        wide = Rule(unit, (Bound(bound.name, _NO_LIMIT, bound.seconds),))
                        async with asyncio.timeout(PATIENCE_S):
                            await self._shared.take(key_id, wide, counted)
        except (HouseError, TimeoutError) as error:
            self._fail(error)
            return
        # It was told late of some of it; of what has left its windows it takes no notice.
        if self._pending:
            self._sending = asyncio.get_running_loop().create_task(self._sent())
        self._told("limits are shared again", None)

    async def close(self) -> None:
        """Gives back what is held and not used."""
        for timer in self._timers:
            timer.cancel()
        self._forget_leases()
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=1.0)


def is_leased(rule: Rule) -> bool:
    """Whether the rule is wide enough for leases: nothing of it is under a thousand."""
    return bool(rule.bounds) and smallest(rule) >= LEASED_FROM


def smallest(rule: Rule) -> int:
    """The smallest limit of the rule."""
    least = min((bound.limit for bound in rule.bounds), default=0)
    return min(least, rule.total) if rule.total else least


def lease_size(rule: Rule, free: int | None) -> int:
    """How much is taken at once, where so much was free of late."""
    most = smallest(rule) // SHARE
    return most if free is None else min(most, free // OF_FREE)


def told_whole(found: Taken | Short, rule: Rule, part: Rule) -> Taken | Short:
    """What a part of the rule came to, in the numbers of the whole: callers know no parts."""
    if isinstance(found, Short):
        for whole, own in zip(rule.bounds, part.bounds, strict=True):
            if whole.name == found.name:
                free = found.free * whole.limit // own.limit
                return Short(found.name, whole.limit, free, found.wait_s)
        limit = rule.places if found.limit == part.places and rule.places else found.limit
        return Short(found.name, limit, found.free, found.wait_s)
    if found.gauge is None or found.which < 0:
        return found
    whole, own = rule.bounds[found.which], part.bounds[found.which]
    remaining = found.gauge.remaining * whole.limit // own.limit
    return Taken(
        found.at,
        found.amount,
        Gauge(whole.limit, remaining, found.gauge.reset_s),
        found.which,
    )


@asynccontextmanager
async def open_shared(limits: SharedLimits) -> AsyncIterator[SharedLimits]:
    """The limits are kept up while the block runs."""
    running = asyncio.create_task(limits.run())
    try:
        yield limits
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await limits.close()
