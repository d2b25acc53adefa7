"""How a provider is asked, afterwards, what a call or a day has cost: data of its file, read here; pure.

`[lookup]` asks about one answer by its id, `[credits]` about the account, `[report]` about the costs of days,
which most providers tell an admin key alone. Members of answers are named by paths with dots; ``*`` goes through
a list.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import Struct

from dragoman.core.money import is_amount
from dragoman.core.usage import LARGEST, Usage, count

_SOUND_USD = Decimal(10) ** 9


class Lookup(Struct, frozen=True, forbid_unknown_fields=True):
    """How one answer is asked about."""

    path: str
    """Appended to the base; ``{id}`` stands for what the provider calls the answer."""
    members: dict[str, str]
    """A member of ``core.usage.Usage`` → where it stands; ``cost`` is in USD."""
    not_yet: tuple[int, ...] = (404,)
    """Statuses that mean: ask again later."""
    after_s: float = 2.0
    """How long after the answer it is known."""
    own_key: str = ""
    """Where it says that the operator's own key was behind it; ``own_cost`` is then spent besides."""
    own_cost: str = ""
    facts: str = ""
    """Where the object stands that people may want to see whole."""


class Credits(Struct, frozen=True, forbid_unknown_fields=True):
    """How the account is asked about; amounts in USD."""

    path: str
    total: str
    used: str


class Report(Struct, frozen=True, forbid_unknown_fields=True):
    """How the costs of a day are asked about, by model."""

    env: tuple[str, ...]
    """Variables that hold the admin key; without one nobody is asked."""
    path: str
    """With ``{start}`` and ``{end}``: the first moment of the day and of the next."""
    items: str
    model: str
    amount: str
    time: Literal["unix", "iso"] = "unix"
    scale: Decimal = Decimal(1)
    """USD of one unit of the amount."""
    page: str = ""
    """What is appended to ask for the next page, with ``{page}``."""
    next: str = ""
    """Where the answer names that page."""


class Looked(Struct, frozen=True):
    """What a provider tells of one answer afterwards."""

    usage: Usage
    facts: dict[str, Any] = {}


class Account(Struct, frozen=True):
    """How an account stands, in USD (R-USE-003)."""

    total: Decimal
    used: Decimal

    @property
    def remaining(self) -> Decimal:
        """What may still be spent."""
        return self.total - self.used


class Page(Struct, frozen=True):
    """A part of a day's costs: USD by model, and what the next page is called."""

    costs: dict[str, Decimal]
    next: str | None = None


class UnreadableError(Exception):
    """The provider's answer is not what its file says."""


def lookup_path(lookup: Lookup, upstream_id: str) -> str:
    """What is appended to the base."""
    return lookup.path.replace("{id}", quote(upstream_id, safe=""))


def read_lookup(lookup: Lookup, body: bytes) -> Looked:
    """What the answer says of usage and cost.

    Raises:
        UnreadableError: it says neither.
    """
    told = _decoded(body)
    found: dict[str, Any] = {}
    for name, path in lookup.members.items():
        value = next(_at(told, path), None)
        number = _usd(value) if name == "cost" else count(_whole(value))
        if number is not None:
            found[name] = number
    own = lookup.own_key and next(_at(told, lookup.own_key), None) is True
    if own and "cost" in found:
        found["cost"] += _usd(next(_at(told, lookup.own_cost), None)) or 0
    usage = Usage(**found)
    if not usage.known:
        raise UnreadableError("it says neither tokens nor cost")
    facts = next(_at(told, lookup.facts), None) if lookup.facts else told
    return Looked(usage, _plain(facts) if isinstance(facts, dict) else {})


def read_credits(credits_: Credits, body: bytes) -> Account:
    """How the account stands.

    Raises:
        UnreadableError: it does not say it.
    """
    told = _decoded(body)
    total, used = (_usd(next(_at(told, path), None)) for path in (credits_.total, credits_.used))
    if total is None or used is None:
        raise UnreadableError("it does not say what the account has and has used")
    return Account(total, used)


def report_path(report: Report, day: int, page: str | None = None) -> str:
    """What is appended to the base to ask about a UTC day, counted from 1970."""
    start, end = (_moment(report.time, at * 86_400) for at in (day, day + 1))
    path = report.path.replace("{start}", start).replace("{end}", end)
    return path if page is None else path + report.page.replace("{page}", quote(page, safe=""))


def read_report(report: Report, body: bytes) -> Page:
    """The costs in an answer, by model, those of a model's kinds of tokens added up.

    Raises:
        UnreadableError: it is no report.
    """
    told = _decoded(body)
    costs: dict[str, Decimal] = {}
    for item in _at(told, report.items):
        model, amount = (next(_at(item, path), None) for path in (report.model, report.amount))
        usd = _usd(amount)
        if usd is None:
            continue
        # OpenAI's lines are called "gpt-4o-2024-08-06, input".
        name = model.split(",")[0].strip() if isinstance(model, str) else ""
        costs[name] = costs.get(name, Decimal(0)) + usd * report.scale
    further = next(_at(told, report.next), None) if report.next else None
    return Page(costs, further if isinstance(further, str) and further else None)


def _moment(spelling: str, wall: int) -> str:
    if spelling == "unix":
        return str(wall)
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _decoded(body: bytes) -> Any:
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnreadableError("it is no JSON") from None


_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def _at(value: Any, path: str) -> Iterator[Any]:
    """All that stands at a path."""
    head, _, rest = path.partition(".")
    if head == "*":
        inner = value if isinstance(value, list) else []
    else:
        inner = [value[head]] if isinstance(value, dict) and head in value else []
    for each in inner:
        if rest:
            yield from _at(each, rest)
        else:
            yield each


def _whole(value: Any) -> Any:
    # The size before the digits: 1e999999999 as an integer is minutes and half a gigabyte.
    if isinstance(value, Decimal) and 0 <= value <= LARGEST and value == value.to_integral_value():
        return int(value)
    return value


def _usd(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        return None
    try:
        amount = Decimal(value)
    except ArithmeticError:
        return None
    return amount if is_amount(amount, _SOUND_USD) else None


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts with amounts as plain text, as amounts go out everywhere (D24)."""
    return {
        name: f"{value:f}"
        if isinstance(value, Decimal) and is_amount(value, _SOUND_USD)
        else value
        for name, value in facts.items()
    }
