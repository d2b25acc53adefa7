"""``dragoman explain``: what became of one call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from dragoman.cli.access import KEY, URL, KeyOption, UrlOption, gateway_here
from dragoman.cli.output import JsonOption, fail, say, say_json

SUMMARY = "Tell what became of one call."

_HELP = """Tell what became of one call: who was chosen and why, every try, times, losses and cost.

ID is the answer's x-dragoman-call-id, or its x-request-id: then the newest call of your tenant that has it.

    dragoman explain req_0193f2c4a1b27e7d9d3c6a5b4f3e2d1c
"""


def add_to(app: typer.Typer) -> None:
    """Registers the command."""
    app.command("explain", help=_HELP, short_help=SUMMARY)(explain)


def explain(
    name: Annotated[str, typer.Argument(metavar="ID", help="Which call.")],
    *,
    base_url: UrlOption = URL,
    key: KeyOption = KEY,
    as_json: JsonOption = False,
) -> None:
    """Asks the gateway, and tells."""
    from dragoman.cli.gateway import Gateway, GatewayRefusal

    try:
        found = Gateway(base_url, key).explain(name)
    except GatewayRefusal as refusal:
        fail(refusal.message, as_json=as_json)
    if as_json:
        say_json(found)
        return
    for line in told(found):
        say(line)


def told(found: dict[str, Any]) -> Iterator[str]:
    """The explanation in lines for people."""
    yield f"{found['call_id']}  {found['created_at']}  {found['summary']}"
    kind = "streamed" if found["stream"] else "whole"
    yield (
        f"asked for   {found['requested_model'] or 'no model'} "
        f"({found['dialect']} {found['operation']}, {kind}) by {found['caller'] or found['key_id']}"
    )
    for place, stand in enumerate(found["candidates"], 1):
        label = f"by {found['strategy']}" if found["strategy"] and place == 1 else ""
        note = f": {stand['note']}" if stand["note"] else ""
        yield f"candidate   {place}. {stand['model']} {stand['outcome']}{note} {label}".rstrip()
    for skip in found["skipped"]:
        yield f"left out    {skip['model']}: {skip['reason']}"
    for each in found["attempts"]:
        yield f"attempt     {each['number']}. {_attempt(each)}"
        if paid := each.get("budget"):
            yield (
                f"budget      {', '.join(paid['budgets'])}: {paid['reserved_usd']} USD set aside, "
                f"{paid['spent_usd']} USD spent, {paid['held_usd']} USD held"
            )
    for loss in found["dropped"]:
        yield f"dropped     {loss}"
    for change in found["adjusted"]:
        yield f"adjusted    {change}"
    times = found["timings"]
    yield (
        f"times       first attempt after {_ms(times['before_first_attempt_ms'])}, "
        f"first content after {_ms(times['first_event_ms'])}, all {_ms(times['total_ms'])}"
    )
    cost = "unknown" if found["cost_usd"] is None else f"{found['cost_usd']} USD"
    status = found["http_status"] if found["http_status"] is not None else "no answer"
    why = f", {found['error_code']}" if found["error_code"] else ""
    yield f"ended       {found['status']} ({status}{why}); cost {cost} ({found['cost_from']})"


def _attempt(each: dict[str, Any]) -> str:
    credential = f" with key {each['credential']}" if each["credential"] else ""
    upstream = f", status {each['upstream_status']}" if each["upstream_status"] else ""
    error = f", {each['error_code']}" if each["error_code"] else ""
    tokens = each["tokens"]
    used = "" if tokens["input"] is None else f", {tokens['input']} + {tokens['output']} tokens"
    return (
        f"{each['model']}{credential}: {each['status']}{upstream}{error}, "
        f"at {_ms(each['started_ms'])} for {_ms(each['duration_ms'])}{used}"
    )


def _ms(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f} ms"


def status() -> str:
    """Whether there is a gateway to ask."""
    return gateway_here()
