"""Streams that somebody listens to on their way, for what stands in no frame of theirs: how much was said.

Within one family frames pass unread but for their usage and their end, so that a reader runs beside the relay;
between two families the events are there anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from dragoman.core.errors import GatewayError
from dragoman.core.events import Event
from dragoman.dialects.base import Facts, Relay, StreamReader

Hearer: TypeAlias = Callable[[list[Event]], None]


class Overheard:
    """A ``StreamReader`` whose events somebody else gets as well."""

    __slots__ = ("_hear", "_reader")

    def __init__(self, reader: StreamReader, hear: Hearer) -> None:
        self._reader = reader
        self._hear = hear

    def feed(self, data: bytes) -> list[Event]:
        """As the reader."""
        events = self._reader.feed(data)
        self._hear(events)
        return events

    def close(self) -> list[Event]:
        """As the reader."""
        events = self._reader.close()
        self._hear(events)
        return events


class Beside:
    """A ``Relay`` whose stream is read beside it; the caller's frames are the relay's own."""

    __slots__ = ("_hear", "_reader", "_relay", "facts")

    def __init__(self, relay: Relay, reader: StreamReader, hear: Hearer) -> None:
        self.facts: Facts = relay.facts
        self._relay = relay
        self._reader = reader
        self._hear = hear

    def feed(self, data: bytes) -> bytes:
        """As the relay."""
        self._listen(partial(self._reader.feed, data))
        return self._relay.feed(data)

    def close(self) -> bytes:
        """As the relay."""
        self._listen(self._reader.close)
        return self._relay.close()

    def fail(self, error: GatewayError) -> bytes:
        """As the relay."""
        return self._relay.fail(error)

    def _listen(self, read: Callable[[], list[Event]]) -> None:
        try:
            self._hear(read())
        except Exception:  # noqa: BLE001  what is listened for is worth no answer (R-USE-013)
            self._hear = _deaf


def _deaf(events: list[Event]) -> None:
    """Hears nothing: what has come by then is all that is known."""
