"""What the ledger shows of a call, made from the call's journal records and nothing else.

The living process and the drainer of a dead one both come through ``entry_of``, so a row is the
same whichever of them writes it. The request's row shows the attempt that served, or the last
that tried; what every attempt consumed stands in its own row. What a crash left open is
``unknown``, its tokens NULL: nothing is guessed (D25).

A call is over with a ``Closed`` of status ``complete`` or with a ``Finished``; ``Calls`` hands
its entry out then, and what is left at the end of a dead process's files was cut by its death.

Text and numbers are made fit for any SQL here, off the data path: no NUL, no lone surrogate,
nothing beyond a BIGINT. One hostile row must not keep a whole batch out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from dragoman.accounting.records import (
    About,
    Closed,
    Finished,
    Opened,
    Record,
    Tokens,
    call_id,
)

_BIGGEST = 2**63 - 1


class Consumed(Struct, frozen=True, gc=False):
    """Tokens and money as both tables show them."""

    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cache_write_1h_tokens: int | None
    reasoning_tokens: int | None
    audio_input_tokens: int | None
    audio_output_tokens: int | None
    web_searches: int | None
    tokens_from: str
    cost_pico: int | None
    cost_from: str


class RequestRow(Struct, frozen=True, gc=False):
    """One call, as its caller is shown it."""

    call_id: str
    request_id: str
    trace_id: str
    tenant: str
    key_id: str
    caller: str
    dialect: str
    operation: str
    requested_model: str
    provider: str | None
    model: str | None
    status: str
    http_status: int | None
    stream: bool
    attempts: int
    consumed: Consumed
    upstream_id: str | None
    """What the provider calls the answer; reconciliation asks by it (R-USE-005)."""
    first_event_s: float | None
    """From the call's first byte, as the caller felt it."""
    duration_s: float | None
    created_us: int
    """Unix microseconds of the call's first byte."""
    error_code: str | None
    losses: str


class AttemptRow(Struct, frozen=True, gc=False):
    """One try at one candidate."""

    attempt_id: str
    call_id: str
    number: int
    tenant: str
    provider: str
    model: str
    credential: str | None
    status: str
    upstream_status: int | None
    upstream_id: str | None
    error_kind: str | None
    consumed: Consumed
    price_source: str
    price_from: str
    first_event_s: float | None
    duration_s: float | None
    created_us: int


class Entry(Struct, frozen=True, gc=False):
    """A call's row and the rows of its attempts; written together or not at all."""

    request: RequestRow
    attempts: tuple[AttemptRow, ...]


def is_over(record: Record) -> bool:
    """Whether nothing of the call comes after this record."""
    return isinstance(record, Finished) or (
        isinstance(record, Closed) and record.status == "complete"
    )


def entry_of(records: Sequence[Record]) -> Entry | None:
    """The entry of one call; None where the beginning of the call is not among its records."""
    opened: dict[str, Opened] = {}
    closed: dict[str, Closed] = {}
    finished: Finished | None = None
    for record in records:
        match record:
            case Opened():
                opened.setdefault(record.attempt_id, record)
            case Closed():
                closed.setdefault(record.attempt_id, record)
            case Finished():
                finished = finished or record
    tries = list(opened.values())
    attempts = tuple(_attempt(begin, closed.get(begin.attempt_id)) for begin in tries)
    if finished is None and not tries:
        return None
    last = tries[-1] if tries else None
    end = closed.get(last.attempt_id) if last else None
    return Entry(_request(last, end, finished, attempts), attempts)


def _request(
    last: Opened | None,
    end: Closed | None,
    finished: Finished | None,
    attempts: tuple[AttemptRow, ...],
) -> RequestRow:
    begin = finished or last
    assert begin is not None
    about = begin.about
    close = finished or end
    return RequestRow(
        call_id=about.call_id,
        request_id=fit(about.request_id),
        trace_id=fit(about.trace_id),
        tenant=fit(about.tenant),
        key_id=fit(about.key_id),
        caller=fit(about.caller),
        dialect=about.dialect,
        operation=about.operation,
        requested_model=fit(begin.requested_model),
        provider=attempts[-1].provider if attempts else None,
        model=attempts[-1].model if attempts else None,
        status=close.status if close else "unknown",
        http_status=_http_status(close),
        stream=begin.stream,
        attempts=len(attempts),
        consumed=attempts[-1].consumed if attempts else _NOTHING,
        upstream_id=attempts[-1].upstream_id if attempts else None,
        first_event_s=_felt(last, end),
        duration_s=close.elapsed_s if close else None,
        created_us=_micros(about.wall),
        error_code=fit(finished.error_code) if finished and finished.error_code else None,
        losses=fit(close.losses, 4096) if close else "",
    )


def _http_status(close: Closed | Finished | None) -> int | None:
    """The status that the caller got; a regular end without one was a 200."""
    if close is None:
        return None
    return close.http_status or (200 if close.status == "complete" else None)


def _felt(last: Opened | None, end: Closed | None) -> float | None:
    if last is None or end is None or end.first_event_s is None:
        return None
    return last.after_s + end.first_event_s


def _attempt(begin: Opened, end: Closed | None) -> AttemptRow:
    about: About = begin.about
    return AttemptRow(
        attempt_id=begin.attempt_id,
        call_id=about.call_id,
        number=begin.number,
        tenant=fit(about.tenant),
        provider=fit(begin.provider),
        model=fit(begin.model),
        credential=fit(begin.credential) if begin.credential is not None else None,
        status=end.status if end else "unknown",
        upstream_status=end.upstream_status if end else None,
        upstream_id=fit(end.upstream_id) if end and end.upstream_id is not None else None,
        error_kind=end.error_kind if end else None,
        consumed=_consumed(end) if end else _NOTHING,
        price_source=begin.price_source,
        price_from=begin.price_from,
        first_event_s=end.first_event_s if end else None,
        duration_s=end.duration_s if end else None,
        created_us=_micros(about.wall + begin.after_s),
    )


def _consumed(end: Closed) -> Consumed:
    tokens: Tokens = end.tokens
    return Consumed(
        input_tokens=_sound(tokens.input),
        output_tokens=_sound(tokens.output),
        cache_read_tokens=_sound(tokens.cache_read),
        cache_write_tokens=_sound(tokens.cache_write),
        cache_write_1h_tokens=_sound(tokens.cache_write_1h),
        reasoning_tokens=_sound(tokens.reasoning),
        audio_input_tokens=_sound(tokens.audio_input),
        audio_output_tokens=_sound(tokens.audio_output),
        web_searches=_sound(tokens.web_searches),
        tokens_from=end.tokens_from,
        cost_pico=_sound(end.cost_pico),
        cost_from=end.cost_from,
    )


_NOTHING = Consumed(None, None, None, None, None, None, None, None, None, "none", None, "none")


def _sound(number: int | None) -> int | None:
    return number if number is not None and 0 <= number <= _BIGGEST else None


def _micros(wall: float) -> int:
    return round(wall * 1_000_000)


def fit(text: str, longest: int = 512) -> str:
    """``text`` as any database takes it; PostgreSQL refuses NUL and lone surrogates."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text.replace("\0", "\ufffd")[:longest]


class Calls:
    """Records in the order of their writing → entries, as calls come to their end."""

    def __init__(self) -> None:
        self._open: dict[str, list[Record]] = {}
        self.orphans = 0
        """Calls whose beginning was in no file that was read."""

    def feed(self, record: Record) -> Entry | None:
        """The call's entry if this record ends it."""
        name = call_id(record)
        if not is_over(record):
            self._open.setdefault(name, []).append(record)
            return None
        return self._settled([*self._open.pop(name, ()), record])

    def rest(self) -> Iterator[Entry]:
        """The entries of the calls that never came to their end."""
        while self._open:
            _, records = self._open.popitem()
            entry = self._settled(records)
            if entry is not None:
                yield entry

    def _settled(self, records: list[Record]) -> Entry | None:
        entry = entry_of(records)
        if entry is None:
            self.orphans += 1
        return entry
