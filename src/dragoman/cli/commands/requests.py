"""``dragoman requests``: calls of all tenants, as a running gateway tells them to its administrators."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dragoman.cli.access import URL, KeyOption, UrlOption, gateway_here
from dragoman.cli.commands.explain import told
from dragoman.cli.managing import listed, managed, named
from dragoman.cli.output import JsonOption, say, say_json, table
from dragoman.cli.views import SinceOption, TenantOption, UntilOption

SUMMARY = "List and explain calls of all tenants."

_HELP = """List and explain calls of all tenants; of what was said in them there is nothing here.

An administrator's key is needed, in DRAGOMAN_API_KEY. With any other, `dragoman usage --group request` and
`dragoman explain` tell of its own calls.

    dragoman requests list --status upstream_error --since 2026-01-31

    dragoman requests show 0198c2f4-0b2e-79db-a5fa-ac07232d9b1e
"""
_AT = "/api/admin/requests"


def add_to(app: typer.Typer) -> None:
    """Registers the group."""
    group = typer.Typer(help=_HELP, short_help=SUMMARY, no_args_is_help=True)
    group.command("list", short_help="Show calls, the newest first.")(list_)
    group.command("show", short_help="Tell what became of one call.")(show)
    app.add_typer(group, name="requests")


def list_(
    *,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    tenant: TenantOption = None,
    project: Annotated[str | None, typer.Option(help="Only of this project. [all]")] = None,
    key_id: Annotated[str | None, typer.Option(help="Only of the key with this id. [all]")] = None,
    user: Annotated[str | None, typer.Option(help="Only who was behind the caller. [all]")] = None,
    provider: Annotated[str | None, typer.Option(help="Only served by it. [all]")] = None,
    model: Annotated[str | None, typer.Option(help="The provider's own id of it. [all]")] = None,
    requested_model: Annotated[
        str | None, typer.Option(help="The model as the caller wrote it. [all]")
    ] = None,
    call_status: Annotated[
        str | None, typer.Option("--status", help="complete, upstream_error, refused, … [all]")
    ] = None,
    error_code: Annotated[str | None, typer.Option(help="Only failed with it. [all]")] = None,
    tag: Annotated[str | None, typer.Option(help="Such as team=search. [all]")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show calls, the newest first; those of this moment are there as well.

    dragoman requests list --tenant acme --model gpt-4o --limit 20
    """
    query = {
        "tenant": tenant,
        "project": project,
        "key_id": key_id,
        "user": user,
        "provider": provider,
        "model": model,
        "requested_model": requested_model,
        "status": call_status,
        "error_code": error_code,
        "tag": tag,
        "since": since,
        "until": until,
    }
    found = listed(_AT, base_url, key, as_json=as_json, query=query, most=limit)
    if as_json:
        say_json({"requests": found})
    elif not found:
        say("There is no such call.")
    else:
        columns = ("call", "when", "tenant", "caller", "model", "status", "tokens", "cost USD")
        table("Calls", columns, [_row(each) for each in found])


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    served = f"{each['provider']}/{each['model']}" if each["model"] else each["requested_model"]
    why = f" ({each['error_code']})" if each["error_code"] else ""
    tokens = (each["input_tokens"], each["output_tokens"])
    return (
        each["call_id"],
        each["created_at"],
        each["tenant"],
        each["caller"] or each["key_id"],
        served,
        f"{each['status']}{why}",
        " + ".join("?" if number is None else str(number) for number in tokens),
        each["cost_usd"] or "unknown",
    )


def show(
    call: Annotated[str, typer.Argument(metavar="ID", help="Which call, of any tenant.")],
    *,
    base_url: UrlOption = URL,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Tell what became of one call: who was chosen and why, every try, times, losses and cost.

    dragoman requests show 0198c2f4-0b2e-79db-a5fa-ac07232d9b1e
    """
    found = managed("GET", named(_AT, call), None, base_url, key, as_json=as_json)
    if as_json:
        say_json(found)
        return
    say(f"tenant      {found['tenant']}")
    for line in told(found):
        say(line)


def status() -> str:
    """Whether there is a gateway to ask."""
    return gateway_here()
