"""This dialect's stream to a client of this dialect: chunks as the provider wrote them (D1).

Each is probed for what accounting and the gate need. A client that asked for an array gets the
same objects in one (P10); a frame that the official client would break on is tidied (P6, P8).
"""

from __future__ import annotations

from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.core.usage import merge
from dragoman.dialects.base import Context, Facts, Target
from dragoman.dialects.broken import is_garbled, not_understood, truncated
from dragoman.dialects.error_members import told
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.error import error_json
from dragoman.dialects.gemini.finish import read_finish, word
from dragoman.dialects.gemini.frames import Chunk, Chunks, Frames
from dragoman.dialects.gemini.response import Probe, has_call, probe
from dragoman.dialects.gemini.usage import told_usage
from dragoman.dialects.gemini.wire import WireError


class GeminiRelay:
    """A ``Relay`` within this dialect."""

    __slots__ = (
        "_calls",
        "_chunks",
        "_context",
        "_done",
        "_frames",
        "_model",
        "_named",
        "_raw",
        "facts",
    )

    def __init__(self, target: Target, context: Context) -> None:
        self.facts = Facts()
        self._model = context.model or target.model
        self._named = False
        """Whether the provider has said which model answers (D4)."""
        self._context = context
        self._chunks = Chunks()
        self._frames = Frames(array=context.array)
        self._done = False
        self._calls = False
        self._raw: str | None = None

    def feed(self, data: bytes) -> bytes:
        """The chunks that ``data`` completes; none from an error on."""
        if self._done:
            return b""
        try:
            chunks = self._chunks.feed(data)
        except UpstreamError as error:
            self._stop(error)
            return b""
        return self._pass(chunks)

    def close(self) -> bytes:
        """The end of the bytes, which is an error before a finish reason (P14)."""
        if self._done:
            return b""
        passed = self._pass(self._chunks.close())
        facts = self.facts
        if not facts.finished and (facts.error is None or is_garbled(facts.error)):
            self._stop(truncated())
        if facts.error is not None:
            return passed
        self._done = facts.over = True
        return passed + self._frames.end()

    def fail(self, error: GatewayError) -> bytes:
        """The terminal error."""
        self._done = True
        return self._frames.write(error_json(error, told(self._context))) + self._frames.end()

    def _stop(self, error: UpstreamError) -> None:
        self._done = True
        self.facts.error = error

    def _pass(self, chunks: list[Chunk]) -> bytes:
        passed: list[bytes] = []
        for chunk in chunks:
            try:
                found = probe(chunk.data)
                self._note(found)
            except UpstreamError as error:
                self._stop(error)
            except WireError:
                self._stop(not_understood("an event"))
            if self._done:
                break
            self._named = self._named or found.modelVersion is not None
            passed.append(self._write(chunk) if self._named else self._name(chunk))
        return passed[0] if len(passed) == 1 else b"".join(passed)

    def _name(self, chunk: Chunk) -> bytes:
        """A chunk of a provider that names no model, with the id that was sent (D4)."""
        members = wire.lenient_members(chunk.data, "")
        return self._frames.write(wire.encode({**members, "modelVersion": self._model}))

    def _write(self, chunk: Chunk) -> bytes:
        if chunk.raw is not None and not self._context.array:
            return chunk.raw
        data = chunk.data
        if b"\n" in data or b"\r" in data:
            try:
                data = wire.compact(data).encode()
            except wire.BAD_JSON:
                data = wire.mended(data)
        return self._frames.write(data)

    def _note(self, found: Probe) -> None:
        facts = self.facts
        facts.id = facts.id or found.responseId
        facts.model = facts.model or found.modelVersion
        usage = told_usage(found.usageMetadata)
        if usage is not None:
            facts.usage = merge(facts.usage, usage)
        if found.promptFeedback is not None and found.promptFeedback.blockReason is not None:
            facts.finished = True
            facts.finish = read_finish("SAFETY", has_calls=False)
        for candidate in found.candidates or ():
            parts = candidate.content.parts if candidate.content is not None else None
            if parts:
                facts.content = True
                self._calls = self._calls or has_call(parts)
            self._raw = word(candidate.finishReason) or self._raw
        if self._raw is not None:
            facts.finished = facts.content = True
            facts.finish = read_finish(self._raw, has_calls=self._calls)
