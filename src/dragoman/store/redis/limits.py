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
from dragoman.store.shared.ports import PLACE_S, USED_S, Correction, Held

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from dragoman.admission.rules import Rule, Unit

_encode = msgspec.json.Encoder().encode
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
        self._windows = [word for name, s in SECONDS.items() for word in (name, f"{s:g}")]

    async def take(
        self,
        key_id: str,
        rule: Rule,
        amount: int,
        *,
        most: int = 0,
        place: str | None = None,
        past: Past | None = None,
    ) -> Taken | Short | Unknown:
        """Counts ``amount``, or as much up to ``most`` as there is room for, or nothing."""
        said: list[str | int | float] = [
            amount,
            most,
            place or "",
            PLACE_S,
            rule.places,
            rule.total,
        ]
        said += [-1 if past is None else past.total, USED_S, LONG_S]
        said.append("[]" if past is None else _encode(past.lately).decode())
        for bound in rule.bounds:
            said += [bound.name, bound.limit, f"{bound.seconds:g}"]
        with mapped():
            found: Any = await self._take(keys=[self._name(key_id, rule.unit)], args=said)
        match found:
            case [b"taken", at, granted, which, limit, remaining, reset]:
                gauge = Gauge(limit, remaining, float(reset)) if limit else None
                return Taken(float(at), granted, gauge, which)
            case [b"short", name, limit, free, wait]:
                wait_s = float(wait)
                return Short(name.decode(), limit, free, None if wait_s < 0 else wait_s)
            case _:
                return UNKNOWN

    async def correct(self, corrections: Sequence[Correction]) -> None:
        """Sets right what was taken."""
        for each in corrections:
            at = -1.0 if each.taken is None else each.taken.at
            said: list[str | int | float] = [
                f"{at:.6f}",
                each.change,
                each.place or "",
                "",
                0,
                *self._windows,
            ]
            with mapped():
                await self._correct(keys=[self._name(each.key_id, each.unit)], args=said)

    async def renew(self, held: Sequence[Held]) -> None:
        """Goes on holding places."""
        for each in held:
            said: list[str | int | float] = [-1, 0, "", each.place, PLACE_S]
            with mapped():
                await self._correct(keys=[self._name(each.key_id, "requests")], args=said)

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
