"""What tenants bring along, as this process knows it: read when it is first needed, again when it has changed.

Which tenants have anything is known from the start, so that the calls of all others ask nobody. A change
by any process moves the store's generation on; who watches it here notices within half a second, and the
next call of the tenant reads what it has now. A call that is under way keeps what it began with. It is the one
poll of an idle server: who watches another number of the database goes by the same look (``store/numbers.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from dragoman.core.errors import GatewayError
from dragoman.credentials.own import Holding

LOOK_S = 0.4
"""How often the store's generation is asked for: with the time that this takes, less than half a second."""
USED_S = 20.0
"""How often it is written down which credentials were sent."""
MOST = 4096
"""Tenants whose credentials are held open."""


class HoldingStore(Protocol):
    """Where they are kept; ``store/sql/credentials.py`` implements it."""

    async def generation(self) -> int:
        """A number that every change moves on, in whichever process."""
        ...

    async def changed(self, since: int) -> Mapping[str, int]:
        """The tenants of which anything was changed after a generation, each with its own."""
        ...

    async def holding(self, tenant: str) -> Holding:
        """What a tenant's calls are made with; a ``HouseError`` if that cannot be told."""
        ...

    async def used(self, times_ms: Mapping[str, int]) -> None:
        """Notes when credentials were last sent, in Unix milliseconds."""
        ...


class Book:
    """One process's knowledge of it."""

    def __init__(self, store: HoldingStore, forget: Callable[[str | None], None]) -> None:
        """``forget`` is told of each tenant of which something has changed; None: of all of them."""
        self.holders: set[str] = set()
        """Who may have anything."""
        self.known: dict[str, Holding] = {}
        self._store = store
        self._forget = forget
        self._generation = -1
        self._reading: dict[str, asyncio.Task[Holding]] = {}

    async def of(self, tenant: str) -> Holding:
        """What the tenant has.

        Raises:
            HouseError: it is not known yet, and the store cannot tell.
        """
        found = self.known.get(tenant)
        if found is not None:
            return found
        task = self._reading.get(tenant)
        if task is None:
            task = self._reading[tenant] = asyncio.create_task(self._read(tenant))
            task.add_done_callback(_looked_at)
        return await asyncio.shield(task)

    async def _read(self, tenant: str) -> Holding:
        mine = asyncio.current_task()
        try:
            found = await self._store.holding(tenant)
            # What was changed meanwhile is read again by the next call.
            if self._reading.get(tenant) is mine:
                if len(self.known) >= MOST:
                    del self.known[next(iter(self.known))]
                self.known[tenant] = found
            return found
        finally:
            if self._reading.get(tenant) is mine:
                del self._reading[tenant]

    async def look(self) -> None:
        """Takes note of what has changed.

        Raises:
            HouseError: the store cannot be asked; what is known stays.
        """
        number = await self._store.generation()
        if number == self._generation:
            return
        if number < self._generation:
            # Another database, such as one from a backup: nothing of what is known holds.
            self._generation = -1
        changed = await self._store.changed(self._generation)
        if self._generation < 0:
            self.holders.clear()
            self.known.clear()
            self._reading.clear()
            self._forget(None)
        for tenant in changed:
            self.holders.add(tenant)
            self.known.pop(tenant, None)
            self._reading.pop(tenant, None)
            self._forget(tenant)
        self._generation = max(number, *changed.values(), -1) if changed else number

    async def watch(self, used: dict[str, float], failed: Callable[[Exception], None]) -> None:
        """Looks again and again, and writes down which credentials were sent, until cancelled."""
        works = True
        waited = 0.0
        while True:
            await asyncio.sleep(LOOK_S)
            waited += LOOK_S
            try:
                await self.look()
                if used and waited >= USED_S:
                    waited = 0.0
                    await self.write(used)
            except GatewayError as error:
                if works:
                    failed(error)
                works = False
            else:
                works = True

    async def write(self, used: dict[str, float]) -> None:
        """Writes down which credentials were sent since the last time.

        Raises:
            HouseError: the store cannot be reached; it is written the next time.
        """
        if not used:
            return
        times = {name: int(at * 1000) for name, at in used.items()}
        await self._store.used(times)
        for name, at in times.items():
            if int(used.get(name, 0.0) * 1000) == at:
                del used[name]


def _looked_at(task: asyncio.Task[Holding]) -> None:
    """An error that nobody waited for any more is not reported as lost."""
    if not task.cancelled():
        task.exception()
