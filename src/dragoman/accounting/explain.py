"""What became of one call, told to its caller: who was chosen and why, every try, times, losses, cost.

Made from the ledger's rows alone, so that it is the same after a restart, at any worker, and whoever asks.
Times are milliseconds from the call's first byte; what nobody knows is null. Of what was said and answered
there is nothing here.
"""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace

from dragoman.accounting.choice import Choice, read_choice
from dragoman.accounting.entry import AttemptRow, Consumed, Entry, RequestRow
from dragoman.accounting.ports import Ledger, Scope
from dragoman.accounting.report import ms, time_of, usd
from dragoman.core.budget import Charge
from dragoman.core.errors import CallerError
from dragoman.credentials.own import is_own

_ENCODER = msgspec.json.Encoder()
_LONGEST_SHOWN = 128


class Skip(Struct, frozen=True):
    """A model that might have been asked and was not."""

    model: str
    reason: str


class Stand(Struct, frozen=True):
    """A candidate, in its place in the line."""

    model: str
    """``provider/model``."""
    outcome: str
    """``answered``, ``failed``, ``outrun``, ``under way`` or ``not tried``."""
    note: str | None = None


class Tokens(Struct, frozen=True):
    """What was consumed, by kind; what few models count is there where it was told."""

    input: int | None
    output: int | None
    cache_read: int | None
    cache_write: int | None
    reasoning: int | None
    cache_write_1h: int | UnsetType = UNSET
    audio_input: int | UnsetType = UNSET
    audio_output: int | UnsetType = UNSET
    image_input: int | UnsetType = UNSET
    image_output: int | UnsetType = UNSET
    web_searches: int | UnsetType = UNSET
    units: str | UnsetType = UNSET
    """As ``images=2 audio_seconds=7``."""


class Paid(Struct, frozen=True):
    """What was set aside for a try in its budgets, and what that came to."""

    budgets: list[str]
    """Each with whose part of it is meant, after a slash, where it is divided."""
    reserved_usd: str
    spent_usd: str
    held_usd: str
    """Held until the cost is known, or the operator releases it."""


class Settled(Struct, frozen=True):
    """Figures that came later, and those before them."""

    at: str
    by: str
    former: Raw


class Try(Struct, frozen=True):
    """One call of a provider."""

    number: int
    attempt_id: str
    model: str
    credential: str | None
    paid_by: str
    """``tenant`` where it was a credential of the tenant's own, else ``house``."""
    status: str
    upstream_status: int | None
    error: str | None
    """The kind of the failure."""
    error_code: str | None
    upstream_id: str | None
    started_ms: float
    first_event_ms: float | None
    """From the start of this try."""
    duration_ms: float | None
    tokens: Tokens
    tokens_from: str
    cost_usd: str | None
    cost_from: str
    price: str | None
    """Where the price is from, and the day since which it holds."""
    budget: Paid | None = None
    """What budgets pay for it; null where none has to."""
    charged_usd: str | None = None
    """What the tenant is charged for it; null: nobody knows yet."""
    settled: Settled | None = None
    """Where later figures have taken the place of the first."""
    service_tier: str | UnsetType = UNSET
    """How the provider has served it, where that was not the usual way."""


class Times(Struct, frozen=True):
    """Where the time went."""

    before_first_attempt_ms: float | None
    """The request's arrival, admission, routing and writing."""
    first_event_ms: float | None
    """The first content of the attempt that answered; of whole replies all of it."""
    total_ms: float | None


class Explanation(Struct, frozen=True):
    """The whole of it."""

    object: str
    call_id: str
    request_id: str
    trace_id: str
    created_at: str
    summary: str
    key_id: str
    caller: str
    dialect: str
    operation: str
    stream: bool
    requested_model: str
    status: str
    http_status: int | None
    error_code: str | None
    strategy: str | None
    candidates: list[Stand]
    skipped: list[Skip]
    attempts: list[Try]
    dropped: list[str]
    adjusted: list[str]
    timings: Times
    cost_usd: str | None
    cost_from: str


async def explained(ledger: Ledger, scope: Scope, name: str) -> bytes:
    """The JSON body for a call of the scope's tenant, by our id of it or by a label (D23).

    Raises:
        CallerError: the tenant has no such call.
    """
    entry = await ledger.entry(scope, name)
    if entry is None:
        shown = name[:_LONGEST_SHOWN]
        raise CallerError(
            "not_found",
            f"No call {shown!r} is known. Say its x-dragoman-call-id or x-request-id; "
            "one that is under way, or was served by another worker a moment ago, is not there yet. Of an "
            "answer that was given again, say its x-dragoman-replay-of.",
            code="not_found",
            param="id",
        )
    found = explain(entry)
    tries = [replace(each, credential=_unnamed(each.credential)) for each in found.attempts]
    return _ENCODER.encode(replace(found, attempts=tries))


def _unnamed(credential: str | None) -> str | None:
    """A login's account is called by its e-mail address, which callers are not told: they can tell two apart."""
    if credential is None or "@" not in credential:
        return credential
    return f"account-{hashlib.sha256(credential.encode()).hexdigest()[:8]}"


def explain(entry: Entry) -> Explanation:
    """The explanation of a call."""
    row, tries = entry.request, entry.attempts
    choice = read_choice(row.choice)
    names = choice.candidates or tuple(dict.fromkeys(map(_name, tries)))
    return Explanation(
        object="explanation",
        call_id=row.call_id,
        request_id=row.request_id,
        trace_id=row.trace_id,
        created_at=time_of(row.created_us),
        summary=_summary(row, tries),
        key_id=row.key_id,
        caller=row.caller,
        dialect=row.dialect,
        operation=row.operation,
        stream=row.stream,
        requested_model=row.requested_model,
        status=row.status,
        http_status=row.http_status,
        error_code=row.error_code,
        strategy=choice.strategy,
        candidates=[_stand(name, tries, choice) for name in names],
        skipped=[Skip(each.model, each.reason) for each in choice.skipped],
        attempts=[_try(row, each) for each in tries],
        dropped=_listed(row.losses),
        adjusted=_listed(row.adjusted),
        timings=Times(
            _since(row, tries[0]) if tries else None, ms(row.first_event_s), ms(row.duration_s)
        ),
        cost_usd=_usd_of(entry),
        cost_from=row.consumed.cost_from,
    )


def _name(attempt: AttemptRow) -> str:
    return f"{attempt.provider}/{attempt.model}"


def _stand(name: str, tries: tuple[AttemptRow, ...], choice: Choice) -> Stand:
    passed = [each.reason for each in choice.passed if each.model == name]
    note = passed[-1] if passed else None
    if note is None and name in choice.resting:
        note = "its breaker was open or its keys had to wait, so it stood last"
    own = [each for each in tries if _name(each) == name]
    if not own:
        return Stand(name, "not tried", note)
    ends = {each.status for each in own}
    if "complete" in ends:
        return Stand(name, "answered", note)
    if own[-1].status == "hedge_lost":
        return Stand(name, "outrun", note)
    return Stand(name, "under way" if own[-1].status == "unknown" else "failed", note)


def _try(row: RequestRow, attempt: AttemptRow) -> Try:
    used = attempt.consumed
    return Try(
        number=attempt.number,
        attempt_id=attempt.attempt_id,
        model=_name(attempt),
        credential=attempt.credential,
        paid_by="tenant" if is_own(attempt.credential) else "house",
        status=attempt.status,
        upstream_status=attempt.upstream_status,
        error=attempt.error_kind,
        error_code=attempt.error_code,
        upstream_id=attempt.upstream_id,
        started_ms=_since(row, attempt),
        first_event_ms=ms(attempt.first_event_s),
        duration_ms=ms(attempt.duration_s),
        tokens=_tokens(used),
        tokens_from=used.tokens_from,
        cost_usd=None if used.cost_pico is None else usd(used.cost_pico),
        cost_from=used.cost_from,
        price=" ".join(filter(None, (attempt.price_source, attempt.price_from))) or None,
        budget=None if attempt.charge is None else _paid(attempt.charge),
        charged_usd=None if attempt.charged_pico is None else usd(attempt.charged_pico),
        settled=_settled(attempt),
        service_tier=used.service_tier or UNSET,
    )


def _settled(attempt: AttemptRow) -> Settled | None:
    if attempt.settled_us is None:
        return None
    former = Raw((attempt.former or "{}").encode())
    return Settled(time_of(attempt.settled_us), attempt.settled_from or "", former)


def _paid(charge: Charge) -> Paid:
    return Paid(
        ["/".join(filter(None, payer)) for payer in charge.stake.payers],
        usd(charge.stake.pico),
        usd(charge.spent),
        usd(charge.held),
    )


def _tokens(used: Consumed) -> Tokens:
    return Tokens(
        used.input_tokens,
        used.output_tokens,
        used.cache_read_tokens,
        used.cache_write_tokens,
        used.reasoning_tokens,
        _told(used.cache_write_1h_tokens),
        _told(used.audio_input_tokens),
        _told(used.audio_output_tokens),
        _told(used.image_input_tokens),
        _told(used.image_output_tokens),
        _told(used.web_searches),
        used.units or UNSET,
    )


def _told(number: int | None) -> int | UnsetType:
    return UNSET if number is None else number


def _since(row: RequestRow, attempt: AttemptRow) -> float:
    return max(0.0, (attempt.created_us - row.created_us) / 1000)


def _usd_of(entry: Entry) -> str | None:
    """What all attempts have cost, as far as it is known."""
    known = [each.consumed.cost_pico for each in entry.attempts]
    if not entry.attempts:
        known = [entry.request.consumed.cost_pico]
    costs = [pico for pico in known if pico is not None]
    return usd(sum(costs)) if costs else None


def _listed(text: str) -> list[str]:
    return text.split(", ") if text else []


def _summary(row: RequestRow, tries: tuple[AttemptRow, ...]) -> str:
    """One sentence for people."""
    if row.consumed.cost_from == "cache":
        return f"The cache gave what {row.provider}/{row.model} had answered before."
    if not tries:
        why = f" ({row.error_code})" if row.error_code else ""
        return f"No provider was asked: the call ended as {row.status}{why}."
    told = [f"{_name(each)} {_ending(each)}" for each in tries]
    return "; then ".join(told) + "."


def _ending(attempt: AttemptRow) -> str:
    took = f" after {attempt.duration_s * 1000:.0f} ms" if attempt.duration_s is not None else ""
    match attempt.status:
        case "complete":
            return f"answered{took}"
        case "client_cut":
            return f"was cut off{took}: its caller left"
        case "hedge_lost":
            return f"was ended{took}: another try was quicker"
        case "unknown":
            return "was asked, and how it ended is not known"
        case _:
            why = attempt.error_code or attempt.upstream_status or attempt.status
            return f"failed{took} ({why})"
