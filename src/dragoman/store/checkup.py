"""Looks a database over: tables, damage, rows that belong to nothing, secrets that open, journals that wait.

Nothing is changed. ``errors`` are what keeps the gateway from serving or has lost something; ``warnings``
are what a person should know.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from sqlalchemy import exists, func, not_, select, text

from dragoman.accounting.drain import tags
from dragoman.accounting.journal import claim, journal_files, release
from dragoman.core.errors import HouseError
from dragoman.store.backup import count, one_moment, own_tables
from dragoman.store.body_tables import bodies
from dragoman.store.credential_tables import credentials
from dragoman.store.engine import Database, is_there, open_database
from dragoman.store.ledger_tables import attempts, requests
from dragoman.store.response_tables import responses
from dragoman.store.schema import newest_version, version_of
from dragoman.store.seal import Sealed, Sealer
from dragoman.store.sql.tenant_keys import secret_name
from dragoman.store.tables import keys, secrets

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

JOURNALS = {"journal": "of usage", "notes": "of what providers keep"}
"""The folders of the home in which processes leave what SQL does not have yet."""


class Checkup(Struct, frozen=True):
    """What was found."""

    version: str | None
    newest: str
    rows: dict[str, int]
    errors: list[str]
    warnings: list[str]


async def check_up(url: str, sealer: Sealer, home: Path) -> Checkup:
    """Looks over the database at ``url`` and the journals in ``home``.

    Raises:
        HouseError: there is no database.
    """
    if not is_there(url):
        raise HouseError(
            "server",
            "There is no database yet: `dragoman db upgrade` makes it.",
            code="configuration_error",
        )
    errors: list[str] = []
    warnings: list[str] = []
    rows: dict[str, int] = {}
    version: str | None = None
    database = open_database(url, query_timeout_s=None)
    try:
        async with one_moment(database) as connection:
            version = await connection.run_sync(version_of)
            errors += await _damage(database, connection)
            if not errors and version is not None:
                tables = await own_tables(connection)
                rows = {table.name: await count(connection, table) for table in tables}
            if not errors and version == newest_version():
                errors += await _orphans(connection)
                found = await _sealed(connection, sealer)
                errors += found[0]
                warnings += found[1]
    except HouseError as error:
        errors.append(error.message)
    else:
        errors[:0] = _version_trouble(version)
    finally:
        await database.close()
    for folder, what in JOURNALS.items():
        warnings += _waiting(home / folder, what)
    return Checkup(version, newest_version(), rows, errors, warnings)


def _version_trouble(version: str | None) -> list[str]:
    newest = newest_version()
    if version == newest:
        return []
    if version is None:
        return ["There are no tables: `dragoman db upgrade` makes them."]
    if version > newest:
        return [
            f"The tables have version {version}, of a newer Dragoman than this one ({newest})."
        ]
    return [f"The tables have version {version}: `dragoman db upgrade` brings them to {newest}."]


async def _damage(database: Database, connection: AsyncConnection) -> list[str]:
    """What SQLite says of its own file; PostgreSQL looks after its pages and references itself."""
    if database.backend != "sqlite":
        return []
    found = [
        f"The file is damaged: {row[0]}"
        for row in await connection.execute(text("PRAGMA integrity_check(5)"))
        if row[0] != "ok"
    ]
    lost = (await connection.execute(text("PRAGMA foreign_key_check"))).all()
    return found + [
        f"{sum(row[0] == name for row in lost)} rows of {name} refer to rows that are not there."
        for name in sorted({row[0] for row in lost})
    ]


async def _orphans(connection: AsyncConnection) -> list[str]:
    """Rows that nobody can find, as what they belong to is not there."""
    without_call = not_(exists().where(requests.c.call_id == attempts.c.call_id))
    versions = select(secrets.c.version).where(secrets.c.name == "pepper")
    unreadable = keys.c.pepper_version.not_in(versions)
    found = (
        (attempts, without_call, "attempts of calls that are not there"),
        (keys, unreadable, "keys whose pepper is not there, so that they open nothing"),
    )
    told = []
    for table, wrong, what in found:
        number = (
            await connection.execute(select(func.count()).select_from(table).where(wrong))
        ).scalar_one()
        if number:
            told.append(f"{number} {what}.")
    sealed = responses.c.reply.is_not(None)
    keeping = (
        select(responses.c.tenant)
        .where(sealed)
        .union(select(credentials.c.tenant), select(bodies.c.tenant))
    )
    tenants = (await connection.execute(keeping)).all()
    names = {row[0] for row in await connection.execute(select(secrets.c.name).distinct())}
    lost = [tenant for (tenant,) in tenants if secret_name(tenant) not in names]
    if lost:
        told.append(f"What is kept for {len(lost)} tenants cannot be opened: their key is gone.")
    return told


async def _sealed(connection: AsyncConnection, sealer: Sealer) -> tuple[list[str], list[str]]:
    """Whether every secret opens, and whether the key in force has sealed it."""
    errors: dict[str, int] = {}
    old = 0
    for token, by in await connection.execute(select(secrets.c.sealed, secrets.c.sealed_by)):
        sealed = Sealed(bytes(token), by)
        try:
            sealer.open(sealed)
        except HouseError as error:
            errors[error.message] = errors.get(error.message, 0) + 1
        else:
            old += not sealer.is_current(sealed)
    told = [f"{number} secrets do not open. {message}" for message, number in errors.items()]
    if not old:
        return told, []
    older = (
        f"{old} secrets are sealed by an older key: keep it in FERNET_KEY until `dragoman secrets "
        "rotate` has found none left."
    )
    return told, [older]


def _waiting(folder: Path, what: str) -> list[str]:
    """What processes have left in the folder, and files that were set aside for a person."""
    if not folder.is_dir():
        return []
    told = []
    dead = [tag for tag in tags(folder) if journal_files(folder, tag) and _is_dead(folder, tag)]
    if dead:
        size = sum(file.stat().st_size for tag in dead for file in journal_files(folder, tag))
        told.append(
            f"{len(dead)} journals {what} ({size} bytes) of dead processes wait in {folder}: the next "
            "start brings them into the database."
        )
    for suffix, why in ((".torn", "broken off"), (".refused", "refused by the database")):
        files = sorted(folder.glob(f"*{suffix}"))
        if files:
            told.append(
                f"{len(files)} journals {what} were {why} and set aside, such as {files[0]}."
            )
    return told


def _is_dead(folder: Path, tag: str) -> bool:
    lock = claim(folder, tag)
    if lock is None:
        return False
    release(folder, tag, lock, empty=False)
    return True
