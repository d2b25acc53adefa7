"""What admission needs of a store of limits."""

from __future__ import annotations

from typing import Protocol

from dragoman.core.call import Allowed, Denied, Limits


class LimitStore(Protocol):
    """Counts requests per key against its limits."""

    async def hit(self, key_id: str, limits: Limits, now: float) -> Allowed | Denied:
        """Counts one request if every limit has room for it, and none if one has not.

        ``now`` is in monotonic seconds. Never fails: a store that cannot reach the others
        goes by its own share (D27).
        """
        ...
