"""What a usage costs at a price: exact, and None as soon as a part of it is unknown.

Pure, and apart from the rooms, so that admission, routing and accounting may all use it
(D16). What a provider itself says it charged is accounting's to prefer.
"""

from __future__ import annotations

from decimal import Context, Decimal
from operator import itemgetter

from msgspec.structs import astuple

from dragoman.core.provider import Price
from dragoman.core.usage import Usage

_EXACT = Context(prec=60)
_MILLION = 6
_NOTHING = Decimal(0)


def cost_of(usage: Usage, price: Price) -> Decimal | None:
    """The cost in USD; None where the provider did not report what the price is asked for.

    Tokens of a kind without a price of its own cost what the wider kind does: cached input and
    audio as input, an hour's cache as the cache (genai-prices' rule).
    """
    if usage.input is None:
        return None
    if usage.tier:
        served = at_tier(price, usage.tier)
        if served is None:
            return None
        price = served
    if price.above:
        price = _step(price, usage.input)
    if price.image_output is None and not any(_rare(astuple(usage))):
        return _cost_of_words(usage, usage.input, price)
    parts = (
        _input(usage, price),
        _output(usage, price),
        _each(usage.web_searches, price.per_search),
        _each(usage.images, price.per_image),
        _each(usage.audio_seconds, price.per_audio_second),
    )
    total = price.per_request or Decimal(0)
    for part in parts:
        if part is None:
            return None
        total = _EXACT.add(total, part)
    return total


_ORDINARY = frozenset(
    {
        "input",
        "cache_read",
        "cache_write",
        "cache_write_1h",
        "output",
        "reasoning",
        "total",
        "cost",
        "tier",
    }
)
_rare = itemgetter(*[n for n, name in enumerate(Usage.__struct_fields__) if name not in _ORDINARY])
"""Counts of kinds that may have a price of their own."""


def _cost_of_words(usage: Usage, tokens: int, price: Price) -> Decimal | None:
    """``cost_of`` of words alone, as nearly all usage is: read, cached or written."""
    output, read, written = usage.output, usage.cache_read or 0, usage.cache_write or 0
    if output is None:
        # An embedding has no output and no price for it.
        if price.output:
            return None
        output = 0
    if read or written:
        cache_write = _first(price.cache_write, price.input)
        hour = min(usage.cache_write_1h or 0, written)
        total = _sum(
            (max(0, tokens - read - written), price.input),
            (output, price.output),
            (read, _first(price.cache_read, price.input)),
            (written - hour, cache_write),
            (hour, _first(price.cache_write_1h, cache_write)),
        )
    else:
        total = _sum((max(0, tokens), price.input), (output, price.output))
    if total is None or not price.per_request:
        return total
    return _EXACT.add(total, price.per_request)


def cost_of_text(tokens: int, written: int, price: Price) -> Decimal | None:
    """``cost_of`` of so many tokens of input and output, none of them of a kind of its own.

    Routing asks it for hundreds of models at once.
    """
    price = _step(price, tokens)
    total = price.per_request or _NOTHING
    for count, rate in ((tokens, price.input), (written, price.output)):
        if count:
            if rate is None:
                return None
            total += (rate * count).scaleb(-_MILLION)
    return total


def at_tier(price: Price, tier: str) -> Price | None:
    """The price in a service tier that is not the usual one; None: nobody says it."""
    return price if price.tiers is None else price.tiers.get(tier)


def _step(price: Price, tokens: int) -> Price:
    for start, dearer in reversed(price.above):
        if tokens > start:
            return dearer
    return price


def _input(usage: Usage, price: Price) -> Decimal | None:
    read = usage.cache_read or 0
    written = usage.cache_write or 0
    hour = min(usage.cache_write_1h or 0, written)
    audio = usage.audio_input or 0
    if usage.audio_seconds and price.per_audio_second is not None:
        # By its length; its tokens are told besides, and cost nothing more.
        text = max(0, (usage.input or 0) - audio)
        return _sum(
            (max(0, text - read), price.input), (read, _first(price.cache_read, price.input))
        )
    if audio and (read or written) and price.audio_input is not None:
        # Which of the audio was cached is not said, and cached audio has another price.
        return None
    pictures = (usage.image_input or 0) if price.image_input is not None else 0
    if pictures and (read or written):
        return None
    plain = max(0, (usage.input or 0) - read - written - audio - pictures)
    cache_write = _first(price.cache_write, price.input)
    return _sum(
        (plain, price.input),
        (audio, _first(price.audio_input, price.input)),
        (pictures, price.image_input),
        (read, _first(price.cache_read, price.input)),
        (written - hour, cache_write),
        (hour, _first(price.cache_write_1h, cache_write)),
    )


def _output(usage: Usage, price: Price) -> Decimal | None:
    output = usage.billed_output
    if output is None:
        # An embedding has no output and no price for it.
        return Decimal(0) if not price.output else None
    audio = min(usage.audio_output or 0, output)
    pictures = 0
    if price.image_output is not None:
        if usage.image_output is None and output:
            # How much of it is pictures is not said, and they cost ten times as much.
            return None
        pictures = min(usage.image_output or 0, output - audio)
    return _sum(
        (output - audio - pictures, price.output),
        (audio, _first(price.audio_output, price.output)),
        (pictures, price.image_output),
    )


def _each(count: int | None, price: Decimal | None) -> Decimal | None:
    """What is charged by the piece; None where nobody says what a piece costs."""
    if not count:
        return _NOTHING
    return None if price is None else _EXACT.multiply(price, Decimal(count))


def _first(own: Decimal | None, wider: Decimal | None) -> Decimal | None:
    return wider if own is None else own


def _sum(*parts: tuple[int, Decimal | None]) -> Decimal | None:
    total = _NOTHING
    for count, price in parts:
        if count:
            if price is None:
                return None
            total = _EXACT.fma(price, count, total)
    return total.scaleb(-_MILLION, _EXACT)
