"""This dialect's stream to a client of this dialect: whole frames, as the provider wrote them (D1).

Each frame is probed for what accounting and the gate need, and nothing of it is changed. Two
repairs make a frame valid: an event without its name gets it (OpenRouter sends none), and a
response without a model the id that was sent (D4). What comes after the end, such as a proxy's
``[DONE]``, is not passed on (P6).
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.dialects.base import Context, Facts, Target
from dragoman.dialects.broken import is_garbled
from dragoman.dialects.framing.sse import Frame, SseFrames, with_blank_line
from dragoman.dialects.halves import mended
from dragoman.dialects.members import NULL
from dragoman.dialects.openai_errors import known_of, truncated
from dragoman.dialects.responses.echo import head
from dragoman.dialects.responses.error import malformed, read_stream_error
from dragoman.dialects.responses.frames import failure_frames
from dragoman.dialects.responses.reply_items import Kind
from dragoman.dialects.responses.response import (
    FAILED,
    kinds_of,
    read_reply,
    usage_and_finish,
)
from dragoman.dialects.responses.wire import BAD_JSON, encode


class _Type(Struct, frozen=True, gc=False):
    type: str | None = None
    sequence_number: int | None = None


class _Probe(Struct, frozen=True):
    type: str | None = None
    sequence_number: int | None = None
    item: Kind | None = None
    response: Raw = NULL
    error: Raw = NULL


_type_of = msgspec.json.Decoder(_Type).decode
_PROBE = msgspec.json.Decoder(_Probe)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])

_BEGINS = frozenset({"response.created", "response.in_progress", "response.queued"})
_ENDS = frozenset({"response.completed", "response.incomplete"})
_FAILS = frozenset({"response.failed", "response.cancelled", "error"})
_ANNOUNCES = frozenset(
    {
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_summary_part.added",
        "ping",
        "keepalive",
    }
)
"""Events that say nothing yet to a person: a failure behind them may still go elsewhere (P164)."""


class ResponsesRelay:
    """A ``Relay`` within this dialect."""

    __slots__ = (
        "_context",
        "_done",
        "_frames",
        "_kinds",
        "_response",
        "_sequence",
        "_target",
        "facts",
    )

    def __init__(self, target: Target, context: Context) -> None:
        self.facts = Facts()
        self._target = target
        self._context = context
        self._frames = SseFrames()
        self._done = False
        self._sequence = 0
        self._kinds: list[str] = []
        self._response: dict[str, object] | None = None

    def feed(self, data: bytes) -> bytes:
        """The frames that ``data`` completes; none from an error on."""
        if self._done:
            return b""
        try:
            frames = self._frames.feed(data)
        except UpstreamError as error:
            self._stop(error)
            return b""
        return self._pass(frames)

    def close(self) -> bytes:
        """The end of the bytes, which is an error before a terminal event (P14).

        A last frame that lacks its blank line gets it (P4); half a frame is not passed on.
        """
        if self._done:
            return b""
        last = self._pass([frame for frame in self._frames.close() if frame.data])
        error = self.facts.error
        if not self.facts.finished and (error is None or is_garbled(error)):
            self._stop(truncated())
        return with_blank_line(last)

    def fail(self, error: GatewayError) -> bytes:
        """The terminal error events, under the id that the client knows."""
        self._done = True
        response = self._response or head(
            self.facts.id or "", self._target.model, None, None, self._context
        )
        return failure_frames(error, known_of(self._context), response, self._sequence)

    def _stop(self, error: UpstreamError) -> None:
        self._done = True
        self.facts.error = error

    def _pass(self, frames: list[Frame]) -> bytes:
        passed: list[bytes] = []
        for one in frames:
            try:
                passed.append(self._frame(one))
            except UpstreamError as error:
                self._stop(error)
            except (*BAD_JSON, ValueError):
                self._stop(malformed("a stream of its own dialect"))
            if self._done:
                break
        return passed[0] if len(passed) == 1 else b"".join(passed)

    def _frame(self, one: Frame) -> bytes:
        if not one.data:
            return one.raw
        if one.data == b"[DONE]":
            return b""
        name = one.event
        if name is not None and name.endswith(b".delta"):
            try:
                seen = _type_of(one.data)
            except BAD_JSON:
                seen = _type_of(mended(one.data))
            if seen.sequence_number is not None:
                self._sequence = seen.sequence_number + 1
            self.facts.content = True
            return one.raw
        try:
            probe = _PROBE.decode(one.data)
        except BAD_JSON:
            probe = _PROBE.decode(mended(one.data))
        kind = probe.type or (name or b"").decode("ascii", "replace")
        if kind in _FAILS or (probe.error is not NULL and bytes(probe.error) != b"null"):
            raise read_stream_error(one.data)
        if probe.sequence_number is not None:
            self._sequence = probe.sequence_number + 1
        raw = self._note(kind, probe, one)
        unnamed = name is None and kind and raw is one.raw
        return b"event: %s\n%s" % (kind.encode(), raw) if unnamed else raw

    def _note(self, kind: str, probe: _Probe, one: Frame) -> bytes:
        facts = self.facts
        if probe.response is not NULL and kind in _BEGINS | _ENDS:
            return self._whole(kind, probe.response, one)
        if kind == "response.output_item.done" and probe.item is not None:
            self._kinds.append(probe.item.type)
        if kind not in _ANNOUNCES:
            facts.content = True
        return one.raw

    def _whole(self, kind: str, response: Raw, one: Frame) -> bytes:
        """An event with the response in it."""
        facts = self.facts
        reply = read_reply(response)
        facts.id = facts.id or reply.id
        facts.model = facts.model or reply.model
        if kind in _ENDS:
            if reply.status in FAILED:
                raise read_stream_error(one.data)
            usage, finish = usage_and_finish(reply, kinds_of(reply.output) or self._kinds)
            facts.usage = usage or facts.usage
            facts.finish = finish
            facts.content = facts.finished = facts.over = True
            self._done = True
        elif self._response is None:
            self._response = dict(_MEMBERS.decode(response))
        if reply.model is not None or (self._response or {}).get("model") is not None:
            return one.raw  # it is named, here or at the start
        members = _MEMBERS.decode(one.data)
        inner = dict(_MEMBERS.decode(response))
        inner["model"] = Raw(encode(self._context.model or self._target.model))
        data = encode({**members, "response": inner})
        return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)
