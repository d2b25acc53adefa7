"""Failures of this dialect, which are OpenAI's and therefore told by whoever knows them.

No dialect knows another: the functions that read and write OpenAI's errors are handed in
where the dialects are put together, and everything here asks them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.dialects import broken
from dragoman.dialects.base import Context, ErrorContext, ErrorReply
from dragoman.dialects.completions.wire import ReplyWire, decode_reply, is_nothing
from dragoman.dialects.error_members import told

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Errors:
    """How OpenAI says that something failed, both ways."""

    read: Callable[[int, dict[str, str], bytes], UpstreamError]
    write: Callable[[GatewayError, ErrorContext], ErrorReply]

    def frames(self, error: GatewayError, context: Context) -> bytes:
        """The terminal error of a stream, and ``[DONE]`` behind it (D3)."""
        return b"data: " + self.write(error, told(context)).body + b"\n\n" + DONE

    def open(self, data: bytes) -> ReplyWire:
        """A reply or a chunk of status 200.

        Raises:
            UpstreamError: it is none, or an error stands in its place (P140).
        """
        reply = decode_reply(data)
        if reply is None:
            raise malformed()
        if not is_nothing(reply.error):
            raise self.read(200, {}, data)
        if reply.choices is None and reply.usage is None:
            raise malformed()
        return reply


def malformed() -> UpstreamError:
    """A frame or a body that is not what was asked for."""
    return broken.malformed("a text completion")


def broken_finish(reason: str) -> UpstreamError:
    """An end that no completion may be made of (P137)."""
    return UpstreamError(
        "upstream",
        "The provider's model ended its answer with an error.",
        code=f"upstream_{reason}",
    )
