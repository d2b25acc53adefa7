"""``dragoman config``: the configuration file checked, tried on what was asked lately, and put in force."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dragoman.cli.output import JsonOption, fail, say, say_json, table
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.work import done

if TYPE_CHECKING:
    from dragoman.assembly.assemble import Assembly
    from dragoman.assembly.limited import Difference
    from dragoman.assembly.replay import Group, Replay
    from dragoman.config.running import Outcome, RunningGateway
    from dragoman.config.settings import Settings

SUMMARY = "Check the configuration file, try it on the last calls, put it in force."

_HELP = """Check the configuration file, try it on the last calls, and put it in force without a restart.

FILE is dragoman.toml, or what DRAGOMAN_CONFIG names, unless another one is said.

    dragoman config validate

    dragoman config plan new.toml --hours 24

    dragoman config reload
"""

_FileArgument = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="Which file. [dragoman.toml]")
]
_MOST_CALLS = 1_000_000
_PATIENCE_S = 15.0
_LOOK_S = 0.05


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("validate", short_help="Say everything that is wrong with the file.")(validate)
    group.command("plan", short_help="Say what the last calls would have met under it.")(plan)
    group.command("reload", short_help="Have the running gateway read its file again.")(reload)
    app.add_typer(group, name="config")


def validate(
    file: _FileArgument = None, *, env_file: EnvFileOption = None, as_json: JsonOption = False
) -> None:
    """Say everything that is wrong with the file, each with its line; exit code 1 if anything is."""
    from dragoman.assembly.check import check_file
    from dragoman.config.load import config_path, environment

    path = file or config_path()
    text = _text_of(path, as_json=as_json)
    found = check_file(text, str(path), environment(env_file), env_file)
    if as_json:
        say_json({"file": str(path), "errors": found.errors, "warnings": found.warnings})
    else:
        for kind, problems in (("error", found.errors), ("warning", found.warnings)):
            for each in problems:
                at = f"{path}:{each.line}" if each.line is not None else str(path)
                say(f"{at}: {kind}: {each.message}")
        if not found.errors:
            say(f"{path} may be used.")
    if found.errors:
        raise typer.Exit(1)


def plan(
    file: _FileArgument = None,
    *,
    hours: Annotated[
        float, typer.Option(min=0.01, help="How far back calls are looked at.")
    ] = 24.0,
    limit: Annotated[
        int, typer.Option(min=1, max=_MOST_CALLS, help="How many of them, the newest first.")
    ] = 100_000,
    against: Annotated[
        Path | None,
        typer.Option(help="The file to compare with. [what the running gateway serves by]"),
    ] = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what the last calls would have met under the file: another model, a refusal, a limit, another price.

    The ledger keeps what was asked for and what it consumed, and no words. Nothing is sent to anybody.
    """
    from dragoman.admission.tiers import Tiers
    from dragoman.assembly.limited import LimitReplay
    from dragoman.assembly.replay import Replay
    from dragoman.config.load import config_path
    from dragoman.stores import open_past

    path = file or config_path()
    wanted = _text_of(path, as_json=as_json)
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    before = _before(settings, against, as_json=as_json)
    replay = Replay(
        _assembly(before, str(against or "the file in force"), env_file, as_json=as_json),
        _assembly(wanted, str(path), env_file, as_json=as_json),
    )
    sides = [Tiers(side.tiers) for side in (replay.before, replay.after)]

    async def feed() -> LimitReplay:
        since = int((time.time() - hours * 3600) * 1_000_000)
        async with open_past(settings) as past:
            limits = LimitReplay(sides[0], sides[1], past.keys)
            async for calls in past.calls(since, limit):
                replay.feed(calls)
                limits.feed(calls)
        return limits

    limits = done(feed(), as_json=as_json, what="Trying the last calls")
    _tell_plan(replay, limits.differences(), path, hours, as_json=as_json)


def reload(
    *,
    port: Annotated[
        int | None, typer.Option(help="Of the gateway, where several serve on one home.")
    ] = None,
    env_file: EnvFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have the running gateway read its file again: all of it comes into force, or nothing does.

    The gateway is looked for in DRAGOMAN_HOME. Requests under way end as they began.
    """
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    folder, gateway = _gateway(settings, port, as_json=as_json)
    outcome = _ask(folder, gateway)
    if outcome is None:
        fail(
            f"The gateway on port {gateway.port} (process {gateway.pid}) has not answered in "
            f"{_PATIENCE_S:.0f} s; see its log.",
            as_json=as_json,
        )
    if as_json:
        say_json({"file": gateway.file, "port": gateway.port, "outcome": outcome})
    else:
        _tell_outcome(outcome, gateway)
    if not outcome.ok:
        raise typer.Exit(1)


def status() -> str:
    """Where the file is."""
    from dragoman.config.load import config_path

    path = config_path()
    return f"ready; {path}" if path.is_file() else f"ready; {path} is not there"


# --------------------------------------------------------------------------- plan


def _text_of(path: Path, *, as_json: bool) -> str:
    from dragoman.config.load import read_text
    from dragoman.config.settings import ConfigError

    if not path.is_file():
        fail(f"There is no file {path}.", as_json=as_json)
    try:
        return read_text(path)
    except ConfigError as error:
        fail(error.message, as_json=as_json)


def _before(settings: Settings, against: Path | None, *, as_json: bool) -> str:
    """The text that the new file is compared with."""
    from dragoman.config.running import in_force, running_gateways

    if against is not None:
        return _text_of(against, as_json=as_json)
    for folder, _ in running_gateways(settings.dragoman_home):
        text = in_force(folder)
        if text is not None:
            return text
    return settings.file_text


def _assembly(text: str, where: str, env_file: Path | None, *, as_json: bool) -> Assembly:
    from dragoman.assembly.assemble import assemble
    from dragoman.config.lines import located
    from dragoman.config.load import environment, load_settings, parse_config
    from dragoman.core.errors import GatewayError

    try:
        said = parse_config(text, where)
        settings = load_settings({"mode": "local"}, env_file, text=text, table=said)
        return assemble(settings, environment(env_file), where=where)
    except GatewayError as error:
        fail(located(error.message, text, where), as_json=as_json)


def _tell_plan(
    replay: Replay, limits: list[Difference], path: Path, hours: float, *, as_json: bool
) -> None:
    from dragoman.assembly.replay import CANNOT_KNOW, sorted_groups
    from dragoman.core.money import plain

    totals = replay.totals()
    groups = sorted_groups(replay)
    before = sum((each.cost_before for each in replay.groups.values()), start=_zero())
    after = sum((each.cost_after for each in replay.groups.values()), start=_zero())
    unpriced = sum(each.unpriced for each in replay.groups.values())
    if as_json:
        say_json(
            {
                "file": str(path),
                "hours": hours,
                "calls": replay.calls,
                "totals": totals,
                "cost_before_usd": plain(before),
                "cost_after_usd": plain(after),
                "unpriced": unpriced,
                "served_elsewhere": replay.elsewhere,
                "groups": [_group_json(each) for each in groups],
                "limits": limits,
                "cannot_know": CANNOT_KNOW,
            }
        )
        return
    say(f"{replay.calls} calls of the last {hours:g} hours, under {path}:")
    if groups:
        columns = ("calls", "what", "asked for", "was", "would be", "cost", "callers")
        table("What would be different", columns, [_group_cells(each) for each in groups])
    elif not limits:
        say("Nothing would be different.")
    if limits:
        head = ("key", "name", "tier", "limit", "refused", "would refuse")
        rows = [
            (
                each.key_id,
                each.caller,
                each.tier or "",
                each.limit,
                str(each.before),
                str(each.after),
            )
            for each in limits
        ]
        table("What limits would refuse", head, rows)
    told = ", ".join(f"{number} {effect}" for effect, number in totals.items() if number)
    say(f"{told or 'none'}. Cost {plain(before)} USD, and would be {plain(after)} USD")
    if unpriced:
        say(f"{unpriced} calls have no known cost on one side, and are in neither sum.")
    if replay.elsewhere:
        say(
            f"{replay.elsewhere} calls were served by another model than the file in force names first: "
            "a fallback, a strategy, or an older file."
        )
    for sentence in CANNOT_KNOW:
        say(f"- {sentence}")


def _zero() -> Any:
    from decimal import Decimal

    return Decimal(0)


def _group_json(group: Group) -> dict[str, Any]:
    from dragoman.core.money import plain

    return {
        "effect": group.effect,
        "requested": group.requested,
        "before": group.before,
        "after": group.after,
        "reason": group.reason,
        "calls": group.calls,
        "callers": group.callers,
        "cost_before_usd": plain(group.cost_before),
        "cost_after_usd": plain(group.cost_after),
        "unpriced": group.unpriced,
    }


def _group_cells(group: Group) -> tuple[str, ...]:
    from dragoman.core.money import plain

    cost = f"{plain(group.cost_before)} → {plain(group.cost_after)}"
    would = group.after or group.reason
    callers = ", ".join(filter(None, group.callers))
    return str(group.calls), group.effect, group.requested, group.before, would, cost, callers


# --------------------------------------------------------------------------- reload


def _gateway(
    settings: Settings, port: int | None, *, as_json: bool
) -> tuple[Path, RunningGateway]:
    from dragoman.config.running import running_gateways

    home = settings.dragoman_home
    found = [item for item in running_gateways(home) if port in {None, item[1].port}]
    if len(found) == 1:
        return found[0]
    if found:
        ports = ", ".join(str(gateway.port) for _, gateway in found)
        fail(f"Several gateways serve on {home}: say --port, one of {ports}.", as_json=as_json)
    at = "" if port is None else f" on port {port}"
    told = f"No gateway serves{at} on {home}; DRAGOMAN_HOME says where else to look."
    return fail(told, as_json=as_json)


def _ask(folder: Path, gateway: RunningGateway) -> Outcome | None:
    """What became of it; None: there was no answer in time."""
    from dragoman.config.running import read_outcome

    asked = time.time_ns()
    try:
        os.kill(gateway.pid, signal.SIGHUP)
    except ProcessLookupError:
        return None
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        outcome = read_outcome(folder)
        if outcome is not None and outcome.at > asked:
            return outcome
        time.sleep(_LOOK_S)
    return None


def _tell_outcome(outcome: Outcome, gateway: RunningGateway) -> None:
    if outcome.error and not outcome.changed and not outcome.behind:
        say(f"Refused, and nothing was changed: {outcome.error}")
        return
    workers = f", {outcome.workers} workers" if outcome.workers > 1 else ""
    say(f"{gateway.file} is in force on port {gateway.port} (version {outcome.version}{workers}).")
    say(f"Changed: {', '.join(outcome.changed) or 'nothing'}.")
    if outcome.restart:
        say(f"Only a restart takes over: {', '.join(outcome.restart)}.")
    for late in outcome.behind:
        say(f"Not there yet: {late}.")
