"""The limits of several processes, as one of them goes by them: shared as long as that works, else its own part.

What costs a call is asked for seldom (D28):

- A rule with nothing under a thousand is taken from in leases: at most a hundredth of its smallest limit, for a
  quarter of a second; the nearer to the limit, the smaller; what is left of one is given back. One that is much in
  use is followed by the next before it is over, and no request waits. So it is with places: whoever leaves one
  makes it free for the next, and what nobody has needed for a quarter of a second goes back.
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
from functools import partial
from typing import Literal

from dragoman.admission.ports import Past, Short, Taken, Unknown
from dragoman.admission.rules import Rule, Unit
from dragoman.core.clock import Clock
from dragoman.core.errors import HouseError
from dragoman.store.shared.corrections import Corrections
from dragoman.store.shared.leases import LEASE_S, Lease, is_leased, lease_size, new_lease
from dragoman.store.shared.part import OwnPart
from dragoman.store.shared.patience import patiently
from dragoman.store.shared.places import LeasedPlaces
from dragoman.store.shared.ports import PATIENCE_S, PLACE_S, Held, SharedCounter
from dragoman.store.shared.refusals import Refusals

LOOK_S = 0.5
"""How often one that has failed is asked again."""
BEAT_S = 5.0
"""How often processes say that they are there."""
AHEAD_S = 0.05
"""So long before a lease that is in use is over, the next one is asked for."""
GLANCE_S = 0.075
"""It is in use where somebody takes from it within this time."""
GATHER_S = 0.005
"""How long what is to be set right waits for company."""
BATCH = 500
"""Of so many keys at once."""
MOST_LEASES = 10_000

Told = Callable[[str, Exception | None], None]
State = Literal["shared", "alone"]


class SharedLimits:
    """A ``LimitStore`` over a counter that several processes share; one for each process."""

    def __init__(self, shared: SharedCounter, clock: Clock, told: Told, processes: int) -> None:
        """``told`` hears when the counter fails and why; ``processes`` are there at first."""
        self.state: State = "shared"
        self.processes = processes
        self._shared = shared
        self.now = clock.monotonic
        self._told = told
        self._own = OwnPart(clock)
        self._leases: dict[tuple[str, Unit], Lease] = {}
        self._places = LeasedPlaces(shared, self._check, self._keep)
        self._held: dict[str, Held] = {}
        """Places that are held one by one, by their names."""
        self._refusals = Refusals()
        self._corrections = Corrections(told)
        self._sending: asyncio.Task[None] | None = None
        self._in_order = asyncio.Lock()
        """Held while places are told of, so that nothing overtakes."""
        self._failed = asyncio.Event()

    # --- what admission asks for

    def tally(self, key_id: str, unit: Unit) -> Lease | None:
        """The lease on a key's unit; one that was given back is empty."""
        return self._leases.get((key_id, unit))

    def take_now(
        self, key_id: str, rule: Rule, amount: int, place: str | None = None
    ) -> Taken | None:
        """As ``take`` does, where a lease holds enough: the regular case, which nobody waits for."""
        lease = self._leases.get((key_id, rule.unit))
        return None if lease is None else lease.take_now(rule, amount, self.now(), place)

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
        taken = self.take_now(key_id, rule, amount, place)
        if taken is not None:
            return taken
        if self.state == "alone":
            return await self._own.take_part(key_id, rule, amount, self.processes, place, past)
        refused = self._refusals.of(key_id, rule, amount, self.now())
        if refused is not None:
            return refused
        try:
            if is_leased(rule, wants_place=place is not None):
                found = await self._leased(key_id, rule, amount, place, past)
            else:
                found = await self._exactly(key_id, rule, amount, place, past)
        except (HouseError, TimeoutError) as error:
            self._fail(error)
            return await self._own.take_part(key_id, rule, amount, self.processes, place, past)
        if isinstance(found, Short):
            self._refusals.remember(key_id, rule, amount, found, self.now())
        return found

    def correct(self, key_id: str, rule: Rule, taken: Taken, change: int) -> None:
        """What was taken came to more, or to less."""
        lease = self._leases.get((key_id, rule.unit))
        if lease is not None and lease.correct(taken, change):
            return
        if self.state == "alone":
            self._own.correct(key_id, rule, taken, change)
        else:
            self._corrections.change(key_id, rule.unit, taken.at, change)
            self._send()

    def leave(self, key_id: str, rule: Rule, place: str) -> None:
        """Gives a place back."""
        if self._places.leave(key_id, place):
            return
        self._own.leave(key_id, rule, place)
        if self._held.pop(place, None) is not None:
            self._keep(key_id, place, 0)

    # --- one call for each request

    async def _exactly(
        self, key_id: str, rule: Rule, amount: int, place: str | None, past: Past | None
    ) -> Taken | Short | Unknown:
        back = self._corrections.given_back(key_id, rule.unit) if rule.places else ()
        try:
            asked = self._shared.take(key_id, rule, amount, place=place, past=past, back=back)
            found = await patiently(asked, PATIENCE_S)
        except BaseException:
            if place is not None:
                self._keep(key_id, place, 0)  # it may have been taken, and nobody was told
            raise
        if back and not isinstance(found, Unknown) and not self._in_order.locked():
            self._corrections.heard(key_id, rule.unit, back)
        if isinstance(found, Taken):
            self._own.note(key_id, rule, amount)
            if place is not None:
                self._held[place] = Held(key_id, place)
        return found

    def _keep(self, key_id: str, place: str, left: int) -> None:
        """So many places are still held under that name, and no more."""
        self._corrections.place(key_id, "requests", place, left)
        self._send()

    # --- leases

    async def _leased(
        self, key_id: str, rule: Rule, amount: int, place: str | None, past: Past | None
    ) -> Taken | Short | Unknown:
        lease = self._lease(key_id, rule)
        found = lease.take(amount, self.now()) or await self._renewed(key_id, lease, amount, past)
        if place is None or not rule.places or not isinstance(found, Taken):
            return found
        lease.places = places = self._places.of(key_id, rule)
        refused: Short | Unknown | None = None
        try:
            if not places.free:
                refused = await self._places.more(places, rule, past)
        except BaseException:
            self.correct(key_id, rule, found, -amount)
            raise
        if refused is not None:
            self.correct(key_id, rule, found, -amount)
            return refused
        places.hold(place)
        return found

    def _lease(self, key_id: str, rule: Rule) -> Lease:
        name = (key_id, rule.unit)
        lease = self._leases.get(name)
        if lease is not None and lease.rule == rule:
            lease.rule = rule  # the next look is for this very one
            return lease
        if lease is not None:
            self._end(key_id, lease)
        if len(self._leases) >= MOST_LEASES:
            self._forget_leases()
        self._leases[name] = lease = new_lease(rule)
        return lease

    async def _renewed(
        self, key_id: str, lease: Lease, amount: int, past: Past | None
    ) -> Taken | Short | Unknown:
        """So much of a new lease."""
        rule = lease.rule
        async with lease.lock:
            self._check()
            found = lease.take(amount, self.now())
            if found is not None:
                return found
            refused = self._refusals.of(key_id, rule, amount, self.now())
            if refused is not None:
                return refused
            self._end(key_id, lease)
            taken = await self._asked(key_id, lease, amount, past)
            if not isinstance(taken, Taken):
                lease.free = 0
                return taken
            self._begin(key_id, lease, taken, amount)
            return Taken(taken.at, amount, taken.gauge, taken.which)

    async def _renew_ahead(self, key_id: str, lease: Lease) -> None:
        """Another lease in the place of one that is still good, so that nobody has to wait for it."""
        async with lease.lock:
            try:
                self._check()
                taken = await self._asked(key_id, lease, 0, None)
            except (HouseError, TimeoutError) as error:
                self._fail(error)
                return
            if isinstance(taken, Taken) and taken.amount:
                self._end(key_id, lease)
                self._begin(key_id, lease, taken, 0)

    def _begin(self, key_id: str, lease: Lease, taken: Taken, used: int) -> None:
        lease.begin(taken, used, self.now() + LEASE_S)
        if self._leases.get((key_id, lease.rule.unit)) is not lease:
            self._end(key_id, lease)  # it was forgotten while the counter was asked
            return
        lease.ends = asyncio.get_running_loop().time() + LEASE_S
        if lease.timer is None:
            self._watch(key_id, lease)

    def _watch(self, key_id: str, lease: Lease) -> None:
        """Towards the lease's end it is seen whether anybody is using it."""
        loop, ends = asyncio.get_running_loop(), lease.ends

        def look() -> None:
            lease.timer = loop.call_at(ends - AHEAD_S, soon_over, lease.left)

        def soon_over(left: int) -> None:
            lease.timer = loop.call_at(ends, over)
            is_used = lease.amount > 0 and lease.left != left
            if is_used and lease.ends == ends and not lease.lock.locked():
                lease.renewing = loop.create_task(self._renew_ahead(key_id, lease))

        def over() -> None:
            lease.timer = None
            if lease.ends == ends:
                self._end(key_id, lease)
            else:
                self._watch(key_id, lease)

        lease.timer = loop.call_at(ends - AHEAD_S - GLANCE_S, look)

    async def _asked(
        self, key_id: str, lease: Lease, amount: int, past: Past | None
    ) -> Taken | Short | Unknown:
        """What the counter says; what it says too late, or to nobody, is given back."""
        rule, most = lease.rule, lease_size(lease.rule, lease.free)
        asking = asyncio.ensure_future(
            self._shared.take(key_id, rule, amount, most=most, past=past)
        )
        try:
            return await patiently(asyncio.shield(asking), PATIENCE_S)
        except (TimeoutError, asyncio.CancelledError):
            asking.add_done_callback(partial(self._unheard, key_id, rule))
            raise

    def _unheard(
        self, key_id: str, rule: Rule, asked: asyncio.Future[Taken | Short | Unknown]
    ) -> None:
        if not (asked.cancelled() or asked.exception()):
            found = asked.result()
            if isinstance(found, Taken):
                self._corrections.change(key_id, rule.unit, found.at, -found.amount)
                self._send()

    def _end(self, key_id: str, lease: Lease) -> None:
        lease.until = 0.0  # who has it at hand takes nothing from it any more
        if not lease.amount:
            return
        at, used, left = lease.end()
        if used > 0:
            self._own.note(key_id, lease.rule, used)
        if left:
            self._corrections.change(key_id, lease.rule.unit, at, -left)
            self._send()

    def _forget_leases(self) -> None:
        for (key_id, _), lease in self._leases.items():
            self._end(key_id, lease)
            if lease.timer is not None:
                lease.timer.cancel()
        self._leases.clear()

    # --- alone

    def _check(self) -> None:
        """Whoever has waited for its turn does not ask one that has failed meanwhile."""
        if self.state == "alone":
            raise HouseError("overloaded", "Limits are not shared now.")

    def _fail(self, error: Exception) -> None:
        if self.state == "alone":
            return
        self.state = "alone"
        self._forget_leases()
        self._refusals.clear()
        self._told("limits are no longer shared: each process goes by its part of them", error)
        self._failed.set()

    # --- what goes beside the requests

    def _send(self) -> None:
        if self._sending is None and self.state == "shared":
            self._sending = asyncio.get_running_loop().create_task(self._sent())

    async def _sent(self) -> None:
        corrections = self._corrections
        try:
            while self.state == "shared" and corrections:
                await asyncio.sleep(GATHER_S)
                async with self._in_order:
                    batch = corrections.batch(BATCH)
                    if batch:
                        await patiently(self._shared.correct(batch), PATIENCE_S * 4)
                corrections.arrived()
        except (HouseError, TimeoutError) as error:
            corrections.failed()
            self._fail(error)
        finally:
            self._sending = None

    async def run(self) -> None:
        """Says that this process is there, renews its places, and looks for a counter that has failed."""
        renewed = float("-inf")
        while True:
            try:
                self.processes = await patiently(self._shared.processes(), PATIENCE_S)
                if self.state == "alone":
                    await self._come_back()
                    renewed = float("-inf")
                if self.now() - renewed > PLACE_S / 4:
                    renewed = self.now()
                    await self._renew()
            except (HouseError, TimeoutError) as error:
                self._fail(error)
            self._failed.clear()
            wait = BEAT_S if self.state == "shared" else LOOK_S
            try:
                async with asyncio.timeout(wait):
                    await self._failed.wait()
                await asyncio.sleep(LOOK_S)
            except TimeoutError:
                pass

    async def _renew(self) -> None:
        """Goes on holding its places."""
        async with self._in_order, asyncio.timeout(BEAT_S):
            held = [*self._held.values(), *self._places.held()]
            if held:
                await self._shared.renew(held)

    async def _come_back(self) -> None:
        """Tells the counter what was let through meanwhile; of what has left its windows it takes no notice."""
        self.state = "shared"
        for key_id, wide, counted in self._own.meanwhile():
            await patiently(self._shared.take(key_id, wide, counted), PATIENCE_S)
        if self._corrections:
            self._send()
        self._told("limits are shared again", None)

    async def close(self) -> None:
        """Gives back what is held and not used."""
        renewing = [each.renewing for each in self._leases.values() if each.renewing is not None]
        await asyncio.gather(*renewing, return_exceptions=True)
        self._forget_leases()
        self._places.close()
        if self._sending is not None:
            await asyncio.wait({self._sending}, timeout=1.0)


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
