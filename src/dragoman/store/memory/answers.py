"""The cache of answers in this process's memory: bounded by bytes, the least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dragoman.core.clock import Clock
    from dragoman.reuse.transcript import Transcript

_OVERHEAD = 1024
"""Bytes that an entry takes beside its answer, roughly."""


class MemoryAnswers:
    """One for each process."""

    def __init__(self, clock: Clock, most_bytes: int) -> None:
        self.clock = clock
        self.most_bytes = most_bytes
        self.size = 0
        self._kept: OrderedDict[tuple[str, str], tuple[Transcript, float]] = OrderedDict()

    async def get(self, tenant: str, key: str) -> Transcript | None:
        """The answer, if it is there and not too old."""
        name = (tenant, key)
        found = self._kept.get(name)
        if found is None:
            return None
        if found[1] <= self.clock.monotonic():
            self._drop(name)
            return None
        self._kept.move_to_end(name)
        return found[0]

    async def put(self, tenant: str, key: str, transcript: Transcript, keep_s: float) -> None:
        """Keeps the answer for so long, or less."""
        name = (tenant, key)
        self._drop(name)
        if transcript.size + _OVERHEAD > self.most_bytes:
            return
        self._kept[name] = (transcript, self.clock.monotonic() + keep_s)
        self.size += transcript.size + _OVERHEAD
        while self.size > self.most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: tuple[str, str]) -> None:
        found = self._kept.pop(name, None)
        if found is not None:
            self.size -= found[0].size + _OVERHEAD
