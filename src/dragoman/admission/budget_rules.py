"""What an operator says of a budget, whom it covers, and who of them pays together. Pure.

A budget without a name of anybody covers every caller. ``tenant``, ``project``, ``key`` and ``user`` narrow
that; ``each`` gives every tenant, project, key or end user that it covers a part of its own of that size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

from dragoman.core.budget import Payer, Span
from dragoman.core.call import DEFAULT_PROJECT, Caller

Each: TypeAlias = Literal["", "tenant", "project", "key", "user"]

DEFAULT_ALERTS = (800_000,)
_LONGEST_NAME = 128


class Rule(Struct, frozen=True):
    """One budget; amounts in 10⁻¹² USD, None: no bound in that stretch."""

    name: str
    tenant: str = ""
    project: str = ""
    key: str = ""
    user: str = ""
    each: Each = ""
    daily: int | None = None
    monthly: int | None = None
    total: int | None = None
    alert_at: tuple[int, ...] = DEFAULT_ALERTS
    """Shares at which the operator is told, in millionths; the end is always told."""
    unpriced: Literal["refuse", "allow"] = "refuse"
    """What becomes of a model whose price nobody knows (M13)."""
    clamp_output: bool = False
    """Whether answers are bounded to what is left, and unbounded ones to what was set aside (D27)."""
    most_output: int | None = None
    """Tokens of an answer, at most."""
    instead_of: str = ""
    """The budget that does not count for whom this one covers."""
    source: Literal["file", "database", "mode"] = "file"

    @property
    def bounds(self) -> tuple[tuple[Span, int], ...]:
        """The stretches that it bounds, the longest first: it is the last to be free again."""
        spans: tuple[tuple[Span, int | None], ...] = (
            ("total", self.total),
            ("month", self.monthly),
            ("day", self.daily),
        )
        return tuple((span, limit) for span, limit in spans if limit is not None)

    @property
    def by_user(self) -> bool:
        """Whether it has to be known who is behind the caller."""
        return self.each == "user" or bool(self.user)

    @property
    def is_private(self) -> bool:
        """Whether what it says of itself tells a caller nothing of another tenant."""
        return bool(self.tenant or self.key or self.each)


def covering(rules: Iterable[Rule], caller: Caller) -> tuple[Rule, ...]:
    """The budgets that a caller may have to pay from, whoever is behind it."""
    return tuple(
        rule
        for rule in rules
        if rule.tenant in {"", caller.tenant}
        and rule.project in {"", caller.project}
        and rule.key in {"", caller.key_id}
    )


class Payment(NamedTuple):
    """The budgets that a call pays from, and whose part of each it is."""

    rules: tuple[Rule, ...]
    payers: tuple[Payer, ...]
    clamps: bool = False
    """Whether any of them bounds answers."""
    strict: bool = True
    """Whether any of them refuses what has no price."""


def payment(rules: Iterable[Rule], caller: Caller, user: str) -> Payment:
    """Of the covering budgets those that this call pays from, and whose part of each it is."""
    mine = [rule for rule in rules if rule.user in {"", user}]
    instead = {rule.name: rule.instead_of for rule in mine if rule.instead_of}
    replaced = {name for name in instead.values() if not _goes_round(name, instead)}
    paid = tuple(rule for rule in mine if rule.name not in replaced)
    return Payment(
        paid,
        tuple(Payer(rule.name, subject_of(rule.each, caller, user)) for rule in paid),
        clamps=any(rule.clamp_output for rule in paid),
        strict=any(rule.unpriced == "refuse" for rule in paid),
    )


def _goes_round(name: str, instead: Mapping[str, str]) -> bool:
    """Whether a budget stands in the place of itself in the end: of such a ring all count, lest nobody pays."""
    seen: set[str] = set()
    other = instead.get(name)
    while other is not None and other != name and other not in seen:
        seen.add(other)
        other = instead.get(other)
    return other == name


def subject_of(each: Each, caller: Caller, user: str) -> str:
    """Whose part of a budget a call pays from, as one word that is nobody else's."""
    match each:
        case "":
            return ""
        case "key":
            return caller.key_id
        case "tenant":
            return word_of(caller.tenant)
        case "project":
            # The default one's keeps the word that it had before keys had projects.
            project = "" if caller.project == DEFAULT_PROJECT else caller.project
            return f"{word_of(caller.tenant)}/{word_of(project)}"
        case "user":
            return f"{word_of(caller.tenant)}/{word_of(user)}"


def word_of(name: str) -> str:
    """A name in which a slash is no boundary; what is no name, as callers may write, as its digest."""
    word = name.replace("%", "%25").replace("/", "%2F")
    if len(word) > _LONGEST_NAME or not word.isprintable():
        return f"sha256:{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()}"
    return word
