"""A provider's stream about a response that it keeps: it goes the way of every other stream.

It is bounded in time, ends with one end or one error, and is closed where its caller leaves. Nothing
is generated: no record stands in the ledger, and nothing of it tells of the provider's health.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from math import inf

from dragoman.attempt.means import Means
from dragoman.attempt.ports import UpstreamReply
from dragoman.attempt.under_way import under_way
from dragoman.core.call import Call, Outlet, Status
from dragoman.core.errors import GatewayError, UpstreamError, code_of
from dragoman.core.provider import Provider
from dragoman.dialects.base import Context, Facts, Relay, Target
from dragoman.dialects.registry import DIALECTS


class _Replay:
    """One replay, as ``under_way`` drives it."""

    __slots__ = ("_provider", "_reply", "call", "closed", "means")
    drains = False

    def __init__(self, provider: Provider, reply: UpstreamReply, call: Call, means: Means) -> None:
        self.call = call
        self.means = means
        self.closed = False
        self._provider = provider
        self._reply = reply

    def left_s(self) -> float:
        """How long the first content may be in coming."""
        return self.means.policy.first_event_s

    def end_s(self) -> float:
        """How long all of it may take."""
        return inf

    def settle(self, _: Relay, failure: UpstreamError | None) -> Status:
        """How it ended."""
        status: Status = "complete"
        if failure is not None:
            failure.provider = self._provider.name
            self.call.outcome.error_code = code_of(failure)
            status = "timeout" if failure.kind == "timeout" else "upstream_cut"
        self.close(status)
        return status

    def note(self, _: Relay) -> None:
        """What it says of usage was accounted for when it was made."""

    def close(self, status: Status) -> None:
        """It is over."""
        self.closed = True
        self.call.outcome.status = status

    async def kept(self) -> None:
        """There is no record to wait for."""

    def finish(self) -> None:
        """There is no account to end."""

    async def hang_up(self) -> None:
        """Gives the connection back, or closes it."""
        await self._reply.close()


class _Rest:
    """The relay of a stream that begins behind an event that its caller has: there may be no more."""

    __slots__ = ("_empty", "_relay", "facts")

    def __init__(self, relay: Relay) -> None:
        self.facts: Facts = relay.facts
        self._relay = relay
        self._empty = True

    def feed(self, data: bytes) -> bytes:
        """As the relay."""
        self._empty = self._empty and not data.strip()
        return self._relay.feed(data)

    def close(self) -> bytes:
        """As the relay; without any event behind it, the end is regular."""
        if self._empty:
            self.facts.finished = True
            return b""
        return self._relay.close()

    def fail(self, error: GatewayError) -> bytes:
        """As the relay."""
        return self._relay.fail(error)


async def replay_stream(
    provider: Provider, reply: UpstreamReply, call: Call, means: Means, *, rest: bool
) -> tuple[AsyncGenerator[bytes, None], Callable[[GatewayError], bytes]]:
    """The frames of the stream, begun, whose end closes the reply; and how it is told that it fails.

    Args:
        provider: who keeps the response; it speaks the caller's dialect.
        reply: the provider's, whose body is the stream.
        call: the caller's.
        means: what a stream is bounded by.
        rest: whether only what is behind some event was asked for.
    """
    context = Context(
        call_id=call.id.replace("-", ""),
        created=int(call.wall),
        model="",
        request_id=call.request_id,
        trace_id=call.trace_id,
        flavour=call.flavour,
    )
    relay = DIALECTS[call.dialect].relay(Target(provider.name, ""), context)
    course = _Replay(provider, reply, call, means)
    pieces = under_way(
        course, reply, _Rest(relay) if rest else relay, b"", None, Outlet(), ended=False
    )
    # Begun here, so that its end closes the reply even if nobody asks for a piece.
    await anext(pieces)
    return pieces, relay.fail
