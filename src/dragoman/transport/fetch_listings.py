"""Fetches providers' lists of models, once for all who wait, and never for long (D13)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from dragoman import __version__
from dragoman.attempt.ports import Transport, UpstreamRequest
from dragoman.catalog.listing import TIMEOUT_S, Listed, ListingRequest, read_listing
from dragoman.catalog.registry import Registry
from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.credentials.pool import Pools
from dragoman.credentials.static import header_of
from dragoman.telemetry.log import Log

_LIMIT = 8 * 1024 * 1024


def _nothing() -> None:
    """Nobody has to be told."""


class ListingFetcher:
    """Fetches providers' lists of models, once for all who wait, and never for long (D13)."""

    def __init__(self, registry: Registry, pools: Pools, transport: Transport, log: Log) -> None:
        self.changed: Callable[[], None] = _nothing
        """Told when more models are known than before."""
        self._registry = registry
        self._pools = pools
        self._transport = transport
        self._log = log
        self._flights: dict[str, asyncio.Task[None]] = {}

    async def fetch(self, requests: tuple[ListingRequest, ...]) -> None:
        """Has every list fetched; returns when they are there, or their time is over."""
        flights = []
        for request in requests:
            name = request.provider.name
            flight = self._flights.get(name)
            if flight is None:
                flight = self._flights[name] = asyncio.create_task(self._one(request))
                flight.add_done_callback(partial(self._landed, name))
            flights.append(flight)
        if flights:
            await asyncio.wait(flights, timeout=TIMEOUT_S)

    def _landed(self, name: str, _: asyncio.Task[None]) -> None:
        self._flights.pop(name, None)

    async def _one(self, request: ListingRequest) -> None:
        name = request.provider.name
        try:
            models = await self._ask(request)
        except Exception as error:  # noqa: BLE001  a list that fails unnoted is asked for again by every call
            self._registry.fail_listing(name, time.monotonic())
            foreseen = isinstance(error, GatewayError | TimeoutError)
            level, said = ("debug", str(error)) if foreseen else ("warn", type(error).__name__)
            self._log.event(level, "listing failed", provider=name, error=said)
        else:
            self._registry.note_listing(name, models, time.monotonic())
            self.changed()

    async def _ask(self, request: ListingRequest) -> tuple[Listed, ...]:
        name = request.provider.name
        credential = next(iter(self._pools.turn(name)), None)
        renewal = credential.renewal if credential is not None else None
        if renewal is not None and renewal.is_due():
            await renewal.fresh()
        headers = {
            "accept": "application/json",
            "user-agent": f"dragoman/{__version__}",
            **request.provider.headers,
            **header_of(request.provider, credential),
        }
        question = UpstreamRequest("GET", request.url, headers, None, TIMEOUT_S, TIMEOUT_S)
        async with asyncio.timeout(TIMEOUT_S):
            reply = await self._transport.send(question)
            try:
                if reply.status != 200:
                    raise UpstreamError("upstream", f"It answered {reply.status}.")
                return read_listing(await reply.read(_LIMIT))
            finally:
                await reply.close()
