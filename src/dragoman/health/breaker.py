"""Breakers, one for each (provider, model, credential): closed, open, half open (D17).

    closed      5 failures in a row, each within a minute of the last,
                or at least half of 20 or more in 10 s failed             → open
    open        every request is refused; 30 s later                      → half open
    half open   one request at a time goes through as a probe:
                two that succeed one after the other                      → closed
                one that fails                                            → open
                one without a word (the caller left, a 404): the next may probe

Per model, because a provider's models fail apart; per credential, because limits do. Each process counts and
probes by itself; what came of it, open or closed, it learns from the others as well (``sharing.py``).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal, NamedTuple, TypeAlias, assert_never

from msgspec import Struct

Key: TypeAlias = tuple[str, str, str]
"""Provider, model, credential."""
State: TypeAlias = Literal["closed", "open", "half_open"]
GAUGE: dict[State, int] = {"closed": 0, "open": 1, "half_open": 2}
"""The value that metrics show (R-REL-002)."""
MOST_NOTED = 64
"""Answers of a breaker that wait to be counted."""


class Turn(NamedTuple):
    """What is told of a breaker: when it was last opened or closed."""

    at: float
    """Of two reports the later one is true."""
    until: float | None
    """Until when it refuses; None: it was closed."""


class BreakerPolicy(Struct, frozen=True):
    """When a breaker opens and closes."""

    failures: int = 5
    failures_within_s: float = 60.0
    """A failure that comes later than this after the one before begins a new row (R-ADD-028)."""
    window_s: int = 10
    window_least: int = 20
    window_share: float = 0.5
    open_s: float = 30.0
    probes_to_close: int = 2
    most: int = 4096
    """Breakers kept; model names are foreign input."""


@dataclass(slots=True)
class _Cell:
    row: int = 0
    """Failures one after the other."""
    last_failure: float = float("-inf")
    until: float | None = None
    """Until when it refuses; None: it is closed."""
    probing: float | None = None
    """When the probe under way set out."""
    passed: int = 0
    seconds: list[tuple[int, int, int]] = field(default_factory=list)
    """Second, successes, failures; the newest last."""
    answered: list[float] = field(default_factory=list)
    """When requests were answered that are not counted yet: nobody asks before the next failure."""


class Breakers:
    """The table of all breakers."""

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        self._policy = policy or BreakerPolicy()
        self._cells: dict[Key, _Cell] = {}
        self.opened: set[Key] = set()
        """Whose breakers may not be closed; no other is missing."""
        self.turned: dict[Key, Turn] = {}
        """What was last done to each, here or by another process."""

    def state(self, key: Key, now: float) -> State:
        """The state of a breaker; asking changes nothing."""
        cell = self._cells.get(key)
        if cell is None or cell.until is None:
            return "closed"
        return "open" if now < cell.until else "half_open"

    def admits(self, key: Key, now: float) -> bool:
        """Whether a request may go through; in half open the one that is admitted is the probe."""
        match self.state(key, now):
            case "closed":
                return True
            case "open":
                return False
            case "half_open":
                cell = self._cells[key]
                # A probe that never came back must not keep the breaker for good.
                if cell.probing is not None and now < cell.probing + self._policy.open_s:
                    return False
                cell.probing = now
                return True
            case never:
                assert_never(never)

    def back_in_s(self, key: Key, now: float) -> float:
        """In how many seconds it is worth asking again; never sooner than in one."""
        cell = self._cells.get(key)
        if cell is None or cell.until is None:
            return 0.0
        return max(1.0, cell.until - now)

    def succeeded(self, key: Key, now: float) -> None:
        """A request was answered."""
        cell = self._cells.get(key) or self._cell(key)
        if cell.until is None:
            answered = cell.answered
            answered.append(now)
            if len(answered) >= MOST_NOTED:
                self._count_answered(cell)
        else:
            self._passed(key, cell, cell.until, now)

    def _passed(self, key: Key, cell: _Cell, until: float, now: float) -> None:
        """A request was answered though the breaker is not closed."""
        cell.probing = None
        if now >= until:
            cell.passed += 1
            if cell.passed >= self._policy.probes_to_close:
                self._close(key, now)

    def failed(self, key: Key, now: float) -> None:
        """A request failed through the provider's fault."""
        cell = self._cell(key)
        if cell.until is not None:
            if now >= cell.until:
                self._open(key, cell, now)
            return
        self._count_answered(cell)
        recent = now - cell.last_failure <= self._policy.failures_within_s
        cell.row = cell.row + 1 if recent else 1
        cell.last_failure = now
        self._count(cell, int(now), bad=1)
        if cell.row >= self._policy.failures or self._half_failed(cell):
            self._open(key, cell, now)

    def abandoned(self, key: Key) -> None:
        """A request ended without a word about the provider: a probe may be made again."""
        cell = self._cells.get(key)
        if cell is not None:
            cell.probing = None

    def heard(self, key: Key, turn: Turn, now: float) -> None:
        """What another process, or an earlier one, has done to its breaker; one that is over says nothing."""
        mine = self.turned.get(key)
        if mine is not None and turn.at <= mine.at:
            return
        if turn.until is None:
            if key in self.opened:
                self._drop(key)
            self._note(key, turn)
        elif turn.until > now:
            # Longer than by one's own judgement nobody is kept off: clocks differ, and policies may.
            self._shut(key, self._cell(key), min(turn.until, now + self._policy.open_s))
            self._note(key, turn)

    def forget(self, provider: str, now: float) -> None:
        """Closes all breakers of a provider."""
        for key in [key for key in self._cells if key[0] == provider]:
            if key in self.opened:
                self._close(key, now)
            else:
                self._drop(key)

    def forget_turns(self, before: float) -> None:
        """Forgets reports that nobody disputes any more."""
        if self.turned:
            self.turned = {key: turn for key, turn in self.turned.items() if turn.at > before}

    def states(self, now: float) -> dict[Key, State]:
        """Every breaker that is not closed."""
        # A copy of the keys: metrics are written in a thread while requests go on.
        found = {key: self.state(key, now) for key in list(self._cells)}
        return {key: state for key, state in found.items() if state != "closed"}

    def _close(self, key: Key, now: float) -> None:
        self._drop(key)
        self._note(key, Turn(now, None))

    def _note(self, key: Key, turn: Turn) -> None:
        if len(self.turned) >= 2 * self._policy.most:
            self.turned.clear()
        self.turned[key] = turn

    def _drop(self, key: Key) -> None:
        del self._cells[key]
        self.opened.discard(key)

    def _cell(self, key: Key) -> _Cell:
        cell = self._cells.get(key)
        if cell is None:
            if len(self._cells) >= self._policy.most:
                self._forget_one()
            cell = self._cells[key] = _Cell()
        return cell

    def _forget_one(self) -> None:
        """Makes room: the oldest closed one goes, else the oldest."""
        closed = (key for key, cell in self._cells.items() if cell.until is None)
        self._drop(next(closed, next(iter(self._cells))))

    def _open(self, key: Key, cell: _Cell, now: float) -> None:
        until = now + self._policy.open_s
        self._shut(key, cell, until)
        self._note(key, Turn(now, until))

    def _shut(self, key: Key, cell: _Cell, until: float) -> None:
        self.opened.add(key)
        cell.until = until
        cell.probing = None
        cell.passed = 0
        cell.row = 0
        cell.seconds.clear()
        cell.answered.clear()

    def _count_answered(self, cell: _Cell) -> None:
        """Counts the answers that wait, each in its second, and none in one before the last."""
        if cell.answered:
            cell.row = 0
            for second, good in Counter(accumulate(map(int, cell.answered), max)).items():
                self._count(cell, second, good=good)
            cell.answered.clear()

    def _count(self, cell: _Cell, second: int, good: int = 0, bad: int = 0) -> None:
        seconds = cell.seconds
        if seconds and seconds[-1][0] >= second:
            at, before, failed = seconds[-1]
            seconds[-1] = (at, before + good, failed + bad)
            return
        while seconds and seconds[0][0] <= second - self._policy.window_s:
            del seconds[0]
        seconds.append((second, good, bad))

    def _half_failed(self, cell: _Cell) -> bool:
        bad = sum(item[2] for item in cell.seconds)
        total = bad + sum(item[1] for item in cell.seconds)
        return total >= self._policy.window_least and bad >= total * self._policy.window_share
