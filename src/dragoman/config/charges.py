"""What tenants are charged beside what it costs: `[[charges]]` of ``dragoman.toml``, read strictly."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, get_args

from dragoman.accounting.charging import Credentials, Rule
from dragoman.config.settings import ConfigError

_TEXTS = ("tenant", "tier", "model", "credentials")
_AMOUNTS = {"factor": "factor", "per_request_usd": "per_request"}
_KNOWN = (*_TEXTS, *_AMOUNTS)
_MOST = 1000


def read_charges(tables: Sequence[Mapping[str, Any]]) -> tuple[Rule, ...]:
    """The rules in their order.

    Raises:
        ConfigError: a member is unknown or wrong.
    """
    return tuple(_rule(table, f"[[charges]] {at}") for at, table in enumerate(tables, 1))


def _rule(table: Mapping[str, Any], where: str) -> Rule:
    for name in table:
        if name not in _KNOWN:
            near = difflib.get_close_matches(name, _KNOWN, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_KNOWN)}"
            raise ConfigError(f"{where}: unknown member {name!r}; {hint}")
    said: dict[str, Any] = {}
    for name in _TEXTS:
        if name in table:
            if not isinstance(table[name], str):
                raise ConfigError(f"{where}: {name} must be text.")
            said[name] = table[name]
    if said.get("credentials", "any") not in get_args(Credentials):
        known = ", ".join(get_args(Credentials))
        raise ConfigError(f"{where}: credentials must be one of {known}.")
    for name, member in _AMOUNTS.items():
        if name in table:
            said[member] = _amount(table[name], f"{where}: {name}")
    if "factor" not in table and "per_request_usd" not in table:
        raise ConfigError(f"{where} says neither factor nor per_request_usd.")
    return Rule(**said)


def _amount(value: object, what: str) -> Decimal:
    """An exact number: a float has already lost what was written."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        try:
            amount = Decimal(value)
        except ArithmeticError:
            amount = Decimal(-1)
        if amount.is_finite() and 0 <= amount <= _MOST:
            return amount
    raise ConfigError(f'{what} must be a number from 0 to {_MOST}, as text: "1.2".')
