"""Tiers: limits that many keys share, added and changed while serving (R-ADD-039, R-TIER-001).

A stored tier lies over the file's of its name, as aliases and routes do; whoever has it is under its new
limits with the next request, in every process within a second.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from fastapi import Query, Response
from pydantic import BaseModel, Field, StringConstraints

from dragoman.admin.bench import CallOf, DeskOf, room
from dragoman.admin.changes import changing, fits, with_tiers
from dragoman.admin.deeds import deed
from dragoman.admin.desk import Desk
from dragoman.admin.paging import Asked, Listed, Strict, Word, page_of, place_of
from dragoman.catalog.stored import StoredTier
from dragoman.core.call import Call, Limits, said_limits
from dragoman.core.errors import CallerError

router = room("tiers")

_LARGEST = 2**53
_MOST = 1000
_MEMBERS = Limits.__struct_fields__
TierName = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Number = Annotated[int, Field(ge=0, le=_LARGEST)]
Score = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False, strict=False)]


class TierBody(Strict):
    """The limits of a tier; null: nothing is said, 0: not limited."""

    rps: Number | None = Field(None, description="Requests a second", examples=[20])
    rpm: Number | None = Field(None, description="Requests a minute", examples=[600])
    rpd: Number | None = Field(None, description="Requests a day")
    tpm: Number | None = Field(None, description="Tokens a minute")
    tpd: Number | None = Field(None, description="Tokens a day")
    max_tokens: Number | None = Field(None, description="Tokens in all")
    concurrency: Number | None = Field(None, description="Requests under way at once")
    min_provider_score: Score | None = Field(None, description="The lowest score of who answers")
    max_provider_score: Score | None = Field(None, description="The highest")
    require_score: bool | None = Field(
        None, description="Nobody outside of the scores answers, even where nobody is within"
    )


class TierShown(TierBody):
    """A tier as it is now."""

    id: str
    source: Literal["admin", "configuration"]
    hides_configuration: bool = Field(description="The files have this tier as well")
    in_force: bool
    created_at: float | None = Field(description="Unix seconds")
    changed_at: float | None


class TiersShown(BaseModel):
    """How many tiers are stored now."""

    object: Literal["tiers"] = "tiers"
    stored: int


def _limits(said: TierBody) -> Limits:
    return Limits(**said.model_dump(include=set(_MEMBERS)))


def _stored(desk: Desk, tier: StoredTier, filed: Collection[str]) -> TierShown:
    return TierShown(
        **{name: getattr(tier.limits, name) for name in _MEMBERS},
        id=tier.name,
        source="admin",
        hides_configuration=tier.name in filed,
        in_force=desk.tiers().get(tier.name) == tier.limits,
        created_at=tier.created_ms / 1000,
        changed_at=tier.changed_ms / 1000,
    )


def _filed(name: str, limits: Limits) -> TierShown:
    return TierShown(
        **{member: getattr(limits, member) for member in _MEMBERS},
        id=name,
        source="configuration",
        hides_configuration=False,
        in_force=True,
        created_at=None,
        changed_at=None,
    )


async def _shown(desk: Desk, name: str) -> TierShown:
    filed = desk.tiers_in_file()
    tier = next((each for each in await desk.stored_tiers.all() if each.name == name), None)
    if tier is not None:
        return _stored(desk, tier, filed)
    if name in filed:
        return _filed(name, filed[name])
    raise _unknown(desk, name)


def _unknown(desk: Desk, name: str) -> CallerError:
    why = ""
    if name in desk.tiers_in_file():
        why = "; the one of the configuration is changed there"
    return CallerError(
        "not_found", f"No tier {name[:64]!a} is stored{why}.", code="not_found", param="id"
    )


async def _change(
    desk: Desk,
    call: Call,
    put: list[StoredTier],
    gone: Collection[str],
    *,
    before: dict[str, Limits],
    named: str = "",
) -> None:
    """Stores what fits, with a deed of its own for each tier that is another afterwards."""
    overlay = await desk.names.overlay()
    await fits(desk, with_tiers(overlay, put, gone))
    for name in gone:
        if name in desk.tiers_in_file():
            continue
        if number := await desk.stored_tiers.keys_with(name):
            raise CallerError(
                "conflict",
                f"{number} {'key has' if number == 1 else 'keys have'} the tier {name!a} and would be "
                "refused without it: give another one first.",
                code="conflict",
                param="id",
            )
    after = {tier.name: tier.limits for tier in put}
    changed = [name for name in (*after, *gone) if after.get(name) != before.get(name)]
    target = named or ", ".join(changed)[:256] or "none"
    action = "tier.delete" if gone and not put else "tier.put"
    told = {name: said_limits(before[name]) for name in changed if name in before}
    async with deed(desk, call, action, target, before=told or None) as note:
        await desk.stored_tiers.change(put, gone)
        await desk.renew()
        note.after = {
            name: said_limits(after[name]) if name in after else None for name in changed
        }


@router.get("/api/admin/tiers")
async def list_tiers(desk: DeskOf, asked: Annotated[Asked, Query()]) -> Listed[TierShown]:
    """Tiers by the alphabet, those of the files as well."""
    after = place_of(asked.cursor, str) or ""
    filed = desk.tiers_in_file()
    rows = {name: _filed(name, limits) for name, limits in filed.items()}
    rows |= {tier.name: _stored(desk, tier, filed) for tier in await desk.stored_tiers.all()}
    wanted = [rows[name] for name in sorted(rows) if name > after]
    return page_of(wanted, asked.limit, lambda each: each, lambda each: each.id)


@router.put("/api/admin/tiers")
async def put_tiers(
    desk: DeskOf,
    call: CallOf,
    said: Annotated[dict[TierName, TierBody], Field(max_length=_MOST)],
) -> TiersShown:
    """Has these tiers stored and no others; a tier that keys still have cannot go."""
    async with changing(desk) as overlay:
        before = {tier.name: tier.limits for tier in overlay.tiers}
        put = [StoredTier(name, _limits(body)) for name, body in said.items()]
        gone = [name for name in before if name not in said]
        await _change(desk, call, put, gone, before=before)
    return TiersShown(stored=len(put))


@router.get("/api/admin/tiers/{id}")
async def get_tier(desk: DeskOf, id: Word) -> TierShown:  # noqa: A002
    """One tier, stored or of the files."""
    return await _shown(desk, id)


@router.put("/api/admin/tiers/{id}", responses={201: {"model": TierShown}})
async def put_tier(
    desk: DeskOf,
    call: CallOf,
    id: TierName,  # noqa: A002
    said: TierBody,
    response: Response,
) -> TierShown:
    """Adds a tier (201), or takes the place of a stored one (200)."""
    async with changing(desk) as overlay:
        before = {tier.name: tier.limits for tier in overlay.tiers}
        put = [StoredTier(id, _limits(said))]
        await _change(desk, call, put, (), before=before, named=id)
        response.status_code = 200 if id in before else 201
    return await _shown(desk, id)


@router.patch("/api/admin/tiers/{id}")
async def patch_tier(
    desk: DeskOf,
    call: CallOf,
    id: Word,  # noqa: A002
    said: TierBody,
) -> TierShown:
    """Changes the limits that are said; one of the files is stored with the rest as it is."""
    async with changing(desk) as overlay:
        before = {tier.name: tier.limits for tier in overlay.tiers}
        now = before.get(id) or desk.tiers_in_file().get(id)
        if now is None:
            raise _unknown(desk, id)
        limits = {name: getattr(now, name) for name in _MEMBERS}
        limits |= {name: getattr(said, name) for name in said.model_fields_set}
        await _change(desk, call, [StoredTier(id, Limits(**limits))], (), before=before, named=id)
    return await _shown(desk, id)


@router.delete("/api/admin/tiers/{id}", status_code=204)
async def delete_tier(desk: DeskOf, call: CallOf, id: Word) -> None:  # noqa: A002
    """Forgets a stored tier; the files' of that name is in force again."""
    async with changing(desk) as overlay:
        before = {tier.name: tier.limits for tier in overlay.tiers}
        if id not in before:
            raise _unknown(desk, id)
        await _change(desk, call, [], (id,), before=before, named=id)
