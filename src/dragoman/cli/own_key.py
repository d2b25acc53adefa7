"""``dragoman keys me``: what a running gateway tells a key of itself (`GET /v1/keys/me`, R-AUTH-012)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dragoman.cli.access import KEY, URL, KeyOption, UrlOption
from dragoman.cli.key_lines import UNITS
from dragoman.cli.managing import answered
from dragoman.cli.output import JsonOption, say, say_json

__all__ = ["me"]

_SPAN = {"day": "daily", "month": "monthly", "total": "in all"}


def me(*, base_url: UrlOption = URL, key: KeyOption = KEY, as_json: JsonOption = False) -> None:
    """Tell what your own key may use, what it has used, and what is left of its budgets.

    A running gateway is asked, with the key in DRAGOMAN_API_KEY; no administrator is needed.

    dragoman keys me
    """
    shown = answered("GET", "/v1/keys/me", None, base_url, key, as_json=as_json)
    if as_json:
        say_json(shown)
        return
    for line in _lines(shown):
        say(line)


def _lines(shown: dict[str, Any]) -> Iterator[str]:
    """What is told of the key, for people."""
    user, used = shown["user"], shown["usage"]
    yield f"Key {user['id']} ({shown['api_key_preview']}) of {user['name']!r}."
    yield f"Tenant {user['tenant']!r}, role {user['role']}."
    yield f"Limits: {_limits(shown['tier'])}."
    cost = "" if shown["estimatedCost"] is None else f", {shown['estimatedCost']} USD"
    left = used["remaining_tokens"]
    rest = "" if left is None else f"; {left} of {used['max_tokens']} tokens are left"
    yield (
        f"Used: {used['token_usage']} tokens{cost}{rest}. "
        f"Requests: {used['request_count']}, of them today: {shown['currentDayRequestCount']}."
    )
    for budget in shown["budgets"]:
        for window in budget["windows"]:
            until = window["resets_at"]
            again = "" if until is None else f", full again {until}"
            yield (
                f"Budget {budget['name']!r} of the {budget['of']}: {window['left_usd']} of "
                f"{window['limit_usd']} USD {_SPAN[window['window']]} left, {window['spent_usd']} spent, "
                f"{window['held_usd']} held{again}."
            )


def _limits(tier: dict[str, Any]) -> str:
    """What holds for the key, in one line."""
    told = [] if tier["id"] is None else [f"tier {tier['id']}"]
    told += [f"{number}{unit}" for name, unit in UNITS.items() if (number := tier["limits"][name])]
    return ", ".join(told) or "none"
