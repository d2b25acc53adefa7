"""This dialect's stream to a client of this dialect: whole frames, as the provider wrote them (D1).

Each frame is probed for what accounting and the gate need, and nothing of it is changed. Two
repairs make a frame valid that the official client would drop or choke on: an event
without its name gets it (P7), and a start without a model the id that was sent (D4). What
comes after the end, such as a proxy's ``[DONE]``, is not passed on (P6).
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.core.usage import in_tier, merge
from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.error import error_frame, read_stream_error
from dragoman.dialects.anthropic.finish import read_finish
from dragoman.dialects.anthropic.stream_write import frame as write_frame
from dragoman.dialects.anthropic.usage import read_usage, served_in
from dragoman.dialects.anthropic.wire import WireError, encode
from dragoman.dialects.base import Context, Facts, Target
from dragoman.dialects.broken import is_garbled, not_understood, truncated
from dragoman.dialects.error_members import told
from dragoman.dialects.framing.sse import Frame, SseFrames, with_blank_line
from dragoman.dialects.halves import mended


class _Type(Struct, frozen=True, gc=False):
    type: str | None = None


class _Message(Struct, frozen=True):
    id: str | None = None
    model: str | None = None
    usage: wire.WireUsage | None = None


class _Delta(Struct, frozen=True):
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Raw = wire.NULL


class _Probe(Struct, frozen=True):
    type: str | None = None
    message: _Message | None = None
    delta: _Delta | None = None
    usage: wire.WireUsage | None = None
    content_block: wire.Kind | None = None
    error: Raw = wire.NULL


_type_of = msgspec.json.Decoder(_Type).decode
_PROBE = msgspec.json.Decoder(_Probe)


class AnthropicRelay:
    """A ``Relay`` within this dialect."""

    __slots__ = ("_context", "_done", "_frames", "_has_calls", "_start_usage", "_target", "facts")

    def __init__(self, target: Target, context: Context) -> None:
        self.facts = Facts()
        self._target = target
        self._context = context
        self._frames = SseFrames()
        self._done = False
        self._has_calls = False
        self._start_usage: wire.WireUsage | None = None

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
        """The end of the bytes, which is an error before ``message_stop`` (P14).

        A last frame that lacks its blank line gets it (P4); half a frame is not passed on.
        """
        if self._done:
            return b""
        last = self._pass([frame for frame in self._frames.close() if frame.data])
        if not self.facts.finished and (self.facts.error is None or is_garbled(self.facts.error)):
            self._stop(truncated())
        return with_blank_line(last)

    def fail(self, error: GatewayError) -> bytes:
        """The terminal error event."""
        self._done = True
        return error_frame(error, told(self._context))

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
            except (*wire.BAD_JSON, ValueError, WireError):
                self._stop(not_understood("an event"))
            if self._done:
                break
        return passed[0] if len(passed) == 1 else b"".join(passed)

    def _frame(self, one: Frame) -> bytes:
        if one.event == b"content_block_delta" and one.data:
            try:
                _type_of(one.data)
            except wire.BAD_JSON:
                _type_of(mended(one.data))
            self.facts.content = True
            return one.raw
        if not one.data:
            return one.raw
        if one.data == b"[DONE]":
            return b""
        if one.event == b"error":
            raise read_stream_error(one.data)
        try:
            probe = _PROBE.decode(one.data)
        except wire.BAD_JSON:
            probe = _PROBE.decode(mended(one.data))
        kind = probe.type or (one.event or b"").decode("ascii", "replace")
        raw = self._note(kind, probe, one)
        if one.event is None and kind:
            return b"event: %s\n%s" % (kind.encode(), raw)
        return raw

    def _note(self, kind: str, probe: _Probe, one: Frame) -> bytes:
        facts = self.facts
        match kind:
            case "content_block_start":
                if probe.content_block is not None and probe.content_block.type == "tool_use":
                    self._has_calls = True
            case "content_block_delta" | "content_block_stop":
                facts.content = True
            case "message_start":
                return self._message_start(probe, one)
            case "message_delta":
                self._message_delta(probe)
            case "message_stop":
                facts.finished = facts.over = True
                self._done = True
            case "error":
                raise read_stream_error(one.data)
            case _:
                if not wire.is_null(probe.error):
                    raise read_stream_error(one.data)
        return one.raw

    def _message_start(self, probe: _Probe, one: Frame) -> bytes:
        message = probe.message
        if message is None:
            return one.raw
        self.facts.id = self.facts.id or message.id
        self.facts.model = message.model
        self._start_usage = message.usage
        usage = in_tier(read_usage(message.usage), served_in(message.usage))
        if usage is not None:
            self.facts.usage = merge(self.facts.usage, usage)
        if message.model is not None:
            return one.raw
        members = wire.members(one.data, "event")
        inner = wire.members(members["message"], "message")
        model = Raw(encode(self._context.model or self._target.model))
        return write_frame(
            {**members, "type": "message_start", "message": {**inner, "model": model}}
        )

    def _message_delta(self, probe: _Probe) -> None:
        facts = self.facts
        facts.content = True
        usage = read_usage(probe.usage, self._start_usage)
        if usage is not None:
            facts.usage = merge(facts.usage, usage)
        delta = probe.delta
        if delta is not None and delta.stop_reason is not None:
            facts.finish = read_finish(
                delta.stop_reason,
                delta.stop_sequence,
                delta.stop_details,
                has_calls=self._has_calls,
            )
