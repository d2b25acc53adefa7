"""Rate limits of one process, in memory.

Several workers on one host each enforce their share of a limit, at least 1, and tell callers
the limit itself: what is left is what this worker has left, times the workers. A restart
forgets what was counted.
"""

from __future__ import annotations

from dragoman.admission.limits import Window
from dragoman.core.call import Allowed, Denied, Limits

_SECONDS = {"rps": 1.0, "rpm": 60.0, "rpd": 86_400.0}
_SWEEP_FROM = 10_000


class _Counters:
    """The windows of one key, in the order in which they are asked."""

    __slots__ = ("limits", "windows")

    def __init__(self, limits: Limits, share: int, old: dict[str, Window]) -> None:
        self.limits = limits
        self.windows: list[tuple[str, int, int, Window]] = []
        """Each window with its name, its limit and this process's share of that."""
        for name, seconds in _SECONDS.items():
            limit: int | None = getattr(limits, name)
            if limit:
                window = old.get(name) or Window(seconds)
                self.windows.append((name, limit, max(1, limit // share), window))


class MemoryLimits:
    """A ``LimitStore`` of one process; ``share`` is how many such processes there are."""

    def __init__(self, share: int = 1) -> None:
        self._share = share
        self._counters: dict[str, _Counters] = {}
        self._sweep_at = _SWEEP_FROM

    async def hit(self, key_id: str, limits: Limits, now: float) -> Allowed | Denied:
        """Counts one request of a key if all its windows have room."""
        counters = self._counters.get(key_id)
        if counters is None or counters.limits != limits:
            counters = self._renewed(key_id, limits, now)
        windows = counters.windows
        denied: Denied | None = None
        for name, limit, share, window in windows:
            window.turn(now)
            if window.used >= share:
                wait = window.room_after(now)
                if denied is None or wait > denied.retry_after_s:
                    denied = Denied(name, limit, wait)
        if denied is not None:
            return denied
        return self._count(windows, now)

    def _count(self, windows: list[tuple[str, int, int, Window]], now: float) -> Allowed:
        """Counts in every window, and tells the state of the one with the least left."""
        least = 2.0
        tightest = windows[0]
        for entry in windows:
            entry[3].count(now)
            left = 1 - entry[3].used / entry[2]
            if left < least:
                least, tightest = left, entry
        _, limit, share, window = tightest
        remaining = (share - window.used) * limit // share
        return Allowed(limit, remaining, window.empty_after(now))

    def _renewed(self, key_id: str, limits: Limits, now: float) -> _Counters:
        """Counters for a key that is new, or whose limits were changed: counts are kept."""
        old = self._counters.get(key_id)
        kept = {} if old is None else {name: window for name, _, _, window in old.windows}
        if old is None and len(self._counters) >= self._sweep_at:
            self._sweep(now)
        counters = self._counters[key_id] = _Counters(limits, self._share, kept)
        return counters

    def _sweep(self, now: float) -> None:
        """Drops keys with nothing in any window."""
        for key_id, counters in tuple(self._counters.items()):
            for _, _, _, window in counters.windows:
                window.turn(now)
            if not any(window.used for _, _, _, window in counters.windows):
                del self._counters[key_id]
        self._sweep_at = max(_SWEEP_FROM, 2 * len(self._counters))
