"""What is told of health to a shared record, and learnt from it: by other workers, and after a restart.

    figures   counts are added up; of two averages each weighs as many requests as it is newer by
    switches  who is disabled: of two reports the later one is true
    rests     of keys: the same
    breakers  opened until when, or closed: the same

The record is SQL's or Redis's (``store/health_record.py``); here is what is told, how two reports become
one, and what is taken over. Times in the record are Unix milliseconds, here they are monotonic seconds.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias, assert_never

import msgspec
from msgspec import Struct, structs

from dragoman.health.breaker import Turn
from dragoman.health.disabling import Switch
from dragoman.health.health import Health
from dragoman.health.rest import LONGEST_S, Rests
from dragoman.health.statistics import ALPHA, Figures, Place

Kind: TypeAlias = Literal["figures", "switch", "rest", "spent", "breaker"]
ALL = "*"
"""In the place of a model or a credential: all of them."""
MEMORY = round(2 / ALPHA)
"""Requests that an average remembers."""
LONGEST_NAME = 512
"""Characters of a model's id; a longer one is not shared."""
FRESH_S = 86_400.0
"""Times that are older than this say nothing of how quick somebody is now."""
KEPT_S = 30 * 86_400.0
"""An entry that nobody has renewed for so long is removed."""
RESTS_KEPT_S = 2 * LONGEST_S
"""A rest or an open breaker is over sooner, and there may be one for any name that a caller makes up."""
SHORT: frozenset[Kind] = frozenset({"rest", "spent", "breaker"})
"""What is kept for no longer than that."""
CLEAR_MS = 3_600_000
"""How often a process removes what nobody has renewed."""
DRIFT_S = 1.0
"""So much the two clocks may drift apart before the offset between them is taken anew."""


class FiguresTold(Struct, frozen=True, tag="figures", omit_defaults=True):
    """Figures as they are stored; ``new_…`` is what this report adds, and is nowhere stored."""

    requests: int
    failures: int
    errors: float
    at_ms: int
    first_event_s: float | None = None
    reply_s: float | None = None
    tokens_per_s: float | None = None
    new_requests: int = 0
    new_failures: int = 0
    address: str = ""
    """Which of its provider's addresses it is about; empty: whichever (`Health.settle`)."""


class SwitchTold(Struct, frozen=True, tag="switch"):
    """Whether a model or provider is disabled."""

    off: bool
    at_ms: int
    probe_ms: int


class RestTold(Struct, frozen=True, tag="rest"):
    """Until when a key rests; None: its rest has ended early."""

    at_ms: int
    until_ms: int | None = None


class BreakerTold(Struct, frozen=True, tag="breaker", omit_defaults=True):
    """Until when a breaker refuses; None: it was closed."""

    at_ms: int
    until_ms: int | None = None
    address: str = ""
    """Which of its provider's addresses it is about; empty: whichever."""


State: TypeAlias = FiguresTold | SwitchTold | RestTold | BreakerTold


class Spot(Struct, frozen=True, order=True):
    """What an entry is about."""

    kind: Kind
    provider: str
    model: str
    credential: str


_NAMES = ("kind", "provider", "model", "credential")


class Entry(Struct, frozen=True):
    """One line of the record."""

    spot: Spot
    state: State


encode_state = msgspec.json.Encoder().encode
_decode_state = msgspec.json.Decoder(State).decode


def read_entry(spot: tuple[Any, ...], state: str | bytes) -> Entry | None:
    """The entry; None where a newer version of the gateway has written what this one does not know."""
    try:
        return Entry(
            msgspec.convert(dict(zip(_NAMES, spot, strict=True)), Spot), _decode_state(state)
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return None


class Record(Protocol):
    """Where health is shared."""

    async def exchange(self, told: list[Entry], since_ms: int, now_ms: int) -> list[Entry]:
        """Merges what is told into the record, and gives what has changed in it since a moment.

        Raises:
            HouseError: the record cannot be reached; nothing of it has been merged.
        """
        ...


def kept_s(kind: Kind) -> float:
    """After how long an entry that nobody has renewed is removed."""
    return RESTS_KEPT_S if kind in SHORT else KEPT_S


def merged(stored: State | None, told: State) -> State:
    """One state of two."""
    match told:
        case FiguresTold():
            return _added(stored if isinstance(stored, FiguresTold) else None, told)
        case SwitchTold() | RestTold() | BreakerTold():
            if isinstance(stored, type(told)) and stored.at_ms > told.at_ms:
                return stored
            if (
                isinstance(stored, SwitchTold)
                and isinstance(told, SwitchTold)
                and stored.at_ms == told.at_ms
            ):
                return structs.replace(told, probe_ms=max(stored.probe_ms, told.probe_ms))
            return told
        case never:
            assert_never(never)


def _added(stored: FiguresTold | None, told: FiguresTold) -> FiguresTold:
    mine = told.new_requests
    if stored is None or _is_elsewhere(stored, told.address):
        return structs.replace(told, new_requests=0, new_failures=0)
    # What others have added since the teller last looked; older requests no average remembers.
    theirs = min(max(0, stored.requests - (told.requests - mine)), MEMORY)
    own = min(mine, MEMORY)
    return FiguresTold(
        requests=stored.requests + mine,
        failures=stored.failures + told.new_failures,
        errors=_between(stored.errors, theirs, told.errors, own) or 0.0,
        at_ms=max(stored.at_ms, told.at_ms),
        first_event_s=_between(stored.first_event_s, theirs, told.first_event_s, own),
        reply_s=_between(stored.reply_s, theirs, told.reply_s, own),
        tokens_per_s=_between(stored.tokens_per_s, theirs, told.tokens_per_s, own),
        address=told.address or stored.address,
    )


def _is_elsewhere(told: FiguresTold | BreakerTold, address: str) -> bool:
    """Whether it is about another address than this one."""
    return bool(told.address and address) and told.address != address


def _between(theirs: float | None, weight: int, mine: float | None, own: int) -> float | None:
    if theirs is None or mine is None or not weight + own:
        return mine if theirs is None else theirs
    return (theirs * weight + mine * own) / (weight + own)


class Sharing:
    """One process's side of it."""

    def __init__(self, health: Health, wall_offset_s: float) -> None:
        """``wall_offset_s``: Unix seconds less monotonic ones, as they were when the process began."""
        self._health = health
        self._offset_s = wall_offset_s
        self._said: dict[Spot, State] = {}

    def told(self, now: float, wall: float) -> list[Entry]:
        """What the record does not have yet."""
        if abs(wall - now - self._offset_s) > DRIFT_S:
            # The machine has slept, or its clock was set.
            self._offset_s = wall - now
            self._said.clear()
        for rests in (self._health.rests, self._health.spent):
            rests.forget(now - RESTS_KEPT_S)
        self._health.breakers.forget_turns(now - RESTS_KEPT_S)
        states = self._states()
        self._said = {spot: said for spot, said in self._said.items() if spot in states}
        found = {**self._figures(), **states}
        return [Entry(*each) for each in found.items() if self._said.get(each[0]) != each[1]]

    def settled(self, told: list[Entry]) -> None:
        """The record has it."""
        health = self._health
        for spot, state in ((entry.spot, entry.state) for entry in told):
            if isinstance(state, FiguresTold):
                figures = health.statistics.of(*_place(spot))
                if figures is not None and state.address == self._address(spot.provider):
                    figures.new_requests -= state.new_requests
                    figures.new_failures -= state.new_failures
                continue
            self._said[spot] = state
            if isinstance(state, SwitchTold) and not state.off:
                health.disabling.forget((spot.provider, _no_all(spot.model)))
                del self._said[spot]

    def learn(self, entries: list[Entry], now: float) -> None:
        """Takes over what the record knows."""
        for spot, state in ((entry.spot, entry.state) for entry in entries):
            match state:
                case FiguresTold():
                    self._learn_figures(_place(spot), state, now)
                case SwitchTold():
                    self._learn_switch(spot, state)
                case RestTold():
                    until = None if state.until_ms is None else self._here(state.until_ms)
                    where = (spot.provider, spot.credential, _no_all(spot.model))
                    rests = self._rests(spot.kind)
                    rests.heard(where, self._here(state.at_ms), until, now)
                    if where in rests.turned:
                        self._said[spot] = state
                case BreakerTold():
                    self._learn_breaker(spot, state, now)

    def learn_missing(self, entries: list[Entry], now: float) -> None:
        """Takes over what an older record knows beyond the one that is exchanged with."""
        known = self._health.statistics.places
        beyond = [
            entry
            for entry in entries
            if not (isinstance(entry.state, FiguresTold) and _place(entry.spot) in known)
        ]
        self.learn(beyond, now)
        for entry in beyond:
            self._said.pop(entry.spot, None)

    def say_again(self) -> None:
        """Tells everything once more: the record may have lost it, or is another."""
        self._said.clear()

    def _learn_switch(self, spot: Spot, state: SwitchTold) -> None:
        where = (spot.provider, _no_all(spot.model))
        disabling = self._health.disabling
        if not state.off and not disabling.is_disabled(*where):
            return
        switch = Switch(state.off, self._here(state.at_ms), self._here(state.probe_ms))
        disabling.heard(where, switch)
        self._said[spot] = state
        if not state.off:
            disabling.forget(where)
            del self._said[spot]

    def _learn_breaker(self, spot: Spot, state: BreakerTold, now: float) -> None:
        # What this process has told itself comes back, rounded: it must not seem to be later.
        if self._said.get(spot) == state or _is_elsewhere(state, self._address(spot.provider)):
            return
        key = (spot.provider, spot.model, spot.credential)
        until = None if state.until_ms is None else self._here(state.until_ms)
        breakers = self._health.breakers
        breakers.heard(key, Turn(self._here(state.at_ms), until), now)
        if key in breakers.turned:
            self._said[spot] = state

    def _learn_figures(self, place: Place, state: FiguresTold, now: float) -> None:
        statistics = self._health.statistics
        if _is_elsewhere(state, self._address(place[0])):
            return
        mine = statistics.of(*place) or statistics.made(place)
        mine.known = True
        mine.requests = state.requests + mine.new_requests
        mine.failures = state.failures + mine.new_failures
        if mine.new_requests:
            return  # its averages are the newer ones, and are told next time
        mine.errors = state.errors
        mine.first_event_s = state.first_event_s
        mine.reply_s = state.reply_s
        mine.tokens_per_s = state.tokens_per_s
        mine.at = self._here(state.at_ms)
        if len(place) == len(("provider", "model")) and now - mine.at < FRESH_S:
            paces, (provider, model) = self._health.paces, place
            paces.begin(provider, model, mine.first_event_s, mine.errors, whole=False)
            paces.begin(provider, model, mine.reply_s, mine.errors, whole=True)

    def _figures(self) -> dict[Spot, State]:
        return {
            _spot(place): self._state(figures, self._address(place[0]))
            for place, figures in self._health.statistics.places.items()
            if figures.new_requests and figures.known and _fits(place)
        }

    def _address(self, provider: str) -> str:
        return self._health.addresses.get(provider, "")

    def _state(self, figures: Figures, address: str) -> FiguresTold:
        return FiguresTold(
            requests=figures.requests,
            failures=figures.failures,
            errors=round(figures.errors, 6),
            at_ms=self._there(figures.at),
            first_event_s=figures.first_event_s,
            reply_s=figures.reply_s,
            tokens_per_s=figures.tokens_per_s,
            new_requests=figures.new_requests,
            new_failures=figures.new_failures,
            address=address,
        )

    def _states(self) -> dict[Spot, State]:
        found: dict[Spot, State] = {
            Spot("switch", provider, model or ALL, ALL): SwitchTold(
                each.off, self._there(each.at), self._there(each.probe_at)
            )
            for (provider, model), each in self._health.disabling.switches.items()
            if _fits((provider, model))
        }
        for key, turn in self._health.breakers.turned.items():
            if _fits(key):
                provider, model, credential = key
                until_ms = None if turn.until is None else self._there(turn.until)
                found[Spot("breaker", provider, model, credential)] = BreakerTold(
                    self._there(turn.at), until_ms, self._address(provider)
                )
        kinds: tuple[Literal["rest", "spent"], ...] = ("rest", "spent")
        for kind in kinds:
            rests = self._rests(kind)
            for where, at in rests.turned.items():
                if not _fits(where):
                    continue
                provider, credential, model = where
                until = rests.until(where)
                until_ms = None if until is None else self._there(until)
                spot = Spot(kind, provider, model or ALL, credential)
                found[spot] = RestTold(self._there(at), until_ms)
        return found

    def _rests(self, kind: Kind) -> Rests:
        return self._health.rests if kind == "rest" else self._health.spent

    def _there(self, monotonic: float) -> int:
        return round((monotonic + self._offset_s) * 1000)

    def _here(self, wall_ms: int) -> float:
        return wall_ms / 1000 - self._offset_s


def _spot(place: Place) -> Spot:
    provider, model, credential = (*place, ALL, ALL)[:3]
    return Spot("figures", provider, model, credential)


def _place(spot: Spot) -> Place:
    named = (spot.provider, spot.model, spot.credential)
    return named[: named.index(ALL)] if ALL in named else named


def _fits(place: Place) -> bool:
    """Whether a column takes it; listings are foreign input."""
    return all(len(name) <= LONGEST_NAME and "\x00" not in name for name in place)


def _no_all(model: str) -> str:
    return "" if model == ALL else model
