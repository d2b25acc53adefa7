"""The record of providers' health in Redis: several gateways share it, whatever database each has.

<prefix>:health          a hash: kind, provider, model and credential as a JSON list → state
<prefix>:health:changed  when each was last written, in Unix milliseconds: a sorted set
<prefix>:breakers…       the same two of breakers: gateways that do not know this kind never read them
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec

from dragoman.core.errors import HouseError
from dragoman.health.sharing import (
    CLEAR_MS,
    KEPT_S,
    RESTS_KEPT_S,
    Entry,
    Kind,
    Spot,
    State,
    encode_state,
    kept_s,
    merged,
    read_entry,
)
from dragoman.store.redis.connection import mapped

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import Pipeline

TRIES = 5
"""Others may write in between; each try reads anew."""
_decode_spot = msgspec.json.Decoder(tuple[str, ...]).decode


class RedisHealth:
    """The keys, as a ``Record``."""

    def __init__(self, client: Redis, prefix: str) -> None:
        self._clear_ms = 0
        self._breakers = _Pair(client, f"{prefix}:breakers", "breaker")
        self._others = _Pair(client, f"{prefix}:health", "figures")

    async def exchange(self, told: list[Entry], since_ms: int, now_ms: int) -> list[Entry]:
        """Merges what is told into the record, and gives what has changed in it since a moment."""
        found: list[Entry] = []
        with mapped():
            is_due = now_ms >= self._clear_ms
            if is_due:
                self._clear_ms = now_ms + CLEAR_MS
            for pair in (self._breakers, self._others):
                if is_due:
                    await pair.clear(now_ms)
                theirs = [
                    entry
                    for entry in told
                    if (entry.spot.kind == "breaker") is (pair is self._breakers)
                ]
                if theirs:
                    await pair.tell(theirs, now_ms)
                found += await pair.changed(since_ms)
        return found


class _Pair:
    """A hash, and when each of its fields was written."""

    def __init__(self, client: Redis, name: str, longest: Kind) -> None:
        """``longest``: the kind of its entries that is kept longest."""
        self._client = client
        self._states = name
        self._changed = f"{name}:changed"
        self._kept_s = kept_s(longest)

    async def changed(self, since_ms: int) -> list[Entry]:
        names: Any = await self._client.zrangebyscore(self._changed, since_ms, "+inf")
        return list((await self._read(self._client, names)).values())

    async def tell(self, told: list[Entry], now_ms: int) -> None:
        from redis.exceptions import WatchError  # noqa: PLC0415  it is there, for there is a client

        names = [_name(entry.spot) for entry in told]
        for _ in range(TRIES):
            async with self._client.pipeline(transaction=True) as pipeline:
                try:
                    await pipeline.watch(self._states)
                    stored = await self._read(pipeline, names)
                    states: dict[bytes, State] = {
                        name: merged(_state(stored.get(name)), entry.state)
                        for name, entry in zip(names, told, strict=True)
                    }
                    pipeline.multi()  # type: ignore[no-untyped-call]
                    pipeline.hset(
                        self._states,
                        mapping={name: encode_state(state) for name, state in states.items()},
                    )
                    pipeline.zadd(self._changed, dict.fromkeys(names, now_ms))
                    for key in (self._states, self._changed):
                        pipeline.expire(key, round(self._kept_s))
                    await pipeline.execute()
                except WatchError:
                    continue
                return
        raise HouseError(
            "overloaded",
            "Too many write to Redis at once.",
            retryable=True,
        )

    async def _read(self, client: Redis | Pipeline, names: list[bytes]) -> dict[bytes, Entry]:
        if not names:
            return {}
        found = await client.hmget(self._states, names)
        entries = (
            read_entry(_spot_of(name), state)
            for name, state in zip(names, found, strict=True)
            if state is not None
        )
        return {_name(entry.spot): entry for entry in entries if entry is not None}

    async def clear(self, now_ms: int) -> None:
        """Removes what nobody has renewed; rests are gone sooner than the rest."""
        sooner = now_ms - round(RESTS_KEPT_S * 1000)
        old: Any = await self._client.zrangebyscore(self._changed, "-inf", sooner, withscores=True)
        names = [name for name, changed_ms in old if changed_ms < now_ms - _kept_s(name) * 1000]
        if names:
            await self._client.hdel(self._states, *names)
            await self._client.zrem(self._changed, *names)


def _spot_of(name: bytes) -> tuple[str, ...]:
    """The names in a field's name; none where a newer version writes them in another form."""
    try:
        return _decode_spot(name)
    except msgspec.MsgspecError:
        return ()


def _kept_s(name: bytes) -> float:
    """A kind that only a newer version knows is kept as long as any."""
    kinds: tuple[Kind, ...] = get_args(Kind)
    return next((kept_s(kind) for kind in kinds if kind in _spot_of(name)[:1]), KEPT_S)


def _name(spot: Spot) -> bytes:
    return msgspec.json.encode(msgspec.structs.astuple(spot))


def _state(entry: Entry | None) -> State | None:
    return None if entry is None else entry.state
