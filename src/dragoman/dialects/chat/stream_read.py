"""A provider's stream of chunks → events.

The order on the wire: a first chunk with the role, then deltas, then a chunk with the finish
reason, perhaps one with usage, then ``[DONE]``. Providers take liberties with all of it
(corpus notes; P18-P23, P40-P46), so nothing is concluded before the end: a finish reason is kept, for
content and usage may still come, and only ``[DONE]`` or the end of the bytes closes the
choices. The end without a finish reason and without ``[DONE]`` is a cut stream (P14).

``ChoiceParts`` knows what is open in each choice; this file knows chunks and their ends.
"""

from __future__ import annotations

from dragoman.core.errors import UpstreamError
from dragoman.core.events import (
    End,
    Event,
    Failure,
    Finished,
    LogprobNote,
    Ping,
    Start,
    UsageNote,
)
from dragoman.core.fold import unfold
from dragoman.core.parts import Ext, raw
from dragoman.dialects.base import Target, Undo
from dragoman.dialects.chat.error import malformed
from dragoman.dialects.chat.finish import failed_finish, read_finish
from dragoman.dialects.chat.reply_wire import (
    REFUSED,
    REPLY,
    ChoiceWire,
    ReplyWire,
    logprobs_of,
    said,
    unix_seconds,
)
from dragoman.dialects.chat.response import (
    is_whole_body,
    may_report,
    read_response,
    reported_error,
)
from dragoman.dialects.chat.stream_parts import ChoiceParts
from dragoman.dialects.chat.tool_calls import id_seed
from dragoman.dialects.chat.usage import usage_of
from dragoman.dialects.framing.sse import LIMIT, Frame, SseFrames
from dragoman.dialects.openai_errors import truncated

_exact = REPLY.exact


class ChatStreamReader:
    """One provider's stream; see ``base.StreamReader``."""

    __slots__ = (
        "_choices",
        "_early",
        "_ended",
        "_frames",
        "_seed",
        "_target",
        "_torn",
        "_undo",
        "_whole",
    )

    def __init__(self, target: Target, undo: Undo) -> None:
        self._target = target
        self._undo = undo
        self._frames = SseFrames()
        self._choices: dict[int, ChoiceParts] | None = None
        """None until the answer has begun."""
        self._early: list[Event] = []
        self._seed = ""
        self._torn = False
        self._ended = False
        self._whole: bytearray | None = bytearray()
        """Bytes of a body that is no event stream (P11); None once it is known to be one."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that ``data`` completes."""
        out: list[Event] = []
        if self._ended or not data:
            return out
        if self._whole is not None:
            self._whole += data
            if is_whole_body(self._whole) or not self._whole.strip():
                return self._fail(malformed(), out) if len(self._whole) > LIMIT else out
            data, self._whole = bytes(self._whole), None
        try:
            frames = self._frames.feed(data)
        except UpstreamError as error:
            return self._fail(error, out)
        for frame in frames:
            self._frame(frame, out)
        return out

    def close(self) -> list[Event]:
        """What was open, and ``End``; or the ``Failure`` of a cut stream."""
        out: list[Event] = []
        if self._ended:
            return out
        if self._whole is not None:
            return self._close_whole(bytes(self._whole), out)
        for frame in self._frames.close():
            # A frame that broke off is not garbage but a cut: it says nothing.
            if frame.data.startswith(b"[DONE]") or REPLY.read(frame.data) is not None:
                self._frame(frame, out)
        self._end(out, done=False)
        return out

    def _close_whole(self, body: bytes, out: list[Event]) -> list[Event]:
        self._ended = True
        if not body.strip():
            return self._fail(truncated(), out)
        try:
            return unfold(read_response(body, self._target, self._undo))
        except UpstreamError as error:
            return self._fail(error, out)

    def _fail(self, error: UpstreamError, out: list[Event]) -> list[Event]:
        self._ended = True
        out.append(Failure(error))
        return out

    # ------------------------------------------------------------------ frames

    def _frame(self, frame: Frame, out: list[Event]) -> None:
        if self._ended:
            return
        data = frame.data
        if not data:
            if self._choices is not None:
                out.append(Ping())
            return
        if data.startswith(b"[DONE]"):
            self._end(out, done=True)
            return
        try:
            chunk = _exact(data)
        except REFUSED:
            found = REPLY.read(data)
            if found is None:
                self._fail(malformed(), out)
                return
            chunk, oddity = found
            if oddity == "torn" and not self._torn:
                self._torn = True
                for parts in (self._choices or {}).values():
                    parts.torn = True
        self._chunk(chunk, frame, out)

    def _chunk(self, chunk: ReplyWire, frame: Frame, out: list[Event]) -> None:
        choices = chunk.choices
        usage = usage_of(chunk) if chunk.usage is not None or chunk.x_groq is not None else None
        started = self._choices
        if started is None:
            if not (choices or chunk.id):
                # Azure's first chunk has neither (P18); a usage that comes alone waits.
                if usage is not None:
                    self._early.append(UsageNote(usage))
                self._report(chunk, frame, out)
                return
            started = self._begin(chunk, out)
        error: UpstreamError | None = None
        for choice in choices or ():
            error = self._choice(choice, started, out) or error
        if usage is not None:
            out.append(UsageNote(usage))
        if not self._report(chunk, frame, out) and error is not None:
            self._fail(error, out)

    def _report(self, chunk: ReplyWire, frame: Frame, out: list[Event]) -> bool:
        """Fails if the chunk tells a failure (P140)."""
        if frame.event is None and not may_report(chunk):
            return False
        error = reported_error(chunk, frame.data, named=frame.event == b"error")
        if error is not None:
            self._fail(error, out)
        return error is not None

    def _begin(self, chunk: ReplyWire, out: list[Event]) -> dict[int, ChoiceParts]:
        reply_id = chunk.id or ""
        self._seed = id_seed(reply_id)
        self._choices = {}
        out.append(
            Start(
                id=reply_id,
                model=chunk.model or "",
                created=unix_seconds(chunk.created),
                service_tier=chunk.service_tier,
                system_fingerprint=chunk.system_fingerprint or None,
            )
        )
        out.extend(self._early)
        return self._choices

    def _choice(
        self, choice: ChoiceWire, choices: dict[int, ChoiceParts], out: list[Event]
    ) -> UpstreamError | None:
        parts = choices.get(choice.index)
        if parts is None:
            parts = choices[choice.index] = ChoiceParts(choice.index, self._undo, self._seed)
            parts.torn = self._torn
        words = said(choice)
        if words is not None:
            parts.say(words, out)
        logprobs = logprobs_of(choice)
        if logprobs is not None:
            out.append(LogprobNote(bytes(logprobs), choice.index))
        if choice.finish_reason:
            parts.finish = choice.finish_reason
            return failed_finish(choice.finish_reason)
        return None

    # ------------------------------------------------------------------ the end

    def _end(self, out: list[Event], *, done: bool) -> None:
        """Closes every choice that has said why it ended, or all of them at ``[DONE]``."""
        if self._ended:
            return
        choices = self._choices
        complete = bool(choices) and all(parts.finish for parts in (choices or {}).values())
        if not choices or not (done or complete):
            self._fail(truncated(), out)
            return
        self._ended = True
        for parts in choices.values():
            parts.stop(out)
            finish = read_finish(parts.finish, has_calls=parts.has_calls)
            ext: Ext | None = None
            if parts.unknown:
                ext = {"chat": {"annotations": raw(parts.unknown)}}
            out.append(Finished(finish, parts.index, ext))
        out.append(End())


def stream_reader(target: Target, undo: Undo) -> ChatStreamReader:
    """A reader for one attempt."""
    return ChatStreamReader(target, undo)
