"""The database alone, and what stands in it: for commands that need no server, and for the server's beginning.

What speaks SQL is imported inside, so that commands that need none stay quick (D32).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dragoman.config.settings import ConfigError, Settings
from dragoman.core.clock import SystemClock
from dragoman.core.errors import CallerError

if TYPE_CHECKING:
    from dragoman.accounting.entry import RequestRow
    from dragoman.identity.ports import KeyRecord
    from dragoman.store.administered import Administered
    from dragoman.store.engine import Database
    from dragoman.store.seal import Sealer
    from dragoman.store.sql.audit import SqlAudit
    from dragoman.store.sql.exports import SqlExports
    from dragoman.store.sql.keys import SqlKeys
    from dragoman.store.sql.ledger import SqlLedger
    from dragoman.store.sql.retention import SqlRetention
    from dragoman.store.sql.settling import SqlSettling
    from dragoman.store.sql.summing import Summing


@asynccontextmanager
async def open_keys(settings: Settings) -> AsyncIterator[SqlKeys]:
    """The stored keys alone, for commands that need no server."""
    async with open_store(settings) as (database, keys, sealer):
        del database, sealer
        yield keys


@asynccontextmanager
async def open_audit_log(settings: Settings) -> AsyncIterator[SqlAudit]:
    """The audit log alone, for commands that need no server."""
    from dragoman.store.sql.audit import open_audit  # noqa: PLC0415  SQL only where it is needed

    async with open_store(settings) as (database, keys, sealer):
        del keys
        yield await open_audit(database, sealer, SystemClock())


@asynccontextmanager
async def open_administered_alone(settings: Settings) -> AsyncIterator[Administered]:
    """What is administered, for commands that need no server."""
    from dragoman.store.administered import open_administered  # noqa: PLC0415  SQL only where it is needed

    async with open_store(settings) as (database, keys, sealer):
        yield await open_administered(database, keys, sealer, SystemClock())


@dataclass(frozen=True, slots=True)
class Past:
    """What the ledger knows of the last calls, and whose they were."""

    calls: Callable[[int, int], AsyncIterator[list[RequestRow]]]
    """Since Unix microseconds, at most so many, the newest first."""
    keys: Mapping[str, KeyRecord]
    """Every stored key by its id."""


@asynccontextmanager
async def open_past(settings: Settings) -> AsyncIterator[Past]:
    """The last calls in the ledger, for commands that need no server."""
    from dragoman.store.sql.past import past_calls  # noqa: PLC0415  SQL only where it is needed

    async with open_store(settings) as (database, keys, sealer):
        del sealer
        yield Past(partial(past_calls, database), {key.id: key for key in await keys.list()})


@dataclass(frozen=True, slots=True)
class Views:
    """What the ledger tells of what was used, and what removes its old calls."""

    ledger: SqlLedger
    reports: Summing
    exports: SqlExports
    settling: SqlSettling
    keeping: Callable[[int], SqlRetention]
    """Of so many days."""


@asynccontextmanager
async def open_views(settings: Settings) -> AsyncIterator[Views]:
    """The views of the ledger alone, for commands that need no server."""
    from dragoman.store.sql.exports import SqlExports  # noqa: PLC0415  SQL only where it is needed
    from dragoman.store.sql.ledger import SqlLedger  # noqa: PLC0415
    from dragoman.store.sql.retention import SqlRetention  # noqa: PLC0415
    from dragoman.store.sql.settling import SqlSettling  # noqa: PLC0415
    from dragoman.store.sql.summing import Summing  # noqa: PLC0415

    async with open_store(settings) as (database, keys, sealer):
        del keys, sealer
        yield Views(
            SqlLedger(database),
            Summing(database),
            SqlExports(database),
            SqlSettling(database),
            partial(SqlRetention, database, SystemClock()),
        )


@asynccontextmanager
async def open_store(settings: Settings) -> AsyncIterator[tuple[Database, SqlKeys, Sealer]]:
    """The database with its tables up to date, its keys, and what its secrets are sealed by."""
    from dragoman.store.schema import open_upgraded  # noqa: PLC0415  SQL only where it is needed
    from dragoman.store.seal import open_sealer  # noqa: PLC0415
    from dragoman.store.sql.keys import open_keys as open_sql_keys  # noqa: PLC0415

    given = settings.fernet_key.get_secret_value() if settings.fernet_key else None
    sealer = open_sealer(settings.dragoman_home, given)
    database = await open_upgraded(settings.database)
    try:
        keys = await open_sql_keys(database, sealer, SystemClock(), settings.key_prefix)
        yield database, keys, sealer
    finally:
        await database.close()


async def first_admin(settings: Settings, keys: SqlKeys) -> str | None:
    """The configured admin; in local mode, one made at the first start and told once (R-AUTH-004)."""
    from dragoman.store.sql.keys import NewKey  # noqa: PLC0415

    if settings.default_admin_user_id and settings.default_admin_api_key:
        user, key = settings.default_admin_user_id, settings.default_admin_api_key
        try:
            await keys.ensure_admin(user, key.get_secret_value())
        except CallerError as error:
            raise ConfigError(f"DEFAULT_ADMIN_API_KEY: {error.message}") from None
        return None
    if settings.mode != "local" or any(key.role == "admin" for key in await keys.list()):
        return None
    try:
        _, secret = await keys.create(NewKey("local admin", role="admin", user_id="local-admin"))
    except CallerError:
        return None  # another worker was quicker, and shows its key
    return secret.reveal()
