"""Callers' keys: made, listed, changed, rotated, revoked and counted anew (R-ADM-002, R-AUTH-005).

A key is shown once, in the answer to its making. Every row that takes an id looks it up within the
caller's reach, so a foreign id is an unknown one (A5).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, Field

from dragoman.admin.bench import CallOf, DeskOf, room
from dragoman.admin.deeds import deed
from dragoman.admin.desk import Desk
from dragoman.admin.paging import Asked, Listed, Strict, Word, page_of, place_of
from dragoman.admin.reach import caller_of, reach_of, sees
from dragoman.core.call import NO_LIMITS, Call, Caller, Limits
from dragoman.core.errors import CallerError, invalid
from dragoman.identity.ports import KeyChange, KeyRecord, KeySearch

router = room("keys")

_DEFAULT_TENANT = "default"
_MOST = 2**31 - 1
_YEARS_S = 100 * 366 * 86_400.0
Number = Annotated[int, Field(ge=0, le=_MOST)]


class LimitsSaid(Strict):
    """Limits of the key's own; null: its tier's, 0: none."""

    rps: Number | None = Field(None, description="Requests a second")
    rpm: Number | None = Field(None, description="Requests a minute")
    rpd: Number | None = Field(None, description="Requests a day")
    tpm: Number | None = Field(None, description="Tokens a minute")
    tpd: Number | None = Field(None, description="Tokens a day")
    max_tokens: Number | None = Field(None, description="Tokens in all")
    concurrency: Number | None = Field(None, description="Requests under way at once")


class GenerateSaid(Strict):
    """A key to be made for a user."""

    userId: Word = Field(examples=["alice"])  # noqa: N815  as R-ADD-042 spells it
    role: Literal["admin", "user"] = "user"
    tier: Word | None = Field(None, examples=["pro"])
    tenant: Word = Field(_DEFAULT_TENANT, max_length=128)
    name: Word | None = Field(None, description="Null: the user's id")
    limits: LimitsSaid | None = None
    expires_in_s: float | None = Field(None, gt=0, le=_YEARS_S)


class NewKeySaid(Strict):
    """A key to be made in the caller's tenant."""

    name: Word = Field(examples=["ci"])
    tier: Word | None = None
    limits: LimitsSaid | None = None
    expires_in_s: float | None = Field(None, gt=0, le=_YEARS_S)


class UpdateSaid(Strict):
    """What is to be another; what is left out stays."""

    name: Word | None = None
    role: Literal["admin", "user"] | None = None
    tier: Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")] | None = Field(
        None, description="Empty: none"
    )
    limits: LimitsSaid | None = Field(None, description="In the place of all limits of its own")
    expires_at: float | None = Field(None, ge=0, le=1e11, description="Unix seconds; 0: never")


class UpdateOf(UpdateSaid):
    """The same, with the key's id in the body."""

    id: Word


class RotateSaid(Strict):
    """How long the old key goes on."""

    overlap_s: float = Field(0, ge=0, le=30 * 86_400, description="Seconds")


class RotateOf(RotateSaid):
    """The same, with the key's id in the body."""

    id: Word


class KeyOf(Strict):
    """The key that is meant."""

    id: Word


class KeyShown(BaseModel):
    """A key, without the key."""

    id: str
    user_id: str | None
    name: str
    tenant: str
    role: str
    tier: str | None
    limits: dict[str, int | None]
    state: Literal["active", "revoked", "expired"]
    created_at: float
    expires_at: float | None
    revoked_at: float | None


class KeyMade(KeyShown):
    """A new key, shown this once."""

    key: str = Field(description="Shown this once; only its digest is stored")
    apiKey: str = Field(description="The same")  # noqa: N815  the original's spelling


class Reset(BaseModel):
    """Since when a key's use counts."""

    id: str
    counts_since: float


_OWN = tuple(LimitsSaid.model_fields)


def shown(record: KeyRecord, wall: float) -> dict[str, Any]:
    """The members of ``KeyShown``."""
    ended = record.expires is not None and record.expires <= wall
    state = "revoked" if record.revoked is not None else "expired" if ended else "active"
    return {
        "id": record.id,
        "user_id": record.user_id,
        "name": record.name,
        "tenant": record.tenant,
        "role": record.role,
        "tier": record.tier,
        "limits": {name: getattr(record.limits, name) for name in _OWN},
        "state": state,
        "created_at": record.created,
        "expires_at": record.expires,
        "revoked_at": record.revoked,
    }


def _limits(said: LimitsSaid | None) -> Limits:
    return NO_LIMITS if said is None else Limits(**said.model_dump())


def _check_tier(desk: Desk, tier: str | None) -> None:
    if tier and tier not in desk.tiers():
        known = ", ".join(sorted(desk.tiers())) or "none"
        raise invalid(
            f"There is no tier {tier!a}; there are: {known}.", "tier", "invalid_field_value"
        )


def _check_grant(caller: Caller, *, role: str, tenant: str) -> None:
    """Nobody gives more than they have (A8); whose role may do what is also asked at every use."""
    if reach_of(caller) == "all":
        return
    if role == "admin" or tenant != caller.tenant:
        raise CallerError(
            "permission",
            "A key may be given no more than its maker has.",
            code="insufficient_permissions",
            param="role" if role == "admin" else "tenant",
        )


async def _make(desk: Desk, call: Call, like: KeyRecord) -> KeyMade:
    _check_grant(caller_of(call), role=like.role, tenant=like.tenant)
    _check_tier(desk, like.tier)
    async with deed(desk, call, "api_key.create", "", tenant=like.tenant) as note:
        record, secret = await desk.keys.create(like)
        desk.keys_changed()
        told = shown(record, desk.wall())
        note.target, note.after = record.id, told
    key = secret.reveal()
    return KeyMade(**told, key=key, apiKey=key)


async def _one(desk: Desk, call: Call, key_id: str) -> KeyRecord:
    """The key, if it is there for the caller."""
    caller = caller_of(call)
    found = await desk.keys.get(key_id)
    if found is None or not sees(caller, found.tenant, found.id):
        raise CallerError(
            "not_found", f"No key {key_id[:64]!a} is known.", code="not_found", param="id"
        )
    return found


class Filter(Asked):
    """Which keys are wanted."""

    tenant: Word | None = None
    user_id: Word | None = None
    role: Literal["admin", "user"] | None = None
    state: Literal["active", "revoked", "expired"] | None = None


async def _page(desk: Desk, asked: Asked, search: KeySearch) -> Listed[KeyShown]:
    after = place_of(asked.cursor, tuple[int, str])
    if after is not None and not 0 <= after[0] < 2**62:
        after = (0, "")
    found = await desk.keys.page(search, after=after, limit=asked.limit + 1)
    wall = desk.wall()
    return page_of(
        found,
        asked.limit,
        lambda record: KeyShown(**shown(record, wall)),
        lambda record: (round(record.created * 1000), record.id),
    )


# --------------------------------------------------------------------------- administrators


def _generated(desk: Desk, said: GenerateSaid) -> KeyRecord:
    expires = None if said.expires_in_s is None else desk.wall() + said.expires_in_s
    return KeyRecord(
        id="",
        tenant=said.tenant,
        name=said.name or said.userId,
        created=0.0,
        role=said.role,
        limits=_limits(said.limits),
        user_id=said.userId,
        expires=expires,
        tier=said.tier,
    )


@router.post("/api/admin/users/generate-key", status_code=201)
async def generate_key(desk: DeskOf, call: CallOf, said: GenerateSaid) -> KeyMade:
    """Makes a key for a user; a user has one, whose secret is renewed by rotating it."""
    return await _make(desk, call, _generated(desk, said))


@router.post("/v1/generate_key", status_code=201)
async def generate_key_v1(desk: DeskOf, call: CallOf, said: GenerateSaid) -> KeyMade:
    """The same, where the original's clients look for it (R-SURF-013)."""
    return await _make(desk, call, _generated(desk, said))


@router.get("/api/admin/api-keys")
async def list_keys(desk: DeskOf, asked: Annotated[Filter, Query()]) -> Listed[KeyShown]:
    """All keys, the oldest first."""
    search = KeySearch(
        tenant=asked.tenant, user_id=asked.user_id, role=asked.role, state=asked.state
    )
    return await _page(desk, asked, search)


@router.get("/api/admin/api-keys/{id}")
async def get_key(desk: DeskOf, call: CallOf, id: Word) -> KeyShown:  # noqa: A002  the member's name
    """One key."""
    return KeyShown(**shown(await _one(desk, call, id), desk.wall()))


async def _revoke(desk: Desk, call: Call, key_id: str) -> KeyShown:
    record = await _one(desk, call, key_id)
    before = shown(record, desk.wall())
    async with deed(
        desk, call, "api_key.revoke", record.id, tenant=record.tenant, before=before
    ) as note:
        found = await desk.keys.revoke(record.id)
        desk.keys_changed()
        assert found is not None, "no key is ever removed"
        note.after = shown(found, desk.wall())
    return KeyShown(**note.after)


async def _update(desk: Desk, call: Call, key_id: str, said: UpdateSaid) -> KeyShown:
    record = await _one(desk, call, key_id)
    _check_grant(caller_of(call), role=said.role or record.role, tenant=record.tenant)
    _check_tier(desk, said.tier)
    change = KeyChange(
        name=said.name,
        role=said.role,
        tier=said.tier,
        limits=None if said.limits is None else _limits(said.limits),
        expires=said.expires_at,
    )
    before = shown(record, desk.wall())
    async with deed(
        desk, call, "api_key.update", record.id, tenant=record.tenant, before=before
    ) as note:
        found = await desk.keys.change(record.id, change)
        desk.keys_changed()
        assert found is not None, "no key is ever removed"
        note.after = shown(found, desk.wall())
    return KeyShown(**note.after)


async def _rotate(desk: Desk, call: Call, key_id: str, overlap_s: float) -> KeyMade:
    record = await _one(desk, call, key_id)
    _check_grant(caller_of(call), role=record.role, tenant=record.tenant)
    before = shown(record, desk.wall())
    if before["state"] != "active":
        raise CallerError(
            "conflict",
            f"The key is {before['state']} and serves no more: make a new one.",
            code="conflict",
            param="id",
        )
    async with deed(
        desk, call, "api_key.rotate", record.id, tenant=record.tenant, before=before
    ) as note:
        found, secret = await desk.keys.rotate(record, overlap_s)
        desk.keys_changed()
        told = shown(found, desk.wall())
        note.after = told
    key = secret.reveal()
    return KeyMade(**told, key=key, apiKey=key)


async def _reset(desk: Desk, call: Call, key_id: str) -> Reset:
    record = await _one(desk, call, key_id)
    async with deed(desk, call, "api_key.reset_usage", record.id, tenant=record.tenant) as note:
        at_us = await desk.keys.reset_usage(record.id)
        note.after = {"counts_since_us": at_us}
    return Reset(id=record.id, counts_since=at_us / 1_000_000)


# Each of these is there twice: with the id in the path, and in the body as the original has it.


@router.post("/api/admin/api-keys/revoke")
async def revoke_of(desk: DeskOf, call: CallOf, said: KeyOf) -> KeyShown:
    """Revokes a key for good; it is refused everywhere within a second."""
    return await _revoke(desk, call, said.id)


@router.post("/api/admin/api-keys/{id}/revoke")
async def revoke(desk: DeskOf, call: CallOf, id: Word) -> KeyShown:  # noqa: A002
    """Revokes a key for good; it is refused everywhere within a second."""
    return await _revoke(desk, call, id)


@router.post("/api/admin/api-keys/update")
async def update_of(desk: DeskOf, call: CallOf, said: UpdateOf) -> KeyShown:
    """Changes a key; what is left out stays."""
    return await _update(desk, call, said.id, said)


@router.post("/api/admin/api-keys/{id}/update")
async def update(desk: DeskOf, call: CallOf, id: Word, said: UpdateSaid) -> KeyShown:  # noqa: A002
    """Changes a key; what is left out stays."""
    return await _update(desk, call, id, said)


@router.post("/api/admin/api-keys/rotate", status_code=201)
async def rotate_of(desk: DeskOf, call: CallOf, said: RotateOf) -> KeyMade:
    """Makes a key in the place of one that ends now, or after an overlap."""
    return await _rotate(desk, call, said.id, said.overlap_s)


@router.post("/api/admin/api-keys/{id}/rotate", status_code=201)
async def rotate(desk: DeskOf, call: CallOf, id: Word, said: RotateSaid) -> KeyMade:  # noqa: A002
    """Makes a key in the place of one that ends now, or after an overlap."""
    return await _rotate(desk, call, id, said.overlap_s)


@router.post("/api/admin/api-keys/reset-usage")
async def reset_of(desk: DeskOf, call: CallOf, said: KeyOf) -> Reset:
    """Has a key's use count anew from now on; the ledger keeps all of it."""
    return await _reset(desk, call, said.id)


@router.post("/api/admin/api-keys/{id}/reset-usage")
async def reset(desk: DeskOf, call: CallOf, id: Word) -> Reset:  # noqa: A002
    """Has a key's use count anew from now on; the ledger keeps all of it."""
    return await _reset(desk, call, id)


# --------------------------------------------------------------------------- tenants


@router.get("/v1/api-keys")
async def list_own(
    desk: DeskOf, call: CallOf, asked: Annotated[Asked, Query()]
) -> Listed[KeyShown]:
    """The keys of the caller's tenant; a user sees its own alone."""
    caller = caller_of(call)
    own = caller.key_id if reach_of(caller) == "own" else None
    return await _page(desk, asked, KeySearch(tenant=caller.tenant, key_id=own))


@router.post("/v1/api-keys", status_code=201)
async def make_own(desk: DeskOf, call: CallOf, said: NewKeySaid) -> KeyMade:
    """Makes a key of the role user in the caller's tenant."""
    expires = None if said.expires_in_s is None else desk.wall() + said.expires_in_s
    like = KeyRecord(
        id="",
        tenant=caller_of(call).tenant,
        name=said.name,
        created=0.0,
        limits=_limits(said.limits),
        expires=expires,
        tier=said.tier,
    )
    return await _make(desk, call, like)


@router.delete("/v1/api-keys/{key_id}", status_code=204)
async def revoke_own(desk: DeskOf, call: CallOf, key_id: Word) -> None:
    """Revokes a key of the caller's tenant; a user may revoke its own alone."""
    record = await _one(desk, call, key_id)
    if record.tenant != caller_of(call).tenant:
        raise CallerError(
            "not_found", f"No key {key_id[:64]!a} is known.", code="not_found", param="key_id"
        )
    await _revoke(desk, call, key_id)
