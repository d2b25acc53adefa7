"""Routing policies: names that a tenant gives to models for itself alone, in force at once (R-AUTH-012)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from msgspec.structs import replace
from pydantic import BaseModel, Field

from dragoman.admin.bench import CallOf, DeskOf, room
from dragoman.admin.changes import changing, fits, with_named, without_named
from dragoman.admin.deeds import deed
from dragoman.admin.names import Candidate, NameSaid, RouteBody, named_route
from dragoman.admin.paging import Asked, Listed, Word, page_of, place_of
from dragoman.admin.reach import caller_of
from dragoman.catalog.stored import Named, Overlay, route_table
from dragoman.core.errors import CallerError

router = room("routing policies")

MOST = 1000
"""Policies of one tenant: every process has them all in memory, and each change is tried out with all of them."""


class PolicySaid(RouteBody):
    """A policy: a model's name in the tenant's requests, and what it stands for."""

    name: NameSaid = Field(examples=["summaries"])


class PolicyShown(BaseModel):
    """A policy as it is stored."""

    name: str
    candidates: list[Candidate]
    strategy: str | None
    created_at: float
    changed_at: float


def _shown(named: Named) -> PolicyShown:
    weights = named.weights or (1,) * len(named.targets)
    return PolicyShown(
        name=named.name,
        candidates=[
            Candidate(model=model, weight=weight)
            for model, weight in zip(named.targets, weights, strict=True)
        ],
        strategy=named.strategy,
        created_at=named.created_ms / 1000,
        changed_at=named.changed_ms / 1000,
    )


@router.get("/v1/routing-policies")
async def list_policies(
    desk: DeskOf, call: CallOf, asked: Annotated[Asked, Query()]
) -> Listed[PolicyShown]:
    """The policies of the caller's tenant, by the alphabet."""
    found = await desk.names.page(
        "policy",
        tenant=caller_of(call).tenant,
        after=_after(asked),
        limit=asked.limit + 1,
    )
    return page_of(found, asked.limit, _shown, lambda each: each.name)


def _after(asked: Asked) -> str | None:
    after = place_of(asked.cursor, str)
    return None if after is None else after.replace("\x00", "")


def check_room(overlay: Overlay, tenant: str) -> None:
    """Refuses one policy more than a tenant may have.

    Raises:
        CallerError: 429.
    """
    if sum(each.kind == "policy" and each.tenant == tenant for each in overlay.named) >= MOST:
        raise CallerError(
            "quota",
            f"The tenant has {MOST} policies already: remove some.",
            code="insufficient_quota",
        )


@router.post("/v1/routing-policies", status_code=201)
async def put_policy(desk: DeskOf, call: CallOf, said: PolicySaid) -> PolicyShown:
    """Adds a policy, or takes the place of one; it hides the gateway's names for this tenant alone."""
    tenant = caller_of(call).tenant
    route = named_route(said.name, said)
    policy = replace(route, kind="policy", tenant=tenant)
    async with changing(desk) as overlay:
        old = next((each for each in overlay.named if _key(each) == _key(policy)), None)
        if old is None:
            check_room(overlay, tenant)
        # As a route of the gateway it is looked at as strictly as one.
        await fits(desk, with_named(overlay, route))
        await fits(desk, with_named(overlay, policy))
        before = None if old is None else route_table(old)
        async with deed(
            desk, call, "routing_policy.put", said.name, tenant=tenant, before=before
        ) as note:
            found = await desk.names.put(policy)
            await desk.renew()
            note.after = route_table(found)
    return _shown(found)


@router.delete("/v1/routing-policies/{name}", status_code=204)
async def delete_policy(desk: DeskOf, call: CallOf, name: Word) -> None:
    """Removes a policy of the caller's tenant."""
    tenant = caller_of(call).tenant
    async with changing(desk) as overlay:
        wanted = Named("policy", name, (), tenant=tenant)
        old = next((each for each in overlay.named if _key(each) == _key(wanted)), None)
        if old is None:
            raise CallerError(
                "not_found", f"No policy {name[:64]!a} is known.", code="not_found", param="name"
            )
        await fits(desk, without_named(overlay, old))
        async with deed(
            desk, call, "routing_policy.delete", name, tenant=tenant, before=route_table(old)
        ):
            await desk.names.remove("policy", name, tenant=tenant)
            await desk.renew()


def _key(named: Named) -> tuple[str, str, str]:
    return named.kind, named.name, named.tenant
