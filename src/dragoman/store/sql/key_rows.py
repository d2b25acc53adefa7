"""Callers' keys as rows that can be carried from one database to another, with what each has used.

A digest opens nothing by itself, and is one under a pepper: where another database has another pepper it
would never be found again. So digests go with a mark of the pepper, and are taken only where the mark fits.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from dragoman.store.ledger_tables import hours
from dragoman.store.sql.keys import move_generation
from dragoman.store.tables import keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dragoman.store.engine import Database
    from dragoman.store.sql.secrets import SecretVersions

_MARK_OF = b"dragoman keys.json"
_MARK_BYTES = 8
SECRETS = ("digest", "pepper_version")


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
        if with_digests:
            shown |= {
                "digest": bytes(row["digest"]).hex(),
                "pepper_version": row["pepper_version"],
            }
        requests, tokens = usage.get(row["id"], (0, 0))
        told.append({**shown, "request_count": requests, "token_usage": tokens})
    return told


def known_columns() -> frozenset[str]:
    """What a row may say."""
    return frozenset(keys.c.keys())


async def put_key_rows(database: Database, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Stores keys whose rows are whole, all or none of them; the ids of those that were not there."""
    async with database.write() as connection:
        there = set((await connection.execute(select(keys.c.id))).scalars())
        digests = {
            bytes(each) for each in (await connection.execute(select(keys.c.digest))).scalars()
        }
        users = set((await connection.execute(select(keys.c.user_id))).scalars())
        new = []
        for row in rows:
            if row["id"] in there or row["digest"] in digests:
                continue
            if row.get("user_id") is not None and row["user_id"] in users:
                continue
            new.append(dict(row))
            there.add(row["id"])
            digests.add(row["digest"])
            users.add(row.get("user_id"))
        for row in new:
            await connection.execute(insert(keys).values(row))
        if new:
            await move_generation(connection)
    return [row["id"] for row in new]
