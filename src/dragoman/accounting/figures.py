"""An attempt's figures at its end: what was consumed, what it cost, and where both numbers come from."""

from __future__ import annotations

from dragoman.accounting.counts import NO_TOKENS, sound_tokens, tokens_of
from dragoman.accounting.price import Pinned, settle_at
from dragoman.accounting.records import Tokens
from dragoman.core.call import Attempt
from dragoman.core.money import to_pico


def settle_attempt(attempt: Attempt, price: Pinned) -> tuple[Tokens, int | None]:
    """Writes on the attempt what it cost, for headers and usage; what the journal says of tokens and cost."""
    usage = attempt.estimated or attempt.usage
    if usage is None:
        return NO_TOKENS, _spent(attempt)
    tokens = sound_tokens(usage)
    if attempt.tokens_from == "none" and (usage.input is not None or usage.output is not None):
        attempt.tokens_from = "reported"
    if attempt.cost_from == "none":
        estimated = attempt.tokens_from == "estimated"
        cost = settle_at(usage, tokens, price, estimated=estimated)
        attempt.cost, attempt.cost_from, spent = cost
    else:
        spent = _spent(attempt)
    return tokens_of(usage) if tokens is None else tokens, spent


def _spent(attempt: Attempt) -> int | None:
    return None if attempt.cost is None else to_pico(attempt.cost)
