"""``dragoman metrics``: what a running gateway has served and how it does, for its administrators (R-ADM-003)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dragoman.cli.access import URL, KeyOption, UrlOption, gateway_here
from dragoman.cli.managing import asked, listed, managed
from dragoman.cli.output import JsonOption, say, say_json, table
from dragoman.cli.views import SinceOption, TenantOption, UntilOption

SUMMARY = "Show what a running gateway serves, what fails, and what waits."

_HELP = """Show what a running gateway has served, what has failed, and what is under way in it.

An administrator's key is needed, in DRAGOMAN_API_KEY. `dragoman stats` and `report` read the database alone.

    dragoman metrics summary --since 2026-01-01

    dragoman metrics providers
"""
_AT = "/api/admin/metrics"
_USED = ("requests", "failed", "input", "output", "cost USD")


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("summary", short_help="All of it in a few numbers.")(summary)
    group.command("providers", short_help="What each provider has served.")(providers)
    group.command("models", short_help="What each model has served.")(models)
    group.command("queues", short_help="What is under way, and what waits.")(queues)
    app.add_typer(group, name="metrics")


def summary(
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    tenant: TenantOption = None,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show what was used in a span, what has failed in it by its code, and how things are now.

    dragoman metrics summary --tenant acme
    """
    path = asked(f"{_AT}/summary", {"since": since, "until": until, "tenant": tenant})
    found = managed("GET", path, None, base_url, key, as_json=as_json)
    if as_json:
        say_json(found)
        return
    used, failed = found["usage"], found["errors"]
    say(
        f"{found['active_requests']} calls are under way; {found['providers']} providers, "
        f"{found['providers_degraded']} of them not healthy; {found['models']} models; "
        f"{found['rate_limit_hits']} refusals by limits since the start."
    )
    say(
        f"{used['requests']} calls, {used['failed_requests']} failed, {used['total_tokens']} tokens, "
        f"{_usd(used['cost_usd'])}."
    )
    rows = [
        (each["code"], each["provider"] or "-", str(each["requests"]))
        for each in failed["by_code"]
    ]
    if rows:
        newest = f" (the newest {failed['looked_at']})" if failed["capped"] else ""
        table(f"What has failed{newest}", ("code", "provider", "calls"), rows)


def providers(
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    tenant: TenantOption = None,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show what each provider has served in a span, and how it does now.

    dragoman metrics providers --since 2026-01-31
    """
    query = {"since": since, "until": until, "tenant": tenant}
    found = listed(f"{_AT}/providers", base_url, key, as_json=as_json, query=query)
    if as_json:
        say_json({"providers": found})
        return
    rows = []
    for each in found:
        now = each["now"] or {"enabled": False, "breaker": None, "score": None}
        state = (now["breaker"] or "serves") if now["enabled"] else "off"
        score = "-" if now["score"] is None else f"{now['score']:.0f}"
        rows.append((each["provider"], state, score, *_cells(each["usage"])))
    table("Providers", ("provider", "breaker", "score", *_USED), rows)


def models(
    *,
    provider: Annotated[str | None, typer.Option(help="Only this provider's. [all]")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    tenant: TenantOption = None,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show what each model has served in a span.

    dragoman metrics models --provider openai
    """
    query = {"since": since, "until": until, "tenant": tenant, "provider": provider}
    found = listed(f"{_AT}/models", base_url, key, as_json=as_json, query=query)
    if as_json:
        say_json({"models": found})
        return
    rows = [(each["provider"], each["model"], *_cells(each["usage"])) for each in found]
    table("Models", ("provider", "model", *_USED), rows)


def queues(*, base_url: UrlOption = URL, key: KeyOption = "", as_json: JsonOption = False) -> None:
    """Show how many calls are under way, and how much waits to be written.

    dragoman metrics queues --json
    """
    found = managed("GET", f"{_AT}/queues", None, base_url, key, as_json=as_json)
    if as_json:
        say_json(found)
        return
    say(
        f"{found['active_requests']} calls are under way; {found['usage_waiting']} settled ones wait for SQL, "
        f"and {found['usage_write_failures']} writes have failed."
    )
    if found["storage_full"]:
        say("The disk is full: the journal cannot be written.")
    if found["by_model"]:
        rows = [(name, str(number)) for name, number in found["by_model"].items()]
        table("Under way at providers", ("model", "calls"), rows)


def _cells(used: dict[str, Any]) -> tuple[str, ...]:
    names = ("requests", "failed_requests", "input_tokens", "output_tokens")
    return (*(str(used[name]) for name in names), used["cost_usd"] or "unknown")


def _usd(amount: str | None) -> str:
    return "an unknown cost" if amount is None else f"{amount} USD"


def status() -> str:
    """Whether there is a gateway to ask."""
    return gateway_here()
