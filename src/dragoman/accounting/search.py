"""Looking through the calls of the ledger, page by page, by what is known of each."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from dragoman.accounting.ports import Line


class Search(Struct, frozen=True):
    """Which calls are wanted; None: whichever."""

    tenant: str | None = None
    key_id: str | None = None
    provider: str | None = None
    model: str | None = None
    requested_model: str | None = None
    status: str | None = None
    error_code: str | None = None
    project: str | None = None
    end_user: str | None = None
    tag: str | None = None
    since_us: int | None = None
    """From this moment on."""
    until_us: int | None = None
    """Before it."""


class Hit(Struct, frozen=True):
    """A call, and whose it is."""

    tenant: str
    key_id: str
    line: Line


class Failures(Struct, frozen=True):
    """How calls have failed of late: the newest failed ones, counted by code and provider."""

    looked_at: int
    capped: bool
    """There are more than were looked at."""
    counts: dict[tuple[str, str], int] = {}


class SearchLedger(Protocol):
    """A ledger that can be looked through."""

    async def calls(self, search: Search, *, before: str | None, limit: int) -> list[Hit]:
        """The newest calls; ``before`` is the id of the call that ended the page before."""
        ...

    async def failures(self, search: Search, most: int) -> Failures:
        """The newest failed calls, at most so many, by code and provider."""
        ...
