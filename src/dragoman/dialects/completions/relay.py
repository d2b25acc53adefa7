"""A provider's stream → a client of this dialect: whole frames, as their own bytes (D1).

Three repairs: a forgotten ``[DONE]`` is appended, a usage chunk that nobody asked for is left out and
one without ``choices`` gets them, and a chunk without a model the id that was sent (D4).
"""

from __future__ import annotations

from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.core.usage import merge
from dragoman.dialects.base import Context, Facts, Target
from dragoman.dialects.completions import wire
from dragoman.dialects.completions.errors import DONE, Errors, broken_finish
from dragoman.dialects.completions.wire import ReplyWire, encode
from dragoman.dialects.framing.sse import Frame, SseFrames, with_blank_line
from dragoman.dialects.openai_errors import truncated


class CompletionsRelay:
    """A ``Relay`` within this dialect."""

    __slots__ = ("_context", "_done", "_errors", "_finishes", "_frames", "_target", "facts")

    def __init__(self, errors: Errors, target: Target, context: Context) -> None:
        self.facts = Facts()
        self._errors = errors
        self._target = target
        self._context = context
        self._frames = SseFrames()
        self._done = False
        self._finishes: dict[int, bool] = {}
        """Which choices have begun, and whether each has finished."""

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
        """The last frame, if it is whole, and a ``[DONE]`` that the provider forgot."""
        if self._done:
            return b""
        whole = [
            frame
            for frame in self._frames.close()
            if frame.data == b"[DONE]" or wire.decode_reply(frame.data) is not None
        ]
        passed = self._pass(
            [Frame(one.data, one.event, with_blank_line(one.raw)) for one in whole]
        )
        return passed + self._last()

    def _last(self) -> bytes:
        """What is due where the bytes ended and no frame had said so."""
        if self._done:
            return b""
        if not self.facts.finished:
            self._stop(truncated())
            return b""
        self._done = True
        return DONE

    def fail(self, error: GatewayError) -> bytes:
        """The terminal error frame."""
        self._done = True
        return self._errors.frames(error, self._context)

    def _stop(self, error: UpstreamError) -> None:
        self._done = True
        self.facts.error = error

    def _pass(self, frames: list[Frame]) -> bytes:
        passed: list[bytes] = []
        for frame in frames:
            try:
                passed.append(self._frame(frame))
            except UpstreamError as error:
                self._stop(error)
            if self._done:
                break
        return b"".join(passed)

    def _frame(self, frame: Frame) -> bytes:
        if not frame.data:
            return frame.raw
        if frame.data == b"[DONE]":
            if not self.facts.finished:
                raise truncated()
            self._done = True
            return frame.raw
        chunk = self._errors.open(frame.data)
        self._note(chunk)
        if not chunk.choices and chunk.usage is not None and not self._context.include_usage:
            return b""
        return self._mended(frame, chunk)

    def _note(self, chunk: ReplyWire) -> None:
        facts = self.facts
        facts.id = facts.id or chunk.id or None
        facts.model = facts.model or chunk.model
        usage = wire.read_usage(chunk.usage)
        if usage is not None:
            facts.usage = merge(facts.usage, usage)
        for place, choice in enumerate(chunk.choices or ()):
            index = place if choice.index is None else choice.index
            self._finishes.setdefault(index, False)
            if choice.text:
                facts.content = True
            if choice.finish_reason:
                finish = wire.read_finish(choice.finish_reason)
                if finish.reason in wire.BROKEN:
                    raise broken_finish(finish.reason)
                facts.finish = facts.finish or finish
                self._finishes[index] = True
        facts.finished = bool(self._finishes) and all(self._finishes.values())

    def _mended(self, frame: Frame, chunk: ReplyWire) -> bytes:
        if chunk.model is not None and chunk.choices is not None:
            return frame.raw
        try:
            members: dict[str, object] = dict(wire.members(frame.data))
        except GatewayError:  # It could only be read leniently: its own bytes say it best.
            return frame.raw
        if chunk.model is None:
            members["model"] = self._context.model or self._target.model
        if chunk.choices is None:
            members["choices"] = []
        return b"data: " + encode(members).replace(b"\n", b" ") + b"\n\n"
