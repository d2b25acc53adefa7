"""Tenants and their projects: made, listed, changed, suspended and deleted (R-AUTH-008, R-AUTH-012).

Administrators manage all of them; who manages a tenant, its projects, as far as no key of who may more is in them.
A tenant's scope is the operator's word to the tenant: nobody in it widens it. What a caller is in itself cannot be
suspended by it, and only what is suspended is deleted.
"""

from __future__ import annotations

from itertools import product
from typing import Annotated, Any, Literal, get_args

from fastapi import Query
from pydantic import BaseModel, Field

from dragoman.admin.bench import CallOf, DeskOf, room
from dragoman.admin.deeds import deed
from dragoman.admin.desk import Desk
from dragoman.admin.grants import check_rank, check_scopes
from dragoman.admin.key_deeds import make
from dragoman.admin.key_shapes import KeyMade
from dragoman.admin.paging import Asked, Listed, Strict, Word, page_of, place_of
from dragoman.admin.reach import caller_of
from dragoman.admin.scope_shapes import ScopeSaid, ScopeShown, scope_shown, scopes_said
from dragoman.core.call import Call, Caller, Role
from dragoman.core.errors import CallerError
from dragoman.identity.permissions import rank_of
from dragoman.identity.ports import KeyRecord, KeySearch, KeyState
from dragoman.identity.tenancy import PlaceChange, Project, Tenant

router = room("tenants")

ROLES: tuple[Role, ...] = get_args(Role)
_LASTING: tuple[KeyState, ...] = ("active", "suspended")
"""Keys that serve, or may again."""

PlaceName = Annotated[Word, Field(max_length=128)]


class TenantSaid(Strict):
    """A tenant to be made."""

    id: PlaceName = Field(examples=["acme"], description="Printable, without a slash")
    name: Word | None = Field(None, description="Null: its id")
    scope: ScopeSaid | None = Field(None, description="Holds for all its keys")


class TenantWithKeySaid(TenantSaid):
    """A tenant to be made, with a first key for who manages it."""

    with_key: bool = Field(
        default=False, description="Whether a key of the role tenant_admin is made"
    )


class ProjectSaid(Strict):
    """A project to be made in the caller's tenant."""

    id: PlaceName = Field(examples=["website"], description="Printable, without a slash")
    name: Word | None = Field(None, description="Null: its id")
    scope: ScopeSaid | None = Field(None, description="Holds for all its keys")


class ProjectOfSaid(ProjectSaid):
    """A project to be made in a tenant."""

    tenant: PlaceName = Field(examples=["acme"])


class PlaceSaid(Strict):
    """What is to be another; what is left out stays."""

    name: Word | None = None
    scope: ScopeSaid | None = Field(None, description="In the place of all of its own; {}: none")


class TenantShown(BaseModel):
    """A tenant."""

    id: str
    name: str
    scope: ScopeShown
    state: Literal["active", "suspended", "deleted"]
    created_at: float
    suspended_at: float | None


class TenantMade(TenantShown):
    """A new tenant."""

    key: KeyMade | None = Field(description="Of who manages it, if one was asked for")


class ProjectShown(TenantShown):
    """A project."""

    tenant: str


class Filter(Asked):
    """Which are wanted."""

    state: Literal["active", "suspended"] | None = None


class TenantFilter(Asked):
    """Which tenants are wanted; those that were deleted only where that is said."""

    state: Literal["active", "suspended", "deleted"] | None = None


class ProjectFilter(Filter):
    """Which projects are wanted."""

    tenant: Word | None = None


def _shown(place: Tenant | Project) -> dict[str, Any]:
    found = {
        "id": place.id,
        "name": place.name,
        "scope": scope_shown(place.scopes),
        "state": "active" if place.suspended is None else "suspended",
        "created_at": place.created,
        "suspended_at": place.suspended,
    }
    if isinstance(place, Project):
        return {**found, "tenant": place.tenant}
    return found if place.deleted is None else {**found, "state": "deleted"}


def _suspended(asked: Filter | TenantFilter) -> bool | None:
    return None if asked.state is None or asked.state == "deleted" else asked.state == "suspended"


def _change(said: PlaceSaid) -> PlaceChange:
    return PlaceChange(said.name, None if said.scope is None else scopes_said(said.scope))


def _not_itself() -> CallerError:
    return CallerError(
        "conflict",
        "The key that asks belongs to it and would be refused from now on: use another one.",
        code="conflict",
        param="id",
    )


# --------------------------------------------------------------------------- tenants, for administrators


async def _tenant(desk: Desk, tenant_id: str) -> Tenant:
    found = await desk.tenancy.tenant(tenant_id)
    if found is None:
        raise CallerError(
            "not_found", f"No tenant {tenant_id[:64]!a} is known.", code="not_found", param="id"
        )
    return found


async def _make_tenant(desk: Desk, call: Call, said: TenantSaid) -> dict[str, Any]:
    scopes = scopes_said(said.scope)
    await check_scopes(desk, caller_of(call), scopes, said.id, None)
    new = Tenant(said.id, said.name or said.id, scopes=scopes)
    async with deed(desk, call, "tenant.create", said.id, tenant=said.id) as note:
        note.after = _shown(await desk.tenancy.add_tenant(new))
        desk.keys_changed(said.id)
    told: dict[str, Any] = note.after
    return told


async def _change_tenant(
    desk: Desk, call: Call, verb: str, tenant_id: str, change: PlaceChange
) -> TenantShown:
    before = await _tenant(desk, tenant_id)
    caller = caller_of(call)
    if change.scopes is not None:
        await check_scopes(desk, caller, change.scopes, "", None)
    if change.suspended and before.id == caller.tenant:
        raise _not_itself()
    async with deed(
        desk, call, f"tenant.{verb}", before.id, tenant=before.id, before=_shown(before)
    ) as note:
        found = await desk.tenancy.change_tenant(before.id, change)
        desk.keys_changed(before.id)
        assert found is not None, "of a tenant that was deleted the row stays"
        note.after = _shown(found)
    return TenantShown(**note.after)


@router.get("/api/admin/tenants")
async def list_tenants(
    desk: DeskOf, asked: Annotated[TenantFilter, Query()]
) -> Listed[TenantShown]:
    """All tenants, by the alphabet of their ids."""
    after = place_of(asked.cursor, str)
    found = await desk.tenancy.tenants(
        suspended=_suspended(asked),
        deleted=asked.state == "deleted",
        after=None if after is None else after.replace("\x00", ""),
        limit=asked.limit + 1,
    )
    return page_of(found, asked.limit, lambda t: TenantShown(**_shown(t)), lambda t: t.id)


@router.post("/api/admin/tenants", status_code=201)
async def make_tenant(desk: DeskOf, call: CallOf, said: TenantSaid) -> TenantShown:
    """Makes a tenant, with a project `default`."""
    return TenantShown(**await _make_tenant(desk, call, said))


@router.get("/api/admin/tenants/{id}")
async def get_tenant(desk: DeskOf, id: Word) -> TenantShown:  # noqa: A002  the member's name
    """One tenant."""
    return TenantShown(**_shown(await _tenant(desk, id)))


@router.delete("/api/admin/tenants/{id}", status_code=204)
async def delete_tenant(desk: DeskOf, call: CallOf, id: Word) -> None:  # noqa: A002
    """Deletes a suspended tenant for good: its keys, credentials, names and whatever it had us keep."""
    before = await _tenant(desk, id)
    async with deed(desk, call, "tenant.delete", id, tenant=id, before=_shown(before)):
        await desk.tenancy.delete_tenant(id)
        desk.keys_changed(id)
        await desk.forget_content(id)
    await desk.credentials_changed()
    await desk.renew()


@router.post("/api/admin/tenants/{id}/update")
async def update_tenant(desk: DeskOf, call: CallOf, id: Word, said: PlaceSaid) -> TenantShown:  # noqa: A002
    """Changes a tenant; what is left out stays."""
    return await _change_tenant(desk, call, "update", id, _change(said))


@router.post("/api/admin/tenants/{id}/suspend")
async def suspend_tenant(desk: DeskOf, call: CallOf, id: Word) -> TenantShown:  # noqa: A002
    """Has every key of a tenant refused within a second, until it is resumed."""
    return await _change_tenant(desk, call, "suspend", id, PlaceChange(suspended=True))


@router.post("/api/admin/tenants/{id}/resume")
async def resume_tenant(desk: DeskOf, call: CallOf, id: Word) -> TenantShown:  # noqa: A002
    """Has a suspended tenant's keys serve again."""
    return await _change_tenant(desk, call, "resume", id, PlaceChange(suspended=False))


@router.post("/v1/tenants", status_code=201)
async def make_tenant_v1(desk: DeskOf, call: CallOf, said: TenantWithKeySaid) -> TenantMade:
    """Makes a tenant, and the key of who manages it if that is said."""
    told = await _make_tenant(desk, call, said)
    key: KeyMade | None = None
    if said.with_key:
        like = KeyRecord("", said.id, f"{said.id} admin"[:256], 0.0, role="tenant_admin")
        key = await make(desk, call, like)
    return TenantMade(**told, key=key)


@router.get("/v1/tenants/me")
async def own_tenant(desk: DeskOf, call: CallOf) -> TenantShown:
    """The tenant of the presented key."""
    name = caller_of(call).tenant
    # Who is let in without a stored key has no stored tenant.
    return TenantShown(**_shown(await desk.tenancy.tenant(name) or Tenant(name, name)))


# --------------------------------------------------------------------------- projects


async def _project(desk: Desk, tenant: str, project_id: str) -> Project:
    found = await desk.tenancy.project(tenant, project_id)
    if found is None:
        raise _no_project(project_id)
    return found


def _no_project(project_id: str) -> CallerError:
    return CallerError(
        "not_found", f"No project {project_id[:64]!a} is known.", code="not_found", param="id"
    )


async def _make_project(desk: Desk, call: Call, tenant: str, said: ProjectSaid) -> ProjectShown:
    scopes = scopes_said(said.scope)
    await check_scopes(desk, caller_of(call), scopes, tenant, None)
    new = Project(tenant, said.id, said.name or said.id, scopes=scopes)
    async with deed(desk, call, "project.create", said.id, tenant=tenant) as note:
        note.after = _shown(await desk.tenancy.add_project(new))
    return ProjectShown(**note.after)


async def _change_project(
    desk: Desk, call: Call, verb: str, place: tuple[str, str], change: PlaceChange
) -> ProjectShown:
    before = await _project(desk, *place)
    caller = caller_of(call)
    if change.scopes is not None:
        await check_scopes(desk, caller, change.scopes, before.tenant, None)
    if change.scopes is not None or change.suspended is not None:
        await _check_keys_in(desk, caller, before)
    if change.suspended and place == (caller.tenant, caller.project):
        raise _not_itself()
    async with deed(
        desk, call, f"project.{verb}", before.id, tenant=before.tenant, before=_shown(before)
    ) as note:
        found = await desk.tenancy.change_project(*place, change)
        desk.keys_changed(before.tenant)
        if found is None:
            raise _no_project(place[1])
        note.after = _shown(found)
    return ProjectShown(**note.after)


async def _delete_project(desk: Desk, call: Call, tenant: str, project_id: str) -> None:
    before = await _project(desk, tenant, project_id)
    await _check_keys_in(desk, caller_of(call), before)
    async with deed(
        desk, call, "project.delete", project_id, tenant=tenant, before=_shown(before)
    ):
        await desk.tenancy.delete_project(tenant, project_id)
        desk.keys_changed(tenant)


async def _check_keys_in(desk: Desk, caller: Caller, project: Project) -> None:
    """Refuses what would reach a key of who may more than the caller: its project's switch and scope are its."""
    higher = [role for role in ROLES if rank_of(role) > rank_of(caller.role)]
    for role, state in product(higher, _LASTING):
        search = KeySearch(tenant=project.tenant, project=project.id, role=role, state=state)
        if await desk.keys.page(search, after=None, limit=1):
            check_rank(caller, role)


async def _projects(desk: Desk, asked: Filter, tenant: str | None) -> Listed[ProjectShown]:
    after = place_of(asked.cursor, tuple[str, str])
    if after is not None:
        after = (after[0].replace("\x00", ""), after[1].replace("\x00", ""))
    found = await desk.tenancy.projects(
        tenant=tenant, suspended=_suspended(asked), after=after, limit=asked.limit + 1
    )
    return page_of(
        found, asked.limit, lambda p: ProjectShown(**_shown(p)), lambda p: (p.tenant, p.id)
    )


@router.get("/api/admin/projects")
async def list_projects(
    desk: DeskOf, asked: Annotated[ProjectFilter, Query()]
) -> Listed[ProjectShown]:
    """The projects of all tenants, by the alphabet of tenants and ids."""
    return await _projects(desk, asked, asked.tenant)


@router.post("/api/admin/projects", status_code=201)
async def make_project(desk: DeskOf, call: CallOf, said: ProjectOfSaid) -> ProjectShown:
    """Makes a project in a tenant."""
    return await _make_project(desk, call, said.tenant, said)


@router.get("/api/admin/projects/{tenant}/{id}")
async def get_project(desk: DeskOf, tenant: Word, id: Word) -> ProjectShown:  # noqa: A002
    """One project."""
    return ProjectShown(**_shown(await _project(desk, tenant, id)))


@router.delete("/api/admin/projects/{tenant}/{id}", status_code=204)
async def delete_project(desk: DeskOf, call: CallOf, tenant: Word, id: Word) -> None:  # noqa: A002
    """Deletes a suspended project for good; its keys are revoked."""
    await _delete_project(desk, call, tenant, id)


@router.post("/api/admin/projects/{tenant}/{id}/update")
async def update_project(
    desk: DeskOf,
    call: CallOf,
    tenant: Word,
    id: Word,  # noqa: A002
    said: PlaceSaid,
) -> ProjectShown:
    """Changes a project; what is left out stays."""
    return await _change_project(desk, call, "update", (tenant, id), _change(said))


@router.post("/api/admin/projects/{tenant}/{id}/suspend")
async def suspend_project(desk: DeskOf, call: CallOf, tenant: Word, id: Word) -> ProjectShown:  # noqa: A002
    """Has every key of a project refused within a second, until it is resumed."""
    return await _change_project(desk, call, "suspend", (tenant, id), PlaceChange(suspended=True))


@router.post("/api/admin/projects/{tenant}/{id}/resume")
async def resume_project(desk: DeskOf, call: CallOf, tenant: Word, id: Word) -> ProjectShown:  # noqa: A002
    """Has a suspended project's keys serve again."""
    return await _change_project(desk, call, "resume", (tenant, id), PlaceChange(suspended=False))


@router.get("/v1/projects")
async def list_own_projects(
    desk: DeskOf, call: CallOf, asked: Annotated[Filter, Query()]
) -> Listed[ProjectShown]:
    """The projects of the caller's tenant."""
    return await _projects(desk, asked, caller_of(call).tenant)


@router.post("/v1/projects", status_code=201)
async def make_own_project(desk: DeskOf, call: CallOf, said: ProjectSaid) -> ProjectShown:
    """Makes a project in the caller's tenant."""
    return await _make_project(desk, call, caller_of(call).tenant, said)


@router.get("/v1/projects/{id}")
async def get_own_project(desk: DeskOf, call: CallOf, id: Word) -> ProjectShown:  # noqa: A002
    """One project of the caller's tenant."""
    return ProjectShown(**_shown(await _project(desk, caller_of(call).tenant, id)))


@router.delete("/v1/projects/{id}", status_code=204)
async def delete_own_project(desk: DeskOf, call: CallOf, id: Word) -> None:  # noqa: A002
    """Deletes a suspended project of the caller's tenant for good; its keys are revoked."""
    await _delete_project(desk, call, caller_of(call).tenant, id)


@router.post("/v1/projects/{id}/update")
async def update_own_project(
    desk: DeskOf,
    call: CallOf,
    id: Word,  # noqa: A002
    said: PlaceSaid,
) -> ProjectShown:
    """Changes a project of the caller's tenant; what is left out stays."""
    place = (caller_of(call).tenant, id)
    return await _change_project(desk, call, "update", place, _change(said))


@router.post("/v1/projects/{id}/suspend")
async def suspend_own_project(desk: DeskOf, call: CallOf, id: Word) -> ProjectShown:  # noqa: A002
    """Has every key of a project of the caller's tenant refused, until it is resumed."""
    place = (caller_of(call).tenant, id)
    return await _change_project(desk, call, "suspend", place, PlaceChange(suspended=True))


@router.post("/v1/projects/{id}/resume")
async def resume_own_project(desk: DeskOf, call: CallOf, id: Word) -> ProjectShown:  # noqa: A002
    """Has a suspended project of the caller's tenant serve again."""
    place = (caller_of(call).tenant, id)
    return await _change_project(desk, call, "resume", place, PlaceChange(suspended=False))
