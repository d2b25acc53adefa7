"""Credentials of tenants at providers: brought, listed masked, disabled, tried, removed (R-AUTH-009, R-AUTH-012).

A value is written once and never given back; its first and last characters are all that is shown. Who
manages a tenant has that tenant's alone, an administrator everybody's, and both stand in the audit log.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, Field, StringConstraints

from dragoman.admin.bench import CallOf, DeskOf, room
from dragoman.admin.deeds import deed
from dragoman.admin.desk import Desk
from dragoman.admin.paging import Asked, Listed, Strict, Word, page_of, place_of
from dragoman.admin.providers import Name, ProviderKey
from dragoman.admin.reach import caller_of
from dragoman.catalog.keys import mask
from dragoman.catalog.service import PREFIX
from dragoman.core.call import Call
from dragoman.core.errors import CallerError, GatewayError, invalid
from dragoman.credentials.own import HEAVIEST, OWN, OwnCredential, OwnRule
from dragoman.credentials.whom import find, whom

router = room("credentials")

Label = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]+$")
]
"""A name or a tenant, as long as its column is."""
Whose = Annotated[
    str, StringConstraints(pattern=rf"^({PREFIX})?[A-Za-z0-9][A-Za-z0-9_.-]{{0,63}}$")
]
"""A provider's name, or a service's."""


class Brought(Strict):
    """A credential of the caller's tenant."""

    provider: Whose = Field(
        examples=["openai"],
        description="A provider, or a service of the operator's as `services/NAME`",
    )
    api_key: ProviderKey = Field(
        description="Sealed at once and never shown again", examples=["sk-…"]
    )
    name: Label = Field("main", description="Tells several for one provider apart")
    weight: int = Field(
        1, ge=1, le=HEAVIEST, description="Its share of the calls, where there are several"
    )


class BroughtFor(Brought):
    """A credential of any tenant."""

    tenant: Label = Field(examples=["acme"])


class CredentialShown(BaseModel):
    """A credential without its value."""

    id: str
    tenant: str
    provider: str
    name: str
    key_preview: str
    address: str = Field(description="The only place that it is sent to")
    weight: int
    state: Literal["in use", "disabled", "elsewhere", "no provider"] = Field(
        description="`elsewhere`: its provider has another address now, and is not sent it"
    )
    created_at: float
    changed_at: float
    last_used_at: float | None


class Tried(BaseModel):
    """What its provider says of a credential."""

    outcome: Literal["good", "refused", "unclear", "not tried"]
    said: str
    status: int | None = Field(description="The provider's")


class RuleSaid(Strict):
    """Whether a tenant's calls may be made with others' credentials."""

    tenant: Label = Field(examples=["acme"])
    own_only: bool = Field(
        description="True: where the tenant has none of its own, its calls are refused"
    )


class OwnRuleSaid(Strict):
    """Whether the caller's tenant wants its calls made with its own credentials alone."""

    own_only: bool = Field(
        description="False takes back what the tenant said, and nothing of what the operator says"
    )


class RuleShown(BaseModel):
    """The rule of one tenant."""

    tenant: str
    own_only: bool = Field(description="What holds: where either of them says so")
    by_operator: bool
    by_tenant: bool


class Mine(Asked):
    """Which of the tenant's own are wanted."""

    provider: Whose | None = None


class Filter(Mine):
    """Which of all are wanted."""

    tenant: Label | None = None


class Rules(Asked):
    """Whose rules are wanted."""

    tenant: Label | None = None


# --------------------------------------------------------------------------- a tenant's own


@router.get("/v1/providers")
async def list_mine(
    desk: DeskOf, call: CallOf, asked: Annotated[Mine, Query()]
) -> Listed[CredentialShown]:
    """The credentials of the caller's tenant, the oldest first."""
    return await _page(desk, asked, caller_of(call).tenant)


@router.post("/v1/providers", status_code=201)
async def bring(desk: DeskOf, call: CallOf, said: Brought) -> CredentialShown:
    """Brings a credential; from now on calls of the tenant to whom it is for are made with its own alone."""
    return await _add(desk, call, caller_of(call).tenant, said, by_tenant=True)


@router.delete("/v1/providers/{provider}", status_code=204)
async def take_back(
    desk: DeskOf, call: CallOf, provider: Name, name: Annotated[Label | None, Query()] = None
) -> None:
    """Removes the tenant's credentials for a provider, or the one of that name, for good."""
    tenant = caller_of(call).tenant
    found: list[OwnCredential] = []
    # A bare name is a service's where no provider is called so.
    is_known = find(provider, desk.registry(), desk.services()) is not None
    for whose in (provider,) if is_known else (provider, PREFIX + provider):
        held = await desk.credentials.page(tenant=tenant, provider=whose, limit=1000)
        found = found or [each for each in held if name is None or each.name == name]
    if not found:
        raise CallerError(
            "not_found",
            f"Your tenant has no such credential for {provider[:64]!a}.",
            code="not_found",
            param="provider",
        )
    for each in found:
        await _remove(desk, call, each)


@router.delete("/v1/providers/services/{service}", status_code=204)
async def take_back_of_service(
    desk: DeskOf, call: CallOf, service: Name, name: Annotated[Label | None, Query()] = None
) -> None:
    """Removes the tenant's credentials for a service, or the one of that name, for good."""
    await take_back(desk, call, PREFIX + service, name)


@router.get("/v1/credential-rule")
async def own_rule(desk: DeskOf, call: CallOf) -> RuleShown:
    """Whether calls of the caller's tenant are made with its own credentials alone, and who says so."""
    return _rule_shown(await desk.credentials.rule(caller_of(call).tenant))


@router.post("/v1/credential-rule")
async def say_own_rule(desk: DeskOf, call: CallOf, said: OwnRuleSaid) -> RuleShown:
    """Has them made so, or takes that back, in force at once."""
    return await _restrict(desk, call, caller_of(call).tenant, own_only=said.own_only, mine=True)


# --------------------------------------------------------------------------- everybody's


@router.get("/api/admin/credentials")
async def list_all(desk: DeskOf, asked: Annotated[Filter, Query()]) -> Listed[CredentialShown]:
    """All credentials of tenants, the oldest first."""
    return await _page(desk, asked, asked.tenant)


@router.post("/api/admin/credentials", status_code=201)
async def bring_for(desk: DeskOf, call: CallOf, said: BroughtFor) -> CredentialShown:
    """Brings a credential for a tenant."""
    return await _add(desk, call, said.tenant, said)


@router.get("/api/admin/credentials/{id}")
async def get(desk: DeskOf, id: Word) -> CredentialShown:  # noqa: A002  the member's name
    """One of them."""
    return _shown(await _one(desk, id), desk)


@router.delete("/api/admin/credentials/{id}", status_code=204)
async def remove(desk: DeskOf, call: CallOf, id: Word) -> None:  # noqa: A002  the member's name
    """Removes it for good; calls that are under way end as they would."""
    await _remove(desk, call, await _one(desk, id))


@router.post("/api/admin/credentials/{id}/disable")
async def disable(desk: DeskOf, call: CallOf, id: Word) -> CredentialShown:  # noqa: A002
    """Takes it out of use, until it is enabled."""
    return await _turn(desk, call, id, disabled=True)


@router.post("/api/admin/credentials/{id}/enable")
async def enable(desk: DeskOf, call: CallOf, id: Word) -> CredentialShown:  # noqa: A002
    """Takes it back into use."""
    return await _turn(desk, call, id, disabled=False)


@router.post("/api/admin/credentials/{id}/test")
async def test(desk: DeskOf, call: CallOf, id: Word) -> Tried:  # noqa: A002
    """Asks its provider whether it is good, by a request that costs nothing."""
    before = await _one(desk, id)
    async with deed(desk, call, "credential.test", id, tenant=before.tenant) as note:
        found = await desk.try_credential(id)
        if found is None:
            raise _unknown(id)
        note.after = found.outcome
    return Tried(outcome=found.outcome, said=found.said, status=found.status)


@router.get("/api/admin/credential-rules")
async def rules(desk: DeskOf, asked: Annotated[Rules, Query()]) -> Listed[RuleShown]:
    """Whether tenants that ever had a credential or a rule may use no others than their own."""
    found = await desk.credentials.rules(
        tenant=asked.tenant, after=_after(asked), limit=asked.limit + 1
    )
    return page_of(found, asked.limit, _rule_shown, lambda each: each.tenant)


@router.post("/api/admin/credential-rules")
async def rule(desk: DeskOf, call: CallOf, said: RuleSaid) -> RuleShown:
    """Says whether a tenant's calls may be made with the gateway's credentials, in force at once."""
    return await _restrict(desk, call, said.tenant, own_only=said.own_only)


# --------------------------------------------------------------------------- how


def _after(asked: Asked) -> str | None:
    after = place_of(asked.cursor, str)
    return None if after is None else after.replace("\x00", "")


async def _page(desk: Desk, asked: Mine, tenant: str | None) -> Listed[CredentialShown]:
    found = await desk.credentials.page(
        tenant=tenant, provider=asked.provider, after=_after(asked), limit=asked.limit + 1
    )
    return page_of(found, asked.limit, lambda each: _shown(each, desk), lambda each: each.id)


async def _restrict(
    desk: Desk, call: Call, tenant: str, *, own_only: bool, mine: bool = False
) -> RuleShown:
    before = await desk.credentials.rule(tenant)
    async with deed(
        desk, call, "credential_rule.put", tenant, tenant=tenant, before=before
    ) as note:
        await desk.credentials.restrict(tenant, own_only=own_only, by_tenant=mine)
        note.after = found = await desk.credentials.rule(tenant)
    await _tell(desk)
    return _rule_shown(found)


def _rule_shown(found: OwnRule) -> RuleShown:
    return RuleShown(
        tenant=found.tenant,
        own_only=found.own_only,
        by_operator=found.by_operator,
        by_tenant=found.by_tenant,
    )


async def _one(desk: Desk, name: str) -> OwnCredential:
    found = await desk.credentials.get(name)
    if found is None:
        raise _unknown(name)
    return found


def _unknown(name: str) -> CallerError:
    return CallerError(
        "not_found", f"No credential {name[:64]!a} is known.", code="not_found", param="id"
    )


async def _add(
    desk: Desk, call: Call, tenant: str, said: Brought, *, by_tenant: bool = False
) -> CredentialShown:
    place = whom(said.provider, desk.registry(), desk.services(), by_tenant=by_tenant)
    if (trouble := place.fault(said.api_key)) is not None:
        raise invalid(f"This is no key of it: {trouble}.", "api_key", "invalid_field_value")
    new = OwnCredential(
        id=OWN + desk.new_id().replace("-", ""),
        tenant=tenant,
        provider=place.name,
        name=said.name,
        preview=mask(said.api_key),
        origin=place.origin,
        weight=said.weight,
    )
    async with deed(desk, call, "credential.add", new.id, tenant=tenant) as note:
        found = await desk.credentials.add(new, said.api_key)
        note.after = _plain(found)
    await _tell(desk)
    return _shown(found, desk)


async def _remove(desk: Desk, call: Call, found: OwnCredential) -> None:
    async with deed(
        desk, call, "credential.delete", found.id, tenant=found.tenant, before=_plain(found)
    ):
        await desk.credentials.remove(found.id, tenant=found.tenant)
    await _tell(desk)


async def _turn(desk: Desk, call: Call, name: str, *, disabled: bool) -> CredentialShown:
    before = await _one(desk, name)
    action = "credential.disable" if disabled else "credential.enable"
    async with deed(desk, call, action, name, tenant=before.tenant, before=_plain(before)) as note:
        found = await desk.credentials.turn(name, disabled=disabled)
        if found is None:
            raise _unknown(name)
        note.after = _plain(found)
    await _tell(desk)
    return _shown(found, desk)


async def _tell(desk: Desk) -> None:
    """Has this process notice at once; others do within half a second, and it does then at the latest."""
    try:
        await desk.credentials_changed()
    except GatewayError as error:
        desk.log("warn", "tenants' credentials not looked at", error=error.message)


def _shown(found: OwnCredential, desk: Desk) -> CredentialShown:
    return CredentialShown(
        id=found.id,
        tenant=found.tenant,
        provider=found.provider,
        name=found.name,
        key_preview=found.preview,
        address=found.origin,
        weight=found.weight,
        state=_state(found, desk),
        created_at=found.created_ms / 1000,
        changed_at=found.changed_ms / 1000,
        last_used_at=None if found.used_ms is None else found.used_ms / 1000,
    )


def _state(
    found: OwnCredential, desk: Desk
) -> Literal["in use", "disabled", "elsewhere", "no provider"]:
    if found.disabled:
        return "disabled"
    place = find(found.provider, desk.registry(), desk.services())
    if place is None:
        return "no provider"
    return "in use" if place.origin == found.origin else "elsewhere"


def _plain(found: OwnCredential) -> Any:
    """What the audit log keeps of it."""
    return {
        "provider": found.provider,
        "name": found.name,
        "key_preview": found.preview,
        "weight": found.weight,
        "disabled": found.disabled,
    }
