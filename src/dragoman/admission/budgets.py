"""Keeps callers within their budgets: sets money aside before a call, and takes back what it did not cost.

Counting is in memory and synchronous as long as this process's lease holds out: between the look at the pots
and the taking nothing else runs. An empty lease is renewed from the store that all processes share, once for
all who wait; one that cannot be renewed refuses (D27). What has been spent leaves the lease in the very
transaction that writes the ledger's rows, so a process that dies leaves either a lease or rows, never neither.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import NamedTuple, TypeAlias

from dragoman.admission.budget_alerts import Alerts
from dragoman.admission.budget_bound import TextRates
from dragoman.admission.budget_exchange import bound_anew, of_former, of_unused, wants_of
from dragoman.admission.budget_lease import Counter, Pots, ahead_of
from dragoman.admission.budget_ports import Back, LeaseStore, RuleStore
from dragoman.admission.budget_rules import Payment, Rule, covering, payment
from dragoman.admission.dearer import Priced
from dragoman.admission.fare import Fare
from dragoman.core.budget import DAY_S, Payer, Pot, Span, since_of
from dragoman.core.call import Caller
from dragoman.core.clock import Clock
from dragoman.core.errors import GatewayError, HouseError
from dragoman.core.provider import Candidate, Plan

Untold: TypeAlias = Callable[[str, Exception], None]
"""Tells the log of a failure behind the calls."""

TICK_S = 0.25
WATCH_S = 0.25
"""How often it is asked what others have seen lately: another process's change is noticed within a second."""
TOUCH_S = 30.0
DRY_S = 0.25
"""How long the store is not asked again for what it does not have."""
PATIENCE_S = 5.0
"""How long a call waits for a lease."""
IDLE_S = 2.0
ALONE_IDLE_S = 60.0
"""After so long without a call what is left of a lease is given back."""
MOST_CALLERS = 10_000
MOST_FARES = 2000
_NOTHING = (Pots(()), 0)
"""Of an attempt that nothing is known of."""


class Covered(NamedTuple):
    """The budgets of a caller, and what pays for its calls, unless that depends on who is behind it."""

    rules: tuple[Rule, ...]
    payment: Payment | None


class Exhausted(Exception):  # noqa: N818 -- an answer, not a failure
    """A pot does not have so much."""

    def __init__(self, counter: Counter) -> None:
        super().__init__(counter.pot)
        self.counter = counter
        self.left = max(0, counter.free + counter.left)


class Budgets:
    """One process's budgets; ``active`` is what a call without a budget pays for."""

    def __init__(
        self,
        holder: str,
        store: LeaseStore,
        clock: Clock,
        alerts: Alerts,
        untold: Untold,
        *,
        definitions: RuleStore | None = None,
        alone: bool = False,
    ) -> None:
        self.holder = holder
        self.alerts = alerts
        self.active = False
        """Whether there is any budget."""
        self.said: tuple[Rule, ...] = ()
        """What the configuration says."""
        self.rules: tuple[Rule, ...] = ()
        self._store = store
        self._clock = clock
        self._untold = untold
        self._definitions = definitions
        self._version = -1
        self._defined: tuple[Rule, ...] = ()
        self.alone = alone
        """No other process uses the database."""
        self._idle_s = ALONE_IDLE_S if alone else IDLE_S
        self._covered: dict[tuple[str, str, str], Covered] = {}
        self._counters: dict[Pot, Counter] = {}
        self._former: list[Counter] = []
        """From before their bounds were lowered, as long as calls have anything of them."""
        self._limits: dict[tuple[str, Span], int] = {}
        """By budget and stretch, as they count now."""
        self._found: dict[tuple[Payer, ...], tuple[float, tuple[Rule, ...], Pots]] = {}
        """By payers: the day, what bounds them, and their pots then; until a counter of theirs is forgotten."""
        self._ahead: set[Pots] = set()
        """All in which anything is set aside ahead."""
        self.fares: dict[tuple[int, int], Fare] = {}
        """By the identities of a caller and a plan, which the fare keeps from being another's."""
        self.monotonic = clock.monotonic
        self.unwritten: dict[str, tuple[Pots, int]] = {}
        """By attempt: what it has spent or holds, and the ledger does not have yet."""
        self._waiting: dict[Counter, list[int]] = {}
        self._round: asyncio.Future[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._at_store = asyncio.Lock()
        self._watched_at = self._touched_at = clock.monotonic()

    # --- who pays

    def configure(self, rules: Iterable[Rule]) -> None:
        """Has other budgets count from now on; what is under way is settled where it began."""
        self.said = tuple(rules)
        names = {rule.name for rule in self.said}
        self.rules = (*self.said, *(rule for rule in self._defined if rule.name not in names))
        self.active = bool(self.rules)
        self._covered.clear()
        self._found.clear()
        self.fares.clear()
        self._limits = limits = {
            (rule.name, span): limit for rule in self.rules for span, limit in rule.bounds
        }
        bound_anew(self._counters, self._former, limits)

    def covering(self, caller: Caller) -> Covered:
        """The budgets that a caller may have to pay from."""
        key = (caller.tenant, caller.project, caller.key_id)
        found = self._covered.get(key)
        if found is None:
            if len(self._covered) >= MOST_CALLERS:
                self._covered.clear()
            rules = covering(self.rules, caller)
            by_user = any(rule.by_user for rule in rules)
            found = Covered(rules, None if by_user else payment(rules, caller, ""))
            self._covered[key] = found
        return found

    def pots(self, payment: Payment, wall: float) -> Pots:
        """All pots that bound these payers at a moment.

        Who has nothing set aside in them asks anew: what is idle is forgotten.
        """
        day = wall // DAY_S
        known = self._found.get(payment.payers)
        # A call from before a change still has the bounds of then, and the payers of now.
        if known is not None and known[0] == day and known[1] == payment.rules:
            return known[2]
        found = []
        for rule, payer in zip(payment.rules, payment.payers, strict=True):
            for span, limit in rule.bounds:
                pot = Pot(*payer, span, since_of(span, wall))
                counter = self._counters.get(pot)
                if counter is None:
                    now = self._limits.get((pot.budget, span), limit)
                    counter = self._counters[pot] = Counter(pot, now)
                found.append(counter)
        pots = Pots(tuple(found))
        if len(self._found) >= MOST_CALLERS:
            self._found.clear()
        self._found[payment.payers] = (day, payment.rules, pots)
        return pots

    def keep_fare(
        self,
        caller: Caller,
        plan: Plan,
        candidate: Candidate,
        payment: Payment,
        wall: float,
        rates: TextRates,
        price: Priced,
    ) -> None:
        """Keeps what the caller's calls of a plan cost, unless that depends on who is behind it."""
        now, day = self._clock.wall(), wall // DAY_S
        if self.covering(caller).payment is not payment or now // DAY_S != day:
            return
        if len(self.fares) >= MOST_FARES:
            self.fares.clear()
        # A price holds for a second of the wall clock, and no day ends within one.
        until = self.monotonic() + 1 - now % 1
        pots = self.pots(payment, wall)
        self.fares[id(caller), id(plan)] = Fare(
            caller, plan, candidate, until, day * DAY_S, payment, pots, price, *rates
        )

    def _forget(self, gone: set[Counter]) -> None:
        """Forgets what was found with one of these counters."""
        self._found = {
            payers: found
            for payers, found in self._found.items()
            if gone.isdisjoint(found[2].counters)
        }
        self.fares = {
            key: fare for key, fare in self.fares.items() if gone.isdisjoint(fare.pots.counters)
        }

    # --- setting aside

    def take(self, pots: Pots, amount: int) -> bool:
        """Sets the amount aside in all of the pots if this process's lease pays for it, else in none."""
        left = pots.ahead - amount
        if left < 0:
            return self._take_more(pots, amount)
        pots.ahead = left
        return True

    def _take_more(self, pots: Pots, amount: int) -> bool:
        """The same, where less is set aside ahead."""
        free = pots.free()
        if free + pots.ahead < amount:
            # It may be set aside for others' next calls.
            self._gather()
            free = pots.free()
            if free < amount:
                return False
        missing = amount - pots.ahead
        pots.set_ahead(missing + ahead_of(missing, free), self.monotonic())
        self._ahead.add(pots)
        pots.ahead -= amount
        return True

    def _gather(self) -> None:
        """Frees all that is set aside ahead."""
        for pots in self._ahead:
            pots.give_back()
        self._ahead.clear()

    async def reserve(self, pots: Pots, amount: int) -> None:
        """Sets the amount aside in all of the pots, or in none.

        Raises:
            Exhausted: one of them does not have it.
            HouseError: nobody can say whether it has, so the call is not made.
        """
        while not self.take(pots, amount):
            now = self._clock.monotonic()
            short = [counter for counter in pots.counters if counter.free < amount]
            for counter in short:
                if counter.is_dry(amount, now, DRY_S):
                    raise Exhausted(counter)
            # While one pot is renewed, what this process has of the others is not given back.
            for counter in pots.counters:
                counter.waiting += 1
            try:
                await self._renewed(short, amount)
            finally:
                for counter in pots.counters:
                    counter.waiting -= 1

    def release(self, pots: Pots, amount: int) -> None:
        """Takes back what was set aside: it is the next call's."""
        if not pots.ahead:
            self._ahead.add(pots)
        pots.ahead += amount

    def settle(self, attempt_id: str, pots: Pots, back: int, covered: int) -> None:
        """Notes that of what was set aside for an attempt so much goes back, and so much is spent or held.

        That leaves the lease once the ledger has it.
        """
        if not pots.ahead:
            self._ahead.add(pots)
        pots.ahead += back
        self.unwritten[attempt_id] = (pots, covered)

    def written(self, attempt_ids: Iterable[str], totals: Mapping[Pot, tuple[int, int]]) -> None:
        """The ledger has these attempts, and with them their pots stand at so much spent and held.

        Of an attempt that it had already, or that another process has made, nothing changes here.
        """
        sums: defaultdict[Pots, int] = defaultdict(int)
        for pots, covered in map(self.unwritten.pop, attempt_ids, repeat(_NOTHING)):
            sums[pots] += covered
        for pots, covered in sums.items():
            for counter in pots.counters:
                counter.granted -= covered
                counter.reserved -= covered
        if totals:
            self.alerts.look(self.rules, totals)

    # --- the lease

    async def _renewed(self, short: Sequence[Counter], amount: int) -> None:
        """Waits for the next answer of the store, which is asked for what all who wait need together."""
        for counter in short:
            self._waiting.setdefault(counter, []).append(amount)
        if self._round is None:
            self._round = asyncio.get_running_loop().create_future()
        answer = self._round
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.shield(answer)
        except TimeoutError:
            raise _unavailable() from None

    async def _ask(self) -> None:
        """Asks the store until nobody waits any more."""
        try:
            while self._round is not None:
                waiting, self._waiting = self._waiting, {}
                answer, self._round = self._round, None
                error = await self._ask_for(waiting)
                if error is None:
                    answer.set_result(None)
                else:
                    answer.set_exception(error)
                    answer.exception()  # looked at, as all who waited may have left
        finally:
            self._asking = None

    async def _ask_for(self, waiting: Mapping[Counter, Sequence[int]]) -> Exception | None:
        try:
            async with self._at_store:
                if self._former:
                    # Else it would count as leased, and a new call be refused for it.
                    self._gather()
                    await self._give(of_former(self._former, self._counters))
                # All processes take the pots' locks in one order.
                pairs = sorted(wants_of(waiting), key=lambda pair: pair[0].pot)
                if not pairs:
                    return None
                leased = await self._store.lease(
                    self.holder, [want for want, _ in pairs], alone=self.alone
                )
        except Exception as error:  # noqa: BLE001 -- whatever it is, nobody knows what is left
            self._untold("a budget's lease could not be renewed", error)
            return _unavailable()
        now = self._clock.monotonic()
        for (_, counter), answer in zip(pairs, leased, strict=True):
            counter.granted += answer.granted
            counter.left = answer.left
            counter.asked_at = counter.used_at = now
        totals = {
            want.pot: (answer.spent, answer.held)
            for want, answer in zip((want for want, _ in pairs), leased, strict=True)
        }
        self.alerts.look(self.rules, totals)
        self._gather()
        helpless = [
            counter
            for (_, counter), answer in zip(pairs, leased, strict=True)
            if not answer.granted and counter.free > 0
        ]
        if helpless and not self.alone:
            await self._let_go(helpless)
        return None

    async def _let_go(self, counters: Sequence[Counter]) -> None:
        """Gives back what helps none of those who wait here: with it another process may have enough.

        Else each of several would keep a part that pays for nobody, for as long as calls come.
        """
        backs = []
        for counter in counters:
            free = counter.free
            counter.granted -= free
            counter.left += free
            backs.append(Back(counter.pot, free, idle=False))
        try:
            async with self._at_store:
                await self._store.give_back(self.holder, backs)
        except Exception as error:  # noqa: BLE001 -- it comes back with the lease of a dead process
            self._untold("a budget's lease could not be given back", error)

    # --- beside the calls

    async def open(self) -> None:
        """Reads the definitions in the database."""
        if self._definitions is not None:
            self._version = await self._definitions.version()
            self._defined = await self._definitions.rules()
            self.configure(self.said)

    async def run(self) -> None:
        """Gives back what is not needed, and notices other definitions, until it is cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                await self.tick()
            except GatewayError as error:
                self._untold("the budgets could not be brought up to date", error)

    async def tick(self) -> None:
        """Does what is due."""
        now = self._clock.monotonic()
        await self.alerts.tell(self._store)
        if self._definitions is not None and now - self._watched_at >= WATCH_S:
            self._watched_at = now
            await self._watch()
        if self._counters or self._former:
            await self._give_back(now - self._idle_s)
            if now - self._touched_at >= TOUCH_S:
                self._touched_at = now
                await self._store.touch(self.holder)

    async def _watch(self) -> None:
        assert self._definitions is not None, "only what is there is watched"
        version = await self._definitions.lately()
        if version != self._version:
            self._defined = await self._definitions.rules()
            self._version = version
            self.configure(self.said)

    async def _give_back(self, unused_since: float) -> None:
        async with self._at_store:
            self._gather()
            backs = of_former(self._former, self._counters)
            unused, gone = of_unused(self._counters, self._former, unused_since)
            if gone:
                self._forget(gone)
            await self._give(backs + unused)

    async def _give(self, backs: Sequence[Back]) -> None:
        if backs:
            await self._store.give_back(self.holder, sorted(backs, key=lambda back: back.pot))

    async def close(self) -> None:
        """Gives everything back that is not spent; the ledger has been written before."""
        if self._asking is not None:
            await asyncio.gather(self._asking, return_exceptions=True)
        try:
            await self.alerts.tell(self._store)
            await self._give_back(float("inf"))
        except GatewayError as error:
            self._untold("a budget's lease could not be given back", error)


def _unavailable() -> HouseError:
    return HouseError(
        "overloaded",
        "Whether the budget pays for this request cannot be told now, so it was not made; try again.",
        code="budget_unavailable",
        retry_after_s=1.0,
        retryable=True,
    )
