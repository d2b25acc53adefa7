"""Tenants and projects in SQL: made, looked through in pages, changed, suspended.

Every change moves the generation of the keys on, so that a key whose tenant or project was suspended or narrowed
is refused in every process as soon as one that was revoked is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from dragoman.core.call import DEFAULT_PROJECT
from dragoman.core.errors import CallerError, invalid
from dragoman.identity.tenancy import LASTING_TENANTS, PlaceChange, Project, Tenant, check_name
from dragoman.store.sql.counters import move_on
from dragoman.store.sql.scope_text import read_scopes, write_scopes
from dragoman.store.tables import keys
from dragoman.store.tenancy_tables import projects, tenants

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.engine import RowMapping
    from sqlalchemy.ext.asyncio import AsyncConnection

    from dragoman.core.clock import Clock
    from dragoman.store.engine import Database

GENERATION = "keys_generation"
DELETED = "deleted"
"""What is left of a name, where whose it was is gone."""


class SqlTenancy:
    """The tenants and projects of a database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # --- tenants

    async def tenants(
        self,
        *,
        suspended: bool | None = None,
        deleted: bool = False,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Tenant]:
        """By the alphabet of their ids, behind one of them; those that were deleted, or the others."""
        gone = tenants.c.deleted_ms
        here = gone.is_not(None) if deleted else gone.is_(None)
        query = select(tenants).where(here, *_state(tenants, suspended)).order_by(tenants.c.id)
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
            found = await self.tenant(new.id)
            if found is not None and found.deleted is not None:
                raise _deleted(new.id) from None
            raise _there("tenant", new.id) from None
        return _tenant({**row, "deleted_ms": None})

    async def change_tenant(self, tenant_id: str, change: PlaceChange) -> Tenant | None:
        """Changes what is said of a tenant; None where there is none.

        Raises:
            CallerError: it was deleted.
        """
        here = (tenants.c.id == tenant_id) & tenants.c.deleted_ms.is_(None)
        await self._change(tenants, here, change)
        found = await self.tenant(tenant_id)
        if found is not None and found.deleted is not None:
            raise _deleted(tenant_id)
        return found

    async def delete_tenant(self, tenant_id: str) -> Tenant | None:
        """Ends a suspended tenant for good; None where there is none.

        Its projects are gone; its keys are revoked, and named after nobody. What was kept of its content
        is removed apart from this (``forgetting.py``): it may be much.

        Raises:
            CallerError: it serves still, or always stays.
        """
        if tenant_id in LASTING_TENANTS:
            raise _stays("tenant", tenant_id)
        now_ms = self._now_ms()
        mine = keys.c.tenant == tenant_id
        async with self._database.write() as connection:
            state = select(tenants.c.suspended_ms, tenants.c.deleted_ms)
            found = (await connection.execute(state.where(tenants.c.id == tenant_id))).first()
            if found is None:
                return None
            if found.deleted_ms is None:
                if found.suspended_ms is None:
                    raise _serves("tenant", tenant_id)
                await _revoke(connection, mine, now_ms)
                nameless = {"name": DELETED, "user_id": None, "label": None, "scopes": None}
                await connection.execute(update(keys).where(mine).values(nameless))
                await connection.execute(delete(projects).where(projects.c.tenant == tenant_id))
                await connection.execute(
                    update(tenants)
                    .where(tenants.c.id == tenant_id)
                    .values(name=DELETED, scopes=None, deleted_ms=now_ms)
                )
                await move_on(connection, GENERATION)
        return await self.tenant(tenant_id)

    async def deleted_since(self, moment: float) -> list[str]:
        """The tenants that were deleted after a moment, the oldest first."""
        when = tenants.c.deleted_ms
        query = select(tenants.c.id).where(when > int(moment * 1000)).order_by(when)
        async with self._database.read() as connection:
            return list((await connection.execute(query)).scalars())

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
                known = select(tenants.c.deleted_ms).where(tenants.c.id == new.tenant)
                found = (await connection.execute(known)).first()
                if found is None:
                    raise _no_tenant(new.tenant)
                if found.deleted_ms is not None:
                    raise _deleted(new.tenant)
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

    async def delete_project(self, tenant: str, project_id: str) -> bool:
        """Removes a suspended project and revokes its keys for good; whether there was one.

        Raises:
            CallerError: it serves still, or always stays.
        """
        if project_id == DEFAULT_PROJECT:
            raise _stays("project", project_id)
        async with self._database.write() as connection:
            state = select(projects.c.suspended_ms).where(_is(tenant, project_id))
            found = (await connection.execute(state)).first()
            if found is None:
                return False
            if found.suspended_ms is None:
                raise _serves("project", project_id)
            mine = (keys.c.tenant == tenant) & (keys.c.project == project_id)
            await _revoke(connection, mine, self._now_ms())
            await connection.execute(delete(projects).where(_is(tenant, project_id)))
            await move_on(connection, GENERATION)
        return True

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
        CallerError: the tenant cannot be called so or was deleted, or the project is not there.
    """
    known = select(projects.c.id).where(_is(tenant, project))
    if (await connection.execute(known)).first() is not None:
        return
    gone = select(tenants.c.deleted_ms).where(tenants.c.id == tenant)
    if (await connection.execute(gone)).scalar() is not None:
        raise _deleted(tenant)
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


async def _revoke(connection: AsyncConnection, which: Any, now_ms: int) -> None:
    """Revokes keys for good; those that were keep their moment."""
    await connection.execute(
        update(keys).where(which, keys.c.revoked_ms.is_(None)).values(revoked_ms=now_ms)
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
        _seconds(row["deleted_ms"]),
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
    return _conflict(f"There is a {what} {name!a} already; nothing was changed.")


def _deleted(name: str) -> CallerError:
    return _conflict(
        f"The tenant {name[:64]!a} was deleted: nobody is called so any more.", "tenant"
    )


def _serves(what: str, name: str) -> CallerError:
    told = (
        f"The {what} {name[:64]!a} serves: suspend it first, and delete it once nobody misses it."
    )
    return _conflict(told, "id")


def _stays(what: str, name: str) -> CallerError:
    told = f"The {what} {name!a} is always there: what is not told elsewhere is its."
    return _conflict(told, "id")


def _conflict(told: str, param: str | None = None) -> CallerError:
    return CallerError("conflict", told, code="conflict", param=param)


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
