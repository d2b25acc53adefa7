"""Token counts as a provider reports them: None is unknown, which is not zero.

Invariants (`dialects.md` §2): input = uncached + cache_read + cache_write, and output
includes reasoning. Anthropic's ``input_tokens`` leaves the cache out and is added up on
reading (P125).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import astuple, replace


class Usage(Struct, frozen=True, gc=False):
    """What one attempt consumed, in tokens; ``cost`` in USD where the provider says it."""

    input: int | None = None
    """All input tokens, the cached ones included."""
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    """The part of ``cache_write`` that is kept for an hour."""
    output: int | None = None
    """All output tokens, reasoning included; but see ``apart``."""
    apart: int | None = None
    """Reasoning that the provider bills beside ``output`` and does not count in it (xAI).

    Dialects repeat the provider's own figures; money and the ledger go by ``billed_output``.
    """
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    accepted_prediction: int | None = None
    rejected_prediction: int | None = None
    total: int | None = None
    web_searches: int | None = None
    cost: Decimal | None = None
    image_input: int | None = None
    image_output: int | None = None
    images: int | None = None
    """Pictures that were made."""
    audio_seconds: int | None = None
    """Seconds of sound that were listened to, where they are billed by their length (Mistral)."""
    tier: str | None = None
    """How it was served, where that has prices of its own: ``flex``, ``priority`` …; empty: as usual, though
    something else was asked for; None: nothing is said."""

    @property
    def known(self) -> bool:
        """Whether the provider reported anything that can be charged."""
        return self.input is not None or self.output is not None or self.cost is not None

    @property
    def billed_output(self) -> int | None:
        """Every output token that is paid for."""
        apart = self.apart
        return self.output + apart if apart and self.output is not None else self.output

    @property
    def uncached(self) -> int | None:
        """Input tokens that were neither read from nor written to a cache; never negative."""
        if self.input is None:
            return None
        return max(0, self.input - (self.cache_read or 0) - (self.cache_write or 0))


def merge(earlier: Usage | None, later: Usage) -> Usage:
    """Later numbers replace earlier ones field by field; None does not erase (P126)."""
    if earlier is None:
        return later
    pairs = zip(astuple(earlier), astuple(later), strict=True)
    return Usage(*[old if new is None else new for old, new in pairs])


def add(one: Usage, other: Usage) -> Usage:
    """What two requests consumed together; a number that one of them does not say is unknown."""
    pairs = zip(astuple(one)[:-1], astuple(other)[:-1], strict=True)
    counts = [None if a is None or b is None else a + b for a, b in pairs]
    return replace(Usage(*counts), tier=one.tier or other.tier)


USUAL_TIERS = frozenset({"", "auto", "default", "standard", "standard_only", "on_demand"})
"""How those are served, by whatever name, who ask for nothing else: at the usual prices."""


def in_tier(usage: Usage | None, tier: str | None) -> Usage | None:
    """What was consumed, where the provider says that it was served in this tier."""
    if tier is None or usage is None or usage.tier is not None or tier in USUAL_TIERS:
        return usage
    return served(usage, tier)


def served(usage: Usage, tier: str | None) -> Usage:
    """The same, though what was told before is another tier."""
    return replace(usage, tier="" if tier is None or tier in USUAL_TIERS else tier.lower())


_BYTES_PER_TOKEN = 4


def tokens_of_size(size: int) -> int:
    """An estimate of tokens, which has to be labelled as one: a quarter of the bytes, rounded up (D38)."""
    return -(-size // _BYTES_PER_TOKEN)


LARGEST = 10**12


def are_counts(values: Iterable[object]) -> bool:
    """Whether ``count`` would leave each of these as it is; most are unknown or none, and are not looked at."""
    for said in filter(None, values):  # noqa: SIM110  a generator costs more than its few values
        if type(said) is not int or not 0 < said <= LARGEST:
            return False
    return True


def count(value: object) -> int | None:
    """A token count from the wire: absurd or negative numbers are unknown, never charged (M11)."""
    if type(value) is int:  # a bool is none
        return value if 0 <= value <= LARGEST else None
    if isinstance(value, float) and value.is_integer():
        return count(int(value))
    return None
