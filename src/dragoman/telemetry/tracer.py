"""What becomes of a call that is over, as a trace: whether it is recorded, its spans, and where they go."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from dragoman import __version__
from dragoman.core.call import Call, Outcome
from dragoman.telemetry.exporter import Bounds, Exporter
from dragoman.telemetry.otlp import resource, scope
from dragoman.telemetry.sampling import Sampler
from dragoman.telemetry.sending import (
    Compression,
    ConsoleSending,
    GrpcSending,
    HttpSending,
    Sending,
)
from dragoman.telemetry.span_pairs import Note, Pairs
from dragoman.telemetry.spans import Addresses, spans_of, told_of, tries_of

_T = TypeVar("_T")
AT_ONCE = 32
"""Calls whose spans are written in one go: one by one, between other work, each takes twice the time."""


@dataclass(frozen=True, slots=True)
class Tracing:
    """What the operator wants of traces."""

    sampler: Sampler
    resource: Mapping[str, str]
    endpoint: str | None = None
    """The whole URL, or for gRPC the host and port; None: nobody gets them over the network."""
    grpc: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 10.0
    compression: Compression = "none"
    ca_file: Path | None = None
    console: bool = False
    bounds: Bounds = field(default_factory=Bounds)
    passes_state: bool = False
    """Whether providers get the caller's ``tracestate``."""


class Tracer:
    """The traces of one process."""

    def __init__(
        self,
        sampler: Sampler,
        exporter: Exporter,
        addresses: Addresses,
    ) -> None:
        self.sample = sampler
        self.exporter = exporter
        self._addresses = addresses
        self._pairs = Pairs(addresses)
        self._note = self._pairs.note
        # The spans of these go together: no more of them than one batch may have.
        self._at_once = max(1, min(AT_ONCE, exporter.bounds.batch // 2))
        self._notes: deque[Note] = deque()
        self._over: deque[tuple[Call, float]] = deque()
        """Calls that are none of a pair."""
        exporter.more = self._write

    @property
    def waiting(self) -> int:
        """Spans that wait to be sent, and calls that wait to become spans."""
        return self.exporter.waiting + len(self._notes) + len(self._over)

    def finished(self, call: Call, duration_s: float) -> None:
        """A call has been answered; where a try outlives that, it is told once that has ended too."""
        try:
            note = self._note(call, duration_s)
            if note is None:
                self._finished_oddly(call, duration_s)
                return
        except Exception as error:  # noqa: BLE001  the request is behind it, which traces never break
            self._lose(call, error)
            return
        notes = self._notes
        notes.append(note)
        if len(notes) >= self._at_once:
            self._write()

    def _finished_oddly(self, call: Call, duration_s: float) -> None:
        for attempt in call.outcome.attempts:
            if attempt.duration_s is None:
                call.ended += (partial(self._late, call, duration_s),)
                return
        self._put(call, duration_s)

    def _late(self, call: Call, duration_s: float, outcome: Outcome) -> None:
        del outcome
        try:
            self._put(call, duration_s)
        except Exception as error:  # noqa: BLE001  as above
            self._lose(call, error)

    def _put(self, call: Call, duration_s: float) -> None:
        call.asked = told_of(call.asked)
        self._over.append((call, duration_s))
        if len(self._over) >= AT_ONCE:
            self._write()

    def _write(self) -> None:
        """Makes the spans of all calls that wait for it; the loop and the exporter's thread may both do so."""
        notes = _all_of(self._notes)
        if notes:
            try:
                self.exporter.put(self._pairs.spans(notes), 2 * len(notes))
            except Exception:  # noqa: BLE001  a request may be behind it, which traces never break
                self._write_each(notes)
        for call, duration_s in _all_of(self._over):
            try:
                spans = spans_of(call, duration_s, self._addresses)
            except Exception as error:  # noqa: BLE001  as above
                self._lose(call, error)
            else:
                self._give(spans)

    def _write_each(self, notes: Sequence[Note]) -> None:
        """Has those spans that can be made, where some of them cannot."""
        for note in notes:
            try:
                spans = self._pairs.spans([note])
            except Exception as error:  # noqa: BLE001  as above
                self.exporter.lose(2, type(error).__name__)
            else:
                self.exporter.put(spans, 2)

    def consumed(self, call: Call) -> None:
        """The tries of a call whose own end was told before."""
        try:
            self._give(tries_of(call, self._addresses))
        except Exception as error:  # noqa: BLE001  as above
            self.exporter.lose(len(call.outcome.attempts), type(error).__name__)

    def _lose(self, call: Call, error: Exception) -> None:
        self.exporter.lose(1 + len(call.outcome.attempts), type(error).__name__)

    def _give(self, spans: Sequence[bytes]) -> None:
        if spans:
            self.exporter.put(b"".join(spans), len(spans))


def _all_of(waiting: deque[_T]) -> list[_T]:
    """Takes what waits, of which another thread may take some, too."""
    found: list[_T] = []
    with suppress(IndexError):
        found.extend(iter(waiting.popleft, None))
    return found


def open_tracer(
    tracing: Tracing,
    addresses: Addresses,
    notice: Callable[[str, str], None],
) -> Tracer | None:
    """The tracer, its exporter started; None where nobody would get anything.

    ``notice`` is told what is the matter, in whichever thread.
    """
    sendings: list[Sending] = []
    if tracing.endpoint is not None:
        sending = GrpcSending if tracing.grpc else HttpSending
        head = resource(tracing.resource), scope("dragoman", __version__)
        try:
            sendings.append(
                sending(
                    tracing.endpoint,
                    head,
                    headers=tracing.headers,
                    timeout_s=tracing.timeout_s,
                    compression=tracing.compression,
                    ca_file=tracing.ca_file,
                )
            )
        except ImportError:
            notice(
                "warn",
                "traces are not exported: OTLP over gRPC needs an extra, pip install 'dragoman[otel]'; "
                "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf needs none",
            )
        except (ValueError, OSError) as error:
            # Its words may quote the endpoint, and there a secret.
            why = type(error).__name__
            notice("warn", f"traces are not exported: the OTLP endpoint cannot be used ({why})")
    if tracing.console:
        sendings.append(ConsoleSending())
    if not sendings:
        return None
    exporter = Exporter(sendings, tracing.bounds, notice)
    exporter.start()
    return Tracer(tracing.sampler, exporter, addresses)
