"""How budgets stand, as it is read from where they are kept: words of the store and of who shows them."""

from __future__ import annotations

from msgspec import Struct

from dragoman.core.budget import Payer, Pot, Span


class Standing(Struct, frozen=True):
    """How a pot stands; amounts in 10⁻¹² USD."""

    pot: Pot
    spent: int
    held: int
    leased: int


class Hold(Struct, frozen=True):
    """An attempt whose cost nobody knows, and what is held for it."""

    call_id: str
    attempt_id: str
    payers: tuple[Payer, ...]
    admitted_us: int
    held: int


class Lease(Struct, frozen=True):
    """What a process may spend without asking."""

    pot: Pot
    holder: str
    granted: int
    seen_ms: int


class Told(Struct, frozen=True):
    """A share of a pot that the operator was told of (millionths), and when."""

    pot: Pot
    share: int
    told_ms: int


class Totals(Struct, frozen=True):
    """What all parts of a budget have come to in one stretch of time."""

    span: Span
    since: int
    parts: int
    spent: int
    held: int
    leased: int
