"""The cache of answers in Redis or Valkey, for all processes together: sealed, and gone without harm.

A cache that is away is no cache: the call goes on to its provider, and for a while nobody asks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from dragoman.core.errors import HouseError
from dragoman.keeping.aside import aside
from dragoman.reuse.transcript import Transcript, read_transcript, write_transcript

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from dragoman.core.clock import Clock
    from dragoman.store.sql.tenant_keys import TenantKey, TenantKeys

ROOM = ":answers:"
TABLE = "answer_cache"
PATIENCE_S = 0.25
"""How long a call waits for it."""
REST_S = 5.0
"""For how long it is left alone after it has failed."""


class RedisAnswers:
    """The answers in one Redis; of too many it drops some itself (``maxmemory-policy``)."""

    def __init__(
        self,
        client: Redis,
        keys: TenantKeys,
        clock: Clock,
        failed: Callable[[str, Exception], None],
        prefix: str = "dragoman",
    ) -> None:
        """``failed`` is told when it cannot be used, and why."""
        self.client = client
        self.keys = keys
        self.clock = clock
        self.prefix = prefix + ROOM
        self._failed = failed
        self._rests_until = 0.0

    async def get(self, tenant: str, key: str) -> Transcript | None:
        """The answer, if it is there and can be opened."""
        if self.clock.monotonic() < self._rests_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                sealed = await self.client.get(self.prefix + key)
            if not isinstance(sealed, bytes):
                return None
            sealer = await self.keys.key(tenant)
            return await aside(len(sealed), partial(_opened, sealer, sealed, key))
        except Exception as error:  # noqa: BLE001  whatever it is, a provider has the answer too
            self._rest(error)
            return None

    async def put(self, tenant: str, key: str, transcript: Transcript, keep_s: float) -> None:
        """Keeps the answer for so long, or less."""
        if self.clock.monotonic() < self._rests_until:
            return
        try:
            sealer = await self.keys.key(tenant)
            sealed = await aside(transcript.size, partial(_sealed, sealer, transcript, key))
            async with asyncio.timeout(PATIENCE_S):
                await self.client.set(self.prefix + key, sealed, px=max(1, int(keep_s * 1000)))
        except Exception as error:  # noqa: BLE001  the answer itself is out
            self._rest(error)

    def _rest(self, error: Exception) -> None:
        if not isinstance(error, HouseError | msgspec.MsgspecError):
            self._rests_until = self.clock.monotonic() + REST_S
        self._failed("the cache of answers in Redis was not used", error)


def _sealed(key: TenantKey, transcript: Transcript, name: str) -> bytes:
    return key.seal(write_transcript(transcript), TABLE, name, "reply")


def _opened(key: TenantKey, sealed: bytes, name: str) -> Transcript:
    return read_transcript(key.open(sealed, TABLE, name, "reply"))
