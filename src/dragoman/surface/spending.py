"""What OpenRouter's clients ask of their account: one call by its id, the key, what it has spent.

The ledger answers, and the key itself. What a gateway does not know, such as credits that somebody
bought, is null; amounts are JSON numbers here, in all their digits, as OpenRouter's are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from dragoman.accounting.ports import Line, Sums
from dragoman.accounting.report import known_cost
from dragoman.core.call import Caller, Limits
from dragoman.core.errors import CallerError, invalid
from dragoman.core.money import from_pico

Object = dict[str, Any]
Spent = Callable[[Sequence[int | None]], Awaitable[list[Sums]]]
"""What the presented key has used from each moment on, in Unix microseconds; None: ever."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_LONGEST = 256


async def generation(
    query: dict[str, str], find: Callable[[str], Awaitable[Line | None]]
) -> bytes:
    """One call of the caller's tenant, by our id of it, the request's, or the generation's.

    Raises:
        CallerError: no id was said, or nothing has it.
    """
    name = query.get("id", "")
    if not 0 < len(name) <= _LONGEST:
        raise invalid("Say the call in the query: ?id=…", "id")
    line = await find(name)
    if line is None:
        raise CallerError(
            "not_found", f"Generation {name!r} was not found.", code="not_found", param="id"
        )
    return _ENCODER.encode({"data": _generation(line)})


def _generation(line: Line) -> Object:
    cost = from_pico(line.cost_pico) if line.cost_pico is not None else None
    created = datetime.fromtimestamp(line.created_us / 1_000_000, UTC)
    return {
        "id": line.upstream_id or line.call_id,
        "upstream_id": line.upstream_id,
        "request_id": line.request_id,
        "call_id": line.call_id,
        "model": line.model,
        "requested_model": line.requested_model,
        "provider_name": line.provider,
        "created_at": created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "streamed": line.stream,
        "cancelled": line.status == "client_cut",
        "status": line.status,
        "finish_reason": None,
        "tokens_prompt": line.input_tokens,
        "tokens_completion": line.output_tokens,
        "native_tokens_prompt": line.input_tokens,
        "native_tokens_completion": line.output_tokens,
        "native_tokens_reasoning": line.reasoning_tokens,
        "native_tokens_cached": line.cache_read_tokens,
        "usage": cost,
        "total_cost": cost,
        "cost_from": line.cost_from,
        "latency": _ms(line.first_event_s),
        "generation_time": _ms(line.duration_s),
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


async def credit(spent: Spent) -> bytes:
    """What the key has spent; what was bought for it, nobody here knows."""
    (ever,) = await spent((None,))
    used = known_cost(ever)
    return _ENCODER.encode({"data": {"total_credits": None, "total_usage": used}})


async def about_key(caller: Caller, limits: Limits, spent: Spent, wall: float) -> bytes:
    """The presented key: its name, its limits, and what it has used of late."""
    today = datetime.fromtimestamp(wall, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = {
        "usage": None,
        "usage_daily": today,
        "usage_weekly": today - timedelta(days=today.weekday()),
        "usage_monthly": today.replace(day=1),
    }
    starts = [
        None if moment is None else int(moment.timestamp()) * 1_000_000
        for moment in since.values()
    ]
    sums = await spent(starts)
    used: dict[str, Decimal | None] = dict(zip(since, map(known_cost, sums), strict=True))
    return _ENCODER.encode(
        {
            "data": {
                "label": caller.name or caller.key_id,
                **used,
                "limit": None,
                "limit_remaining": None,
                "limit_reset": None,
                "is_free_tier": None,
                "is_management_key": caller.role == "admin",
                "rate_limit": _rate(limits),
            }
        }
    )


def _rate(limits: Limits) -> Object | None:
    """The limit over the shortest time; null where there is none."""
    for number, interval in ((limits.rps, "1s"), (limits.rpm, "1m"), (limits.rpd, "1d")):
        if number:
            return {"requests": number, "interval": interval}
    return None
