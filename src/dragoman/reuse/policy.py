"""Within which bounds answers are recorded, waited for, and given again."""

from __future__ import annotations

from msgspec import Struct

DAY_S = 24 * 60 * 60


class ReusePolicy(Struct, frozen=True):
    """The numbers; services fills in what settings say."""

    allowed: bool = True
    """Whether callers may have the gateway keep what they are answered (D30)."""
    kept_s: float = DAY_S
    """How long a finished answer is given again."""
    wait_s: float = 60.0
    """How long a duplicate waits for an answer under way."""
    window_s: float = 60.0
    """How long a recording goes on, or a broken one is remembered, while nobody reads it."""
    most_unread: int = 256
    """Recordings of one tenant that go on unread in one process; one more ends with its caller's leaving."""
    lease_s: float = 15.0
    """After which a key whose process gave no sign of life is free."""
    poll_s: float = 0.2
    """Between two looks at an answer that another process is making."""
    most_bytes: int = 32 * 1024 * 1024
    """Of one answer; a larger one reaches its callers, and is not kept."""
    most_kept_bytes: int = 1024 * 1024 * 1024
    """Of all answers of one tenant; 0: as many as come."""
    cache_s: float = 0.0
    """How long the cache gives an answer; 0: there is no cache."""
    cache_for: frozenset[str] = frozenset()
    """Ids of the keys whose calls are cached unasked; ``*`` means all."""
    cache_bytes: int = 64 * 1024 * 1024
    """What the cache may take of memory."""
    cache_most_bytes: int = 1024 * 1024
    """Of one answer in the cache."""
