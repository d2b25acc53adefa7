"""Where the lines of failed calls go: a list in Redis, else ``logs/api-error.jsonl`` in the home (R-STOR-008).

Both are capped, and no call waits for either. While Redis is away the file takes the lines; when it is back
they go there again. What neither takes is counted and dropped: the ledger has every call anyway.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from dragoman.core.clock import Clock

FILE = Path("logs") / "api-error.jsonl"
LIST = ":errors"
MOST_WAITING = 1_000
"""Lines that wait for the next turn; of more the oldest are dropped."""
MOST_LINES = 10_000
"""Lines that Redis keeps."""
MOST_BYTES = 5 * 1024 * 1024
"""Bytes of the file; a larger one is put aside as ``….1``, in the place of the one before."""
EVERY_S = 1.0
REST_S = 5.0
"""For how long Redis is left alone after it has failed."""
PATIENCE_S = 1.0


class ErrorLog:
    """The lines of one process on their way."""

    def __init__(
        self,
        home: Path,
        redis: Redis | None,
        prefix: str,
        clock: Clock,
        failed: Callable[[str, Exception], None],
        *,
        most_bytes: int = MOST_BYTES,
        most_lines: int = MOST_LINES,
    ) -> None:
        self.path = home / FILE
        self.lost = 0
        """Lines that were dropped."""
        self._redis = redis
        self._list = prefix + LIST
        self._clock = clock
        self._failed = failed
        self._most_bytes = most_bytes
        self._most_lines = most_lines
        self._waiting: deque[bytes] = deque()
        self._rests_until = 0.0
        self._is_told = False

    @property
    def waiting(self) -> int:
        """Lines that wait for the next turn."""
        return len(self._waiting)

    def put(self, line: bytes) -> None:
        """Takes a line; nobody waits for it."""
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(line)

    async def flush(self) -> None:
        """Writes what waits, to Redis if it is there."""
        if not self._waiting:
            return
        lines, self._waiting = list(self._waiting), deque()
        if self._redis is not None and await self._tell(self._redis, lines):
            return
        try:
            await asyncio.to_thread(self._append, lines)
        except OSError as error:
            self.lost += len(lines)
            if not self._is_told:
                self._failed("errors not written", error)
            self._is_told = True
        else:
            self._is_told = False

    async def _tell(self, redis: Redis, lines: list[bytes]) -> bool:
        if self._clock.monotonic() < self._rests_until:
            return False
        try:
            async with asyncio.timeout(PATIENCE_S):
                async with redis.pipeline(transaction=True) as pipeline:
                    pipeline.rpush(self._list, *lines)
                    pipeline.ltrim(self._list, -self._most_lines, -1)
                    await pipeline.execute()
        except Exception as error:  # noqa: BLE001  whatever it is, the file takes them
            if self._rests_until == 0.0:
                self._failed("Redis is away: errors go to a file", error)
            self._rests_until = self._clock.monotonic() + REST_S
            return False
        self._rests_until = 0.0
        return True

    def _append(self, lines: list[bytes]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Several workers write the file: one of them puts it aside, and none while another one writes.
        lock = os.open(self.path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if self.path.stat().st_size >= self._most_bytes:
                    self.path.replace(self.path.with_suffix(".jsonl.1"))
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            descriptor = os.open(self.path, flags, 0o600)
            try:
                _write_all(descriptor, b"\n".join(lines) + b"\n")
            finally:
                os.close(descriptor)
        finally:
            os.close(lock)

    async def run(self) -> None:
        """Writes every so often, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.flush()


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@asynccontextmanager
async def open_error_log(
    home: Path,
    redis: Redis | None,
    prefix: str,
    clock: Clock,
    failed: Callable[[str, Exception], None],
) -> AsyncIterator[ErrorLog]:
    """The log while the block runs; at its end what waits is written."""
    log = ErrorLog(home, redis, prefix, clock, failed)
    running = asyncio.create_task(log.run(), name="error log")
    try:
        yield log
    finally:
        running.cancel()
        await asyncio.wait({running})
        await log.flush()
