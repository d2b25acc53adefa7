"""A provider's stream → events, however its bytes are cut (`dialects.md` §1.4).

The end of the bytes is the end of the answer, regular once every candidate has its finish reason
(P14) or the prompt was blocked (P200).
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import UpstreamError
from dragoman.core.events import End, Event, Failure, Finished, Start, UsageNote
from dragoman.core.response import Finish
from dragoman.core.usage import Usage
from dragoman.dialects.base import Target, Undo
from dragoman.dialects.broken import not_understood, told_the_end, truncated
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.error import read_stream_error
from dragoman.dialects.gemini.frames import Chunk, Chunks
from dragoman.dialects.gemini.read_candidate import Candidate
from dragoman.dialects.gemini.usage import WireUsage, of_wire, read_usage, tier_of
from dragoman.dialects.gemini.wire import WireError

_LAST_INDEX = 64


class _PlainPart(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    text: str


class _PlainContent(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    parts: tuple[_PlainPart]
    role: str = "model"


class _PlainCandidate(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    content: _PlainContent
    index: int = 0


class _PlainChunk(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What nearly every chunk is: some more words of the only candidate."""

    candidates: tuple[_PlainCandidate]
    usageMetadata: WireUsage | None = None  # noqa: N815  # the wire's own names
    modelVersion: str = ""  # noqa: N815
    responseId: str = ""  # noqa: N815


_PLAIN = msgspec.json.Decoder(_PlainChunk)


class GeminiStreamReader:
    """A ``StreamReader`` of this dialect."""

    __slots__ = (
        "_blocked",
        "_candidates",
        "_chunks",
        "_ended",
        "_seed",
        "_started",
        "_target",
        "_undo",
    )

    def __init__(self, target: Target, undo: Undo) -> None:
        self._target = target
        self._undo = undo
        self._chunks = Chunks()
        self._started = False
        self._ended = False
        self._seed = ""
        self._blocked: str | None = None
        self._candidates: dict[int, Candidate] = {}

    def feed(self, data: bytes) -> list[Event]:
        """Events that ``data`` completes."""
        if self._ended:
            return []
        try:
            chunks = self._chunks.feed(data)
        except UpstreamError as error:
            return self._fail([], error)
        return self._read(chunks)

    def close(self) -> list[Event]:
        """The end of the bytes: regular if the answer had come to its own."""
        if self._ended:
            return []
        events = self._read(self._chunks.close())
        failed = bool(events) and isinstance(events[-1], Failure)
        if told_the_end(events):
            return events
        if failed or not self.complete:
            return self._fail(events, truncated())
        self.end(events)
        return events

    @property
    def complete(self) -> bool:
        """Whether nothing is missing of the answer."""
        if self._blocked is not None:
            return True
        every = self._candidates.values()
        return bool(every) and all(one.finish is not None for one in every)

    @property
    def answered(self) -> bool:
        """Whether there is a candidate, or the word that there is none."""
        return bool(self._candidates) or self._blocked is not None

    def end(self, events: list[Event]) -> None:
        """The end of the answer."""
        self._ended = True
        for candidate in self._candidates.values():
            if candidate.finish is None and self._blocked is not None:
                candidate.finish = "SAFETY"
            candidate.end(events)
        if not self._candidates:
            events.append(UsageNote(Usage(output=0)))  # A blocked prompt is answered with nothing.
            events.append(Finished(Finish("content_filter", raw=self._blocked)))
        events.append(End())

    def _read(self, chunks: list[Chunk]) -> list[Event]:
        events: list[Event] = []
        for chunk in chunks:
            if self._ended:
                break
            try:
                self.chunk(chunk.data, events)
            except WireError:
                return self._fail(events, not_understood("an event"))
            except UpstreamError as error:
                return self._fail(events, error)
        return events

    def _fail(self, events: list[Event], error: UpstreamError) -> list[Event]:
        self._ended = True
        events.append(Failure(error))
        return events

    def chunk(self, data: bytes, events: list[Event]) -> None:
        """One reply object.

        Raises:
            UpstreamError: it holds an error.
            WireError: it is none.
        """
        if self._goes_on(data, events):
            return
        if data.lstrip()[:1] == b"[":
            raise read_stream_error(data)
        found = wire.lenient_members(data, "")
        if "error" in found:
            raise read_stream_error(data)
        if not self._started:
            self._begin(found, events)
        if "promptFeedback" in found:
            feedback = wire.members(found["promptFeedback"], "promptFeedback")
            if "blockReason" in feedback:
                self._blocked = str(wire.any_value(feedback["blockReason"], "blockReason"))
        if "candidates" in found:
            for place, raw in enumerate(wire.items(found["candidates"], "candidates")):
                candidate = wire.members(raw, "candidate")
                index = place
                if "index" in candidate:
                    index = wire.integer(candidate["index"], "index")
                if not 0 <= index <= _LAST_INDEX:
                    raise WireError("index", "it is out of range")
                if index not in self._candidates:
                    self._candidates[index] = Candidate(index, self._undo)
                self._candidates[index].read(candidate, self._seed, events)
        usage = read_usage(found.get("usageMetadata"))
        if usage is not None:
            events.append(UsageNote(usage))

    def _goes_on(self, data: bytes, events: list[Event]) -> bool:
        """Reads a chunk that only goes on with the words of an open text; a third of the long way."""
        if len(self._candidates) != 1:
            return False
        try:
            found = _PLAIN.decode(data)
        except wire.BAD_JSON:
            return False
        candidate = self._candidates.get(found.candidates[0].index)
        if candidate is None or not candidate.goes_on(
            found.candidates[0].content.parts[0].text, events
        ):
            return False
        usage = of_wire(found.usageMetadata)
        if usage is not None:
            events.append(UsageNote(usage))
        return True

    def _begin(self, found: dict[str, Raw], events: list[Event]) -> None:
        self._started = True
        self._seed = wire.opt_text(found, "responseId", "") or ""
        tier: object = None
        if "usageMetadata" in found:
            usage = wire.members(found["usageMetadata"], "usageMetadata")
            tier = wire.any_value(usage["serviceTier"], "") if "serviceTier" in usage else None
        events.append(
            Start(
                id=self._seed,
                model=wire.opt_text(found, "modelVersion", "") or self._target.model,
                service_tier=tier_of(tier),
            )
        )
