"""The cache of answers in Redis or Valkey, for all processes together: sealed, and gone without harm.

A cache that is away is no cache: the call goes on to its provider, and for a while nobody asks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec

from dragoman.core.errors import HouseError
from dragoman.keeping.aside import aside
from dragoman.reuse.transcript import Transcript, read_transcript, write_transcript

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from dragoman.core.clock import Clock
    from dragoman.core.secret import Secret
    from dragoman.store.sql.tenant_keys import TenantKey, TenantKeys

PREFIX = "dragoman:answers:"
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
        prefix: str = PREFIX,
    ) -> None:
        """``failed`` is told when it cannot be used, and why."""
        self.client = client
        self.keys = keys
        self.clock = clock
        self.prefix = prefix
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

    async def close(self) -> None:
        """Closes the connections."""
        await self.client.aclose()

    def _rest(self, error: Exception) -> None:
        if not isinstance(error, HouseError | msgspec.MsgspecError):
            self._rests_until = self.clock.monotonic() + REST_S
        self._failed("the cache of answers in Redis was not used", error)


def open_redis(url: Secret) -> Redis:
    """A client of the server at ``url``; nothing is connected until it is used.

    Raises:
        HouseError: the library is missing, or that is no address of a Redis.
    """
    if find_spec("redis") is None:
        raise _misconfigured(
            "REDIS_URL is set, and the library for it is missing: install it with "
            "`pip install 'dragoman[redis]'`, or unset it"
        )
    from redis.asyncio import Redis  # noqa: PLC0415  only where there is one (D32)

    try:
        return Redis.from_url(
            url.reveal(), socket_timeout=PATIENCE_S * 4, socket_connect_timeout=PATIENCE_S * 4
        )
    except ValueError:
        raise _misconfigured(
            "REDIS_URL is no address of a Redis: say redis://host:6379/0, or rediss://… for TLS"
        ) from None


def _misconfigured(what: str) -> HouseError:
    return HouseError("server", f"{what}.", code="configuration_error")


def _sealed(key: TenantKey, transcript: Transcript, name: str) -> bytes:
    return key.seal(write_transcript(transcript), TABLE, name, "reply")


def _opened(key: TenantKey, sealed: bytes, name: str) -> Transcript:
    return read_transcript(key.open(sealed, TABLE, name, "reply"))
