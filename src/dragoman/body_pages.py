"""Bodies of calls in a running process: opened and swept with it, read and removed by who manages the tenant.

Whoever reads them leaves an entry in the audit log first: without it nothing is shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import msgspec

from dragoman.accounting.ports import Scope
from dragoman.audit.chain import Deed, Outcome
from dragoman.core.call import Call, Caller
from dragoman.core.errors import CallerError
from dragoman.keeping.bodies import Bodies, Wish, told
from dragoman.keeping.sweep import sweep
from dragoman.observing import Depths, untold
from dragoman.services import Services
from dragoman.store.administered import Administered

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class BodyPages:
    """What is asked about them."""

    services: Services
    stored: Administered
    bodies: Bodies

    async def read(self, call: Call, name: str, since_us: int) -> bytes:
        """The bodies of a call of the caller's tenant, by the call's id or what its caller has named it.

        Raises:
            CallerError: none are kept.
            HouseError: they cannot be read, or it cannot be written down that they were.
        """
        caller = _caller(call)
        call_id = await self._call_id(caller, name, since_us)
        await self.bodies.settle()
        said = await self.stored.bodies.get(caller.tenant, call_id, self._oldest_ms())
        if said is None:
            raise _none(name)
        await self._note("bodies.read", "done", call, call_id)
        return told(said, self.services.settings.keep_bodies_days)

    async def remove(self, call: Call, name: str, since_us: int) -> bytes:
        """Removes them for good.

        Raises:
            CallerError: none are kept.
            HouseError: it cannot be done, or not be written down.
        """
        caller = _caller(call)
        call_id = await self._call_id(caller, name, since_us)
        await self.bodies.settle()
        await self._note("bodies.delete", "begun", call, call_id)
        gone = await self.stored.bodies.delete(caller.tenant, call_id)
        await self._note("bodies.delete", "done" if gone else "failed", call, call_id)
        if not gone:
            raise _none(name)
        return msgspec.json.encode(
            {"object": "request.bodies.deleted", "call_id": call_id, "deleted": True}
        )

    async def expire(self, most: int) -> int:
        """Removes at most ``most`` that are too old; how many it were."""
        return await self.stored.bodies.expire(self._oldest_ms(), most)

    def _oldest_ms(self) -> int:
        now_ms = int(self.services.house.clock.wall() * 1000)
        return now_ms - self.services.settings.keep_bodies_days * _DAY_MS

    async def _call_id(self, caller: Caller, name: str, since_us: int) -> str:
        accountant = self.services.house.accountant
        await accountant.flush()
        line = await accountant.writer.ledger.find(Scope(caller.tenant, since_us=since_us), name)
        # Rows may be gone before bodies are.
        return name if line is None else line.call_id

    async def _note(self, action: str, outcome: Outcome, call: Call, call_id: str) -> None:
        caller = _caller(call)
        await self.stored.audit.append(
            Deed(
                action=action,
                target=call_id,
                tenant=caller.tenant,
                actor=caller.key_id,
                actor_tenant=caller.tenant,
                outcome=outcome,
                request_id=call.request_id,
            )
        )


@asynccontextmanager
async def open_bodies(services: Services) -> AsyncIterator[BodyPages]:
    """The bodies of a process while the block runs; at its end what waits is written."""
    assert services.stored is not None, "serving has opened it"
    unwritten = partial(untold, services.log, "bodies of calls not written")
    bodies = Bodies(services.stored.bodies, partial(_wish, services), unwritten)
    pages = BodyPages(services, services.stored, bodies)
    services.queues = partial(_depths, services.queues, bodies)
    sweeping = asyncio.create_task(
        sweep(pages, partial(untold, services.log, "old bodies of calls not removed"))
    )
    try:
        yield pages
    finally:
        sweeping.cancel()
        await asyncio.wait({sweeping})
        await bodies.close()


def _wish(services: Services) -> Wish | None:
    settings = services.settings
    if not settings.keep_bodies:
        return None
    return Wish(frozenset(settings.keep_bodies), settings.keep_bodies_bytes)


def _depths(others: Callable[[], Depths], bodies: Bodies) -> Depths:
    waits, lost = others()
    return {**waits, "bodies": bodies.waiting}, {**lost, "bodies": bodies.lost}


def _caller(call: Call) -> Caller:
    assert call.caller is not None, "the route needs a caller"
    return call.caller


def _none(name: str) -> CallerError:
    return CallerError(
        "not_found",
        f"No bodies of a call {name[:64]!a} are kept: KEEP_BODIES says whose are, and they go after some days.",
        code="not_found",
    )
