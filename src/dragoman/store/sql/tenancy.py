"""Tenants and projects in SQL: made, looked through in pages, changed, suspended.

Every change moves the generation of the keys on, so that a key whose tenant or project was suspended or narrowed
is refused in every process as soon as one that was revoked is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from dragoman.core.call import DEFAULT_PROJECT
from dragoman.core.errors import CallerError, invalid
from dragoman.identity.tenancy import PlaceChange, Project, Tenant, check_name
from dragoman.store.sql.counters import move_on
from dragoman.store.sql.scope_text import read_scopes, write_scopes
from dragoman.store.tenancy_tables import projects, tenants

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database

GENERATION = "keys_generation"


class SqlTenancy:
    """The tenants and projects of a database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # --- tenants

    async def tenants(
        self, *, suspended: bool | None = None, after: str | None = None, limit: int = 100
    ) -> list[Tenant]:
        """By the alphabet of their ids, behind one of them."""
        query = select(tenants).where(*_state(tenants, suspended)).order_by(tenants.c.id)
        if after is not None:
            query = query.where(tenants.c.id > after)
        async with self._database.read() as connection:
            rows = (await connection.execute(query.limit(limit))).mappings().all()
        return [_tenant(row) for row in rows]

    async def tenant(self, tenant_id: str) -> Tenant | None:
        """One tenant."""
        query = select(tenants).where(tenants.c.id == tenant_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        return None if row is None else _tenant(row)

    async def add_tenant(self, new: Tenant) -> Tenant:
        """Makes a tenant, and its project ``default``.

        Raises:
            CallerError: it cannot be called so, or there is one.
        """
        check_name(new.id, "tenant")
        now_ms = self._now_ms()
        row = {
            "id": new.id,
            "name": new.name,
            "scopes": write_scopes(new.scopes),
            "created_ms": now_ms,
            "suspended_ms": None,
        }
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(tenants).values(row))
                await ensure_place(connection, new.id, DEFAULT_PROJECT, now_ms)
                await move_on(connection, GENERATION)
        except IntegrityError:
            raise _there("tenant", new.id) from None
        return _tenant(row)

    async def change_tenant(self, tenant_id: str, change: PlaceChange) -> Tenant | None:
        """Changes what is said of a tenant; None where there is none."""
        await self._change(tenants, tenants.c.id == tenant_id, change)
        return await self.tenant(tenant_id)

    # --- projects

    async def projects(
        self,
        *,
        tenant: str | None = None,
        suspended: bool | None = None,
        after: tuple[str, str] | None = None,
        limit: int = 100,
    ) -> list[Project]:
        """By the alphabet of tenants and ids, behind one of them; of ``tenant`` alone if that is said."""
        owner, name = projects.c.tenant, projects.c.id
        query = select(projects).where(*_state(projects, suspended)).order_by(owner, name)
        if tenant is not None:
            query = query.where(owner == tenant)
        if after is not None:
            query = query.where(or_(owner > after[0], (owner == after[0]) & (name > after[1])))
        async with self._database.read() as connection:
            rows = (await connection.execute(query.limit(limit))).mappings().all()
        return [_project(row) for row in rows]

    async def project(self, tenant: str, project_id: str) -> Project | None:
        """One project of a tenant."""
        query = select(projects).where(_is(tenant, project_id))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).mappings().first()
        return None if row is None else _project(row)

    async def add_project(self, new: Project) -> Project:
        """Makes a project of a tenant that is there.

        Raises:
            CallerError: it cannot be called so, there is one, or the tenant is not there.
        """
        check_name(new.id, "project")
        row = {
            "tenant": new.tenant,
            "id": new.id,
            "name": new.name,
            "scopes": write_scopes(new.scopes),
            "created_ms": self._now_ms(),
            "suspended_ms": None,
        }
        try:
            async with self._database.write() as connection:
                known = select(tenants.c.id).where(tenants.c.id == new.tenant)
                if (await connection.execute(known)).first() is None:
                    raise _no_tenant(new.tenant)
                await connection.execute(insert(projects).values(row))
        except IntegrityError:
            raise _there("project", new.id) from None
        return _project(row)

    async def change_project(
        self, tenant: str, project_id: str, change: PlaceChange
    ) -> Project | None:
        """Changes what is said of a project; None where there is none."""
        await self._change(projects, _is(tenant, project_id), change)
        return await self.project(tenant, project_id)

    # --- both

    async def _change(self, table: Table, which: Any, change: PlaceChange) -> None:
        values: dict[str, Any] = {}
        if change.name is not None:
            values["name"] = change.name
        if change.scopes is not None:
            values["scopes"] = write_scopes(change.scopes)
        statements = [update(table).where(which).values(**values)] if values else []
        if change.suspended is not None:
            statements.append(suspending(table, which, self._now_ms(), off=not change.suspended))
        if not statements:
            return
        async with self._database.write() as connection:
            for statement in statements:
                await connection.execute(statement)
            await move_on(connection, GENERATION)

    def _now_ms(self) -> int:
        return int(self._clock.wall() * 1000)


def suspending(table: Table, which: Any, now_ms: int, *, off: bool) -> Any:
    """Suspends rows from now on, those that are suspended since they were; or lets them go on."""
    if off:
        return update(table).where(which).values(suspended_ms=None)
    return update(table).where(which, table.c.suspended_ms.is_(None)).values(suspended_ms=now_ms)


async def ensure_place(
    connection: AsyncConnection, tenant: str, project: str, now_ms: int
) -> None:
    """Has a tenant there with its default project; of another project it is asked that it is there.

    Raises:
        CallerError: the tenant cannot be called so, or the project is not there.
    """
    known = select(projects.c.id).where(_is(tenant, project))
    if (await connection.execute(known)).first() is not None:
        return
    if project != DEFAULT_PROJECT:
        raise _no_project(tenant, project)
    check_name(tenant, "tenant")
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = {"name": tenant, "scopes": None, "created_ms": now_ms, "suspended_ms": None}
    await connection.execute(make(tenants).values(id=tenant, **row).on_conflict_do_nothing())
    await connection.execute(
        make(projects)
        .values(**{**row, "tenant": tenant, "id": DEFAULT_PROJECT, "name": DEFAULT_PROJECT})
        .on_conflict_do_nothing()
    )


def _is(tenant: str, project_id: str) -> Any:
    return (projects.c.tenant == tenant) & (projects.c.id == project_id)


def _state(table: Table, suspended: bool | None) -> list[Any]:  # noqa: FBT001
    column = table.c.suspended_ms
    return [] if suspended is None else [column.is_not(None) if suspended else column.is_(None)]


def _tenant(row: RowMapping | dict[str, Any]) -> Tenant:
    return Tenant(
        row["id"],
        row["name"],
        row["created_ms"] / 1000,
        read_scopes(row["scopes"]),
        _seconds(row["suspended_ms"]),
    )


def _project(row: RowMapping | dict[str, Any]) -> Project:
    return Project(
        row["tenant"],
        row["id"],
        row["name"],
        row["created_ms"] / 1000,
        read_scopes(row["scopes"]),
        _seconds(row["suspended_ms"]),
    )


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _there(what: str, name: str) -> CallerError:
    return CallerError(
        "conflict", f"There is a {what} {name!a} already; nothing was changed.", code="conflict"
    )


def _no_tenant(name: str) -> CallerError:
    return CallerError(
        "not_found", f"No tenant {name[:64]!a} is known.", code="not_found", param="tenant"
    )


def _no_project(tenant: str, name: str) -> CallerError:
    return invalid(
        f"The tenant {tenant[:64]!a} has no project {name[:64]!a}: make it first.",
        "project",
        "invalid_field_value",
    )
