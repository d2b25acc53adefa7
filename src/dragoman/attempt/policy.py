"""How long and how often: the numbers of D17, as data."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

LARGE = 1024 * 1024
"""Bytes of a body from which on its translation takes more than 50 ms, and goes to a thread."""


class Policy(Struct, frozen=True):
    """Bounds of one call's attempts; seconds and bytes."""

    connect_s: float = 3.0
    first_event_s: float = 600.0
    """Until the first event of a stream or a whole unary reply, all attempts together."""
    idle_s: float = 120.0
    """Between two pieces of a stream."""
    write_s: float = 60.0
    """How long a caller may leave a stream unread."""
    gate_s: float = 10.0
    """How long the 200 is held for the first content, after the provider's own 200 (D11)."""
    linger_s: float = 5.0
    """How long a finished stream is waited for to end: usage may still come."""
    reuse_s: float = 0.1
    """How long the end of the body is waited for behind the last frame, to keep the connection."""
    probe_s: float = 5.0
    """How long a probe of who was down is alone with its request, where nothing is known of its times."""
    drain_s: float = 60.0
    """How long an abandoned stream is read on where the provider's file says drain (D18)."""
    max_retries: int = 2
    backoff_s: float = 0.25
    backoff_cap_s: float = 4.0
    retry_after_cap_s: float = 10.0
    hedge: Literal["asked", "always", "never"] = "asked"
    """Who gets a second try beside a slow one: requests that ask for it, all, or none."""
    reply_limit: int = 64 * 1024 * 1024
    """Bytes of a whole reply."""
    error_limit: int = 1024 * 1024
    """Bytes of an error body."""
    estimate_missing_usage: bool = False
    """Whether the ledger gets an estimate of what a provider that answered did not tell (D25)."""
