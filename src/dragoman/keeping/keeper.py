"""What keeping is done with, and within which bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import Struct

from dragoman.core.call import Call
from dragoman.core.clock import Clock
from dragoman.keeping.ports import NotingStore

DAY_S = 24 * 60 * 60


class KeepingPolicy(Struct, frozen=True):
    """How much is kept, and how long."""

    allowed: bool = True
    """Whether callers may have the gateway keep what they say (D30)."""
    days: int = 30
    most_turns: int = 500
    """Responses of one chain."""
    most_items: int = 4096
    """Items that are new with one response."""
    most_bytes: int = 32 * 1024 * 1024
    """Of one response with its input, and of all that a request brings back together."""
    most_kept: int = 10_000
    """Responses that are kept here for one tenant; 0: as many as come."""
    most_kept_bytes: int = 1024 * 1024 * 1024
    """Of all of them together; 0: as many as come."""


@dataclass(frozen=True, slots=True)
class Keeper:
    """One for each process."""

    store: NotingStore
    clock: Clock
    policy: KeepingPolicy
    report: Callable[[Exception, Call], None]
    """Tells the log why something could not be kept."""
    address: Callable[[str], str | None]
    """Where a provider is: two names of one address are one place that keeps."""
