"""Stop sequences, which this dialect has not: the answer is cut here (P113, P114).

The provider goes on to its own end, so that what it counts is known; nothing of it is told.
"""

from __future__ import annotations

from dragoman.core.events import (
    Cited,
    End,
    Event,
    Failure,
    Finished,
    LogprobNote,
    PartDelta,
    PartStart,
    PartStop,
    Ping,
    Start,
    UsageNote,
)
from dragoman.core.parts import Part, Text
from dragoman.core.response import Finish


def first_stop(text: str, stops: tuple[str, ...]) -> tuple[int, str] | None:
    """Where the first of the sequences stands, and which it is."""
    found = [(place, stop) for stop in stops if (place := text.find(stop)) >= 0]
    return min(found) if found else None


def stopped(stop: str) -> Finish:
    """The end of an answer at a sequence."""
    return Finish("stop_sequence", raw="completed", stop_sequence=stop)


def cut_parts(parts: list[Part], stops: tuple[str, ...]) -> tuple[list[Part], str | None]:
    """A whole answer up to the sequence that ends it, and which that was."""
    kept: list[Part] = []
    for part in parts:
        found = first_stop(part.text, stops) if isinstance(part, Text) else None
        if found is None or not isinstance(part, Text):
            kept.append(part)
            continue
        if found[0]:
            kept.append(Text(part.text[: found[0]]))
        return kept, found[1]
    return parts, None


class Stops:
    """The same for a stream: what may be the beginning of a sequence is held back."""

    __slots__ = ("_held", "_open", "_started", "_stop", "_stops")

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._open: dict[int, PartStart] = {}
        self._started: set[int] = set()
        """Texts of which something has been told: an empty one is no part."""
        self._held: dict[int, str] = {}
        self._stop: str | None = None

    def passed(self, events: list[Event]) -> list[Event]:
        """What of the events may be told."""
        told: list[Event] = []
        for event in events:
            if self._stop is not None:
                self._after(event, told)
                continue
            match event:
                case PartStart():
                    self._open[event.part] = event
                    if isinstance(event.head, Text):
                        self._held[event.part] = ""
                    else:
                        told.append(event)
                case PartDelta() if event.part in self._held:
                    self._say(event, told)
                case Cited() if event.part in self._held and event.part not in self._started:
                    pass
                case PartStop():
                    self._close(event.part, told)
                case _:
                    told.append(event)
        return told

    def _after(self, event: Event, told: list[Event]) -> None:
        """Behind the sequence only the end is told."""
        match event:
            case Finished():
                told.append(Finished(stopped(self._stop or ""), event.choice, event.ext))
            case UsageNote() | Failure() | End() | Ping():
                told.append(event)
            case Start() | PartStart() | PartDelta() | PartStop() | Cited() | LogprobNote():
                pass

    def _say(self, event: PartDelta, told: list[Event]) -> None:
        text = self._held[event.part] + event.text
        found = first_stop(text, self._stops)
        if found is not None:
            self._held[event.part] = ""
            self._tell(event.part, text[: found[0]], told)
            for number in list(self._open):
                self._close(number, told)
            self._stop = found[1]
            return
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held[event.part] = text[len(text) - keep :]
        self._tell(event.part, text[: len(text) - keep], told)

    def _tell(self, number: int, text: str, told: list[Event]) -> None:
        if not text:
            return
        if number not in self._started:
            self._started.add(number)
            told.append(self._open[number])
        told.append(PartDelta(number, text))

    def _close(self, number: int, told: list[Event]) -> None:
        self._tell(number, self._held.pop(number, ""), told)
        start = self._open.pop(number)
        if number in self._started or not isinstance(start.head, Text):
            told.append(PartStop(number))


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of the text that begins the sequence."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
