"""The meters of all gateways in Redis or Valkey: one scripted call takes from all limits of a key's unit.

<prefix>:limits:<digest of the key's id>:<unit>   the state, packed; gone when all of it has left its windows
<prefix>:limits:processes                         who counts here, and when it last said so: a sorted set

Times are Redis' own, so that gateways with other clocks agree.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from dragoman.admission.ports import UNKNOWN, Past, Short, Taken, Unknown
from dragoman.admission.rules import LONG_S, SECONDS
from dragoman.core.call import Gauge
from dragoman.store.redis.connection import mapped
from dragoman.store.shared.ports import PLACE_S, USED_S, Correction, Held, Leased, held_by_key

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from dragoman.admission.rules import Rule, Unit

_encode = msgspec.msgpack.Encoder().encode
_HERE = Path(__file__).parent
SEEN_S = 20.0
"""Who has not said for so long that it is there, is not."""
MOST_NAMES = 10_000


class RedisCounter:
    """A ``SharedCounter`` of all who have the prefix."""

    def __init__(self, client: Redis, prefix: str, secret: str, process: str) -> None:
        """``secret``: keys' ids stand there as digests under it (R-AUTH-007); ``process`` names this one."""
        self._client = client
        self._prefix = f"{prefix}:limits:"
        self._secret = blake2b(secret.encode(), digest_size=32).digest()
        self._process = process
        self._take = client.register_script((_HERE / "limits.lua").read_text())
        self._correct = client.register_script((_HERE / "limits_correct.lua").read_text())
        self._names: dict[tuple[str, Unit], str] = {}

    async def take(
        self,
        key_id: str,
        rule: Rule,
        amount: int,
        *,
        most: int = 0,
        place: str | None = None,
        places: int = 1,
        spare: int = 0,
        past: Past | None = None,
        back: Sequence[str] = (),
    ) -> Taken | Short | Unknown:
        """Counts ``amount``, or as much up to ``most`` as there is room for, or nothing."""
        used, lately = (-1, ()) if past is None else (past.total, past.lately)
        said = _encode(
            (
                amount,
                most,
                (place or "", places, spare, rule.places, PLACE_S),
                back,
                (rule.total, used, USED_S),
                (LONG_S, lately),
                rule.bounds,
            )
        )
        with mapped():
            found: Any = await self._take(keys=[self._name(key_id, rule.unit)], args=[said])
        match found:
            case [b"taken", at, granted, which, limit, remaining, reset, held]:
                gauge = Gauge(limit, remaining, float(reset)) if limit else None
                if held:
                    return Leased(float(at), granted, gauge, which, held)
                return Taken(float(at), granted, gauge, which)
            case [b"short", name, limit, free, wait]:
                wait_s = float(wait)
                return Short(name.decode(), limit, free, None if wait_s < 0 else wait_s)
            case _:
                return UNKNOWN

    async def correct(self, corrections: Sequence[Correction]) -> None:
        """Sets right what was taken."""
        await self._set_right(
            [
                (
                    self._name(each.key_id, each.unit),
                    _encode((each.changes, each.places, (), PLACE_S, SECONDS)),
                )
                for each in corrections
            ]
        )

    async def renew(self, held: Sequence[Held]) -> None:
        """Goes on holding places."""
        await self._set_right(
            [
                (
                    self._name(key_id, "requests"),
                    _encode(((), (), tuple(names.items()), PLACE_S, SECONDS)),
                )
                for key_id, names in held_by_key(held).items()
            ]
        )

    async def _set_right(self, calls: Sequence[tuple[str, bytes]]) -> None:
        """One call of the script for each key, all of them at once."""
        missing = await self._called(calls)
        if missing:
            with mapped():
                await self._client.script_load(self._correct.script)
            await self._called(missing)

    async def _called(self, calls: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Those for which the script was missing."""
        from redis.exceptions import NoScriptError  # noqa: PLC0415  whoever asks has opened one

        with mapped():
            async with self._client.pipeline(transaction=False) as pipeline:
                for name, said in calls:
                    pipeline.evalsha(self._correct.sha, 1, name, said)
                found = await pipeline.execute(raise_on_error=False)
            missing = []
            for call, answer in zip(calls, found, strict=True):
                if isinstance(answer, NoScriptError):
                    missing.append(call)
                elif isinstance(answer, Exception):
                    raise answer
        return missing

    async def processes(self) -> int:
        """Says that this process is there; how many are, this one included."""
        name, now = f"{self._prefix}processes", time.time()
        with mapped():
            async with self._client.pipeline(transaction=False) as pipeline:
                pipeline.zadd(name, {self._process: now})
                pipeline.zremrangebyscore(name, "-inf", now - SEEN_S)
                pipeline.zcard(name)
                pipeline.expire(name, round(2 * SEEN_S))
                found = await pipeline.execute()
        return max(1, int(found[2]))

    def _name(self, key_id: str, unit: Unit) -> str:
        name = self._names.get((key_id, unit))
        if name is None:
            if len(self._names) >= MOST_NAMES:
                self._names.clear()
            digest = blake2b(key_id.encode(), key=self._secret, digest_size=16).hexdigest()
            name = self._names[key_id, unit] = f"{self._prefix}{digest}:{unit}"
        return name
