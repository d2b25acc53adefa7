"""What the ledger shows of a call, made from the call's journal records and nothing else.

The living process and the drainer of a dead one both come through ``entry_of``, so a row is the
same whichever of them writes it. The request's row shows the attempt that served, or the last
that tried, never one that another beside it has outrun; what every attempt consumed stands in its
own row. What a crash left open is ``unknown``, its tokens NULL: nothing is guessed (D25).

A call is over with a ``Closed`` of status ``complete`` or with a ``Finished``; ``Calls`` hands
its entry out then, and what is left at the end of a dead process's files was cut by its death.

Text and numbers are made fit for any SQL on the way (``fitting.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from dragoman.accounting.charging import charge_of
from dragoman.accounting.fitting import fit, fit_begin, fit_end, fit_finished
from dragoman.accounting.records import (
    About,
    Closed,
    Finished,
    Opened,
    Record,
    Tokens,
    call_id,
)
from dragoman.core.budget import Charge, Payer

_REGULAR = 2
"""Records of a call whose one attempt has ended well."""


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
    image_input_tokens: int | None = None
    image_output_tokens: int | None = None
    units: str = ""
    """What is counted otherwise than in tokens: ``images=2 audio_seconds=7``."""
    service_tier: str = ""
    """By which prices, where not by the usual: ``flex``, ``priority``, ``fast us``."""


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
    adjusted: str
    """What had to be filled in, as the caller was told it."""
    choice: str
    """How it was chosen who is tried (``choice.py``)."""
    project: str = ""
    end_user: str = ""
    tags: str = ""
    """Sorted, joined by commas (``tags.py``)."""
    charged_pico: int | None = None
    """What the tenant is charged for it; None: nobody knows yet."""
    other_cost_pico: int = 0
    """What its other attempts have cost, as far as it is known: ``consumed`` is of the one that is shown."""


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
    error_code: str | None
    consumed: Consumed
    price_source: str
    price_from: str
    first_event_s: float | None
    duration_s: float | None
    created_us: int
    charge: Charge | None = None
    """What budgets pay for it."""
    served: bool = False
    """Whether the call's row shows this one."""
    terms: str = ""
    """What the tenant is charged (``charging.py``)."""
    charged_pico: int | None = None
    settled_us: int | None = None
    """When a later figure took the place of the first."""
    settled_from: str | None = None
    """Who told it."""
    former: str | None = None
    """The figures before that, as JSON (``settling.py``)."""


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
    if len(records) == _REGULAR:
        # One attempt and its end, where ``served.py`` has not told it already: calls with a loss or an adjustment,
        # and those whose provider is asked afterwards.
        begin, end = records
        if (
            isinstance(begin, Opened)
            and isinstance(end, Closed)
            and begin.attempt_id == end.attempt_id
        ):
            return _entry([(fit_begin(begin), fit_end(end))], None)
    opened: dict[str, Opened] = {}
    closed: dict[str, Closed] = {}
    finished: Finished | None = None
    for record in records:
        match record:
            case Opened():
                opened.setdefault(record.attempt_id, fit_begin(record))
            case Closed():
                closed.setdefault(record.attempt_id, fit_end(record))
            case Finished():
                finished = finished or fit_finished(record)
    tries = [(begin, closed.get(begin.attempt_id)) for begin in opened.values()]
    if not tries and finished is None:
        return None
    return _entry(tries, finished, _standing(tries, list(closed)))


def _standing(tries: list[tuple[Opened, Closed | None]], closed: list[str]) -> int:
    """The place of the attempt that served, or the last that tried: two may be under way at once.

    It is the last to end: who loses is closed before the other goes on.
    """
    ends = {attempt_id: place for place, attempt_id in enumerate(closed)}

    def rank(place: int) -> tuple[int, int]:
        begin, end = tries[place]
        return (len(ends), place) if end is None else (ends[begin.attempt_id], place)

    return max(range(len(tries)), key=rank, default=-1)


def _entry(
    tries: list[tuple[Opened, Closed | None]], finished: Finished | None, place: int = -1
) -> Entry:
    last, end = tries[place] if tries else (None, None)
    newest = finished or end
    http_status = _http_status(newest)
    if len(tries) == 1:
        shown: AttemptRow | None = _attempt(*tries[0], http_status, served=True)
        attempts: tuple[AttemptRow, ...] = (shown,) if shown else ()
    else:
        served = tries[place] if tries else None
        attempts = tuple([_attempt(*each, http_status, served=each is served) for each in tries])
        shown = attempts[place] if attempts else None
    choice = newest.choice if newest is not None else ""
    if not choice and tries:
        choice = tries[0][0].choice
    return Entry(_request(last, end, finished, shown, attempts, choice), attempts)


def _request(
    last: Opened | None,
    end: Closed | None,
    finished: Finished | None,
    shown: AttemptRow | None,
    attempts: tuple[AttemptRow, ...],
    choice: str,
) -> RequestRow:
    """The call's row; by position, as names cost five times as much, for every call."""
    begin = finished or last
    assert begin is not None
    about = begin.about
    close = finished or end
    return RequestRow(
        about.call_id,
        about.request_id,
        about.trace_id,
        about.tenant,
        about.key_id,
        about.caller,
        about.dialect,
        about.operation,
        begin.requested_model,
        shown.provider if shown else (finished.provider if finished else None),
        shown.model if shown else (finished.model if finished else None),
        close.status if close else "unknown",
        _http_status(close),
        begin.stream,
        len(attempts),
        shown.consumed if shown else _unattempted(finished),
        shown.upstream_id if shown else None,
        _felt(last, end),
        close.elapsed_s if close else None,
        _micros(about.wall),
        finished.error_code if finished else None,
        close.losses if close else "",
        close.adjusted if close else "",
        choice,
        about.project,
        about.end_user,
        about.tags,
        shown.charged_pico if shown else 0,
        other_cost(attempts) if len(attempts) > 1 else 0,
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


def other_cost(attempts: Sequence[AttemptRow]) -> int:
    """What the attempts have cost that the call's row does not show, as far as it is known."""
    return sum(row.consumed.cost_pico or 0 for row in attempts if not row.served)


_ANSWERING = frozenset({"complete", "client_cut", "upstream_cut", "timeout"})
"""Ends of an attempt whose caller has got an answer, or the beginning of one."""
_REFUSED = 400


def charged(
    status: str, http_status: int | None, cost_pico: int | None, terms: str, *, served: bool
) -> int | None:
    """What the tenant is charged for an attempt; None: nobody knows (M7).

    Whoever got no answer is charged nothing; who left before its end is, as it was made for him.
    """
    if not served:
        return 0
    if status == "unknown":
        return charge_of(cost_pico, terms)
    if status not in _ANSWERING:
        return 0
    if (http_status or 0) >= _REFUSED and status != "client_cut":
        return 0
    return charge_of(cost_pico, terms)


def _attempt(
    begin: Opened, end: Closed | None, http_status: int | None, *, served: bool
) -> AttemptRow:
    about: About = begin.about
    consumed = _consumed(end) if end else _NOTHING
    status = end.status if end else "unknown"
    return AttemptRow(
        begin.attempt_id,
        about.call_id,
        begin.number,
        about.tenant,
        begin.provider,
        begin.model,
        begin.credential,
        status,
        end.upstream_status if end else None,
        end.upstream_id if end else None,
        end.error_kind if end else None,
        end.error_code if end else None,
        consumed,
        begin.price_source,
        begin.price_from,
        end.first_event_s if end else None,
        end.duration_s if end else None,
        _micros(about.wall + begin.after_s),
        charge_for(begin, end) if begin.stake is not None else None,
        served,
        begin.terms,
        charged(status, http_status, consumed.cost_pico, begin.terms, served=served),
    )


def charge_for(begin: Opened, end: Closed | None) -> Charge:
    """What budgets pay: the ledger's number, or what they hold where it has none (D27)."""
    stake = begin.stake
    assert stake is not None, "only who has set something aside is charged"
    payers = fit_payers(stake.payers)
    if payers is not stake.payers:
        stake = replace(stake, payers=payers)
    if end is None:
        return Charge(stake, begin.about.wall, 0, stake.pico)
    if end.cost_pico is not None:
        return Charge(stake, begin.about.wall, end.cost_pico, 0)
    return Charge(stake, begin.about.wall, 0, end.held_pico)


@lru_cache(maxsize=1024)
def fit_payers(payers: tuple[Payer, ...]) -> tuple[Payer, ...]:
    """Payers as the ledger takes their names; the same few at nearly every call."""
    fitting = tuple(Payer(*map(fit, payer)) for payer in payers)
    return payers if fitting == payers else fitting


def _consumed(end: Closed) -> Consumed:
    return consumed_of(end.tokens, end.tokens_from, end.cost_pico, end.cost_from, end.service_tier)


def consumed_of(
    tokens: Tokens,
    tokens_from: str,
    cost_pico: int | None,
    cost_from: str,
    service_tier: str,
) -> Consumed:
    """What was consumed, as both tables show it."""
    return Consumed(
        tokens.input,
        tokens.output,
        tokens.cache_read,
        tokens.cache_write,
        tokens.cache_write_1h,
        tokens.reasoning,
        tokens.audio_input,
        tokens.audio_output,
        tokens.web_searches,
        tokens_from,
        cost_pico,
        cost_from,
        tokens.image_input,
        tokens.image_output,
        _units(tokens) if tokens.images or tokens.audio_seconds else "",
        service_tier,
    )


def _units(tokens: Tokens) -> str:
    told = (("images", tokens.images), ("audio_seconds", tokens.audio_seconds))
    return " ".join(f"{name}={number}" for name, number in told if number)


def _unattempted(finished: Finished | None) -> Consumed:
    """What a call has consumed for which nobody was asked; of the cache's it is known to be nothing."""
    return _CACHED if finished is not None and finished.cached else _NOTHING


_CACHED = Consumed(0, 0, 0, 0, 0, 0, 0, 0, 0, "cache", 0, "cache")
_NOTHING = Consumed(None, None, None, None, None, None, None, None, None, "none", None, "none")


def _micros(wall: float) -> int:
    return round(wall * 1_000_000)


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
