"""Brings the tables to the version that this code needs, or says that they are not there.

``serve`` in production only checks; every other command, and ``serve`` in local and test
mode, also upgrades. Alembic is imported only where it has work to do (D32). An upgrade is one
transaction under a lock: a process killed in the middle leaves the old version, and of two
processes that start at once the second finds the work done.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import func, inspect, select, text

from dragoman.core.errors import HouseError
from dragoman.store.engine import Backend, Database, is_there, open_database

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

MIGRATIONS = Path(__file__).parent / "migrations"
_UPGRADE_LOCK = 0x64726167
"""PostgreSQL's advisory lock that migrations hold: "drag"."""


def newest_version() -> str:
    """The version that this code needs: the number of the last file in ``versions/``."""
    return max(versions())


def versions() -> frozenset[str]:
    """All versions that this code knows."""
    return frozenset(file.name[:4] for file in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


async def schema_version(database: Database) -> str | None:
    """The version that the database has, None where it has no tables of ours."""
    async with database.read() as connection:
        return await connection.run_sync(version_of)


def version_of(connection: Connection) -> str | None:
    """The version of the tables, None where there are none of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar()
    return version


async def version_at(url: str) -> str | None:
    """The version of the tables at ``url``; None where there are none, or no SQLite file yet."""
    if not is_there(url):
        return None
    database = open_database(url)
    try:
        return await schema_version(database)
    finally:
        await database.close()


def refuse_unless_older(version: str, has: str | None) -> None:
    """Refuses, as a ``HouseError``, to go down to a version that is none, or is not below ``has``."""
    known = sorted(versions())
    if version != "base" and version not in known:
        raise _refusal(
            f"has no version {version!r} to go to: say base, or one of {', '.join(known)}"
        )
    if has is None or (version != "base" and version >= has):
        state = "has no tables" if has is None else f"has tables of version {has}"
        raise _refusal(f"{state}, which is not above {version}: nothing was changed")


async def check_schema(database: Database) -> None:
    """Refuses, as a ``HouseError``, a database whose tables are not those of this code."""
    has, needs = await schema_version(database), newest_version()
    if has == needs:
        return
    if has is not None and has > needs:
        raise _refusal(
            f"has tables of version {has}, made by a newer Dragoman than this one, which knows "
            f"{needs}: install that version, or restore the backup made before it",
        )
    state = "has no tables yet" if has is None else f"has tables of version {has}"
    raise _refusal(f"{state}, and {needs} is needed: run `dragoman db upgrade`")


def _refusal(what: str) -> HouseError:
    return HouseError("server", f"The database {what}.", code="configuration_error")


async def open_upgraded(url: str) -> Database:
    """Opens the database at ``url`` with its tables made or brought up to date."""
    database = open_database(url)
    try:
        version = await schema_version(database)
        if version is None or version < newest_version():
            await _migrate_at(url, "upgrade", "head")
        await check_schema(database)
    except BaseException:
        await database.close()
        raise
    return database


async def upgrade(url: str) -> None:
    """Makes the tables at ``url``, or brings them up to date."""
    database = await open_upgraded(url)
    await database.close()


async def downgrade(url: str, version: str) -> None:
    """Takes the tables at ``url`` back to ``version``; ``base`` removes them and what they hold."""
    await _migrate_at(url, "downgrade", version)


async def _migrate_at(url: str, direction: Literal["upgrade", "downgrade"], version: str) -> None:
    """Migrates on a connection of its own: a large table may take longer than a query may."""
    database = open_database(url, query_timeout_s=None)
    try:
        await _migrate(database, direction, version)
    finally:
        await database.close()


async def migrate_within(
    connection: AsyncConnection, direction: Literal["upgrade", "downgrade"], version: str
) -> None:
    """Migrates in a transaction that somebody else has begun, and will end."""
    await connection.run_sync(_run_alembic, direction, version)


async def lock_upgrades(connection: AsyncConnection, backend: Backend) -> None:
    """Waits until nobody else migrates; until the end of the transaction nobody will."""
    if backend == "postgresql":
        await connection.execute(select(func.pg_advisory_xact_lock(_UPGRADE_LOCK)))


async def _migrate(
    database: Database, direction: Literal["upgrade", "downgrade"], version: str
) -> None:
    async with database.write() as connection:
        await lock_upgrades(connection, database.backend)
        await migrate_within(connection, direction, version)


def _run_alembic(
    connection: Connection, direction: Literal["upgrade", "downgrade"], version: str
) -> None:
    from alembic import command  # noqa: PLC0415 - only where a migration runs (D32)
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    if direction == "upgrade":
        command.upgrade(config, version)
    else:
        command.downgrade(config, version)
