"""Callers' keys: made, listed, changed, rotated, suspended, revoked and counted anew (R-ADM-002, R-AUTH-005).

A key is shown once, in the answer to its making. Every row that takes an id looks it up within the
caller's reach, so a foreign id is an unknown one (A5).
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query

from dragoman.admin import key_deeds
from dragoman.admin.bench import CallOf, DeskOf, room
from dragoman.admin.desk import Desk
from dragoman.admin.grants import end_of
from dragoman.admin.key_shapes import (
    GenerateSaid,
    KeyMade,
    KeyOf,
    KeyShown,
    NewKeySaid,
    Reset,
    RevokeOf,
    RevokeSaid,
    RotateOf,
    RotateSaid,
    UpdateOf,
    UpdateSaid,
    limits_said,
    shown,
)
from dragoman.admin.paging import Asked, Listed, Word
from dragoman.admin.reach import caller_of, reach_of
from dragoman.admin.scope_shapes import scopes_said
from dragoman.core.call import Call
from dragoman.identity.ports import KeyRecord, KeySearch

router = room("keys")

# --------------------------------------------------------------------------- administrators


class Filter(Asked):
    """Which keys are wanted."""

    tenant: Word | None = None
    project: Word | None = None
    label: Word | None = None
    user_id: Word | None = None
    role: Literal["admin", "tenant_admin", "user"] | None = None
    state: Literal["active", "suspended", "revoked", "expired"] | None = None
    tier: Word | None = None


def _generated(desk: Desk, said: GenerateSaid) -> KeyRecord:
    expires = None if said.expires_in_s is None else desk.wall() + said.expires_in_s
    return KeyRecord(
        id="",
        tenant=said.tenant,
        name=said.name or said.userId,
        created=0.0,
        role=said.role,
        limits=limits_said(said.limits),
        user_id=said.userId,
        expires=expires,
        tier=said.tier,
        project=said.project,
        label=said.label,
        scopes=scopes_said(said.scope),
    )


@router.post("/api/admin/users/generate-key", status_code=201)
async def generate_key(desk: DeskOf, call: CallOf, said: GenerateSaid) -> KeyMade:
    """Makes a key for a user; a user has one in a tenant, whose secret is renewed by rotating it."""
    return await key_deeds.make(desk, call, _generated(desk, said))


@router.post("/v1/generate_key", status_code=201)
async def generate_key_v1(desk: DeskOf, call: CallOf, said: GenerateSaid) -> KeyMade:
    """The same, where the original's clients look for it (R-SURF-013)."""
    return await key_deeds.make(desk, call, _generated(desk, said))


@router.get("/api/admin/api-keys")
async def list_keys(desk: DeskOf, asked: Annotated[Filter, Query()]) -> Listed[KeyShown]:
    """All keys, the oldest first."""
    search = KeySearch(
        tenant=asked.tenant,
        user_id=asked.user_id,
        role=asked.role,
        state=asked.state,
        project=asked.project,
        label=asked.label,
        tier=asked.tier,
    )
    return await key_deeds.page(desk, asked, search)


@router.get("/api/admin/api-keys/{id}")
async def get_key(desk: DeskOf, call: CallOf, id: Word) -> KeyShown:  # noqa: A002  the member's name
    """One key."""
    return KeyShown(**shown(await key_deeds.one(desk, call, id), desk.wall()))


# Each of these is there twice: with the id in the path, and in the body as the original has it.


@router.post("/api/admin/api-keys/revoke")
async def revoke_of(desk: DeskOf, call: CallOf, said: RevokeOf) -> KeyShown:
    """Revokes a key for good; it is refused everywhere within a second."""
    record = await key_deeds.one(desk, call, said.id)
    return await key_deeds.revoke(desk, call, record, now=said.now)


@router.post("/api/admin/api-keys/{id}/revoke")
async def revoke(
    desk: DeskOf,
    call: CallOf,
    id: Word,  # noqa: A002
    said: RevokeSaid | None = None,
) -> KeyShown:
    """Revokes a key for good; it is refused everywhere within a second."""
    now = said is not None and said.now
    return await key_deeds.revoke(desk, call, await key_deeds.one(desk, call, id), now=now)


@router.post("/api/admin/api-keys/update")
async def update_of(desk: DeskOf, call: CallOf, said: UpdateOf) -> KeyShown:
    """Changes a key; what is left out stays."""
    return await key_deeds.update(desk, call, await key_deeds.one(desk, call, said.id), said)


@router.post("/api/admin/api-keys/{id}/update")
async def update(desk: DeskOf, call: CallOf, id: Word, said: UpdateSaid) -> KeyShown:  # noqa: A002
    """Changes a key; what is left out stays."""
    return await key_deeds.update(desk, call, await key_deeds.one(desk, call, id), said)


@router.post("/api/admin/api-keys/rotate", status_code=201)
async def rotate_of(desk: DeskOf, call: CallOf, said: RotateOf) -> KeyMade:
    """Gives a key another secret; the one of before ends now, or after an overlap."""
    record = await key_deeds.one(desk, call, said.id)
    return await key_deeds.rotate(desk, call, record, said.overlap_s)


@router.post("/api/admin/api-keys/{id}/rotate", status_code=201)
async def rotate(desk: DeskOf, call: CallOf, id: Word, said: RotateSaid) -> KeyMade:  # noqa: A002
    """Gives a key another secret; the one of before ends now, or after an overlap."""
    record = await key_deeds.one(desk, call, id)
    return await key_deeds.rotate(desk, call, record, said.overlap_s)


@router.post("/api/admin/api-keys/suspend")
async def suspend_of(desk: DeskOf, call: CallOf, said: KeyOf) -> KeyShown:
    """Has a key refused everywhere within a second, until it is resumed."""
    return await key_deeds.suspend(desk, call, await key_deeds.one(desk, call, said.id))


@router.post("/api/admin/api-keys/{id}/suspend")
async def suspend(desk: DeskOf, call: CallOf, id: Word) -> KeyShown:  # noqa: A002
    """Has a key refused everywhere within a second, until it is resumed."""
    return await key_deeds.suspend(desk, call, await key_deeds.one(desk, call, id))


@router.post("/api/admin/api-keys/resume")
async def resume_of(desk: DeskOf, call: CallOf, said: KeyOf) -> KeyShown:
    """Has a suspended key serve again."""
    return await key_deeds.suspend(desk, call, await key_deeds.one(desk, call, said.id), off=True)


@router.post("/api/admin/api-keys/{id}/resume")
async def resume(desk: DeskOf, call: CallOf, id: Word) -> KeyShown:  # noqa: A002
    """Has a suspended key serve again."""
    return await key_deeds.suspend(desk, call, await key_deeds.one(desk, call, id), off=True)


@router.post("/api/admin/api-keys/reset-usage")
async def reset_of(desk: DeskOf, call: CallOf, said: KeyOf) -> Reset:
    """Has a key's use count anew from now on; the ledger keeps all of it."""
    return await key_deeds.reset(desk, call, await key_deeds.one(desk, call, said.id))


@router.post("/api/admin/api-keys/{id}/reset-usage")
async def reset(desk: DeskOf, call: CallOf, id: Word) -> Reset:  # noqa: A002
    """Has a key's use count anew from now on; the ledger keeps all of it."""
    return await key_deeds.reset(desk, call, await key_deeds.one(desk, call, id))


# --------------------------------------------------------------------------- tenants


class OwnFilter(Asked):
    """Which keys of the tenant are wanted."""

    project: Word | None = None
    label: Word | None = None
    state: Literal["active", "suspended", "revoked", "expired"] | None = None


async def _mine(desk: Desk, call: Call, key_id: str) -> KeyRecord:
    """The key, if it is of the caller's tenant and there for the caller."""
    record = await key_deeds.one(desk, call, key_id)
    if record.tenant != caller_of(call).tenant:
        raise key_deeds.no_key(key_id, "key_id")
    return record


@router.get("/v1/api-keys")
async def list_own(
    desk: DeskOf, call: CallOf, asked: Annotated[OwnFilter, Query()]
) -> Listed[KeyShown]:
    """The keys of the caller's tenant; a user sees its own alone."""
    caller = caller_of(call)
    own = caller.key_id if reach_of(caller) == "own" else None
    search = KeySearch(
        tenant=caller.tenant,
        key_id=own,
        state=asked.state,
        project=asked.project,
        label=asked.label,
    )
    return await key_deeds.page(desk, asked, search)


@router.post("/v1/api-keys", status_code=201)
async def make_own(desk: DeskOf, call: CallOf, said: NewKeySaid) -> KeyMade:
    """Makes a key in the caller's tenant; without a tier or an end it has those of who manages the tenant."""
    caller = caller_of(call)
    expires = await end_of(desk, caller)
    if said.expires_in_s is not None:
        expires = desk.wall() + said.expires_in_s
    like = KeyRecord(
        id="",
        tenant=caller.tenant,
        name=said.name,
        created=0.0,
        role=said.role,
        limits=limits_said(said.limits),
        expires=expires,
        tier=said.tier or (caller.tier if reach_of(caller) == "tenant" else None),
        project=said.project,
        label=said.label,
        scopes=scopes_said(said.scope),
    )
    return await key_deeds.make(desk, call, like)


@router.get("/v1/api-keys/{key_id}")
async def get_own(desk: DeskOf, call: CallOf, key_id: Word) -> KeyShown:
    """One key of the caller's tenant."""
    return KeyShown(**shown(await _mine(desk, call, key_id), desk.wall()))


@router.post("/v1/api-keys/{key_id}/update")
async def update_own(desk: DeskOf, call: CallOf, key_id: Word, said: UpdateSaid) -> KeyShown:
    """Changes a key of the caller's tenant; what is left out stays."""
    return await key_deeds.update(desk, call, await _mine(desk, call, key_id), said)


@router.post("/v1/api-keys/{key_id}/rotate", status_code=201)
async def rotate_own(desk: DeskOf, call: CallOf, key_id: Word, said: RotateSaid) -> KeyMade:
    """Gives a key of the caller's tenant another secret."""
    return await key_deeds.rotate(desk, call, await _mine(desk, call, key_id), said.overlap_s)


@router.post("/v1/api-keys/{key_id}/suspend")
async def suspend_own(desk: DeskOf, call: CallOf, key_id: Word) -> KeyShown:
    """Has a key of the caller's tenant refused until it is resumed."""
    return await key_deeds.suspend(desk, call, await _mine(desk, call, key_id))


@router.post("/v1/api-keys/{key_id}/resume")
async def resume_own(desk: DeskOf, call: CallOf, key_id: Word) -> KeyShown:
    """Has a suspended key of the caller's tenant serve again."""
    return await key_deeds.suspend(desk, call, await _mine(desk, call, key_id), off=True)


@router.delete("/v1/api-keys/{key_id}", status_code=204)
async def revoke_own(
    desk: DeskOf,
    call: CallOf,
    key_id: Word,
    now: Annotated[bool, Query()] = False,  # noqa: FBT002  a member of the query
) -> None:
    """Revokes a key of the caller's tenant; a user may revoke its own alone. `now` ends its calls, too."""
    await key_deeds.revoke(desk, call, await _mine(desk, call, key_id), now=now)
