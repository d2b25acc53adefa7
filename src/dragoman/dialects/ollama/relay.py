"""This dialect's stream to a client of this dialect: whole lines, as the provider wrote them (D1).

Each line is probed for what accounting and the gate need. Blank ones are left out, for the
official client decodes every line (P9); a line without a model gets the id that was sent (D4);
what comes after ``done`` is not passed on.
"""

from __future__ import annotations

from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.dialects.base import Context, Facts, Target
from dragoman.dialects.broken import is_garbled, truncated
from dragoman.dialects.framing.ndjson import NdjsonLines
from dragoman.dialects.ollama import reply
from dragoman.dialects.ollama.error import error_line
from dragoman.dialects.ollama.response import with_model


class OllamaRelay:
    """A ``Relay`` within one of Ollama's families."""

    __slots__ = ("_context", "_done", "_has_calls", "_lines", "_target", "facts")

    def __init__(self, target: Target, context: Context) -> None:
        self.facts = Facts()
        self._target = target
        self._context = context
        self._lines = NdjsonLines()
        self._done = False
        self._has_calls = False

    def feed(self, data: bytes) -> bytes:
        """The lines that ``data`` completes; none from an error on."""
        if self._done:
            return b""
        try:
            lines = self._lines.feed(data)
        except UpstreamError as error:
            self._stop(error)
            return b""
        return self._pass(lines)

    def close(self) -> bytes:
        """The end of the bytes, which is an error before ``done`` (P14); half a line is not passed on."""
        if self._done:
            return b""
        passed = self._pass(self._lines.close())
        if not self.facts.finished and (self.facts.error is None or is_garbled(self.facts.error)):
            self._stop(truncated())
        return passed

    def fail(self, error: GatewayError) -> bytes:
        """The terminal line."""
        self._done = True
        return error_line(error, self._context)

    def _stop(self, error: UpstreamError) -> None:
        self._done = True
        self.facts.error = error

    def _pass(self, lines: list[bytes]) -> bytes:
        passed: list[bytes] = []
        for data in lines:
            try:
                passed.append(self._line(data))
            except UpstreamError as error:
                self._stop(error)
            if self._done:
                break
        return b"".join(passed)

    def _line(self, data: bytes) -> bytes:
        line = reply.read_line(data)
        facts = self.facts
        said = line.said
        if said.tool_calls:
            self._has_calls = True
        if said.content or said.thinking or said.tool_calls:
            facts.content = True
        if line.done:
            facts.usage = reply.read_usage(line)
            facts.finish = reply.read_finish(line, has_calls=self._has_calls)
            facts.finished = facts.over = True
            self._done = True
        facts.model = facts.model or line.model
        if line.model is None:
            data = with_model(data, self._context.model or self._target.model)
        return data + b"\n"
