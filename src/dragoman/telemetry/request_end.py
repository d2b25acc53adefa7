"""What is told of every request that is over: counters, and one line in the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dragoman.core.call import Attempt, Call, Outcome
from dragoman.core.client_address import Networks
from dragoman.core.money import plain
from dragoman.core.usage import Usage
from dragoman.telemetry.error_line import error_line
from dragoman.telemetry.log import LEVELS, AccessLine, Log, timestamp
from dragoman.telemetry.metrics import Metrics
from dragoman.telemetry.redact import redact, redact_url


def started_with(metrics: Metrics) -> Callable[[], None]:
    """Counts a request that is under way."""

    def started() -> None:
        metrics.active += 1

    return started


def opened_with(metrics: Metrics) -> Callable[[int], None]:
    """Counts a WebSocket that is open."""

    def opened(more: int) -> None:
        metrics.sockets += more

    return opened


class Traces(Protocol):
    """Where the traces of calls go."""

    def finished(self, call: Call, duration_s: float) -> None:
        """A call is over."""
        ...

    def consumed(self, call: Call) -> None:
        """The tries of a call are over whose own end was told before."""
        ...


def consumed_with(metrics: Metrics, traces: Traces | None) -> Callable[[Call], None]:
    """What is told of a call whose caller has left before its answer had ended."""

    def consumed(call: Call) -> None:
        metrics.consumed(call)
        if traces is not None and call.sampled:
            traces.consumed(call)

    return consumed


def finished_with(
    metrics: Metrics,
    log: Log,
    errors: Callable[[bytes], None] | None = None,
    traces: Traces | None = None,
    proxies: Networks = (),
) -> Callable[[Call, float], None]:
    """What is told of every request that is over; ``errors`` gets a line of those that failed.

    ``proxies`` are believed about where those came from.
    """
    count, take = metrics.finished, log.take if log.threshold <= LEVELS["info"] else None

    def finished(call: Call, duration_s: float) -> None:
        metrics.active -= 1
        if call.outcome.error_code is not None and errors is not None:
            line = error_line(call, duration_s, proxies)
            if line is not None:
                errors(line)
        count(call, duration_s)
        if traces is not None and call.sampled:
            traces.finished(call, duration_s)
        if take is not None:
            take(line_of(call, duration_s))
        elif _has_failed(call.outcome):
            log.access(line_of(call, duration_s))

    return finished


_REFUSED = 400
_INSIDE = 500


def _has_failed(outcome: Outcome) -> bool:
    return outcome.error_code is not None or outcome.http_status >= _REFUSED


def _level_of(outcome: Outcome) -> str:
    """Of a call that failed: what a caller can mend warns; a broken answer says 200, and is an error."""
    return "warning" if _REFUSED <= outcome.http_status < _INSIDE else "error"


def _tokens_of(usage: Usage) -> dict[str, int] | None:
    """What the provider has told; a number that nobody knows is left out (R-USE-001)."""
    told = {"input": usage.input, "output": usage.billed_output}
    return {name: number for name, number in told.items() if number is not None} or None


def _cost_of(attempt: Attempt) -> str | None:
    """What an attempt has cost; an estimate is left out, as it would look like what was told (D25)."""
    cost = attempt.cost
    return None if cost is None or attempt.cost_from == "estimated" else plain(cost)


def line_of(call: Call, duration_s: float) -> AccessLine:
    """The line of a request; what each has by position, as names cost three times as much, for every call."""
    outcome = call.outcome
    attempt = outcome.standing
    if attempt is None or call.shown is not None:
        return odd_line_of(call, duration_s)
    caller, origin = call.caller, outcome.origin
    first, usage = attempt.first_event_s, attempt.usage
    tokens: dict[str, int] | None = None
    if usage is not None:
        read, written = usage.input, usage.output
        if read is None or written is None or usage.apart is not None:
            tokens = _tokens_of(usage)
        else:
            tokens = {"input": read, "output": written}
    error, status = outcome.error_code, outcome.http_status
    return AccessLine(
        timestamp(call.wall),
        "info" if error is None and status < _REFUSED else _level_of(outcome),
        "request",
        call.request_id,
        call.trace_id,
        call.route,
        status,
        round(duration_s * 1000, 3),
        "dragoman",
        call.id,
        None if caller is None else caller.key_id,
        attempt.provider,
        attempt.model,
        outcome.stream,
        len(outcome.attempts),
        None if first is None else round(first * 1000, 3),
        tokens,
        _cost_of(attempt),
        error,
        None if origin is None else origin.call_id,
    )


def odd_line_of(call: Call, duration_s: float) -> AccessLine:
    """The line of any request: of one that nobody was asked for, too, and with its words where they are shown."""
    outcome, shown = call.outcome, call.shown
    attempt = outcome.served
    usage = attempt.usage if attempt else None
    first = attempt.first_event_s if attempt else None
    return AccessLine(
        timestamp=timestamp(call.wall),
        level=_level_of(outcome) if _has_failed(outcome) else "info",
        message="request",
        request_id=call.request_id,
        trace_id=call.trace_id,
        route=call.route,
        status=outcome.http_status,
        duration_ms=round(duration_s * 1000, 3),
        logger="dragoman",
        call_id=call.id,
        key=call.caller.key_id if call.caller else None,
        provider=attempt.provider if attempt else None,
        model=attempt.model if attempt else None,
        stream=outcome.stream,
        attempts=len(outcome.attempts),
        first_event_ms=round(first * 1000, 3) if first is not None else None,
        tokens=None if usage is None else _tokens_of(usage),
        cost_usd=_cost_of(attempt) if attempt else None,
        error=outcome.error_code,
        replay_of=outcome.origin.call_id if outcome.origin is not None else None,
        url=None if shown is None else redact_url(shown.url),
        body=redact(shown.body) or None if shown is not None else None,
        detail=redact(shown.error) or None if shown is not None else None,
    )


def paged_with(log: Log) -> Callable[[Call, int, float], None]:
    """What is told of every page: a line for who looks closely, for probes ask every second."""

    def paged(call: Call, status: int, duration_s: float) -> None:
        log.access(
            AccessLine(
                timestamp=timestamp(call.wall),
                level="debug",
                message="page",
                request_id=call.request_id,
                trace_id=call.trace_id,
                route=f"{call.method} {call.route}",
                logger="dragoman",
                status=status,
                duration_ms=round(duration_s * 1000, 3),
                key=call.caller.key_id if call.caller else None,
                url=None if call.shown is None else redact_url(call.shown.url),
            )
        )

    return paged
