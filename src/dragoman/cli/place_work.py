"""What is done to tenants and to projects on the command line: the same to both, and each change written down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from dragoman.cli.output import USAGE, fail, say, say_json
from dragoman.cli.place_lines import described, tell
from dragoman.cli.scope_options import scoped
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.stored import noted, where_keys_are, with_stored

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from dragoman.audit.noting import Note
    from dragoman.identity.tenancy import PlaceChange, Project, Tenant
    from dragoman.store.administered import Administered
    from dragoman.store.sql.tenancy import SqlTenancy

__all__ = ["Said", "Where", "change", "delete", "make", "read", "show", "status", "switch"]

_T = TypeVar("_T")


class Where(NamedTuple):
    """A tenant, or a project of it."""

    tenant: str
    project: str | None = None

    @property
    def kind(self) -> str:
        """What it is, in a word."""
        return "tenant" if self.project is None else "project"

    @property
    def name(self) -> str:
        """Its own id."""
        return self.tenant if self.project is None else self.project


class Said(NamedTuple):
    """What was said of it; None: nothing."""

    name: str | None
    models: str | None
    surfaces: str | None
    permissions: str | None


def make(where: Where, said: Said, env_file: EnvFileOption, *, as_json: bool) -> None:
    """Makes it, with the scope that is said."""

    async def work(stored: Administered) -> Tenant | Project:
        from dragoman.core.scopes import NOTHING_SAID
        from dragoman.identity.tenancy import Project, Tenant

        scopes = scoped(NOTHING_SAID, *said[1:]) or NOTHING_SAID
        name = said.name or where.name
        async with _noted(stored, "create", where) as note:
            found: Tenant | Project
            if where.project is None:
                found = await stored.tenancy.add_tenant(Tenant(where.tenant, name, scopes=scopes))
            else:
                new = Project(where.tenant, where.project, name, scopes=scopes)
                found = await stored.tenancy.add_project(new)
            note.after = described(found)
        return found

    found = _with_stored(work, env_file, as_json=as_json)
    tell(found, where.kind, " is made", as_json=as_json)


def read(
    work: Callable[[SqlTenancy], Awaitable[_T]], env_file: EnvFileOption, *, as_json: bool
) -> _T:
    """What the work reads of tenants and projects."""

    async def of_tenancy(stored: Administered) -> _T:
        return await work(stored.tenancy)

    return _with_stored(of_tenancy, env_file, as_json=as_json)


def show(where: Where, env_file: EnvFileOption, *, as_json: bool) -> None:
    """Tells of it."""

    async def work(tenancy: SqlTenancy) -> Tenant | Project | None:
        return await _get(tenancy, where)

    found = _there(read(work, env_file, as_json=as_json), where, as_json=as_json)
    tell(found, where.kind, "", as_json=as_json)


def change(where: Where, said: Said, env_file: EnvFileOption, *, as_json: bool) -> None:
    """Changes what is said of it; what is not said stays."""
    from dragoman.identity.tenancy import PlaceChange

    def wanted(before: Tenant | Project) -> PlaceChange:
        return PlaceChange(said.name, scoped(before.scopes, *said[1:]))

    _changed(where, "update", wanted, " is changed", env_file, as_json=as_json)


def switch(where: Where, env_file: EnvFileOption, *, off: bool, as_json: bool) -> None:
    """Suspends it, or lets it go on."""
    from dragoman.identity.tenancy import PlaceChange

    verb = "resume" if off else "suspend"
    _changed(where, verb, lambda _: PlaceChange(suspended=not off), "", env_file, as_json=as_json)


def delete(where: Where, env_file: EnvFileOption, *, yes: bool, as_json: bool) -> None:
    """Deletes it for good, and all that is to go with it."""
    if not yes:
        fail(
            f"Nothing brings a deleted {where.kind} back, or its keys: say --yes.",
            as_json=as_json,
            code=USAGE,
        )

    async def work(stored: Administered) -> Tenant | Project | None:
        found = await _get(stored.tenancy, where)
        if found is None:
            return None
        async with _noted(stored, "delete", where, found):
            if where.project is not None:
                await stored.tenancy.delete_project(where.tenant, where.project)
            else:
                await stored.tenancy.delete_tenant(where.tenant)
                await stored.forgetting.forget_content(where.tenant)
                await stored.forgetting.forget_names(where.tenant)
        return found

    found = _there(_with_stored(work, env_file, as_json=as_json), where, as_json=as_json)
    if as_json:
        say_json({"id": found.id, "deleted": True})
    else:
        say(f"The {where.kind} {found.id!r} is deleted, and its keys are revoked.")


def status() -> str:
    """Where they are."""
    from dragoman.config.load import load_settings

    return f"ready, in {where_keys_are(load_settings())}"


def _changed(
    where: Where,
    verb: str,
    wanted: Callable[[Tenant | Project], PlaceChange],
    told: str,
    env_file: EnvFileOption,
    *,
    as_json: bool,
) -> None:
    async def work(stored: Administered) -> Tenant | Project | None:
        before = await _get(stored.tenancy, where)
        if before is None:
            return None
        change = wanted(before)
        async with _noted(stored, verb, where, before) as note:
            found: Tenant | Project | None
            if where.project is None:
                found = await stored.tenancy.change_tenant(where.tenant, change)
            else:
                found = await stored.tenancy.change_project(where.tenant, where.project, change)
            note.after = None if found is None else described(found)
        return found

    found = _there(_with_stored(work, env_file, as_json=as_json), where, as_json=as_json)
    tell(found, where.kind, told, as_json=as_json)


async def _get(tenancy: SqlTenancy, where: Where) -> Tenant | Project | None:
    if where.project is None:
        return await tenancy.tenant(where.tenant)
    return await tenancy.project(where.tenant, where.project)


def _noted(
    stored: Administered, verb: str, where: Where, before: Tenant | Project | None = None
) -> AbstractAsyncContextManager[Note]:
    there = None if before is None else described(before)
    action = f"{where.kind}.{verb}"
    return noted(stored.audit, action, where.name, where.tenant, before=there)


def _there(found: Tenant | Project | None, where: Where, *, as_json: bool) -> Tenant | Project:
    if found is None:
        kind, whose = where.kind, f"The tenant {where.tenant!r} has"
        told = "There is" if where.project is None else whose
        fail(
            f"{told} no {kind} {where.name!r}; `dragoman {kind}s list` shows all.", as_json=as_json
        )
    return found


def _with_stored(
    work: Callable[[Administered], Awaitable[_T]], env_file: EnvFileOption, *, as_json: bool
) -> _T:
    return with_stored(work, settings_or_fail(None, env_file, as_json=as_json), as_json=as_json)
