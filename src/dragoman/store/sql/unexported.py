"""What is stored and stands in no file of ``dragoman export``: counted, so that nobody believes it carried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select

from dragoman.store.admin_tables import named, stored_providers, submitted
from dragoman.store.budget_tables import budgets
from dragoman.store.credential_tables import credentials, holders

if TYPE_CHECKING:
    from dragoman.store.engine import Database

_COUNT = select(func.count())
_COUNTS = {
    "aliases": _COUNT.where(named.c.kind == "alias"),
    "routes": _COUNT.where(named.c.kind == "route"),
    "routing policies": _COUNT.where(named.c.kind == "policy"),
    "keys of providers": _COUNT.where(stored_providers.c.sealed_key.is_not(None)),
    "keys handed in": _COUNT.select_from(submitted),
    "credentials of tenants": _COUNT.select_from(credentials),
    "credential rules": _COUNT.where(or_(holders.c.own_only, holders.c.own_word)),
    "budgets": _COUNT.select_from(budgets),
}


async def unexported(database: Database) -> dict[str, int]:
    """How many there are of each kind; a kind of which there is none is left out."""
    async with database.read() as connection:
        found = {
            what: int((await connection.execute(query)).scalar_one())
            for what, query in _COUNTS.items()
        }
    return {what: number for what, number in found.items() if number}
