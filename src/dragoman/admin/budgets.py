"""Budgets: what callers may spend, how much of it is gone, and holds that are settled by hand.

One of the configuration file is changed there: here it is shown, and what is held of it is released. A running
gateway notices within seconds what is defined here, as it does what the command line defines.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import BaseModel, Field, StringConstraints

from dragoman.admin.bench import CallOf, DeskOf, room
from dragoman.admin.deeds import deed
from dragoman.admin.desk import Desk
from dragoman.admin.paging import Asked, Listed, Strict, Word, page_of, place_of
from dragoman.admission.budget_definition import (
    MOST_USD,
    check_together,
    definition_of,
    read_definition,
)
from dragoman.admission.budget_rules import Rule
from dragoman.admission.budget_told import alert_of, held, lease_of, usd
from dragoman.core.budget import Pot, ends_at, since_of, time_of
from dragoman.core.budget_standing import Hold, Standing, Totals
from dragoman.core.call import Call
from dragoman.core.errors import CallerError, invalid
from dragoman.core.money import to_pico

router = room("budgets")

_MOST_HOLDS = 1000
Usd = Annotated[str, StringConstraints(max_length=32, pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?$")]
Who = Annotated[str, StringConstraints(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]


class BudgetBody(Strict):
    """What a budget is; amounts are decimal strings of USD. One of them has to be said."""

    daily_usd: Usd | None = Field(None, description="For each UTC day")
    monthly_usd: Usd | None = Field(None, description="For each month", examples=["50"])
    total_usd: Usd | None = Field(None, description="For ever")
    tenant: Who = Field("", description="Whom it covers; empty: everybody")
    project: Who = ""
    key: Who = Field("", description="The id of a key")
    user: Who = Field("", description="An end user")
    each: Literal["", "tenant", "project", "key", "user"] = Field(
        "", description="Each of these has as much; empty: all together"
    )
    alert_at: list[Usd] | None = Field(None, max_length=16, examples=[["0.8", "0.95"]])
    unpriced: Literal["refuse", "allow"] = Field(
        "refuse", description="What becomes of models without a known price"
    )
    clamp_output: bool | Annotated[int, Field(ge=1, le=2**31)] = Field(
        default=False,
        description="Makes answers as short as is left, or no longer than so many tokens",
    )
    instead_of: Who = Field("", description="The budget that it stands in place of")


class Window(BaseModel):
    """A budget in one stretch of time, or one part of it; amounts are decimal strings of USD."""

    window: Literal["day", "month", "total"]
    resets_at: str | None
    limit_usd: str = Field(description="Of each part, where it is divided")
    spent_usd: str
    held_usd: str = Field(description="For attempts whose cost nobody knows")
    leased_usd: str = Field(description="What processes may spend of it without asking")
    left_usd: str | None = Field(
        description="The limit without what is spent and held; null: see each part"
    )


class Part(Window):
    """How one part stands."""

    subject: str = Field(description="Whose it is; empty where all spend together")


class WindowOfAll(Window):
    """How all parts together stand."""

    parts: int = Field(description="Parts that have spent or hold anything in it")


class BudgetShown(BaseModel):
    """A budget and how it stands now."""

    name: str
    source: Literal["file", "database", "mode"] = Field(
        description="One of the file is changed there; `database` is what was defined here"
    )
    definition: dict[str, Any]
    windows: list[WindowOfAll]


class HoldShown(BaseModel):
    """An attempt whose cost nobody knows."""

    call_id: str
    attempt_id: str
    budgets: list[str] = Field(description="Who holds it: the budget, and whose part")
    held_usd: str
    since: str


class BudgetWhole(BudgetShown):
    """A budget with all that is known of it."""

    holds: list[HoldShown] = Field(description=f"The oldest, at most {_MOST_HOLDS}")
    leases: list[dict[str, Any]]
    alerts: list[dict[str, Any]]


class Named(Strict):
    """What is to be settled, and at what."""

    id: Word = Field(description="Of a call, an attempt, or a dead process that has leased")
    cost_usd: Usd | None = Field(None, description="What the attempt did cost; null: nothing")


class Released(BaseModel):
    """What was held and is settled."""

    released: list[HoldShown]
    lease_freed: bool = False


async def every_rule(desk: Desk) -> dict[str, Rule]:
    """Every budget by its name; the file's go before."""
    stored = {rule.name: rule for rule in await desk.budgets.rules()}
    return stored | {rule.name: rule for rule in desk.budgets_in_file()}


async def _one(desk: Desk, name: str) -> Rule:
    rule = (await every_rule(desk)).get(name)
    if rule is None:
        raise CallerError(
            "not_found", f"No budget {name[:64]!a} is known.", code="not_found", param="name"
        )
    return rule


def _pots(desk: Desk, rule: Rule) -> list[Pot]:
    now = desk.wall()
    return [Pot(rule.name, "", span, since_of(span, now)) for span, _ in rule.bounds]


def window_of(
    pot: Pot, limit: int, found: Totals | Standing, *, divided: bool = False
) -> dict[str, Any]:
    """How a budget stands in one stretch of time, or a part of one."""
    end = ends_at(pot)
    return {
        "window": pot.span,
        "resets_at": None if end is None else time_of(end),
        "limit_usd": usd(limit),
        "spent_usd": usd(found.spent),
        "held_usd": usd(found.held),
        "leased_usd": usd(found.leased),
        "left_usd": None if divided else usd(max(0, limit - found.spent - found.held)),
    }


async def _shown(desk: Desk, rule: Rule) -> dict[str, Any]:
    pots, limits, divided = _pots(desk, rule), dict(rule.bounds), bool(rule.each)
    totals = await desk.budgets.totals(pots, divided=divided)
    return {
        "name": rule.name,
        "source": rule.source,
        "definition": definition_of(rule),
        "windows": [
            {**window_of(pot, limits[pot.span], sums, divided=divided), "parts": sums.parts}
            for pot, sums in zip(pots, totals, strict=True)
        ],
    }


@router.get("/api/admin/budgets")
async def list_budgets(desk: DeskOf, asked: Annotated[Asked, Query()]) -> Listed[BudgetShown]:
    """Budgets by the alphabet, those of the file as well."""
    after = place_of(asked.cursor, str) or ""
    await desk.flush()
    rules = await every_rule(desk)
    wanted = [rules[name] for name in sorted(rules) if name > after][: asked.limit + 1]
    rows = [BudgetShown(**await _shown(desk, rule)) for rule in wanted]
    return page_of(rows, asked.limit, lambda row: row, lambda row: row.name)


@router.get("/api/admin/budgets/{name}")
async def get_budget(desk: DeskOf, name: Word) -> BudgetWhole:
    """One budget: what is held of it for whom, who has leased of it, and what was told of it."""
    await desk.flush()
    rule = await _one(desk, name)
    return BudgetWhole(
        **await _shown(desk, rule),
        holds=_holds(await desk.budgets.holds(name, limit=_MOST_HOLDS)),
        leases=[lease_of(each) for each in await desk.budgets.leases(name)],
        alerts=[alert_of(each) for each in await desk.budgets.told(name)],
    )


@router.get("/api/admin/budgets/{name}/parts")
async def list_parts(desk: DeskOf, name: Word, asked: Annotated[Asked, Query()]) -> Listed[Part]:
    """How each part of a divided budget stands that has spent or holds anything now."""
    await desk.flush()
    rule = await _one(desk, name)
    limits = dict(rule.bounds)
    after = place_of(asked.cursor, tuple[str, str])
    found = await desk.budgets.parts(_pots(desk, rule), after=after, limit=asked.limit + 1)
    return page_of(
        found,
        asked.limit,
        lambda each: Part(
            **window_of(each.pot, limits[each.pot.span], each),
            subject=each.pot.subject,
        ),
        lambda each: (each.pot.subject, each.pot.span),
    )


@router.put("/api/admin/budgets/{name}", responses={201: {"model": BudgetShown}})
async def put_budget(
    desk: DeskOf, call: CallOf, name: Word, said: BudgetBody, response: Response
) -> BudgetShown:
    """Defines a budget (201), or takes the place of a stored one (200); what was spent of it stays."""
    given = said.model_dump(exclude_none=True)
    members = {member: value for member, value in given.items() if value != ""}
    rule = read_definition(name, members, "database")
    known = {each.name: each for each in await desk.budgets.rules()}
    filed = [each.name for each in desk.budgets_in_file()]
    if name in filed:
        raise _of_the_file(name)
    check_together((rule,), frozenset((*known, *filed)))
    before = definition_of(known[name]) if name in known else None
    async with deed(desk, call, "budget.set", name, before=before) as note:
        await desk.budgets.define(rule)
        note.after = definition_of(rule)
    response.status_code = 201 if before is None else 200
    return BudgetShown(**await _shown(desk, rule))


@router.delete("/api/admin/budgets/{name}", status_code=204)
async def delete_budget(desk: DeskOf, call: CallOf, name: Word) -> None:
    """Removes a budget's definition; what was spent of it stays known, should it be defined again."""
    known = {each.name: each for each in await desk.budgets.rules()}
    if name not in known:
        rule = await _one(desk, name)
        raise _of_the_file(rule.name)
    async with deed(desk, call, "budget.remove", name, before=definition_of(known[name])):
        await desk.budgets.remove(name)


def _of_the_file(name: str) -> CallerError:
    return CallerError(
        "conflict",
        f"The budget {name[:64]!a} stands in the configuration, which goes before: change it there.",
        code="conflict",
        param="name",
    )


@router.post("/api/admin/budgets/{name}/release")
async def release_all(desk: DeskOf, call: CallOf, name: Word) -> Released:
    """Gives back all that is held of a budget; the other budgets of those attempts have it back, too."""
    await _one(desk, name)
    async with deed(desk, call, "budget.release", f"budget {name}") as note:
        found = await desk.budgets.release_all(name)
        note.after = [held(hold) for hold in found]
    return Released(released=_holds(found))


@router.post("/api/admin/budgets/release")
async def release(desk: DeskOf, call: CallOf, said: Named) -> Released:
    """Settles what is held for a call or an attempt; frees what a dead process has leased."""
    cost = None if said.cost_usd is None else Decimal(said.cost_usd)
    if cost is not None and cost > MOST_USD:
        raise invalid(f"cost_usd must be at most {MOST_USD}.", "cost_usd", "invalid_field_value")
    return await _settled(desk, call, said, None if cost is None else to_pico(cost))


async def _settled(desk: Desk, call: Call, said: Named, pico: int | None) -> Released:
    async with deed(desk, call, "budget.release", said.id, before=said.cost_usd) as note:
        freed = await desk.budgets.end(said.id)
        if freed is None:
            raise CallerError(
                "conflict",
                f"The process {said.id[:64]!a} is alive; only what a dead one has leased is released.",
                code="conflict",
                param="id",
            )
        if freed:
            return Released(released=[], lease_freed=True)
        try:
            found = await desk.budgets.settle(said.id, pico)
        except ValueError:
            raise CallerError(
                "conflict",
                f"{said.id[:64]!a} had several attempts: say which of them did cost that.",
                code="conflict",
                param="id",
            ) from None
        if not found:
            raise CallerError(
                "not_found",
                f"Nothing is held for {said.id[:64]!a}.",
                code="not_found",
                param="id",
            )
        note.after = [held(hold) for hold in found]
    return Released(released=_holds(found))


def _holds(found: list[Hold]) -> list[HoldShown]:
    return [HoldShown.model_validate(held(hold)) for hold in found]
