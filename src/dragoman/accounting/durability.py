"""``usage_durability = "host"``: a record counts as written when the disk has it.

One fdatasync serves all calls that wait at that moment (group commit): whoever comes while
one is running waits for the next. The sync itself runs in a thread. A sync that fails is not
repeated on the same file (`reliability.md` D11); the journal starts a new one. If that fails
too, the waiting answers still go out (R-USE-013), ``journal.full`` is set, and the next call is
refused before it costs money.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from dragoman.accounting.journal import Journal, Unsynced


class GroupSync:
    """Waits for the disk, together with everybody else who does."""

    def __init__(self, journal: Journal, sync: Callable[[int], None] = os.fdatasync) -> None:
        self._journal = journal
        self._sync = sync
        self._next: asyncio.Future[None] | None = None
        self._worker: asyncio.Task[None] | None = None

    def soon(self) -> asyncio.Future[None]:
        """Sees to it that all that was written before is on the disk soon; done when it is."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
            if self._worker is None:
                self._worker = asyncio.create_task(self._work())
        return self._next

    async def kept(self) -> None:
        """Returns when all that was written before the call is on the disk."""
        await asyncio.shield(self.soon())

    async def close(self) -> None:
        """Waits for the syncs under way; nothing may be written afterwards."""
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        try:
            while self._next is not None:
                group, self._next = self._next, None
                if not await self._synced() and self._journal.sync_failed(self._failed):
                    await self._synced()
                group.set_result(None)
        finally:
            self._worker = None

    async def _synced(self) -> bool:
        mark = self._journal.unsynced()
        try:
            await asyncio.to_thread(self._sync, mark.descriptor)
        except OSError:
            self._failed = mark
            return False
        finally:
            os.close(mark.descriptor)
        self._journal.synced(mark)
        return True

    _failed: Unsynced = Unsynced(0, -1, 0)
