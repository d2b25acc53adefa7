"""What the admin room works with: stores behind small protocols, and the ways to put a change in force."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from dragoman.accounting.ports import Ledger
from dragoman.accounting.question import Reports
from dragoman.accounting.search import SearchLedger
from dragoman.admin.accounts_kept import Ob1
from dragoman.admin.budgets_kept import Budgets
from dragoman.admission.budget_rules import Rule
from dragoman.audit.chain import Deed, Entry, Finding
from dragoman.catalog.cards import Card
from dragoman.catalog.registry import Registry
from dragoman.catalog.service import Service
from dragoman.catalog.stored import (
    HOUSE,
    Kind,
    Named,
    Overlay,
    StoredProvider,
    StoredTier,
    Submission,
)
from dragoman.core.call import Caller, Limits
from dragoman.core.client_address import Networks
from dragoman.core.secret import Secret
from dragoman.credentials.accounts import Standing
from dragoman.credentials.own import OwnCredential, OwnRule
from dragoman.identity.ports import KeyChange, KeyRecord, KeysChanged, KeySearch
from dragoman.identity.tenancy import PlaceChange, Project, Tenant
from dragoman.telemetry.numbers import Numbers


class AuditLog(Protocol):
    """The record of deeds."""

    async def append(self, deed: Deed) -> Entry:
        """Adds an entry; a ``HouseError`` where it cannot, and then nothing may be done."""
        ...

    async def page(
        self,
        *,
        before: int | None = None,
        limit: int = 100,
        tenant: str | None = None,
        since_us: int | None = None,
        until_us: int | None = None,
        **equal: str | None,
    ) -> list[Entry]:
        """The newest entries before a number, from a moment on and before another."""
        ...

    async def verify(self) -> Finding:
        """Follows the whole chain."""
        ...


class Keys(Protocol):
    """Callers' keys."""

    async def page(
        self, search: KeySearch, *, after: tuple[int, str] | None, limit: int
    ) -> list[KeyRecord]:
        """The oldest first."""
        ...

    async def get(self, key_id: str, *, tenant: str | None = None) -> KeyRecord | None:
        """One key."""
        ...

    async def create(self, like: KeyRecord) -> tuple[KeyRecord, Secret]:
        """Makes a key."""
        ...

    async def revoke(self, key_id: str, *, cut: bool = False) -> KeyRecord | None:
        """Revokes a key for good; ``cut``: its calls that are under way are to end, too."""
        ...

    async def change(self, key_id: str, change: KeyChange) -> KeyRecord | None:
        """Changes what is said of a key."""
        ...

    async def rotate(self, old: KeyRecord, overlap_s: float) -> tuple[KeyRecord, Secret]:
        """Gives a key another secret; the one of before goes on for so many seconds."""
        ...

    async def reset_usage(self, key_id: str) -> int:
        """Has the key's use count anew; the moment in microseconds."""
        ...


class Tenancy(Protocol):
    """Tenants and their projects."""

    async def tenants(
        self,
        *,
        suspended: bool | None = None,
        deleted: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Tenant]:
        """By the alphabet of their ids."""
        ...

    async def tenant(self, tenant_id: str) -> Tenant | None:
        """One tenant."""
        ...

    async def add_tenant(self, new: Tenant) -> Tenant:
        """Makes a tenant; a ``CallerError`` where it cannot be made."""
        ...

    async def change_tenant(self, tenant_id: str, change: PlaceChange) -> Tenant | None:
        """Changes what is said of a tenant."""
        ...

    async def delete_tenant(self, tenant_id: str) -> Tenant | None:
        """Ends a suspended tenant for good, and its keys."""
        ...

    async def projects(
        self,
        *,
        tenant: str | None = None,
        suspended: bool | None = None,
        after: tuple[str, str] | None = None,
        limit: int = 100,
    ) -> list[Project]:
        """By the alphabet of tenants and ids."""
        ...

    async def project(self, tenant: str, project_id: str) -> Project | None:
        """One project."""
        ...

    async def add_project(self, new: Project) -> Project:
        """Makes a project; a ``CallerError`` where it cannot be made."""
        ...

    async def change_project(
        self, tenant: str, project_id: str, change: PlaceChange
    ) -> Project | None:
        """Changes what is said of a project."""
        ...

    async def delete_project(self, tenant: str, project_id: str) -> bool:
        """Removes a suspended project for good, and ends its keys; whether it was there."""
        ...


class Names(Protocol):
    """Names and providers that were added here."""

    async def page(
        self, kind: Kind, *, tenant: str = HOUSE, after: str | None = None, limit: int = 100
    ) -> list[Named]:
        """The names of a kind, by the alphabet."""
        ...

    async def get(self, kind: Kind, name: str, *, tenant: str = HOUSE) -> Named | None:
        """One name."""
        ...

    async def put(self, new: Named) -> Named:
        """Stores a name, in the place of what it was."""
        ...

    async def remove(self, kind: Kind, name: str, *, tenant: str = HOUSE) -> bool:
        """Removes a name; whether it was there."""
        ...

    async def providers(self) -> list[StoredProvider]:
        """All stored providers."""
        ...

    async def put_provider(self, new: StoredProvider, key: str | None) -> None:
        """Stores a provider; a key of None leaves the stored one as it is."""
        ...

    async def remove_provider(self, name: str) -> bool:
        """Forgets what was stored of a provider; whether there was anything."""
        ...

    async def overlay(self) -> Overlay:
        """All that is stored, with its keys open."""
        ...


class StoredTiers(Protocol):
    """Tiers that were added or changed here."""

    async def all(self) -> tuple[StoredTier, ...]:
        """All of them, by the alphabet."""
        ...

    async def change(self, put: Collection[StoredTier], gone: Collection[str] = ()) -> None:
        """Stores tiers in the place of what they were and forgets others, all at once."""
        ...

    async def keys_with(self, name: str) -> int:
        """How many keys that are not revoked have the tier."""
        ...


class Submissions(Protocol):
    """Keys that were handed in."""

    async def add(self, new: Submission, key: str, most: int) -> Submission:
        """Keeps a key; at most so many wait."""
        ...

    async def page(
        self, *, before: str | None = None, limit: int = 100, provider: str | None = None
    ) -> list[Submission]:
        """The newest first."""
        ...

    async def get(self, name: str) -> Submission | None:
        """One of them."""
        ...

    async def adopt(self, name: str, *, off: bool = False) -> bool:
        """Has the key used, or no longer; whether that changed anything."""
        ...

    async def remove(self, name: str) -> bool:
        """Forgets the key; whether there was one."""
        ...


class Credentials(Protocol):
    """Credentials that tenants have brought."""

    async def page(
        self,
        *,
        tenant: str | None = None,
        provider: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[OwnCredential]:
        """The oldest first."""
        ...

    async def get(self, name: str, *, tenant: str | None = None) -> OwnCredential | None:
        """One of them."""
        ...

    async def add(self, new: OwnCredential, value: str) -> OwnCredential:
        """Seals one."""
        ...

    async def turn(
        self, name: str, *, disabled: bool, tenant: str | None = None
    ) -> OwnCredential | None:
        """Takes one out of use, or back into it."""
        ...

    async def remove(self, name: str, *, tenant: str | None = None) -> bool:
        """Forgets one; whether it was there."""
        ...

    async def rule(self, tenant: str) -> OwnRule:
        """Whether the tenant may use no others."""
        ...

    async def restrict(self, tenant: str, *, own_only: bool, by_tenant: bool = False) -> None:
        """Says whether it may: the operator's word, or the tenant's."""
        ...

    async def rules(
        self, *, tenant: str | None = None, after: str | None = None, limit: int = 100
    ) -> list[OwnRule]:
        """Tenants by the alphabet, and whether each may use no others."""
        ...


class Tried(Protocol):
    """What came of trying a credential."""

    @property
    def outcome(self) -> Literal["good", "refused", "unclear", "not tried"]:
        """In a word."""
        ...

    @property
    def said(self) -> str:
        """In a sentence."""
        ...

    @property
    def status(self) -> int | None:
        """The provider's."""
        ...


@dataclass(frozen=True, slots=True)
class IngestPolicy:
    """What strangers may hand in."""

    providers: frozenset[str]
    """Empty: any that is known."""
    most: int
    """Keys that may wait, and the most that are listed at once."""
    log: Callable[[Mapping[str, Any]], None]
    """Writes a line of the submissions' own log."""
    proxies: Networks = ()
    """Who is believed about where a request came from."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that the nouns read and write."""

    audit: AuditLog
    keys: Keys
    tenancy: Tenancy
    forget_content: Callable[[str], Awaitable[None]]
    """Removes what a tenant that was deleted had us keep."""
    names: Names
    stored_tiers: StoredTiers
    submissions: Submissions
    budgets: Budgets
    budgets_in_file: Callable[[], Sequence[Rule]]
    """Those of the configuration file and of the mode, which go before stored ones."""
    credentials: Credentials
    ledger: Ledger
    search: SearchLedger
    reports: Reports
    ingest: IngestPolicy
    tiers: Callable[[], Mapping[str, Limits]]
    tiers_in_file: Callable[[], Mapping[str, Limits]]
    """Those of the data file and the configuration file, without the stored ones."""
    limits: Callable[[Caller], Limits]
    """What holds for a caller, its tier's limits and its own together."""
    name_of: Callable[[str], str]
    """Names a key without telling it: its digest under ``API_KEY_HASH_SECRET``."""
    keys_changed: KeysChanged
    """This process has changed a key, or all of a tenant: what it remembers of them is old."""
    credentials_changed: Callable[[], Awaitable[None]]
    """This process has changed a tenant's credential: what it remembers of them is old."""
    try_credential: Callable[[str], Awaitable[Tried | None]]
    """Asks its provider whether a credential is good; None: there is none of that id."""
    try_out: Callable[[Overlay], Awaitable[None]]
    """Refuses an overlay that could not be served by."""
    renew: Callable[[], Awaitable[None]]
    """Puts in force what is stored now."""
    flush: Callable[[], Awaitable[None]]
    """Brings this process's usage to the ledger."""
    registry: Callable[[], Registry]
    services: Callable[[], Mapping[str, Service]]
    """Other services that tenants may have credentials for."""
    overlay: Callable[[], Overlay]
    """What is in force of what is stored."""
    said_in_file: Callable[[], Mapping[Kind, Mapping[str, Any]]]
    """Aliases and routes of the configuration file."""
    providers_in_file: Callable[[], frozenset[str]]
    acquit: Callable[[str], None]
    """A provider that its failures had disabled may be tried again."""
    cards: Callable[[], Awaitable[Sequence[Card]]]
    numbers: Callable[[], Numbers]
    """What this gateway's processes have counted."""
    conditions: Callable[[], Mapping[str, Any]]
    queues: Callable[[], Mapping[str, Any]]
    """What waits, by name."""
    accounts: Callable[[], Sequence[Standing]]
    """How accounts stand that were logged in by OAuth; it reads files."""
    ob1: Ob1
    most_errors: int
    """Failed calls that are looked through for the summary."""
    log: Callable[..., None]
    new_id: Callable[[], str]
    wall: Callable[[], float]
    started_us: int
    """When this process has begun to serve, in Unix microseconds."""
    changes: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by who changes what is routed by, in this process; what two processes change at once and does not
    fit together is left out and told in the log."""
