"""What one key has used of one unit: all of its windows, its allowance, its places; pure, time is passed in.

The same state stands in a process's memory, or as bytes where several processes find it; the script in
``store/redis/limits.lua`` does in Redis what ``take`` does here, and one suite of tests holds them together.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from dragoman.admission.limits import Window
from dragoman.admission.ports import UNKNOWN, Past, Short, Taken, Unknown
from dragoman.admission.rules import ALLOWANCE, CONCURRENCY, LONG_S, SECONDS, Bound, Rule
from dragoman.core.call import Gauge

PLACE_WAIT_S = 1.0
"""When to come back for a place: nobody knows when one will be given back."""
FOREVER = float("inf")


class _State(Struct, array_like=True):
    windows: dict[str, list[tuple[int, int]]]
    total: int | None
    total_until: float
    places: dict[str, float]
    is_told: bool


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_State).decode


class Meter:
    """The state of one key and unit.

    Between the moments at which a window's slot begins or ends nothing but sums changes. So what is taken
    meanwhile is only added up (``take_now``), and counted into the windows when they are looked at next:
    a *lull*, of which is known beforehand how much may be taken until a limit or the gauge is another.
    """

    __slots__ = (
        "_even_most",
        "_gauged",
        "_limit",
        "_lull_from",
        "_lull_room",
        "_lull_until",
        "_of_rule",
        "_remaining",
        "_reset_at",
        "_room",
        "_room_most",
        "_rule",
        "_slot_most",
        "is_told",
        "places",
        "total",
        "total_until",
        "windows",
    )

    def __init__(self) -> None:
        self.windows: dict[str, Window] = {}
        """As they were before the lull; ``rouse`` brings them up to date."""
        self.is_told = False
        """Whether it knows what was in its long windows before it began."""
        self.total: int | None = None
        self.total_until = FOREVER
        """From then on, what is used of the allowance has to be told anew."""
        self._rule: Rule | None = None
        self._of_rule: list[tuple[Bound, Window]] = []
        self.places: dict[str, float] = {}
        """Who holds a place, and until when unless it is renewed."""
        self._lull_from, self._lull_until = FOREVER, -FOREVER
        self._lull_room = self._room = 0
        """How much could be taken when the lull began, and can be now."""
        self._slot_most = 0
        self._room_most: float = 0
        self._even_most: float = -FOREVER
        """Up to which room the newest slots hold what is given back, that bound is the tightest; or both."""
        self._gauged, self._limit, self._remaining, self._reset_at = -1, 0, 0, 0.0
        """The tightest bound during the lull: which, its limit, what remains of it beyond the room, its end."""

    def take_now(self, rule: Rule, amount: int, now: float, place: str | None) -> Taken | None:
        """What ``take`` would say, where that is known without a look at the windows; else nothing is counted."""
        room = self._room - amount
        if room < 0 or now >= self._lull_until or rule is not self._rule:
            return None
        if place is not None and rule.places:
            if len(self.places) >= rule.places:
                return None
            self.places[place] = FOREVER
        self._room = room
        gauge = Gauge(self._limit, room + self._remaining, self._reset_at - now)
        return Taken(now, amount, gauge, self._gauged)

    def take(
        self,
        rule: Rule,
        amount: int,
        now: float,
        *,
        most: int = 0,
        place: str | None = None,
        place_s: float = FOREVER,
        past: Past | None = None,
        used_s: float = FOREVER,
    ) -> Taken | Short | Unknown:
        """Counts ``amount``, or as much up to ``most`` as there is room for, or nothing.

        Args:
            rule: the limits.
            amount: the least that is of use; 0: only a place is asked for.
            now: seconds of a clock that all who share the state read.
            most: as much as is wanted where there is room.
            place: the name under which a place is taken.
            place_s: how long it is held unless it is renewed.
            past: what the ledger knows of the time before.
            used_s: how long that is believed of the allowance.
        """
        self.rouse()
        if not self._knows(rule, now):
            if past is None:
                return UNKNOWN
            self._learn(rule, past, now, used_s)
        if self._is_short(rule, amount, now, place):
            short = self._short(rule, amount, now, wants_place=place is not None)
            if short is not None:
                return short
        if most > amount:
            amount = max(amount, min(most, self._free(rule)))
        if self.total is not None:
            self.total += amount
        if place is not None and rule.places:
            self.places[place] = now + place_s
        return self._counted(rule, amount, now)

    def _knows(self, rule: Rule, now: float) -> bool:
        if rule.total and (self.total is None or now >= self.total_until):
            return False
        return self.is_told or not rule.is_long

    def _learn(self, rule: Rule, past: Past, now: float, used_s: float) -> None:
        if rule.total:
            self.total, self.total_until = past.total, now + used_s
        if self.is_told:
            return
        self.is_told = True
        for bound in rule.bounds:
            window = self._window(bound, now)
            if bound.seconds >= LONG_S and not window.used:
                for age, amount in past.lately:
                    window.count(now - age, amount)

    def correct(self, taken: Taken, change: int) -> bool:
        """What was taken came to more, or to less; True, as nobody else has to be told."""
        at, room = taken.at, self._room - change
        if at >= self._lull_from and room <= self._room_most:
            self._room = room
            return True
        if room <= self._even_most and self._corrected_before(at, change):
            return True
        self.rouse()
        for window in self.windows.values():
            window.correct(at, change)
        if self.total is not None:
            self.total = max(0, self.total + change)
        return True

    def _corrected_before(self, at: float, change: int) -> bool:
        """Corrects what was taken before the lull, which goes on; False: it cannot, and nothing is done."""
        windows = self.windows.values()
        kept = self._slot_most - self._lull_room - change
        for window in windows:
            if window.newest[1] < kept and at >= window.newest_since():
                return False
        if self.total is not None:
            if self.total < kept:
                return False
            self.total += change
        even = True
        for window in windows:
            if window.correct(at, change) != change:
                even = False
        if not even:
            # They are no longer as far apart as they were.
            self.rouse()
            return True
        self._room -= change
        self._lull_room -= change
        self._slot_most -= change
        self._room_most = min(self._slot_most, self._even_most)
        return True

    def note(self, rule: Rule, amount: int, now: float) -> None:
        """Counts what was let through elsewhere, room or not."""
        self.is_told = True  # of the others it knows nothing, and its part is its own
        if now < self._lull_until and rule is self._rule and self.total is None:
            self._room -= amount
            return
        self.rouse()
        self._is_short(rule, amount, now, None)  # whether or not, its windows are up to date
        self._counted(rule, amount, now)

    def idle(self, now: float) -> bool:
        """Whether nothing of it is worth keeping."""
        self.rouse()
        for window in self.windows.values():
            window.turn(now)
        return not (
            self.places
            or self.total is not None
            or any(each.used for each in self.windows.values())
        )

    def rouse(self) -> None:
        """Ends the lull: what was taken in it is counted."""
        self._lull_from, self._lull_until, self._even_most = FOREVER, -FOREVER, -FOREVER
        amount = self._lull_room - self._room
        if amount:
            self._room = self._lull_room
            for _, window in self._of_rule:
                window.newest[1] += amount
                window.used += amount
            if self.total is not None:
                self.total += amount

    def _window(self, bound: Bound, now: float) -> Window:
        window = self.windows.get(bound.name)
        if window is None:
            window = self.windows[bound.name] = Window(bound.seconds)
        window.turn(now)
        return window

    def _is_short(self, rule: Rule, amount: int, now: float, place: str | None) -> bool:
        """Whether any of the limits may refuse; has the windows of the rule at hand, and turned."""
        if rule is not self._rule:
            self._rule = rule
            self._of_rule = [(bound, self._window(bound, now)) for bound in rule.bounds]
        short = rule.total > 0
        if place is not None and rule.places:
            short = short or len(self.places) >= rule.places
        for bound, window in self._of_rule:
            if now >= window.turns_at:
                window.turn(now)
            if window.used + amount > bound.limit:
                short = True
        return short

    def _short(self, rule: Rule, amount: int, now: float, *, wants_place: bool) -> Short | None:
        """The limit that refuses, of several the one that does so for the longest time."""
        if rule.total and self.total is not None and self.total + amount > rule.total:
            return Short(ALLOWANCE, rule.total, max(0, rule.total - self.total), None)
        found: Short | None = None
        for bound, window in self._of_rule:
            if window.used + amount <= bound.limit:
                continue
            free = max(0, bound.limit - window.used)
            if amount > bound.limit:
                return Short(bound.name, bound.limit, free, None)
            wait = window.room_after(now, amount, bound.limit)
            if found is None or wait > (found.wait_s or 0.0):
                found = Short(bound.name, bound.limit, free, wait)
        if found is None and wants_place and rule.places:
            if len(self.places) >= rule.places:
                self.places = {name: until for name, until in self.places.items() if until > now}
            if len(self.places) >= rule.places:
                return Short(CONCURRENCY, rule.places, 0, PLACE_WAIT_S)
        return found

    def _free(self, rule: Rule) -> int:
        free = [bound.limit - window.used for bound, window in self._of_rule]
        if rule.total and self.total is not None:
            free.append(rule.total - self.total)
        return min(free, default=0)

    def _counted(self, rule: Rule, amount: int, now: float) -> Taken:
        """Counts so much, and says how the limit stands of which the least is left."""
        tightest: tuple[Bound, Window] | None = None
        which, place, least, is_lull = -1, 0, 2.0, amount > 0
        for each in self._of_rule:
            bound, window = each
            if now < window.newest_until:
                window.newest[1] += amount
            elif amount:
                window.open_slot(now, amount)
                is_lull = False
            used = window.used = window.used + amount
            left = 1 - used / bound.limit
            if left < least:
                least, which, tightest = left, place, each
            place += 1
        if tightest is None:
            gauge: Gauge | None = None
            if rule.total and self.total is not None:
                gauge = Gauge(rule.total, max(0, rule.total - self.total), 0.0)
            return Taken(now, amount, gauge)
        bound, window = tightest
        if is_lull and len(self.windows) == place:
            # The second within the same slots: more will come.
            self._rest(rule, which, bound, window)
        limit = bound.limit
        gauge = Gauge(limit, max(0, limit - window.used), window.empty_after(now))
        return Taken(now, amount, gauge, which)

    def _rest(self, rule: Rule, which: int, bound: Bound, window: Window) -> None:
        """Begins a lull in which that bound stays the tightest."""
        limit, used = bound.limit, window.used
        room, back, since, until = limit - used, used, -FOREVER, FOREVER
        even = FOREVER
        for place, (other, its) in enumerate(self._of_rule):
            room, back = min(room, other.limit - its.used), min(back, its.newest[1])
            since, until = (
                max(since, its.newest_since()),
                min(until, its.newest_until, its.turns_at),
            )
            # The narrower one comes nearer to its end with what is taken, and the wider one goes further from it.
            ahead = used * other.limit - its.used * limit - (place < which)
            if other.limit < limit:
                room = min(room, ahead // (limit - other.limit))
            elif other.limit > limit:
                even = min(even, ahead // (other.limit - limit))
        if self.total is not None:
            back = min(back, self.total)
        if rule.total:
            if self.total is None:
                return  # it was only noted, and who takes has to know
            room, until = min(room, rule.total - self.total), min(until, self.total_until)
        self._lull_from, self._lull_until = since, until
        self._lull_room = self._room = room
        self._slot_most, self._even_most = room + back, room + even
        self._room_most = min(self._slot_most, self._even_most)
        self._gauged, self._limit, self._reset_at = which, limit, window.empty_at()
        self._remaining = limit - used - room


def write_meter(meter: Meter) -> bytes:
    """The state as bytes."""
    meter.rouse()
    windows = {name: window.slots() for name, window in meter.windows.items()}
    return _encode(_State(windows, meter.total, meter.total_until, meter.places, meter.is_told))


def read_meter(data: bytes) -> Meter:
    """What ``write_meter`` has written; a new one where that cannot be read."""
    meter = Meter()
    if not data:
        return meter
    try:
        state = _decode(data)
    except msgspec.DecodeError:
        return meter
    meter.windows = {
        name: Window(SECONDS[name], slots)
        for name, slots in state.windows.items()
        if name in SECONDS
    }
    meter.total, meter.total_until = state.total, state.total_until
    meter.places, meter.is_told = state.places, state.is_told
    return meter
