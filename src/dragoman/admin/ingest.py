"""Keys of providers that anybody may hand in, and an administrator adopts or forgets (R-ADM-010).

Handing in needs no key of ours, so it is bounded on every side: the body, the rate of each address,
how many may wait, which providers. A key is looked at in form, sealed at once, and neither shown nor
logged nor tried; it serves nothing until it is adopted.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, Field

from dragoman.admin.bench import CallOf, DeskOf, room
from dragoman.admin.changes import changing, fits
from dragoman.admin.deeds import deed
from dragoman.admin.desk import Desk
from dragoman.admin.paging import Asked, Listed, Strict, Word, page_of, place_of
from dragoman.admin.providers import Name, ProviderKey
from dragoman.catalog.keys import mask, wrong_form
from dragoman.catalog.stored import Submission
from dragoman.core.client_address import address_of
from dragoman.core.errors import CallerError, GatewayError, code_of, invalid

router = room("keys of providers")


class KeySaid(Strict):
    """A key that is handed in."""

    key: ProviderKey = Field(examples=["sk-or-v1-…"])
    provider: Name = Field(examples=["openrouter"])
    tier: int | None = Field(
        None, ge=0, le=1000, description="What kind of account it is, if known"
    )


class KeyShown(BaseModel):
    """A key that was handed in, without the key."""

    id: str
    provider: str
    tier: int | None
    key_preview: str
    state: Literal["waiting", "adopted"]
    submitted_by: str = Field(description="The address that it came from")
    created_at: float
    adopted_at: float | None


class Receipt(BaseModel):
    """What somebody is told who has handed in a key."""

    id: str
    provider: str
    tier: int | None
    state: Literal["waiting"] = "waiting"
    created_at: float


class Filter(Asked):
    """Which keys are wanted."""

    provider: Word | None = None


def _shown(found: Submission) -> KeyShown:
    return KeyShown(
        id=found.id,
        provider=found.provider,
        tier=found.tier,
        key_preview=found.preview,
        state="waiting" if found.adopted_ms is None else "adopted",
        submitted_by=found.submitted_by,
        created_at=found.created_ms / 1000,
        adopted_at=None if found.adopted_ms is None else found.adopted_ms / 1000,
    )


@router.post("/api/admin/keys", status_code=201)
async def hand_in(desk: DeskOf, call: CallOf, said: KeySaid) -> Receipt:
    """Hands in a key; who does so learns whether it was taken, and never sees it again."""
    address = (address_of(call, desk.ingest.proxies) or "-")[:45]
    line = {
        "provider": said.provider,
        "tier": said.tier,
        "from": address,
        "request_id": call.request_id,
    }
    try:
        _check(desk, said)
        found = await desk.submissions.add(
            Submission(
                id=desk.new_id(),
                provider=said.provider,
                preview=mask(said.key),
                tier=said.tier,
                submitted_by=address,
            ),
            said.key,
            desk.ingest.most,
        )
    except GatewayError as error:
        desk.ingest.log({**line, "outcome": "refused", "error": code_of(error)})
        raise
    desk.ingest.log({**line, "outcome": "taken", "id": found.id, "key_preview": found.preview})
    return Receipt(
        id=found.id, provider=found.provider, tier=found.tier, created_at=found.created_ms / 1000
    )


def _check(desk: Desk, said: KeySaid) -> None:
    allowed = desk.ingest.providers
    if allowed and said.provider not in allowed:
        raise CallerError(
            "permission",
            f"Keys of {said.provider} are not taken here: {', '.join(sorted(allowed))} are.",
            code="insufficient_permissions",
            param="provider",
        )
    definition = desk.registry().definitions.get(said.provider)
    if definition is None:
        raise invalid(
            f"There is no provider {said.provider!a}.", "provider", "invalid_field_value"
        )
    if (trouble := wrong_form(definition, said.key)) is not None:
        raise invalid(f"This is no key of that provider: {trouble}.", "key", "invalid_field_value")


@router.get("/api/admin/keys")
async def list_keys(desk: DeskOf, asked: Annotated[Filter, Query()]) -> Listed[KeyShown]:
    """Keys that were handed in, the newest first."""
    limit = min(asked.limit, desk.ingest.most)
    found = await desk.submissions.page(
        before=place_of(asked.cursor, str), limit=limit + 1, provider=asked.provider
    )
    return page_of(found, limit, _shown, lambda each: each.id)


@router.post("/api/admin/keys/{id}/adopt")
async def adopt(desk: DeskOf, call: CallOf, id: Word) -> KeyShown:  # noqa: A002  the member's name
    """Has the key used from now on, beside those that its provider has."""
    async with changing(desk):
        before = await _one(desk, id)
        async with deed(desk, call, "submitted_key.adopt", id, before=_plain(before)) as note:
            await desk.submissions.adopt(id)
            try:
                await fits(desk, await desk.names.overlay())
            except GatewayError:
                await desk.submissions.adopt(id, off=True)
                raise
            await desk.renew()
            found = await _one(desk, id)
            note.after = _plain(found)
    return _shown(found)


@router.delete("/api/admin/keys/{id}", status_code=204)
async def forget(desk: DeskOf, call: CallOf, id: Word) -> None:  # noqa: A002  the member's name
    """Forgets the key; one that was adopted is used no more."""
    async with changing(desk):
        before = await _one(desk, id)
        async with deed(desk, call, "submitted_key.delete", id, before=_plain(before)):
            await desk.submissions.remove(id)
            if before.adopted_ms is not None:
                await desk.renew()


async def _one(desk: Desk, name: str) -> Submission:
    found = await desk.submissions.get(name)
    if found is None:
        raise CallerError(
            "not_found", f"No submitted key {name[:64]!a} is known.", code="not_found", param="id"
        )
    return found


def _plain(found: Submission) -> Any:
    return {
        "provider": found.provider,
        "key_preview": found.preview,
        "adopted": found.adopted_ms is not None,
    }
