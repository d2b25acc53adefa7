"""How much may be kept: of one response, and of all that one tenant has the gateway keep.

Over it a request that says ``store: true`` is refused before anybody is asked to answer it. Nothing
that is kept makes room for it: a conversation would lose its beginning without a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dragoman.core.errors import CallerError, HouseError
from dragoman.keeping.items import Item
from dragoman.keeping.keeper import Keeper, KeepingPolicy

LOOK_S = 1.0
"""How long the database is asked; while it is away the answer says itself that it was not kept."""


def refuse_if_large(items: Sequence[Item], policy: KeepingPolicy) -> None:
    """Refuses an input that is more than is kept with one response."""
    size = sum(len(item.raw) for item in items)
    if len(items) <= policy.most_items and size <= policy.most_bytes:
        return
    raise CallerError(
        "invalid_request",
        f"The input has {len(items)} items of {size} bytes, and at most {policy.most_items} items of "
        f"{policy.most_bytes} bytes are kept; leave store out, or continue a response that is kept.",
        code="too_large_to_store",
        param="store",
    )


async def refuse_if_full(size: int, tenant: str, keeper: Keeper) -> None:
    """Refuses an input of ``size`` bytes of a tenant for whom enough is kept.

    Calls that come at once are counted without one another, and may each add a response more.
    """
    policy = keeper.policy
    if not policy.most_kept and not policy.most_kept_bytes:
        return
    try:
        async with asyncio.timeout(LOOK_S):
            held = await keeper.store.held(tenant)
    except (HouseError, TimeoutError):
        return
    if policy.most_kept and held.responses >= policy.most_kept:
        raise _full(f"{held.responses} responses are kept for you, of {policy.most_kept}")
    if policy.most_kept_bytes and held.size + size > policy.most_kept_bytes:
        raise _full(f"{held.size} bytes are kept for you, of {policy.most_kept_bytes}")


def _full(what: str) -> CallerError:
    return CallerError(
        "quota",
        f"{what} that may be; delete some (DELETE /v1/responses/ID), or leave store out.",
        code="insufficient_quota",
        param="store",
    )
