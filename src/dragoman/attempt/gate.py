"""The gate of a stream: nothing reaches the caller until the provider has said something (D11).

Until then an error inside the provider's stream counts like an error instead of it, and another try
is still possible.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from msgspec import Struct

from dragoman.attempt.endings import cut_short, status_of_cut, uncancel, unheard
from dragoman.attempt.ports import UpstreamReply
from dragoman.attempt.trial import Trial
from dragoman.attempt.under_way import under_way
from dragoman.core.call import Answer, Head, Outlet, Status
from dragoman.core.errors import UpstreamError
from dragoman.dialects.base import Relay

_WHITE = b" \t\r\n\xef\xbb\xbf"


class Opened(Struct, frozen=True):
    """A stream that is through the gate."""

    reply: UpstreamReply
    relay: Relay
    held: bytes
    """What is due so far."""
    pending: asyncio.Future[bytes | None] | None
    """A read still under way."""
    ended: bool

    def drop(self) -> None:
        """Nobody wants it any more."""
        if self.pending is not None:
            self.pending.cancel()


async def open_stream(trial: Trial) -> Answer:
    """The stream, once its first content is there or the gate's time is over."""
    return await flow(trial, await through_gate(trial))


async def flow(trial: Trial, opened: Opened) -> Answer:
    """The stream of a try that is through the gate; its task is to be the one that reads it on."""
    outlet = Outlet()
    pieces = under_way(
        trial,
        opened.reply,
        opened.relay,
        opened.held,
        opened.pending,
        outlet,
        ended=opened.ended,
    )
    # Begun here, so that its end is seen to even if nobody ever asks for a piece.
    await anext(pieces)
    dialect = trial.prepared.caller
    array = trial.prepared.context.array
    kind = dialect.content_type if array else dialect.stream_content_type
    head = Head(200, kind, heartbeat=dialect.heartbeat)
    return Answer(head, pieces, outlet)


async def through_gate(trial: Trial) -> Opened:
    """Sends the request and waits until its first content is there, or the gate's time is over."""
    ready = False
    status: Status = "client_cut"
    relay: Relay | None = None
    pending: asyncio.Future[bytes | None] | None = None
    try:
        reply = await trial.send()
        relay = trial.relay()
        held, pending, ended = await gate(trial, reply, relay)
        if trial.claim is not None:
            await trial.claim(trial)
        trial.answered()
        ready = True
        return Opened(reply, relay, held, pending, ended)
    except UpstreamError as error:
        trial.failed(error)
        raise
    except asyncio.CancelledError:
        if trial.call.gone or trial.lost:
            raise
        # The server shuts down and its patience is over (R2).
        uncancel()
        status = status_of_cut(trial.call)
        raise cut_short(trial.call) from None
    except Exception:
        status = "house_error"
        raise
    finally:
        if not ready:
            if pending is not None:
                pending.cancel()
            if not trial.closed:
                if relay is not None:
                    trial.overhear(relay)
                trial.give_up(status)
            await trial.hang_up()


async def gate(
    trial: Trial, reply: UpstreamReply, relay: Relay
) -> tuple[bytes, asyncio.Future[bytes | None] | None, bool]:
    """Reads until content has come: what is due so far, a read still under way, whether it ended."""
    means = trial.means
    loop = asyncio.get_running_loop()
    left_s = trial.left_s()
    # Clients that break on a heartbeat would be left in silence: they are held (D11).
    gate_s = means.policy.gate_s if trial.prepared.caller.heartbeat is not None else left_s
    is_last = left_s <= gate_s
    """Whether nothing is left of the time for the first event once the gate's is over."""
    deadline = loop.time() + min(gate_s, left_s)
    held: list[bytes] = []
    sniffed = False
    while True:
        # A task is made only where there is something to wait for.
        piece = reply.at_hand()
        if piece is None:
            pending = asyncio.ensure_future(reply.next())
            await _wait_for(pending, deadline - loop.time())
            if not pending.done():
                if is_last:
                    await _drop(pending)
                    raise unheard(means.policy.first_event_s)
                return b"".join(held), pending, False
            piece = pending.result()
        if piece is not None and not sniffed:
            start = piece.lstrip(_WHITE)[:1]
            sniffed = bool(start)
            if not start:
                piece = b""
            elif start in trial.prepared.provider.no_stream:
                piece = await _whole_in_time(trial, reply, piece)
        held.append(relay.close() if piece is None else relay.feed(piece))
        facts = relay.facts
        # Content commits, even if the error behind it came in the same piece: how bytes are cut
        # decides nothing.
        if facts.error is not None and not facts.content:
            # An error in place of an answer is not charged for, unless it says so.
            trial.record.may_cost = facts.usage is not None
            raise facts.error
        if facts.content or facts.finished or piece is None:
            trial.record.first_event_s = means.monotonic() - trial.record.started
            return b"".join(held), None, piece is None
        if loop.time() >= deadline:
            if is_last:
                raise unheard(means.policy.first_event_s)
            return b"".join(held), None, False


async def _wait_for(pending: asyncio.Future[bytes | None], wait_s: float) -> None:
    """Returns when the read is done, or the time over; ends the read where nobody waits any more."""
    try:
        await asyncio.wait({pending}, timeout=max(0.0, wait_s))
    except BaseException:
        await _drop(pending)
        raise


async def _drop(pending: asyncio.Future[bytes | None]) -> None:
    """Ends a read that nobody waits for any more."""
    pending.cancel()
    with suppress(BaseException):
        await pending


async def _whole_in_time(trial: Trial, reply: UpstreamReply, start: bytes) -> bytes:
    """``_whole_instead`` within the time that whole replies have; ``next`` alone has no bound."""
    try:
        async with asyncio.timeout(trial.left_s()):
            return await _whole_instead(trial, reply, start)
    except TimeoutError:
        raise UpstreamError(
            "timeout",
            f"The provider did not finish its reply within "
            f"{trial.means.policy.first_event_s:g} seconds.",
            code="read_timeout",
            retryable=True,
        ) from None


async def _whole_instead(trial: Trial, reply: UpstreamReply, start: bytes) -> bytes:
    """A reply that is whole although a stream was asked for, as a stream (P11)."""
    pieces = [start]
    size = len(start)
    while (piece := await reply.next()) is not None:
        pieces.append(piece)
        size += len(piece)
        if size > trial.means.policy.reply_limit:
            raise UpstreamError(
                "upstream", "The provider's reply is too large.", code="provider_error"
            )
    body = b"".join(pieces)
    if not body.lstrip(_WHITE).startswith(b"{"):
        raise UpstreamError(
            "upstream",
            "The provider answered with something else than a stream.",
            code="provider_error",
        )
    provider = trial.prepared.provider
    # Raises where the object is an error or no reply at all.
    provider.tap_response(body, trial.prepared.target, trial.prepared.context)
    return provider.response_frames(body)
