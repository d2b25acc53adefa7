"""``dragoman session``: what was used since the gateway has started (R-CLI-013)."""

from __future__ import annotations

from typing import Any

import typer

from dragoman.cli.access import KEY, URL, KeyOption, UrlOption, gateway_here
from dragoman.cli.output import JsonOption, fail, say, say_json
from dragoman.cli.views import estimated_words

SUMMARY = "Show what was used since the gateway has started."

_HELP = """Show what was used since the gateway has started: its requests, cost and tokens.

With a user's key these are its own calls, with an administrator's those of its tenant.

    dragoman session
"""
_NOTHING = {"requests": 0, "input_tokens": 0, "output_tokens": 0, "cost_usd": "0"}
_NONE: dict[str, Any] = {
    "start_time": None,
    "requests": 0,
    "cost": "0",
    "tokens": 0,
    "estimated": _NOTHING,
    "unknown_cost": 0,
}


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("session", help=_HELP, short_help=SUMMARY)(session)


def session(
    *, base_url: UrlOption = URL, key: KeyOption = KEY, as_json: JsonOption = False
) -> None:
    """Asks the gateway, and tells."""
    from dragoman.cli.gateway import Gateway, GatewayRefusal

    try:
        told = Gateway(base_url, key).read("/v1/stats")
    except GatewayRefusal as refusal:
        if refusal.status is not None:
            fail(refusal.message, as_json=as_json)
        # Without a gateway there is no session, which is no failure.
        if as_json:
            say_json(_NONE)
        else:
            say(f"There is no session: {refusal.message}")
        return
    usage = told["session"]["usage"]
    found = {
        "start_time": told["session"]["start_time"],
        "requests": usage["requests"],
        "cost": usage["cost_usd"],
        "tokens": usage["total_tokens"],
        "estimated": usage["estimated"],
        "unknown_cost": usage["unknown_cost"],
    }
    if as_json:
        say_json(found)
        return
    cost = "unknown" if found["cost"] is None else f"{found['cost']} USD"
    say(f"since       {found['start_time']}")
    say(f"requests    {found['requests']}")
    say(f"cost        {cost}")
    say(f"tokens      {found['tokens']}")
    if usage["estimated"]["requests"]:
        say(f"estimated   {estimated_words(usage['estimated'])}")
    if usage["unknown_cost"]:
        say(f"unknown     the cost of {usage['unknown_cost']} requests")


def status() -> str:
    """Whether there is a gateway to ask."""
    return gateway_here()
