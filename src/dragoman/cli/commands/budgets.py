"""``dragoman budgets``: what callers may spend, set, shown and released on the database itself."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from dragoman.cli.budget_lines import amounts, covers, lines_of, summed
from dragoman.cli.output import USAGE, JsonOption, fail, say, say_json, table
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.stored import noted, with_stored

if TYPE_CHECKING:
    from dragoman.admission.budget_rules import Rule
    from dragoman.config.settings import Settings
    from dragoman.core.budget_standing import Hold, Lease, Standing, Told
    from dragoman.store.administered import Administered
    from dragoman.store.sql.budgets import SqlBudgets

SUMMARY = "Set, show and release what callers may spend."

_HELP = """Set, show and release what callers may spend.

A budget is defined under [budgets.NAME] of dragoman.toml or here; what is spent of both is in the database of
DATABASE_URL. A running gateway notices within seconds.

    dragoman budgets set team --monthly 50 --tenant acme

    dragoman budgets show team
"""

_T = TypeVar("_T")


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("set", short_help="Define a budget, or another one of that name.")(set_)
    group.command("list", short_help="Show all budgets and how they stand.")(list_)
    group.command("show", short_help="Show one with its parts, holds and leases.")(show)
    group.command("remove", short_help="Remove a budget's definition.")(remove)
    group.command("release", short_help="Settle what is held by hand.")(release)
    app.add_typer(group, name="budgets")


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The budget's name.")]


def set_(
    name: NameArgument,
    *,
    daily: Annotated[str | None, typer.Option(metavar="USD", help="For each UTC day.")] = None,
    monthly: Annotated[str | None, typer.Option(metavar="USD", help="For each month.")] = None,
    total: Annotated[str | None, typer.Option(metavar="USD", help="For ever.")] = None,
    tenant: Annotated[str, typer.Option(help="Whom it covers. [everybody]")] = "",
    project: Annotated[str, typer.Option(help="A project of the tenant's.")] = "",
    key: Annotated[str, typer.Option(help="The id of a key.")] = "",
    user: Annotated[str, typer.Option(help="An end user of the tenant's or the key's.")] = "",
    each: Annotated[
        str, typer.Option(help="tenant, project, key or user: each has as much. [all together]")
    ] = "",
    alert_at: Annotated[
        list[str] | None, typer.Option(metavar="SHARE", help="Tell at this share. [0.8]")
    ] = None,
    unpriced: Annotated[
        str, typer.Option(help="refuse or allow models without a known price.")
    ] = "refuse",
    clamp_output: Annotated[
        bool, typer.Option("--clamp-output", help="Make answers as short as is left.")
    ] = False,
    most_output: Annotated[
        int | None, typer.Option(min=1, metavar="TOKENS", help="Make answers no longer than this.")
    ] = None,
    instead_of: Annotated[
        str, typer.Option(metavar="NAME", help="The budget that it stands in place of.")
    ] = "",
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Define a budget, or another one in place of that name; what was spent of it stays.

    dragoman budgets set everybody --each user --daily 2 --alert-at 0.5 --alert-at 0.9
    """
    from dragoman.admission.budget_definition import (
        check_together,
        definition_of,
        read_definition,
    )

    said: dict[str, Any] = {
        "daily_usd": daily,
        "monthly_usd": monthly,
        "total_usd": total,
        "tenant": tenant or None,
        "project": project or None,
        "key": key or None,
        "user": user or None,
        "each": each or None,
        "alert_at": alert_at or None,
        "unpriced": unpriced,
        "clamp_output": most_output or clamp_output,
        "instead_of": instead_of or None,
    }
    members = {member: value for member, value in said.items() if value is not None}

    async def define(stored: Administered) -> Rule:
        rule = read_definition(name, members, "database")
        known = {each.name: each for each in await stored.budgets.rules()}
        check_together((rule,), frozenset((*known, *(each.name for each in _in_file(settings)))))
        before = definition_of(known[name]) if name in known else None
        async with noted(stored.audit, "budget.set", name, before=before) as note:
            await stored.budgets.define(rule)
            note.after = definition_of(rule)
        return rule

    settings = _settings(env_file, as_json=as_json)
    if name in settings.budgets:
        fail(
            f"The budget {name!r} stands in dragoman.toml, which goes before: change it there.",
            as_json=as_json,
        )
    rule = with_stored(define, settings, as_json=as_json)
    if as_json:
        say_json({"name": rule.name, **definition_of(rule)})
    else:
        say(f"Budget {rule.name}: {amounts(rule)}, {covers(rule)}.")


def list_(*, env_file: EnvFileOption = None, as_json: JsonOption = False) -> None:
    """Show all budgets, from dragoman.toml and from the database, and how they stand now."""
    from dragoman.admission.budget_told import described

    settings = _settings(env_file, as_json=as_json)

    async def read(budgets: SqlBudgets) -> list[tuple[Rule, list[Standing]]]:
        rules = await _all_rules(budgets, settings)
        return [(rule, await _stand(budgets, rule)) for rule in rules]

    found = _with_budgets(read, settings, as_json=as_json)
    if as_json:
        say_json({"budgets": [described(rule, standings) for rule, standings in found]})
    elif not found:
        say("There are no budgets. Make one: dragoman budgets set team --monthly 50")
    else:
        table(
            "Budgets",
            ("name", "of", "covers", "spent", "held", "defined in"),
            [
                (
                    rule.name,
                    amounts(rule),
                    covers(rule),
                    summed(rule, standings, "spent"),
                    summed(rule, standings, "held"),
                    rule.source,
                )
                for rule, standings in found
            ],
        )


def show(
    name: NameArgument, *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Show a budget: each of its parts in each window, what is held for whom, and who has leased of it."""
    from dragoman.admission.budget_told import alert_of, described, held, lease_of

    settings = _settings(env_file, as_json=as_json)

    async def read(
        budgets: SqlBudgets,
    ) -> tuple[Rule, list[Standing], list[Hold], list[Lease], list[Told]] | None:
        rules = [rule for rule in await _all_rules(budgets, settings) if rule.name == name]
        if not rules:
            return None
        return (
            rules[0],
            await _stand(budgets, rules[0]),
            await budgets.holds(name),
            await budgets.leases(name),
            await budgets.told(name),
        )

    found = _with_budgets(read, settings, as_json=as_json)
    if found is None:
        fail(f"There is no budget {name!r}; `dragoman budgets list` shows all.", as_json=as_json)
    rule, standings, holds, leases, told = found
    if as_json:
        say_json(
            {
                **described(rule, standings),
                "holds": [held(hold) for hold in holds],
                "leases": [lease_of(lease) for lease in leases],
                "alerts": [alert_of(each) for each in told],
            }
        )
        return
    for line in lines_of(rule, standings, holds, leases, told):
        say(line)


def remove(
    name: NameArgument, *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Remove a budget's definition. What was spent of it stays known, should it be set again."""
    from dragoman.admission.budget_definition import definition_of

    async def end(stored: Administered) -> bool:
        known = {each.name: each for each in await stored.budgets.rules()}
        if name not in known:
            return False
        before = definition_of(known[name])
        async with noted(stored.audit, "budget.remove", name, before=before):
            return await stored.budgets.remove(name)

    settings = _settings(env_file, as_json=as_json)
    if not with_stored(end, settings, as_json=as_json):
        where = "it stands in dragoman.toml" if name in settings.budgets else "there is none"
        fail(f"No budget {name!r} was removed: {where}.", as_json=as_json)
    if as_json:
        say_json({"name": name, "removed": True})
    else:
        say(f"The budget {name} is removed.")


def release(
    named: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="A call, an attempt, or a dead process's lease."),
    ] = None,
    *,
    budget: Annotated[
        str | None, typer.Option(metavar="NAME", help="Everything that is held of this budget.")
    ] = None,
    cost: Annotated[
        str | None, typer.Option(metavar="USD", help="What the attempt did cost. [nothing]")
    ] = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Settle what is held for attempts whose cost nobody knows: at nothing, or at what the provider has billed.

    dragoman budgets release 0198c2f4-… --cost 0.0123

    The lease of a process that died on a machine that is gone is released by its id, as `budgets show` has it.
    """
    from dragoman.admission.budget_told import held, usd

    if (named is None) == (budget is None):
        fail("Say the id of a call, or --budget NAME.", as_json=as_json, code=USAGE)
    pico = None if cost is None else _pico(cost, as_json=as_json)

    async def release(stored: Administered) -> list[Hold] | str:
        said = named or f"budget {budget}"
        async with noted(stored.audit, "budget.release", said, before=cost) as note:
            found = await settle(stored.budgets)
            note.after = found if isinstance(found, str) else [held(hold) for hold in found]
        return found

    async def settle(budgets: SqlBudgets) -> list[Hold] | str:
        if named is None:
            assert budget is not None, "one of them is said"
            return await budgets.release_all(budget)
        ended = await budgets.end(named)
        if ended is None:
            return f"The process {named} is alive; only what a dead one has leased is released."
        if ended:
            return []
        try:
            found = await budgets.settle(named, pico)
        except ValueError:
            return f"{named} had several attempts: say which of them did cost that."
        return found or f"Nothing is held for {named!r}; `dragoman budgets show` tells what is."

    settings = _settings(env_file, as_json=as_json)
    found = with_stored(release, settings, as_json=as_json)
    if isinstance(found, str):
        fail(found, as_json=as_json)
    if as_json:
        say_json({"released": [held(hold) for hold in found]})
    elif named is not None and not found:
        say(f"The lease of {named} is released.")
    else:
        say(f"{len(found)} held, {usd(sum(hold.held for hold in found))} USD in all, is settled.")


def status() -> str:
    """How many there are."""
    from dragoman.config.load import load_settings

    number = len(load_settings().budgets)
    return f"ready, {number} in dragoman.toml"


def _settings(env_file: Path | None, *, as_json: bool) -> Settings:
    """The settings, with budgets that can be read."""
    from dragoman.config.settings import ConfigError

    settings = settings_or_fail(None, env_file, as_json=as_json)
    try:
        _in_file(settings)
    except ConfigError as error:
        fail(error.message, as_json=as_json, code=USAGE)
    return settings


async def _all_rules(budgets: SqlBudgets, settings: Settings) -> list[Rule]:
    said = _in_file(settings)
    names = {rule.name for rule in said}
    return [*said, *(rule for rule in await budgets.rules() if rule.name not in names)]


def _in_file(settings: Settings) -> tuple[Rule, ...]:
    from dragoman.config.budgets import budgets_of

    return budgets_of(settings)


async def _stand(budgets: SqlBudgets, rule: Rule) -> list[Standing]:
    """How a budget stands now; one that all pay together stands though nobody has paid yet."""
    from dragoman.core.budget import Pot, since_of

    now = time.time()
    pots = [Pot(rule.name, "", span, since_of(span, now)) for span, _ in rule.bounds]
    return await budgets.standings(pots, divided=bool(rule.each))


def _with_budgets(
    work: Callable[[SqlBudgets], Awaitable[_T]], settings: Settings, *, as_json: bool
) -> _T:
    return with_stored(lambda stored: work(stored.budgets), settings, as_json=as_json)


def _pico(text: str, *, as_json: bool) -> int:
    from dragoman.core import money

    try:
        usd = Decimal(text)
    except InvalidOperation:
        usd = Decimal(-1)
    if not (usd.is_finite() and usd >= 0):
        fail(f"--cost is {text!r}; say USD, as 0.0123.", as_json=as_json, code=USAGE)
    return money.to_pico(usd)
