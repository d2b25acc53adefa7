"""By which price money is set aside for a request that asks to be served sooner, or in a place: that costs more.

What an answer costs is told by the answer. A tier that is cheaper is not counted on, as not every request gets the
tier that it asks for; one of which no price is known leaves the usual.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec
from msgspec import Raw

from dragoman.admission.budget_bound import SAY_TIERS
from dragoman.catalog.price import at_tier
from dragoman.core.provider import Candidate, Price

Priced: TypeAlias = Callable[[Candidate], Price | None]

_PLACE = "inference_geo"
_TIERS = sorted(SAY_TIERS - {_PLACE})
_read_word = msgspec.json.Decoder(str).decode


def priced_for(members: Mapping[str, Raw], price: Priced) -> Priced:
    """The prices by which money is set aside for a request of these members; the same where they say nothing."""
    if members.keys().isdisjoint(SAY_TIERS):
        return price
    words = [_word(members[name]) for name in _TIERS if name in members]
    if _PLACE in members:
        place = _word(members[_PLACE])
        words += [place, *(f"{word} {place}" for word in words)]

    def dearest(candidate: Candidate) -> Price | None:
        usual = price(candidate)
        if usual is None or usual.tiers is None:
            return usual
        asked = [found for word in words if (found := at_tier(usual, word)) is not None]
        return max([usual, *asked], key=lambda each: each.output or each.input or 0)

    return dearest


def _word(raw: Raw) -> str:
    try:
        return _read_word(raw).lower().removeprefix("service_tier_")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
