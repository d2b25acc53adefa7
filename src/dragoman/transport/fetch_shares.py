"""How tenants share what the fetcher has once for the process: places, threads, bytes.

A tenant whose hosts answer slowly, or never, holds what it holds for long. So nobody may hold more
than is still free: one alone gets half, two get a third each, and whoever comes next still finds
something. That needs neither a number of tenants nor a quota for each.
"""

from __future__ import annotations

import asyncio


class Shares:
    """So many of something; each tenant holds at most as many as nobody holds."""

    __slots__ = ("_free", "_held", "_waiting")

    def __init__(self, total: int) -> None:
        self._free = total
        self._held: dict[str, int] = {}
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    def take(self, tenant: str, count: int = 1) -> bool:
        """Takes some for a tenant, if it may have them; ``give`` brings them back."""
        held = self._held.get(tenant, 0) + count
        if held > self._free - count + 1:
            return False
        self._held[tenant] = held
        self._free -= count
        return True

    def give(self, tenant: str, count: int = 1) -> None:
        """Gives back, and lets those on who have waited for one: first who holds least."""
        self._free += count
        left = self._held[tenant] - count
        if left:
            self._held[tenant] = left
        else:
            del self._held[tenant]
        self._let_on()

    async def wait(self, tenant: str, seconds: float) -> None:
        """Takes one, once there is one for the tenant.

        Raises:
            TimeoutError: there was none in that time.
        """
        if self.take(tenant):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (tenant, turn)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(seconds):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.give(tenant)  # it came together with the end of the waiting
            else:
                self._waiting.remove(entry)
            raise

    def _let_on(self) -> None:
        for entry in sorted(self._waiting, key=lambda one: self._held.get(one[0], 0)):
            tenant, turn = entry
            if turn.done():
                continue  # it leaves, and takes its entry with it
            if self.take(tenant):
                self._waiting.remove(entry)
                turn.set_result(None)
