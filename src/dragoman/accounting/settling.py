"""A row of the ledger whose figures come later: what it says then, and what it said before; pure.

What the provider tells afterwards replaces the counts it tells, and leaves the others. The former figures stay in
the row, as JSON, with where they came from; what the tenant is charged follows the new cost on the terms of the
time.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from dragoman.accounting.counts import tokens_of
from dragoman.accounting.entry import (
    AttemptRow,
    Consumed,
    Entry,
    charged,
    consumed_of,
    other_cost,
)
from dragoman.accounting.price import settle
from dragoman.core import money
from dragoman.core.provider import Price
from dragoman.core.usage import Usage

METERED = ("chat", "embeddings")
"""Operations that consume tokens."""
WORKED = frozenset({"complete", "client_cut", "upstream_cut", "timeout", "unknown", "hedge_lost"})
"""Ends of an attempt that the provider may charge for."""
DOUBTFUL = frozenset({"none", "estimated"})
GOOD = 300
_HEX = 8


class Question(Struct, frozen=True):
    """An attempt whose provider is to be asked."""

    attempt_id: str
    call_id: str
    provider: str
    model: str
    tenant: str
    credential: str | None
    upstream_id: str
    created_us: int
    due_ms: int
    tries: int


class Settlement(Struct, frozen=True):
    """What has changed of a call, for sums and budgets."""

    before: Entry
    after: Entry
    attempt_id: str

    @property
    def attempt(self) -> AttemptRow:
        """The attempt as it is now."""
        return next(row for row in self.after.attempts if row.attempt_id == self.attempt_id)


class Compared(Struct, frozen=True):
    """One answer's cost as we had reckoned it and as its provider says, in 10⁻¹² USD."""

    ours: int
    theirs: int


class Spent(Struct, frozen=True):
    """What a model's attempts of a day came to, in 10⁻¹² USD."""

    calls: int = 0
    pico: int = 0
    """Of those whose cost is known."""
    unknown: int = 0
    """Those that a provider may have charged, and whose cost nobody knows or somebody has estimated."""
    dearest: int = 0
    """What the dearest of the known ones cost."""

    def and_also(self, other: Spent) -> Spent:
        """Both together."""
        return Spent(
            self.calls + other.calls,
            self.pico + other.pico,
            self.unknown + other.unknown,
            max(self.dearest, other.dearest),
        )

    def explains(self, theirs: int) -> bool:
        """Whether what they say beyond ours may be what the unknown ones cost."""
        if not self.unknown or theirs <= self.pico:
            return False
        return not self.dearest or theirs <= self.pico + self.unknown * self.dearest


def is_unsettled(row: AttemptRow, operation: str, sample: float) -> bool:
    """Whether its provider is to be asked what it came to: nobody knows, or it is one of ``sample``."""
    if row.upstream_id is None or operation not in METERED:
        return False
    worked = row.status in WORKED or (
        row.status == "upstream_error" and 0 < (row.upstream_status or 0) < GOOD
    )
    if not worked:
        return False
    used = row.consumed
    if used.tokens_from in DOUBTFUL or used.cost_from in DOUBTFUL:
        return True
    # The end of the id is chance.
    return sample > 0 and int(row.attempt_id[-_HEX:], 16) < sample * 16**_HEX


def settled(
    entry: Entry, attempt_id: str, usage: Usage, price: Price | None, source: str, now_us: int
) -> Settlement | None:
    """The entry with what the provider tells of one attempt; None where it has no such attempt."""
    row = next((each for each in entry.attempts if each.attempt_id == attempt_id), None)
    if row is None:
        return None
    served = row.served or _is_shown(entry, row)
    consumed = _consumed(row.consumed, usage, price)
    status, http = entry.request.status, entry.request.http_status
    end = row.status if row.status == "client_cut" else status
    pays = charged(end, http, consumed.cost_pico, row.terms, served=served)
    later = replace(
        row,
        consumed=consumed,
        served=served,
        charged_pico=pays,
        settled_us=now_us,
        settled_from=source,
        former=row.former or former_text(row.consumed),
    )
    attempts = tuple(later if each is row else each for each in entry.attempts)
    request = entry.request
    if served:
        request = replace(request, consumed=consumed, charged_pico=pays)
    if any(each.served for each in attempts):
        request = replace(request, other_cost_pico=other_cost(attempts))
    return Settlement(entry, Entry(request, attempts), attempt_id)


def _is_shown(entry: Entry, row: AttemptRow) -> bool:
    """Whether the call's row shows it: rows of older gateways do not say it."""
    request = entry.request
    return (
        not any(each.served for each in entry.attempts)
        and request.upstream_id == row.upstream_id
        and (request.provider, request.model) == (row.provider, row.model)
    )


def _consumed(before: Consumed, usage: Usage, price: Price | None) -> Consumed:
    tier = before.service_tier if usage.tier is None else usage.tier
    told = consumed_of(tokens_of(usage), "reconciled", None, "none", tier)
    kept = {name: value for name, value in asdict(before).items() if getattr(told, name) is None}
    merged = replace(told, **kept) if kept else told
    guessed = before.tokens_from == "estimated" and None in {usage.input, usage.output}
    if guessed or (usage.input is None and usage.output is None):
        merged = replace(merged, tokens_from=before.tokens_from)
    cost, cost_from = settle(usage, None)
    if cost is None:
        cost, cost_from = settle(usage_of(merged), price, estimated=guessed)
    if cost is None:
        return replace(merged, cost_pico=before.cost_pico, cost_from=before.cost_from)
    return replace(merged, cost_pico=money.to_pico(cost), cost_from=cost_from)


def usage_of(used: Consumed) -> Usage:
    """What a row has consumed, as it is priced."""
    return Usage(
        input=used.input_tokens,
        output=used.output_tokens,
        cache_read=used.cache_read_tokens,
        cache_write=used.cache_write_tokens,
        cache_write_1h=used.cache_write_1h_tokens,
        reasoning=used.reasoning_tokens,
        audio_input=used.audio_input_tokens,
        audio_output=used.audio_output_tokens,
        web_searches=used.web_searches,
        image_input=used.image_input_tokens,
        image_output=used.image_output_tokens,
        tier=used.service_tier or None,
    )


def former_text(used: Consumed) -> str:
    """The figures that are replaced, with where they came from."""
    said = {name: value for name, value in asdict(used).items() if value not in {None, ""}}
    return msgspec.json.encode(said).decode()


def compared(before: Consumed, after: Consumed, price: Price | None) -> Compared | None:
    """What we had reckoned against what the provider says; None where either is not known.

    Where the first figure was the provider's own, or of tokens that were estimated, the price list is
    looked at instead: it is what budgets reserve by and routes choose by.
    """
    if after.cost_pico is None or after.cost_from != "provider":
        return None
    ours = before.cost_pico if before.cost_from in {"priced", "estimated"} else None
    if ours is not None and before.tokens_from != "estimated":
        return Compared(ours, after.cost_pico)
    reckoned, _ = settle(usage_of(after), price)
    return None if reckoned is None else Compared(money.to_pico(reckoned), after.cost_pico)
