"""``dragoman policies``: names that one tenant gives to models for itself, by the key of who manages it."""

from __future__ import annotations

import typer

from dragoman.cli.access import URL, KeyOption, UrlOption, gateway_here
from dragoman.cli.managing import managed, removed
from dragoman.cli.output import JsonOption
from dragoman.cli.route_work import (
    CandidatesArgument,
    NameArgument,
    StrategyOption,
    body,
    show,
    tell,
)

SUMMARY = "List, set and remove names that your tenant gives to models."

_HELP = """List, set and remove routing policies: names that your tenant gives to models, and nobody else has.

They go before the gateway's own names, in a running gateway, in force at once. The key of who manages the tenant
is needed, in DRAGOMAN_API_KEY: `dragoman keys create --role tenant_admin` makes one.

    dragoman policies set summaries anthropic/claude-haiku-4-5 openai/gpt-5-mini

    dragoman policies list
"""
_AT = "/v1/routing-policies"


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("list", short_help="Show your tenant's policies.")(list_)
    group.command("set", short_help="Add a policy, or take the place of one.")(set_)
    group.command("remove", short_help="Remove a policy.")(remove)
    app.add_typer(group, name="policies")


def list_(*, base_url: UrlOption = URL, key: KeyOption = "", as_json: JsonOption = False) -> None:
    """Show the policies of the key's tenant.

    dragoman policies list --json
    """
    show("Policies", "policies", _AT, base_url, key, as_json=as_json)


def set_(
    name: NameArgument,
    candidates: CandidatesArgument,
    *,
    strategy: StrategyOption = None,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add a policy, or take the place of one.

    dragoman policies set summaries anthropic/claude-haiku-4-5 openai/gpt-5-mini
    """
    said = {"name": name, **body(candidates, strategy, as_json=as_json)}
    tell(managed("POST", _AT, said, base_url, key, as_json=as_json), as_json=as_json)


def remove(
    name: NameArgument,
    *,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Remove a policy; the gateway's own name that it had hidden is back.

    dragoman policies remove summaries
    """
    removed(_AT, name, f"The policy {name} is removed.", base_url, key, as_json=as_json)


def status() -> str:
    """Whether there is a gateway to ask."""
    return gateway_here()
