"""Sums and calls as they go out, whoever asks for them and in whichever form.

Amounts go out as plain decimal strings (D24), and sums of estimated numbers apart from real
ones (D25).
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from msgspec import UNSET, Struct, UnsetType

from dragoman.accounting.ports import MEDIA, Line, Sums
from dragoman.core.errors import CallerError, invalid
from dragoman.core.money import from_pico

_PLACES = 12


class Estimated(Struct, frozen=True):
    """Sums of numbers that nobody reported."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: str | None


class Totals(Struct, frozen=True):
    """Sums over calls; ``unknown_usage`` of them consumed what nobody has told us.

    A cost of which no part is known is None. The names of groups are there where they group.
    """

    requests: int
    failed_requests: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: str | None
    charged_usd: str | None
    """What the tenant is charged for it."""
    estimated: Estimated
    unknown_usage: int
    unknown_cost: int
    other_cost_usd: str
    """What tries have cost that served nobody (retries, those outrun): nobody is charged for it, and it is in no
    other sum."""
    audio_input_tokens: int
    """Of the input, as are those of images; each of the output likewise."""
    audio_output_tokens: int
    image_input_tokens: int
    image_output_tokens: int
    web_searches: int
    images: int
    """Pictures that were made."""
    audio_seconds: int
    """Sound that was listened to, where that is billed by its length."""
    day: str | UnsetType | None = UNSET
    month: str | UnsetType | None = UNSET
    tenant: str | UnsetType | None = UNSET
    key_id: str | UnsetType | None = UNSET
    provider: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    caller: str | UnsetType | None = UNSET
    root: str | UnsetType | None = UNSET
    project: str | UnsetType | None = UNSET
    end_user: str | UnsetType | None = UNSET
    tag: str | UnsetType | None = UNSET


class Shown(Struct, frozen=True, gc=False):
    """One call, as its caller sees it; None is unknown."""

    request_id: str
    call_id: str
    created_at: str
    status: str
    http_status: int | None
    stream: bool
    dialect: str
    operation: str
    caller: str
    requested_model: str
    provider: str | None
    model: str | None
    generation_id: str | None
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    tokens_from: str
    estimated: bool
    cost_usd: str | None
    cost_from: str
    first_event_ms: float | None
    latency_ms: float | None
    error_code: str | None
    charged_usd: str | None = None
    project: str = ""
    end_user: str = ""
    tags: list[str] = []
    cache_write_1h_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_input_tokens: int | None = None
    image_output_tokens: int | None = None
    web_searches: int | None = None
    units: str = ""
    """What is counted otherwise than in tokens, as ``images=2 audio_seconds=7``."""
    service_tier: str = ""
    """How the provider has served it; empty: as usual."""
    other_cost_usd: str = "0"
    """What its other tries have cost, as far as it is known."""


def parse_moment(name: str, text: str | None) -> int | None:
    """Unix microseconds of an ISO 8601 date or time, or of Unix seconds; a refusal says ``name``."""
    if not text:
        return None
    try:
        if text.isascii() and text.isdigit():
            moment = datetime.fromtimestamp(int(text), UTC)
        else:
            # A plus sign in a query that was not encoded arrives as a space.
            moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        raise _bad_moment(name, text) from None
    return round(moment.timestamp() * 1_000_000)


def _bad_moment(name: str, text: str) -> CallerError:
    return invalid(
        f"{name} is {text[:40]!r}; it must be an ISO 8601 time such as 2026-01-31T12:00:00Z, "
        "or Unix seconds.",
        name,
    )


def add(into: Sums, sums: Sums) -> None:
    """Adds ``sums`` to ``into``."""
    for name in Sums.__struct_fields__:
        setattr(into, name, getattr(into, name) + getattr(sums, name))


def totals(sums: Sums, **names: str | None) -> Totals:
    """Sums as they go out, with the names of their group."""
    priceless = _is_priceless(sums)
    return Totals(
        requests=sums.requests,
        failed_requests=sums.failed,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        total_tokens=sums.input_tokens + sums.output_tokens,
        cache_read_tokens=sums.cache_read_tokens,
        cache_write_tokens=sums.cache_write_tokens,
        reasoning_tokens=sums.reasoning_tokens,
        cost_usd=None if priceless else usd(sums.cost_pico),
        charged_usd=None if priceless else usd(sums.charged_pico),
        estimated=Estimated(
            sums.estimated_requests,
            sums.estimated_input_tokens,
            sums.estimated_output_tokens,
            None
            if priceless and sums.estimated_requests and not sums.estimated_cost_pico
            else usd(sums.estimated_cost_pico),
        ),
        unknown_usage=sums.unknown_tokens,
        unknown_cost=sums.unknown_cost,
        other_cost_usd=usd(sums.other_cost_pico),
        audio_input_tokens=sums.audio_input_tokens,
        audio_output_tokens=sums.audio_output_tokens,
        image_input_tokens=sums.image_input_tokens,
        image_output_tokens=sums.image_output_tokens,
        web_searches=sums.web_searches,
        images=sums.images,
        audio_seconds=sums.audio_seconds,
        **names,
    )


def media_of(sums: Sums) -> dict[str, int]:
    """Tokens of sound and pictures, and what is counted otherwise than in tokens; only what there is of it."""
    return {name: number for name in MEDIA if (number := getattr(sums, name))}


def known_cost(sums: Sums) -> Decimal | None:
    """What the calls have cost as far as anybody knows; None where nobody knows of any."""
    return None if _is_priceless(sums) else from_pico(sums.cost_pico)


def _is_priceless(sums: Sums) -> bool:
    """Whether nobody has told the cost of any call that can have cost something.

    What failed may have cost nothing for certain, so it does not make the others' cost known.
    """
    answered = sums.requests - sums.failed
    others = sums.unknown_cost + sums.estimated_requests
    return sums.unknown_cost > 0 and sums.cost_pico == 0 and others >= answered


def usd(pico: int) -> str:
    """10⁻¹² USD as a plain decimal string; equal to ``money.plain(money.from_pico(pico))``.

    By text, as a report may hold a hundred thousand of them (0.3 µs against 1.6 µs).
    """
    digits = f"{abs(pico):013}"
    fraction = digits[-_PLACES:].rstrip("0")
    whole = digits[:-_PLACES]
    sign = "-" if pico < 0 else ""
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"


def shown(line: Line) -> Shown:
    """A line as it goes out."""
    return Shown(
        request_id=line.request_id,
        call_id=line.call_id,
        created_at=time_of(line.created_us),
        status=line.status,
        http_status=line.http_status,
        stream=line.stream,
        dialect=line.dialect,
        operation=line.operation,
        caller=line.caller,
        requested_model=line.requested_model,
        provider=line.provider,
        model=line.model,
        generation_id=line.upstream_id,
        attempts=line.attempts,
        input_tokens=line.input_tokens,
        output_tokens=line.output_tokens,
        cache_read_tokens=line.cache_read_tokens,
        cache_write_tokens=line.cache_write_tokens,
        reasoning_tokens=line.reasoning_tokens,
        tokens_from=line.tokens_from,
        estimated="estimated" in {line.tokens_from, line.cost_from},
        cost_usd=usd(line.cost_pico) if line.cost_pico is not None else None,
        cost_from=line.cost_from,
        first_event_ms=ms(line.first_event_s),
        latency_ms=ms(line.duration_s),
        error_code=line.error_code,
        charged_usd=usd(line.charged_pico) if line.charged_pico is not None else None,
        project=line.project,
        end_user=line.end_user,
        tags=line.tags.split(",") if line.tags else [],
        cache_write_1h_tokens=line.cache_write_1h_tokens,
        audio_input_tokens=line.audio_input_tokens,
        audio_output_tokens=line.audio_output_tokens,
        image_input_tokens=line.image_input_tokens,
        image_output_tokens=line.image_output_tokens,
        web_searches=line.web_searches,
        units=line.units,
        service_tier=line.service_tier,
        other_cost_usd=usd(line.other_cost_pico),
    )


def ms(seconds: float | None) -> float | None:
    """Seconds as milliseconds."""
    return round(seconds * 1000, 3) if seconds is not None else None


def time_of(micros: int) -> str:
    """Unix microseconds as a time of ISO 8601."""
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{micros % 1_000_000:06}Z"
