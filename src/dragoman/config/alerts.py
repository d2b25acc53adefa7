"""When the operator is told, and who listens: `[alerts]` of ``dragoman.toml``, read strictly."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dragoman.alarms.alarm import KINDS, Endpoint
from dragoman.alarms.judge import Policy
from dragoman.config.settings import ConfigError
from dragoman.core.money import to_pico
from dragoman.core.secret import Secret
from dragoman.transport.fetch_url import Refused, read_url
from dragoman.transport.webhooks import rules_of

_NUMBERS = {
    "velocity": (0, 1_000_000),
    "error_rate": (0, 1),
    "error_rate_window_s": (10, 3600),
    "drift": (0, 100),
    "look_every_s": (1, 3600),
}
_AMOUNTS = {"velocity_min_usd": "velocity_min_pico", "drift_min_usd": "drift_min_pico"}
_COUNTS = ("error_rate_min_calls",)
_KNOWN = (*_NUMBERS, *_AMOUNTS, *_COUNTS, "webhooks")
_OF_WEBHOOKS = ("url", "secret", "kinds", "private")
_MOST_WEBHOOKS = 20
_SHORTEST_SECRET = 16
_MOST_USD = 1_000_000


def read_alerts(table: Mapping[str, Any]) -> Policy:
    """The thresholds and the endpoints.

    Raises:
        ConfigError: a member is unknown or wrong; a secret is never told.
    """
    _known(table, _KNOWN, "[alerts]")
    said: dict[str, Any] = {}
    for name, (least, most) in _NUMBERS.items():
        if name in table:
            said[name] = _number(table[name], f"[alerts] {name}", least, most)
    for name in _COUNTS:
        if name in table:
            said[name] = int(_number(table[name], f"[alerts] {name}", 1, 1_000_000))
    for name, member in _AMOUNTS.items():
        if name in table:
            said[member] = to_pico(_amount(table[name], f"[alerts] {name}"))
    rows = table.get("webhooks", [])
    if not isinstance(rows, list) or len(rows) > _MOST_WEBHOOKS:
        raise ConfigError(
            f"[alerts] webhooks must be tables, at most {_MOST_WEBHOOKS}: [[alerts.webhooks]]."
        )
    endpoints = tuple(
        _endpoint(row, f"[[alerts.webhooks]] {at}") for at, row in enumerate(rows, 1)
    )
    if len({each.url for each in endpoints}) < len(endpoints):
        raise ConfigError(
            "[[alerts.webhooks]]: one url stands there twice; say its kinds together."
        )
    return Policy(**said, endpoints=endpoints)


def _endpoint(row: Any, where: str) -> Endpoint:
    if not isinstance(row, dict):
        raise ConfigError(f"{where} must be a table.")
    _known(row, _OF_WEBHOOKS, where)
    url, secret, kinds = row.get("url"), row.get("secret"), row.get("kinds", list(KINDS))
    private = row.get("private", False)
    if not isinstance(url, str) or not isinstance(secret, str) or not isinstance(private, bool):
        raise ConfigError(f"{where} needs url and secret, both text; private is true or false.")
    if len(secret) < _SHORTEST_SECRET:
        raise ConfigError(f"{where}: secret must have {_SHORTEST_SECRET} characters or more.")
    if not isinstance(kinds, list) or not kinds or not set(kinds) <= set(KINDS):
        raise ConfigError(f"{where}: kinds must be some of {', '.join(KINDS)}.")
    endpoint = Endpoint(url, Secret(secret), tuple(kinds), private)
    try:
        read_url(url, rules_of(endpoint))
    except Refused as refused:
        hint = "" if private else " (private = true is for networks of your own)"
        raise ConfigError(f"{where}: url cannot be used: {refused.reason}{hint}.") from None
    return endpoint


def _known(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in table:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"{where}: unknown member {name!r}; {hint}")


def _number(value: Any, what: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ConfigError(f"{what} must be a number from {least:g} to {most:g}.")
    return float(value)


def _amount(value: Any, what: str) -> Decimal:
    if isinstance(value, str | int) and not isinstance(value, bool):
        try:
            amount = Decimal(value)
        except ArithmeticError:
            amount = Decimal(-1)
        if amount.is_finite() and 0 <= amount <= _MOST_USD:
            return amount
    raise ConfigError(f'{what} must be an amount of USD as text: "0.50".')
