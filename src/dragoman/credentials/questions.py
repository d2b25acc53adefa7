"""What is asked of authorization servers, as plain data; ``transport/asking.py`` sends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct


class Question(Struct, frozen=True):
    """One HTTP request; without a body it is a GET."""

    url: str
    body: str | None = None
    headers: dict[str, str] = {}
    timeout_s: float = 30.0

    def __repr__(self) -> str:
        return f"Question({self.url})"


class Answer(Struct, frozen=True):
    """What came back; header names in lower case."""

    status: int
    body: bytes
    headers: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Answer({self.status})"


Ask: TypeAlias = Callable[[Question], Answer]
"""Sends one, and waits for what comes back; no answer at all is an ``UpstreamError``."""
