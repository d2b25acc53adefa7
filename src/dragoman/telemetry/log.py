"""Log lines: JSON or text to standard error, redacted, never in the way of a request.

structlog builds the lines of the control side. The line of a request is taken by ``access``,
and msgspec encodes all that wait at once (R-OBS-005), for it stands on the data path. A line that cannot be
written (disk full, pipe closed or never read) is counted and dropped: serving goes on (D9).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

from dragoman.telemetry.outlet import Outlet
from dragoman.telemetry.redact import is_plain_id, redact, redact_member
from dragoman.telemetry.sink import Sink

LEVELS = {
    "debug": 10,
    "info": 20,
    "warn": 30,
    "warning": 30,
    "error": 40,
    "critical": 50,
    "silent": 100,
}

SOON_S = 0.05
"""How long a request's line may wait for company: one write for many."""
_MOST_WAITING = 256
"""Lines of one write: waking the thread costs as much as a dozen of them."""

_LONGEST = 160
"""Characters of one word in a line for people."""

_ENCODER = msgspec.json.Encoder()


class AccessLine(msgspec.Struct, gc=False, omit_defaults=True):
    """What is told of a request: no word of its content, no key."""

    timestamp: str
    level: str
    message: str
    request_id: str
    trace_id: str
    route: str
    status: int
    duration_ms: float
    logger: str
    call_id: str | None = None
    key: str | None = None
    provider: str | None = None
    model: str | None = None
    stream: bool | None = None
    attempts: int = 0
    first_event_ms: float | None = None
    tokens: dict[str, int] | None = None
    cost_usd: str | None = None
    error: str | None = None
    replay_of: str | None = None
    """The call whose answer was given again."""
    url: str | None = None
    """This and the next two only with LOG_SENSITIVE_PAYLOADS."""
    body: str | None = None
    detail: str | None = None


class Log:
    """Where lines go: a file descriptor or a sink, a threshold and a form."""

    def __init__(self, level: str = "info", form: str = "json", place: int | Sink = 2) -> None:
        self.threshold = LEVELS[level]
        self.form = form
        self.outlet = Outlet(place)
        self.later: Callable[[], object] | None = None
        """Has ``flush`` called soon; while it is None, every line is written at once."""
        self._told = 0
        self._unsaid = 0
        self._waiting: list[AccessLine] = []
        renderer: Any = (
            structlog.dev.ConsoleRenderer(colors=False)
            if form == "text"
            else structlog.processors.JSONRenderer(serializer=_dumps)
        )
        self._logger: Any = structlog.wrap_logger(
            self,
            processors=[_stamp, _redact, renderer],
            wrapper_class=structlog.make_filtering_bound_logger(min(self.threshold, 50)),
        )

    @property
    def lost(self) -> int:
        """Lines that could not be written."""
        return self.outlet.lost + self._unsaid

    @property
    def waiting(self) -> int:
        """Requests' lines that wait for company, and pieces that wait for the thread."""
        return len(self._waiting) + self.outlet.waiting

    def close(self) -> None:
        """Writes what waits; whatever comes after is written at once."""
        self.later = None
        self.flush()
        self.outlet.stop()

    def event(self, level: str, message: str, **members: object) -> None:
        """One line of the control side."""
        if LEVELS[level] >= self.threshold:
            getattr(self._logger, level)(message, **members)

    def access(self, line: AccessLine) -> None:
        """The line of one request, if its level is to be told."""
        if LEVELS[line.level] >= self.threshold:
            self.take(line)

    def take(self, line: AccessLine) -> None:
        """The line of one request."""
        if self.form == "text":
            self._write(redact(_sentence(line)).encode("utf-8", "replace") + b"\n")
        elif self.later is None:
            self._write(self._encoded([line]))
        else:
            waiting = self._waiting
            waiting.append(line)
            if len(waiting) == 1:
                self.later()
            elif len(waiting) >= _MOST_WAITING:
                self.flush()

    def flush(self) -> None:
        """Writes the requests' lines that wait, all in one."""
        if self._waiting:
            lines, self._waiting = self._waiting, []
            self._write(self._encoded(lines), len(lines))

    def _encoded(self, lines: list[AccessLine]) -> bytes:
        for line in lines:
            _clean(line)
        try:
            return _ENCODER.encode_lines(lines)
        except UnicodeEncodeError:
            return b"".join(map(self._encoded_if_it_can_be, lines))

    def _encoded_if_it_can_be(self, line: AccessLine) -> bytes:
        try:
            return _ENCODER.encode(line) + b"\n"
        except UnicodeEncodeError:  # half a character in a foreign name
            self._unsaid += 1
            return b""

    def _write(self, piece: bytes, lines: int = 1) -> None:
        outlet = self.outlet
        if outlet.put(piece, lines) and outlet.refused > self._told:
            number, self._told = outlet.refused - self._told, outlet.refused
            self.event("warn", "log lines were lost, as nobody read them", number=number)

    def msg(self, line: str | bytes) -> None:
        """What structlog calls with a finished line."""
        piece = line if isinstance(line, bytes) else line.encode("utf-8", "replace")
        self._write(piece + b"\n")

    debug = info = warn = warning = error = critical = msg


_REMEMBERED = 256
"""Characters of a word that is remembered: callers choose models' names, and how long they are."""
_remembered = lru_cache(maxsize=1024)(redact)


def _clean(line: AccessLine) -> None:
    """Takes keys out of what callers write; the usual words are known to hold none (0.5 µs a line)."""
    if not is_plain_id(line.request_id):
        line.request_id = redact(line.request_id)
    model, error = line.model, line.error
    if model is not None:
        line.model = _remembered(model) if len(model) <= _REMEMBERED else redact(model)
    if error is not None:  # a provider's word, where it has one
        line.error = _remembered(error) if len(error) <= _REMEMBERED else redact(error)


def _sentence(line: AccessLine) -> str:
    """The line for people: what is known, in one order, the odd things last."""
    tokens = line.tokens or {}
    said = [line.timestamp, line.level.ljust(5), str(line.status), line.route]
    if line.model is not None:
        said.append(f"{line.provider}/{line.model}" if line.provider else line.model)
    said.append(f"{line.duration_ms:.0f}ms")
    if tokens:
        said.append(f"{tokens.get('input', '?')}+{tokens.get('output', '?')} tokens")
    if line.cost_usd is not None:
        said.append(f"${line.cost_usd}")
    said.append(line.request_id)
    if line.error is not None:
        said.append(line.error)
    said += [text for text in (line.detail, line.url, line.body) if text]
    return " ".join(map(_on_one_line, said))


def _on_one_line(text: str) -> str:
    """A caller chooses models' names: nothing of them begins a line, or is a page long."""
    shown = text if text.isprintable() else ascii(text)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…"


def timestamp(wall: float) -> str:
    """Milliseconds in UTC, ending in Z."""
    second = int(wall)
    return _second(second) + _MILLISECONDS[int((wall - second) * 1000)]


_MILLISECONDS = tuple(f".{number:03d}Z" for number in range(1000))


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _dumps(members: EventDict, **_: object) -> str:
    return msgspec.json.encode(members, enc_hook=str).decode()


def _stamp(_: WrappedLogger, method: str, members: EventDict) -> EventDict:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "timestamp": now,
        "level": method,
        "logger": "dragoman",
        "message": members.pop("event"),
        **members,
    }


def _redact(_: WrappedLogger, __: str, members: EventDict) -> EventDict:
    return {name: redact_member(name, value) for name, value in members.items()}
