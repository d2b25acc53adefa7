"""A token as one of the gateway's credentials: its secret is what the token is now, and is renewed aside.

Whoever waits in this process waits for one task; the file's lock sees to the other processes (U18). The work
is done in a thread: a token is asked for over HTTP, and its file is locked and written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from dragoman.core.errors import GatewayError
from dragoman.core.provider import Credential
from dragoman.core.secret import LiveSecret
from dragoman.credentials.fresh import FreshToken

_REST_S = 30.0
"""A token that could not be renewed ahead of its end is left alone for so long, or until a call needs it."""


class LiveToken:
    """One token; ``suffix`` is what stands behind it in the header."""

    def __init__(self, token: FreshToken, suffix: Callable[[], str] = str) -> None:
        self.token = token
        self._suffix = suffix
        self._flight: asyncio.Task[None] | None = None
        self._rests_until = 0.0
        self._asked: str | None = None

    def credential(self, name: str) -> Credential:
        """It, as a key of a pool; it is bound to its origin by whoever puts it there."""
        return Credential(id=name, secret=LiveSecret(self._shown), renewal=self)

    def is_due(self) -> bool:
        """As ``Renewal``."""
        return self.token.is_due()

    async def fresh(self) -> None:
        """As ``Renewal``."""
        await self._once(self._current)

    async def renewed(self, refused: str) -> None:
        """As ``Renewal``; whoever was refused with the same token waits for the same one."""
        access = refused.removesuffix(self._suffix())
        await self._once(lambda: self._another(access))

    async def tend(self) -> None:
        """Renews it ahead of its end, so that no call has to wait; a failure is told by the token's own note."""
        if not self.is_due() or time.monotonic() < self._rests_until:
            return
        try:
            await self.fresh()
        except GatewayError:
            self._rests_until = time.monotonic() + _REST_S

    def _current(self) -> None:
        self.token.current()

    def _another(self, access: str) -> None:
        self.token.renewed(access)

    async def _once(self, work: Callable[[], None]) -> None:
        flight = self._flight
        if flight is None or flight.done():
            flight = self._flight = asyncio.create_task(asyncio.to_thread(work))
            # Everybody who waited may have gone.
            flight.add_done_callback(_heard)
        await asyncio.shield(flight)

    def _shown(self) -> str:
        token = self.token.known()
        if token is None or token.lost:
            return ""
        return token.access.reveal() + self._suffix()


def _heard(flight: asyncio.Task[None]) -> None:
    if not flight.cancelled():
        flight.exception()
