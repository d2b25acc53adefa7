"""Callers' keys as rows that can be carried from one database to another, with what each has used.

A digest opens nothing by itself, and is one under a pepper: where another database has another pepper it
would never be found again. So digests go with a mark of the pepper, and are taken only where the mark fits.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from dragoman.core.call import DEFAULT_PROJECT
from dragoman.store.ledger_tables import hours
from dragoman.store.sql.keys import move_generation
from dragoman.store.sql.scope_text import told_scopes
from dragoman.store.sql.tenancy import ensure_place
from dragoman.store.tables import keys
from dragoman.store.tenancy_tables import projects, tenants

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Table

    from dragoman.store.engine import Database
    from dragoman.store.sql.secrets import SecretVersions

_MARK_OF = b"dragoman keys.json"
_MARK_BYTES = 8
SECRETS = ("digest", "pepper_version", "previous_digest", "previous_pepper_version")


def pepper_marks(peppers: SecretVersions) -> dict[str, str]:
    """What tells each version of a pepper from any other, and tells nothing of it."""
    return {
        str(version): hmac.digest(pepper, _MARK_OF, "sha256")[:_MARK_BYTES].hex()
        for version, pepper in peppers.versions.items()
    }


async def key_rows(database: Database, *, with_digests: bool) -> list[dict[str, Any]]:
    """Every key, oldest first: its columns, and the tokens and requests that it has used."""
    used = select(
        hours.c.key_id,
        func.sum(hours.c.requests),
        func.sum(hours.c.input_tokens + hours.c.output_tokens),
    ).group_by(hours.c.key_id)
    async with database.read() as connection:
        usage = {row[0]: (int(row[1]), int(row[2])) for row in await connection.execute(used)}
        found = await connection.execute(select(keys).order_by(keys.c.created_ms, keys.c.id))
        rows = found.mappings().all()
    told = []
    for row in rows:
        shown = {name: value for name, value in row.items() if name not in SECRETS}
        shown["scopes"] = told_scopes(row["scopes"])
        if with_digests:
            former = row["previous_digest"]
            shown |= {
                "digest": bytes(row["digest"]).hex(),
                "pepper_version": row["pepper_version"],
                "previous_digest": None if former is None else bytes(former).hex(),
                "previous_pepper_version": row["previous_pepper_version"],
            }
        requests, tokens = usage.get(row["id"], (0, 0))
        told.append({**shown, "request_count": requests, "token_usage": tokens})
    return told


async def key_count(database: Database) -> int:
    """How many keys there are, the revoked ones too."""
    async with database.read() as connection:
        found = await connection.execute(select(func.count()).select_from(keys))
    return found.scalar_one()


def known_columns() -> frozenset[str]:
    """What a row may say."""
    return frozenset(keys.c.keys())


async def place_rows(database: Database) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every tenant and every project, by their ids."""
    async with database.read() as connection:
        both = [
            (await connection.execute(select(table).order_by(*table.primary_key))).mappings().all()
            for table in (tenants, projects)
        ]
    found = [[{**row, "scopes": told_scopes(row["scopes"])} for row in rows] for rows in both]
    return found[0], found[1]


async def put_key_rows(
    database: Database,
    rows: Sequence[Mapping[str, Any]],
    places: Sequence[tuple[Table, Mapping[str, Any]]] = (),
) -> list[str]:
    """Stores tenants, projects and keys whose rows are whole, all or none of what is not there yet.

    Returns:
        The ids of the keys that were not there.

    Raises:
        CallerError: a key is in a project that is neither there nor among the rows.
    """
    async with database.write() as connection:
        for table, place in places:
            same = [column == place[column.name] for column in table.primary_key]
            if (await connection.execute(select(table).where(*same))).first() is None:
                await connection.execute(insert(table).values(dict(place)))
        there = set((await connection.execute(select(keys.c.id))).scalars())
        digests = {
            bytes(each)
            for column in (keys.c.digest, keys.c.previous_digest)
            for each in (await connection.execute(select(column))).scalars()
            if each is not None
        }
        users = {
            tuple(row) for row in await connection.execute(select(keys.c.tenant, keys.c.user_id))
        }
        new = []
        for row in rows:
            mine = {row["digest"], row.get("previous_digest")} - {None}
            user = (row["tenant"], row.get("user_id"))
            if row["id"] in there or not digests.isdisjoint(mine):
                continue
            if user[1] is not None and user in users:
                continue
            new.append(dict(row))
            there.add(row["id"])
            digests |= mine
            users.add(user)
        for row in new:
            project = row.get("project", DEFAULT_PROJECT)
            await ensure_place(connection, row["tenant"], project, row["created_ms"])
            await connection.execute(insert(keys).values(row))
        if new or places:
            await move_generation(connection)
    return [row["id"] for row in new]
