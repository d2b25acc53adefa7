"""What accounting needs of the house: a ledger to write to and read from, and an ear.

``store/sql/ledger.py`` implements the ledger. A failure to reach it is a ``HouseError``; entries
that it can reach but not take are ``EntryRefused``, so that one bad row is set aside and the
rest goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from dragoman.accounting.entry import Entry
from dragoman.accounting.served import Served
from dragoman.core.budget import Stake
from dragoman.core.call import Attempt
from dragoman.core.provider import Candidate

Happening: TypeAlias = Literal[
    "written",
    "flush_failed",
    "entry_refused",
    "records_held",
    "journal_drained",
    "journal_torn",
    "journal_orphans",
    "accounting_failed",
]
"""``written``: calls now in SQL. ``records_held``: the journal's disk refused a record that had
already cost money. ``journal_torn``: bytes of a dead process's file that were no whole record.
``journal_orphans``: calls whose end was read and whose beginning may lie behind such a tear."""

Notice: TypeAlias = Callable[[Happening, int, str], None]
"""The metric hook: what happened, how often or how much, and a word for the log."""


def silent(happening: Happening, number: int, detail: str) -> None:
    """Nobody listens."""


class Purse(Protocol):
    """What a call may spend of its caller's budgets; admission implements it."""

    def affords_now(self, candidate: Candidate) -> bool:
        """Whether what is set aside pays for one more try there; False: ``affords`` sees to it."""
        ...

    async def affords(self, candidate: Candidate) -> bool:
        """Whether one more try there is paid for; it is then set aside."""
        ...

    def stake(self, attempt: Attempt) -> Stake:
        """What the attempt that is about to be made takes with it."""
        ...

    def unmade(self, attempt: Attempt) -> None:
        """The attempt is not made after all."""
        ...

    def closed(self, attempt: Attempt, spent: int | None) -> int:
        """Settles an attempt at its cost in 10⁻¹² USD, None: unknown; what of its stake is held."""
        ...

    def finish(self) -> None:
        """Gives back what no attempt has taken."""
        ...


class EntryRefused(Exception):  # noqa: N818 -- an answer of the ledger, not a failure of it
    """The ledger could be reached and does not take the batch as it is."""


class Scope(Struct, frozen=True):
    """Whose rows: a tenant's, or of it one key's; from ``since_us`` on, before ``until_us``."""

    tenant: str | None
    """None: everybody's, for administrators alone."""
    key_id: str | None = None
    since_us: int | None = None
    until_us: int | None = None


class Only(Struct, frozen=True):
    """Which calls of a scope; None: whichever."""

    provider: str | None = None
    model: str | None = None
    caller: str | None = None
    root: str | None = None
    """The first element of a caller that is a chain (R-USE-014)."""
    project: str | None = None
    user: str | None = None
    tag: str | None = None


ANY = Only()


MEDIA = (
    "audio_input_tokens",
    "audio_output_tokens",
    "image_input_tokens",
    "image_output_tokens",
    "web_searches",
    "images",
    "audio_seconds",
)
"""Sums of what most calls have none of; the last two stand in ``units`` of a call's row."""


class Sums(Struct, gc=False):
    """Sums over calls; those of estimated numbers stand apart (D25)."""

    requests: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cost_pico: int = 0
    estimated_requests: int = 0
    estimated_input_tokens: int = 0
    estimated_output_tokens: int = 0
    estimated_cost_pico: int = 0
    unknown_tokens: int = 0
    """Calls that a provider worked on and whose tokens nobody knows."""
    unknown_cost: int = 0
    charged_pico: int = 0
    """What tenants are charged."""
    other_cost_pico: int = 0
    """What attempts have cost that did not serve: retries, and those that were outrun."""
    estimated_charged_pico: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    web_searches: int = 0
    images: int = 0
    """Pictures that were made."""
    audio_seconds: int = 0

    @property
    def tokens(self) -> int:
        """All tokens, the estimated ones included: what allowances go by."""
        reported = self.input_tokens + self.output_tokens
        return reported + self.estimated_input_tokens + self.estimated_output_tokens


class Line(Struct, frozen=True, gc=False):
    """One call in a report."""

    call_id: str
    request_id: str
    created_us: int
    status: str
    http_status: int | None
    stream: bool
    dialect: str
    operation: str
    caller: str
    requested_model: str
    provider: str | None
    model: str | None
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    tokens_from: str
    cost_pico: int | None
    cost_from: str
    upstream_id: str | None
    first_event_s: float | None
    duration_s: float | None
    error_code: str | None
    charged_pico: int | None = None
    project: str = ""
    end_user: str = ""
    tags: str = ""
    cache_write_1h_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_input_tokens: int | None = None
    image_output_tokens: int | None = None
    web_searches: int | None = None
    units: str = ""
    service_tier: str = ""
    other_cost_pico: int = 0


class Ledger(Protocol):
    """The record of what was consumed."""

    async def write(self, entries: Sequence[Entry], served: Sequence[Served] = ()) -> int:
        """Writes what is not there yet, in one transaction; how many calls were new."""
        ...

    async def sums(self, scope: Scope) -> Sums:
        """The totals of a scope."""
        ...

    async def by_hour(self, scope: Scope) -> dict[int, Sums]:
        """The totals of each hour, counted from 1970."""
        ...

    async def by_day(self, scope: Scope) -> dict[int, Sums]:
        """The totals of each UTC day, counted from 1970."""
        ...

    async def by_model(self, scope: Scope) -> dict[tuple[str, str], Sums]:
        """The totals of each provider and model."""
        ...

    async def find(self, scope: Scope, name: str) -> Line | None:
        """The call of that id; else the newest whose request or generation has the name (D23).

        Of names alone only what is not older than ``since_us`` is looked through.
        """
        ...

    async def entry(self, scope: Scope, name: str) -> Entry | None:
        """All that is known of the call that ``find`` finds."""
        ...

    def lines(
        self,
        scope: Scope,
        limit: int | None,
        *,
        before: tuple[int, str] | None = None,
        only: Only = ANY,
    ) -> AsyncIterator[list[Line]]:
        """The newest calls first, at most ``limit``, in lists of some thousands.

        ``before``: those behind the call of that moment and id.
        """
        ...
