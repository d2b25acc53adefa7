"""A budget in the operator's words, the same in ``dragoman.toml``, on the command line and at rest."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, get_args

import msgspec

from dragoman.admission.budget_alerts import WHOLE
from dragoman.admission.budget_rules import DEFAULT_ALERTS, Each, Rule
from dragoman.core import money
from dragoman.core.errors import invalid

MEMBERS = (
    "daily_usd",
    "monthly_usd",
    "total_usd",
    "tenant",
    "project",
    "key",
    "user",
    "each",
    "alert_at",
    "unpriced",
    "clamp_output",
    "instead_of",
)
NAME = re.compile(r"[A-Za-z0-9_.:@-]{1,128}")
MOST_USD = Decimal(9_000_000)
"""What a BIGINT of 10⁻¹² USD holds."""
_ENCODE = msgspec.json.Encoder(decimal_format="string").encode
_DECODE = msgspec.json.Decoder(dict[str, Any]).decode


def read_definition(
    name: str, table: Mapping[str, Any], source: Literal["file", "database", "mode"]
) -> Rule:
    """The budget that the members say.

    Raises:
        CallerError: one of them is unknown, wrong, or missing; the message says which.
    """
    where = f"budget {name!r}"
    if not NAME.fullmatch(name):
        raise invalid(f"{where}: a name has 1 to 128 letters, digits or any of _ . : @ -.", "name")
    for member in table:
        if member not in MEMBERS:
            near = difflib.get_close_matches(member, MEMBERS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(MEMBERS)}."
            raise invalid(f"{where}: unknown member {member!r}; {hint}", member)
    each = _one_of(table, "each", get_args(Each), "", where)
    rule = Rule(
        name=name,
        tenant=_text(table, "tenant", where),
        project=_text(table, "project", where),
        key=_text(table, "key", where),
        user=_text(table, "user", where),
        each=each,
        daily=_pico(table, "daily_usd", where),
        monthly=_pico(table, "monthly_usd", where),
        total=_pico(table, "total_usd", where),
        alert_at=_shares(table, where),
        unpriced=_one_of(table, "unpriced", ("refuse", "allow"), "refuse", where),
        clamp_output=_clamp(table, where)[0],
        most_output=_clamp(table, where)[1],
        instead_of=_text(table, "instead_of", where),
        source=source,
    )
    if not rule.bounds:
        raise invalid(f"{where}: say daily_usd, monthly_usd or total_usd.", "monthly_usd")
    for member, said in (("project", rule.project), ("user", rule.user)):
        if said and not (rule.tenant or rule.key):
            raise invalid(
                f"{where}: {member} {said!r} may be anybody's; say the tenant too.", "tenant"
            )
    if rule.instead_of == name:
        raise invalid(f"{where}: instead_of names the budget itself.", "instead_of")
    return rule


def check_together(rules: tuple[Rule, ...], others: frozenset[str] = frozenset()) -> None:
    """Refuses a budget that stands in place of one that is not there.

    Raises:
        CallerError: the message names both.
    """
    names = {rule.name for rule in rules} | others
    for rule in rules:
        if rule.instead_of and rule.instead_of not in names:
            raise invalid(
                f"budget {rule.name!r}: instead_of names {rule.instead_of!r}, and there is no such budget.",
                "instead_of",
            )


def definition_of(rule: Rule) -> dict[str, object]:
    """The members that say this budget."""
    amounts = {"daily_usd": rule.daily, "monthly_usd": rule.monthly, "total_usd": rule.total}
    found: dict[str, object] = {
        name: money.plain(money.from_pico(pico))
        for name, pico in amounts.items()
        if pico is not None
    }
    for name in ("tenant", "project", "key", "user", "each", "instead_of"):
        if said := getattr(rule, name):
            found[name] = said
    if rule.alert_at != DEFAULT_ALERTS:
        found["alert_at"] = [money.plain(Decimal(share) / WHOLE) for share in rule.alert_at]
    if rule.unpriced != "refuse":
        found["unpriced"] = rule.unpriced
    if rule.most_output is not None:
        found["clamp_output"] = rule.most_output
    elif rule.clamp_output:
        found["clamp_output"] = True
    return found


def encode_definition(rule: Rule) -> str:
    """The budget at rest."""
    return _ENCODE(definition_of(rule)).decode()


def decode_definition(name: str, text: str) -> Rule:
    """The budget that was at rest."""
    return read_definition(name, _DECODE(text), "database")


def _text(table: Mapping[str, Any], member: str, where: str) -> str:
    said = table.get(member, "")
    if not isinstance(said, str):
        raise invalid(f"{where}: {member} must be a string.", member)
    return said


def _one_of(table: Mapping[str, Any], member: str, words: Any, otherwise: str, where: str) -> Any:
    said = table.get(member, otherwise)
    if said not in words:
        known = ", ".join(word for word in words if word)
        raise invalid(f"{where}: {member} is {said!r}; say one of {known}.", member)
    return said


def _decimal(said: object) -> Decimal | None:
    if isinstance(said, bool) or not isinstance(said, str | int | float | Decimal):
        return None
    try:
        found = Decimal(str(said))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _pico(table: Mapping[str, Any], member: str, where: str) -> int | None:
    if member not in table:
        return None
    usd = _decimal(table[member])
    if usd is None or not 0 <= usd <= MOST_USD:
        raise invalid(
            f'{where}: {member} is {table[member]!r}; say USD as "50" or "0.25", '
            f"from 0 to {MOST_USD}.",
            member,
        )
    return money.to_pico(usd)


def _shares(table: Mapping[str, Any], where: str) -> tuple[int, ...]:
    if "alert_at" not in table:
        return DEFAULT_ALERTS
    said = table["alert_at"]
    shares = [_decimal(each) for each in said] if isinstance(said, list | tuple) else [None]
    if any(share is None or not 0 < share <= 1 for share in shares):
        raise invalid(
            f"{where}: alert_at is {said!r}; say shares above 0 and up to 1, as [0.8, 0.95].",
            "alert_at",
        )
    millionths = {int(share * WHOLE) for share in shares if share is not None}
    return tuple(sorted(millionths - {WHOLE}))


def _clamp(table: Mapping[str, Any], where: str) -> tuple[bool, int | None]:
    said = table.get("clamp_output", False)
    if isinstance(said, bool):
        return said, None
    if isinstance(said, int) and said > 0:
        return True, said
    raise invalid(
        f"{where}: clamp_output is {said!r}; say true, or how many tokens an answer may have.",
        "clamp_output",
    )


def quota_of_test_mode(monthly_usd: Decimal) -> Rule:
    """What every key may spend in a month in ``MODE=test`` (R-TIER-006)."""
    return Rule(
        name="test",
        each="key",
        monthly=money.to_pico(min(monthly_usd, MOST_USD)),
        unpriced="allow",
        source="mode",
    )
