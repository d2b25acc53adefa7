"""What a request can cost at most at a candidate: the amount that is set aside before it goes there. Pure.

Nobody counts tokens here. Text has no more tokens than bytes; a picture no more than the dearest model takes
for its largest; what is only named in the request (a document, a stored conversation, what a provider's own
tool reads) may fill the model's whole window. The answer is bounded by what the request says, else by the
model's own bound (D27). Prices are the dearest of those that may apply: a long prompt's, a written cache's.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import Raw, Struct

from dragoman.core.ask import Ask
from dragoman.core.money import PICO
from dragoman.core.provider import Candidate, Family, Price
from dragoman.core.signs import ESCAPED, signs_of_typed_media
from dragoman.core.usage import Usage

UNKNOWN_OUTPUT = 8192
"""Tokens of an answer that neither its request nor its model bounds (D27)."""
LEAST_OUTPUT = 16
"""Some providers take no smaller bound, and get this one."""
WIDEST = 1_048_576
"""Tokens of a window whose size nobody knows."""
A_PICTURE = 50_000
"""Tokens of the largest picture at the model that takes most for one."""
OVERHEAD, WITH_TOOLS = 64, 1024
"""Tokens that providers add to a request, and to one with tools."""
SEARCHES = 10
"""Searches that a provider runs for one request, at most."""

_PICO_A_TOKEN = PICO.scaleb(-6)
_NOTHING = Decimal(0)
_MOST_RATES = 2000
_MOST_NAMES, _LONGEST_NAMES = 1000, 400

_REFERENCES = (
    "previous_response_id",
    "conversation",
    "cachedContent",
    "cached_content",
    "container",
)
_HOSTED = ("web_search_options", "plugins", "mcp_servers")
_OURS = frozenset({"function", "custom", "bash", "text", "computer", "memory"})
"""First words of the types of tools that the caller runs itself."""
_DECLARED = frozenset({"functionDeclarations", "function_declarations"})
_FLAT = frozenset({"chat", "anthropic"})
_BOUNDS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})
_COPIES = ("n", "best_of", "candidateCount", "candidate_count")
SAY_TIERS = frozenset({"service_tier", "serviceTier", "speed", "inference_geo"})
"""Members that ask to be served sooner, or in a place, in whatever dialect: that may have another price."""
_INTRICATE = frozenset(
    {
        *SAY_TIERS,
        *("tools", "functions", "reasoning_effort", "reasoning", "thinking", "think", "audio"),
        *("modalities", *_REFERENCES, *_HOSTED, *_COPIES),
        *("maxOutputTokens", "num_predict"),
    }
)
"""Members that a request of text alone at the usual price does not have."""
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_TOOLS = msgspec.json.Decoder(list[dict[str, Raw]])
_ANY = msgspec.json.Decoder()
_whole = msgspec.json.Decoder(int).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Asked(Protocol):
    """What is known of a request's size; routing reads it."""

    @property
    def text_bytes(self) -> int:
        """Bytes beside its media."""
        ...

    @property
    def pictures(self) -> int:
        """How many there are."""
        ...

    @property
    def audio_bytes(self) -> int:
        """Bytes of its recordings."""
        ...

    @property
    def documents(self) -> bool:
        """Whether there are any."""
        ...

    @property
    def tools(self) -> bool:
        """Whether it has tools."""
        ...

    @property
    def reasoning(self) -> bool:
        """Whether thinking is asked for."""
        ...

    @property
    def output_tokens(self) -> int:
        """The bound of an answer, where it is ``bounded``."""
        ...

    @property
    def bounded(self) -> bool:
        """Whether the request bounds its answer."""
        ...


class Size(Struct, frozen=True, gc=False):
    """How large a request and its answer may get; None: as large as the model allows."""

    input: int | None
    output: int | None
    dialect: Family = "chat"
    text: int = 0
    """``input`` again, where there is nothing but text, of which nothing is cached, and one answer is wanted."""
    copies: int = 1
    """Answers to one request."""
    caches: bool = False
    """Whether it may write to a cache, which costs more than to read it."""
    audio: bool = False
    speaks: bool = False
    searches: int = 0
    reasons: bool = False

    def output_at(self, candidate: Candidate) -> int:
        """Tokens of one answer of the candidate, at most."""
        output = self.output
        if output is not None and not self.reasons:
            return output if output >= LEAST_OUTPUT or not output else LEAST_OUTPUT
        most = candidate.capability.max_output_tokens or UNKNOWN_OUTPUT
        if output is None:
            return most
        if candidate.provider.family != self.dialect:
            # A translation puts the thinking on top of the answer.
            return max(most, output)
        return max(output, LEAST_OUTPUT) if output else 0

    def input_at(self, candidate: Candidate) -> int:
        """Tokens of the request at the candidate, at most."""
        window = candidate.capability.context_tokens
        if self.input is None:
            return window or WIDEST
        return self.input if window is None else min(self.input, window)


_bounding: dict[tuple[str, ...], tuple[str, ...] | None] = {}
"""By the names of a request's members, as a program's requests are mostly alike: those that bound its answer.

None: some of them are intricate.
"""


def _bounds_in(names: tuple[str, ...]) -> tuple[str, ...] | None:
    plain = _INTRICATE.isdisjoint(names)
    found = tuple(_BOUNDS.intersection(names)) if plain else None
    if sum(map(len, names)) <= _LONGEST_NAMES:  # they are foreign input
        if len(_bounding) >= _MOST_NAMES:
            _bounding.clear()
        _bounding[names] = found
    return found


def plain_size(ask: Ask, dialect: Family) -> Size | None:
    """The size of a request of text alone at the usual price, as most are; None: it has to be looked into."""
    members, body = ask.members, ask.body
    if dialect not in _FLAT:
        return None
    names = tuple(members)
    try:
        bounds = _bounding[names]
    except KeyError:
        bounds = _bounds_in(names)
    if bounds is None:
        return None
    text = body.decode("latin-1")
    # What has none of these three shows no sign.
    if ('"type"' in text or '"image' in text or ESCAPED in text) and signs_of_typed_media(text):
        return None
    most = 0
    for name in bounds:
        try:
            said = _whole(members[name])
        except _UNREADABLE:
            continue
        if said > most:  # noqa: PLR1730  every call comes here, and `max` is a call
            most = said
    tokens = len(body) + OVERHEAD
    if "cache" in text:
        return Size(tokens, most or None, dialect, caches=True)
    return Size(tokens, most or None, dialect, tokens)


def size_of(ask: Ask, asked: Asked, dialect: Family) -> Size:
    """The size of a request in its caller's dialect."""
    members = ask.members
    hosted = _is_hosted(members, dialect)
    whole = asked.documents or hosted or any(name in members for name in _REFERENCES)
    if dialect == "responses" and "prompt" in members:
        whole = True
    known = asked.text_bytes + asked.pictures * A_PICTURE + asked.audio_bytes
    return Size(
        input=None if whole else known + (WITH_TOOLS if asked.tools else OVERHEAD),
        output=asked.output_tokens if asked.bounded else None,
        copies=_copies(members, dialect),
        caches=b"cache" in ask.body,
        audio=asked.audio_bytes > 0,
        speaks="audio" in members or "modalities" in members,
        searches=SEARCHES if hosted else 0,
        reasons=asked.reasoning,
        dialect=dialect,
    )


class _Rates(NamedTuple):
    """The dearest of the prices that may apply, in 10⁻¹² USD, rounded up; None: not known."""

    above: int
    """It holds for requests of more tokens than this."""
    input: int | None
    output: int | None
    request: int


_rates: dict[tuple[int, bool, bool, bool, int], tuple[Price, tuple[_Rates, ...]]] = {}
"""By the identity of a price, which the price beside it keeps from being another's, and what is asked."""


class TextRates(NamedTuple):
    """What requests of text alone cost at a candidate, up to the size from which they have another price."""

    window: int
    """Tokens of the largest of them."""
    longest: int
    """Tokens of an answer that its request does not bound."""
    read: int
    """10⁻¹² USD for a token of the request."""
    wrote: int
    """For one of the answer."""
    request: int


def text_rates(size: Size, candidate: Candidate, price: Price | None) -> TextRates | None:
    """What requests like that one, which is text alone, cost at the candidate; None: that is no one sum."""
    if price is None or candidate.provider.stub or not size.text:
        return None
    (_, read, wrote, request), *others = _rated(price, size)
    if read is None or wrote is None:
        return None
    of = candidate.capability
    window, longest = of.context_tokens or sys.maxsize, of.max_output_tokens or UNKNOWN_OUTPUT
    return TextRates(
        min([window, *(each.above for each in others)]), longest, read, wrote, request
    )


def bound_of(size: Size, candidate: Candidate, price: Price | None) -> int | None:
    """What one try at the candidate can cost, in 10⁻¹² USD; None where no price is known."""
    if candidate.provider.stub:
        return 0
    if price is None:
        return None
    tokens, written, window = size.input, size.output, candidate.capability.context_tokens
    if tokens is None or (window is not None and window < tokens):
        tokens = size.input_at(candidate)
    if written is None or written < LEAST_OUTPUT or size.reasons:
        written = size.output_at(candidate)
    written *= size.copies
    known = _rates.get((id(price), size.caches, size.audio, size.speaks, size.searches))
    most = 0
    for above, read, wrote, request in _rated(price, size) if known is None else known[1]:
        if tokens > above:
            if (read is None and tokens) or (wrote is None and written):
                return None
            most = max(most, (read or 0) * tokens + (wrote or 0) * written + request)
    return most


def _rated(price: Price, size: Size) -> tuple[_Rates, ...]:
    """The rates of a price, made once for each kind of request."""
    key = (id(price), size.caches, size.audio, size.speaks, size.searches)
    known = _rates.get(key)
    if known is not None:
        return known[1]
    if len(_rates) >= _MOST_RATES:
        _rates.clear()
    tiers = ((-1, price), *price.above)
    made = tuple(_tier(start, each, size) for start, each in tiers)
    _rates[key] = (price, made)
    return made


def _tier(start: int, price: Price, size: Size) -> _Rates:
    read = [price.input, price.cache_read, price.image_input]
    wrote = [price.output, price.image_output]
    if size.caches:
        read += [price.cache_write, price.cache_write_1h]
    if size.audio:
        read.append(price.audio_input)
    if size.speaks:
        wrote.append(price.audio_output)
    # What a search costs where it is not listed: its tokens are.
    request = (price.per_request or _NOTHING) + (price.per_search or _NOTHING) * size.searches
    return _Rates(start, _dearest(read), _dearest(wrote), _up(request * PICO))


def _dearest(rates: list[Decimal | None]) -> int | None:
    if rates[0] is None:
        return None
    return _up(max(each for each in rates if each is not None) * _PICO_A_TOKEN)


def _up(pico: Decimal) -> int:
    return int(pico.to_integral_value(ROUND_CEILING))


def output_for(left: int, size: Size, candidate: Candidate, price: Price) -> int:
    """The tokens of an answer that so many 10⁻¹² USD pay for, beside the request; may be none or fewer."""
    empty = msgspec.structs.replace(size, output=0, reasons=False)
    base = bound_of(empty, candidate, price)
    if base is None or left <= base:
        return 0
    tokens = size.input_at(candidate)
    fits = []
    for above, read, wrote, request in _rated(price, size):
        if tokens > above and wrote:
            fits.append((left - (read or 0) * tokens - request) // (wrote * size.copies))
    return min(fits, default=size.output_at(candidate))


def known_usage(usage: Usage, size: Size, candidate: Candidate) -> Usage:
    """The usage that a try can have had at most, by what the provider has told of it before it ended."""
    if usage.output is not None or usage.input is None:
        return usage
    written = size.output_at(candidate) * size.copies
    return msgspec.structs.replace(usage, output=written, apart=None)


def _copies(members: Mapping[str, Raw], dialect: Family) -> int:
    """How many answers are asked for at once."""
    said = members
    if dialect == "gemini":
        config = members.get("generationConfig") or members.get("generation_config")
        said = {} if config is None else _read(_OBJECT, config, {})
    numbers = [_value(said.get(name)) for name in _COPIES]
    most = max([1, *(each for each in numbers if type(each) is int)])
    if dialect == "completions":
        prompts = _value(members.get("prompt"))
        if isinstance(prompts, list) and prompts and isinstance(prompts[0], str | list):
            most *= len(prompts)
    return most


def _is_hosted(members: Mapping[str, Raw], dialect: Family) -> bool:
    """Whether the provider runs tools of its own, which read what is not in the request."""
    if any(name in members for name in _HOSTED):
        return True
    raw = members.get("tools")
    nothing: list[dict[str, Raw]] = []
    for tool in [] if raw is None else _read(_TOOLS, raw, nothing):
        if dialect == "gemini":
            if not tool.keys() <= _DECLARED:
                return True
            continue
        kind = _value(tool.get("type"))
        if isinstance(kind, str) and kind.partition("_")[0] not in _OURS:
            return True
    return False


def _value(raw: Any) -> Any:
    return _read(_ANY, raw, None) if isinstance(raw, Raw) else raw


def _read(decoder: msgspec.json.Decoder[Any], raw: Raw, otherwise: Any) -> Any:
    try:
        return decoder.decode(raw)
    except _UNREADABLE:
        return otherwise
