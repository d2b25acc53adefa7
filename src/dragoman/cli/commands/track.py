"""``dragoman track``: what one answer has used, as the provider and the ledger tell it (R-CLI-011)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dragoman.cli.access import KEY, URL, KeyOption, UrlOption
from dragoman.cli.output import JsonOption, fail, say, say_json
from dragoman.cli.settings import EnvFileOption, settings_or_fail
from dragoman.cli.views import freshen
from dragoman.cli.work import done

if TYPE_CHECKING:
    from dragoman.accounting.ports import Line
    from dragoman.catalog.lookups import Looked

SUMMARY = "Show what one answer has used, and keep it."

_HELP = """Show what one answer has used, as the ledger has it and as its provider tells it.

ID is what the provider calls the answer, or a request's or call's id of this gateway. An answer that the ledger
does not have, as it was made elsewhere, is written into it, under CALLER; one whose figures it does not have, or
has estimated, is settled by what the provider tells.

    dragoman track gen-1733000000-AbCdEf

    dragoman track gen-1733000000-AbCdEf nightly_job
"""
MANUAL = "manual"


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("track", help=_HELP, short_help=SUMMARY)(track)


def track(
    name: Annotated[str, typer.Argument(metavar="ID", help="Which answer.")],
    caller: Annotated[str, typer.Argument(metavar="[CALLER]", help="Who has asked.")] = MANUAL,
    *,
    provider: Annotated[
        str | None, typer.Option(help="Whom to ask. [who gave the answer, else openrouter]")
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose it is, where it is new.")] = "default",
    env_file: EnvFileOption = None,
    base_url: UrlOption = URL,
    key: KeyOption = KEY,
    as_json: JsonOption = False,
) -> None:
    """Looks, asks, keeps and tells."""
    settings = settings_or_fail({"mode": "local"}, env_file, as_json=as_json)
    freshen(base_url, key)
    from dragoman.config.load import environment
    from dragoman.tracking import track as tracked

    line, told, trouble, kept, settled = done(
        tracked(settings, environment(env_file), name, caller, tenant, provider), as_json=as_json
    )
    if line is None and told is None:
        fail(trouble or f"Neither the ledger nor the provider knows {name!r}.", as_json=as_json)
    parts = {"ledger": _line(line), "provider": _told(told)}
    if as_json:
        say_json({**parts, "kept": kept, "settled": settled, "trouble": trouble or None})
        return
    for place, members in parts.items():
        for member, value in (members or {}).items():
            say(f"{place:9} {member:18} {'unknown' if value is None else value}")
    if trouble:
        say(f"provider  {trouble}")
    if kept:
        say(f"It was new and is kept under the caller {caller}.")
    if settled:
        say("The ledger has now what the provider tells of it.")


def _line(line: Line | None) -> dict[str, Any] | None:
    import msgspec

    from dragoman.accounting.report import shown

    if line is None:
        return None
    names = (
        "call_id generation_id created_at caller provider model status input_tokens output_tokens "
        "tokens_from cost_usd cost_from latency_ms"
    )
    members: dict[str, Any] = msgspec.to_builtins(shown(line))
    return {name: members[name] for name in names.split()}


def _told(told: Looked | None) -> dict[str, Any] | None:
    from dragoman.core.money import plain

    if told is None:
        return None
    usage = told.usage
    wanted = (
        "model",
        "provider_name",
        "generation_time",
        "latency",
        "tokens_prompt",
        "tokens_completion",
    )
    return {
        "total_cost": None if usage.cost is None else plain(usage.cost),
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        **{name: told.facts[name] for name in wanted if name in told.facts},
    }


def status() -> str:
    """It reads the ledger and asks the provider."""
    return "ready"
