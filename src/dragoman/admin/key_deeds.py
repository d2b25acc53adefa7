"""What is done to callers' keys: each is looked up within the caller's reach, and every change written down."""

from __future__ import annotations

from dragoman.admin.deeds import deed
from dragoman.admin.desk import Desk
from dragoman.admin.grants import check_end, check_grant, check_rank
from dragoman.admin.key_shapes import (
    KeyMade,
    KeyShown,
    Reset,
    UpdateSaid,
    limits_said,
    shown,
)
from dragoman.admin.paging import Asked, Listed, page_of, place_of
from dragoman.admin.reach import caller_of, sees
from dragoman.admin.scope_shapes import scopes_said
from dragoman.core.call import Call
from dragoman.core.errors import CallerError, invalid
from dragoman.identity.ports import KeyChange, KeyRecord, KeySearch


def no_key(key_id: str, param: str = "id") -> CallerError:
    """The answer to an id that nobody has, or somebody else."""
    return CallerError(
        "not_found", f"No key {key_id[:64]!a} is known.", code="not_found", param=param
    )


async def one(desk: Desk, call: Call, key_id: str) -> KeyRecord:
    """The key, if it is there for the caller."""
    found = await desk.keys.get(key_id)
    if found is None or not sees(caller_of(call), found.tenant, found.id):
        raise no_key(key_id)
    return found


async def page(desk: Desk, asked: Asked, search: KeySearch) -> Listed[KeyShown]:
    """A page of keys, the oldest first."""
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


async def _check_tier(desk: Desk, tier: str | None) -> None:
    if not tier or tier in desk.tiers():
        return
    # What another process has stored is in force here a moment later.
    names = {*desk.tiers(), *(each.name for each in await desk.stored_tiers.all())}
    if tier not in names:
        known = ", ".join(sorted(names)) or "none"
        raise invalid(
            f"There is no tier {tier!a}; there are: {known}.", "tier", "invalid_field_value"
        )


async def make(desk: Desk, call: Call, like: KeyRecord) -> KeyMade:
    """Makes a key."""
    await _check_tier(desk, like.tier)
    await check_grant(desk, caller_of(call), like, limits=True)
    await check_end(desk, caller_of(call), like.expires, "expires_in_s")
    async with deed(desk, call, "api_key.create", "", tenant=like.tenant) as note:
        record, secret = await desk.keys.create(like)
        told = shown(record, desk.wall())
        note.target, note.after = record.id, told
    key = secret.reveal()
    return KeyMade(**told, key=key, apiKey=key)


async def revoke(desk: Desk, call: Call, record: KeyRecord, *, now: bool = False) -> KeyShown:
    """Revokes a key for good; ``now`` ends its calls that are under way, too."""
    check_rank(caller_of(call), record.role)
    before = shown(record, desk.wall())
    async with deed(
        desk, call, "api_key.revoke", record.id, tenant=record.tenant, before=before
    ) as note:
        found = await desk.keys.revoke(record.id, cut=now)
        desk.keys_changed(record.tenant, record.id)
        assert found is not None, "no key is ever removed"
        note.after = {**shown(found, desk.wall()), **({"now": True} if now else {})}
    return KeyShown(**shown(found, desk.wall()))


async def update(desk: Desk, call: Call, record: KeyRecord, said: UpdateSaid) -> KeyShown:
    """Changes what is said of a key."""
    caller = caller_of(call)
    check_rank(caller, record.role)
    await _check_tier(desk, said.tier)
    change = KeyChange(
        name=said.name,
        role=said.role,
        tier=said.tier,
        limits=None if said.limits is None else limits_said(said.limits),
        expires=said.expires_at,
        project=said.project,
        label=said.label,
        scopes=None if said.scope is None else scopes_said(said.scope),
    )
    limited = change.limits is not None or change.tier is not None
    await check_grant(desk, caller, _as_it_will_be(record, change), limits=limited)
    if change.expires is not None:
        await check_end(desk, caller, change.expires, "expires_at")
    return await _changed(desk, call, "api_key.update", record, change)


def _as_it_will_be(record: KeyRecord, change: KeyChange) -> KeyRecord:
    return KeyRecord(
        id=record.id,
        tenant=record.tenant,
        name=record.name,
        created=record.created,
        role=change.role or record.role,
        limits=record.limits if change.limits is None else change.limits,
        tier=record.tier if change.tier is None else change.tier or None,
        project=change.project or record.project,
        scopes=record.scopes if change.scopes is None else change.scopes,
    )


async def suspend(desk: Desk, call: Call, record: KeyRecord, *, off: bool = False) -> KeyShown:
    """Has a key serve no more until it is resumed; or resumes it."""
    caller = caller_of(call)
    check_rank(caller, record.role)
    if record.id == caller.key_id and not off:
        raise CallerError(
            "conflict", "This is the key that asks; use another one.", code="conflict", param="id"
        )
    verb = "resume" if off else "suspend"
    return await _changed(desk, call, f"api_key.{verb}", record, KeyChange(suspended=not off))


async def _changed(
    desk: Desk, call: Call, action: str, record: KeyRecord, change: KeyChange
) -> KeyShown:
    before = shown(record, desk.wall())
    async with deed(desk, call, action, record.id, tenant=record.tenant, before=before) as note:
        found = await desk.keys.change(record.id, change)
        desk.keys_changed(record.tenant, record.id)
        assert found is not None, "no key is ever removed"
        note.after = shown(found, desk.wall())
    return KeyShown(**note.after)


async def rotate(desk: Desk, call: Call, record: KeyRecord, overlap_s: float) -> KeyMade:
    """Gives a key another secret; what it may and what it has used stay."""
    await check_grant(desk, caller_of(call), record)
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
        desk.keys_changed(record.tenant, record.id)
        told = shown(found, desk.wall())
        note.after = told
    key = secret.reveal()
    return KeyMade(**told, key=key, apiKey=key)


async def reset(desk: Desk, call: Call, record: KeyRecord) -> Reset:
    """Has a key's use count anew."""
    async with deed(desk, call, "api_key.reset_usage", record.id, tenant=record.tenant) as note:
        at_us = await desk.keys.reset_usage(record.id)
        desk.keys_changed(record.tenant, record.id)
        note.after = {"counts_since_us": at_us}
    return Reset(id=record.id, counts_since=at_us / 1_000_000)
