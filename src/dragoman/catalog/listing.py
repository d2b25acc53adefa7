"""Live lists of models: what is due, what a reply says, what is known (D13). No I/O.

Whoever drives this asks ``due``, fetches what is due at the same time (at most ``TIMEOUT_S``; whoever
comes meanwhile waits for the flight that is under way) and tells each result by ``note`` or ``fail``.
Listings are asked for when they are needed, never at start; what is known stays in use while
it is being renewed, and after a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Provider

MAX_AGE_S = 3600.0
RETRY_S = 60.0
"""How long a provider whose list could not be had is left in peace."""
TIMEOUT_S = 2.0
"""How long whoever fetches may wait."""
MOST = 10_000
"""Models read from one list; a list is foreign input."""
LONGEST = 256


class Listed(Struct, frozen=True):
    """One model as its provider lists it."""

    id: str
    name: str | None = None
    created: int = 0
    context_tokens: int | None = None


class ListingRequest(Struct, frozen=True):
    """A list to fetch: GET ``url`` with the provider's headers and credential."""

    provider: Provider
    url: str


@dataclass(slots=True)
class _Entry:
    models: dict[str, Listed] = field(default_factory=dict)
    known: bool = False
    next_s: float = 0.0
    """Monotonic seconds from which on it is due."""


class Listings:
    """What providers list, and when they are to be asked again."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def expire(self) -> None:
        """Every list is to be fetched anew."""
        for entry in self._entries.values():
            entry.next_s = 0.0

    def due(
        self, providers: Iterable[Provider], query_of: Callable[[str], str], now: float
    ) -> list[ListingRequest]:
        """The lists to fetch now."""
        requests = []
        for provider in providers:
            path = provider.paths.get("models")
            if path is None or provider.stub:
                continue
            entry = self._entries.get(provider.name)
            if entry is not None and now < entry.next_s:
                continue
            query = query_of(provider.name)
            url = provider.base_url + path + (f"?{query}" if query else "")
            requests.append(ListingRequest(provider, url))
        return requests

    def note(self, provider: str, models: Iterable[Listed], now: float) -> None:
        """A provider's list has come."""
        found = {model.id: model for model in models}
        self._entries[provider] = _Entry(found, known=True, next_s=now + MAX_AGE_S)

    def fail(self, provider: str, now: float) -> None:
        """A provider's list could not be had; what was known stays."""
        self._entries.setdefault(provider, _Entry()).next_s = now + RETRY_S

    def remember(self, provider: str, models: Iterable[Listed]) -> None:
        """What the provider listed once: known, and due to be asked for anew."""
        if self.of(provider) is None:
            found = {model.id: model for model in models}
            self._entries[provider] = _Entry(found, known=True)

    def only(self, providers: Iterable[str]) -> Listings:
        """What is known of these providers alone."""
        kept = Listings()
        kept._entries = {name: self._entries[name] for name in providers if name in self._entries}
        return kept

    def of(self, provider: str) -> dict[str, Listed] | None:
        """What the provider lists by id, however old; None: it was never had."""
        entry = self._entries.get(provider)
        return entry.models if entry is not None and entry.known else None


def read_listing(body: bytes) -> tuple[Listed, ...]:
    """The models in a reply of OpenAI's, Anthropic's, Google's or Ollama's shape, or a bare array.

    Raises:
        UpstreamError: it is none of these.
    """
    try:
        page = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _garbage() from None
    rows = page
    if isinstance(page, dict):
        rows = page.get("data", page.get("models"))
    if not isinstance(rows, list):
        raise _garbage()
    found = (_read_row(row) for row in rows[:MOST])
    return tuple(model for model in found if model is not None)


def _garbage() -> UpstreamError:
    return UpstreamError(
        "upstream",
        "The provider's list of models is in no form that is known.",
        code="bad_listing",
    )


def _read_row(row: Any) -> Listed | None:
    if not isinstance(row, dict):
        return None
    own = row.get("id") or row.get("name") or row.get("model")
    if not isinstance(own, str):
        return None
    # Google writes "models/gemini-…".
    identity = own.removeprefix("models/") if "id" not in row else own
    if not 0 < len(identity) <= LONGEST or not identity.isprintable():
        return None
    title = row.get("display_name") or row.get("displayName") or row.get("name")
    return Listed(
        id=identity,
        name=title if isinstance(title, str) and 0 < len(title) <= LONGEST else None,
        created=_created(row),
        context_tokens=_context(row),
    )


def _created(row: dict[str, Any]) -> int:
    for name in ("created", "created_at"):
        value = row.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 10**11:
            return int(value)
        if isinstance(value, str):
            try:
                return max(0, int(datetime.fromisoformat(value).timestamp()))
            except (ValueError, OverflowError, OSError):
                continue
    return 0


def _context(row: dict[str, Any]) -> int | None:
    for name in (
        "context_length",
        "context_window",
        "max_context_length",
        "inputTokenLimit",
        "max_input_tokens",
    ):
        value = row.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9:
            return value
    return None
