"""How much a WebSocket may do, and how little."""

from __future__ import annotations

from msgspec import Struct


class Bounds(Struct, frozen=True):
    """Of one connection, unless it says otherwise."""

    auth_s: float = 10.0
    """How long a caller may take to say who it is."""
    idle_s: float = 900.0
    """How long it may say nothing, and wait for nothing."""
    tries: int = 3
    """Keys that may be wrong."""
    at_once: int = 32
    """Requests that are under way."""
    waiting: int = 32 * 1024 * 1024
    """Bytes of bodies that no limit has let in yet, of all requests together."""
    of_a_key: int = 1000
    """Connections of one key that a process holds open."""
