"""A stream whose head is out: its frames, and its one end (D3). Nothing is retried here.

The bytes behind a regular finish are held back until the record is kept (D26). A silent provider,
a caller that does not read, a caller that leaves, a server that shuts down and a bug of ours
each end it in their own way, and none of them in silence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from math import inf
from typing import Protocol

from dragoman.attempt.deadline import late
from dragoman.attempt.endings import cut_short, silent, status_of_cut, uncancel, unheard
from dragoman.attempt.means import Means
from dragoman.attempt.ports import UpstreamReply
from dragoman.attempt.watchdog import Watchdog
from dragoman.core.call import Call, Outlet, Status
from dragoman.core.errors import HouseError, UpstreamError
from dragoman.dialects.base import Relay

_DRAINING: set[asyncio.Task[None]] = set()
_ANSWERED = ("upstream", "beginning", "end")
"""For whom the watchdog fires while the caller waits: it is told."""


class Course(Protocol):
    """What a stream is part of: a try, or the replay of what was made before."""

    @property
    def call(self) -> Call:
        """Whose it is."""
        ...

    @property
    def means(self) -> Means:
        """What it is done with."""
        ...

    @property
    def closed(self) -> bool:
        """Whether its end is written down."""
        ...

    @property
    def drains(self) -> bool:
        """Whether it is read to its end where its caller leaves (D18)."""
        ...

    def left_s(self) -> float:
        """What is left of the time for the first content."""
        ...

    def end_s(self) -> float:
        """What is left of the time for all of it."""
        ...

    def note(self, relay: Relay, /) -> None:
        """Takes over what the stream has said so far."""
        ...

    def settle(self, relay: Relay, failure: UpstreamError | None, /) -> Status:
        """Writes down how it ended, before the last frame goes out."""
        ...

    def close(self, status: Status) -> None:
        """Writes down that it is over."""
        ...

    async def kept(self) -> None:
        """Returns when what was written is as durable as the operator asked for."""
        ...

    async def hang_up(self) -> None:
        """Gives the connection back, or closes it."""
        ...

    def finish(self) -> None:
        """Ends the account of the call."""
        ...


async def under_way(
    trial: Course,
    reply: UpstreamReply,
    relay: Relay,
    held: bytes,
    pending: asyncio.Future[bytes | None] | None,
    outlet: Outlet,
    *,
    ended: bool,
) -> AsyncGenerator[bytes, None]:
    """Nothing, to begin with, then the frames; from here on nothing is retried."""
    means = trial.means
    policy = means.policy
    facts = relay.facts
    first_s = inf if facts.content else trial.left_s()
    dog = Watchdog(policy.idle_s, policy.write_s, first_s, facts, trial.end_s())
    over = ended or facts.over
    tail: list[bytes] = []
    status: Status = "client_cut"
    failure: UpstreamError | None = None
    drained = False
    unsent = b""
    """Frames of a piece that ``pass_on`` has read and not sent: the task sends them."""
    now = asyncio.get_running_loop().time

    def pass_on(piece: bytes) -> bool:
        """An ordinary piece goes out in the moment in which it comes; the others wake the task."""
        nonlocal unsent
        out = relay.feed(piece)
        dog.since = now()
        if facts.finished or facts.error is not None:
            unsent = out
            return False
        if not out:
            return True  # the frame is not whole yet
        if outlet.push is None or not outlet.push(out):
            unsent = out
            return False
        outlet.at = dog.since
        return True

    try:
        dog.writing()
        trial.call.outcome.http_status = 200
        yield b""
        if facts.finished:
            tail.append(held)
        elif held:
            yield held
        failure = facts.error
        if not over:
            dog.reading()
            if tail:
                dog.tighten(policy.linger_s)
        while not over and failure is None:
            try:
                is_read = False
                if trial.drains:
                    # Read by a task of its own, which outlives this one where the caller leaves.
                    pending = pending or asyncio.ensure_future(reply.next())
                    piece = await asyncio.shield(pending)
                    pending = None
                elif pending is not None:
                    piece = await pending
                    pending = None
                elif outlet.push is not None and not tail:
                    piece = await reply.pour(pass_on)
                    is_read = True
                else:
                    piece = await reply.next()
                if piece is None:
                    over = ended = True
                    out = relay.close()
                elif is_read:
                    out, unsent = unsent, b""
                else:
                    out = relay.feed(piece)
            except UpstreamError as error:
                ended = True
                if facts.finished:
                    tail.append(relay.close())
                else:
                    failure = error
                break
            if facts.error is not None:
                failure = facts.error
                if out and not facts.finished:
                    dog.writing()
                    yield out
                break
            if facts.finished:
                over = over or facts.over
                if not (over or tail):
                    dog.tighten(policy.linger_s)
                tail.append(out)
                continue
            if tail:
                # Another choice has begun after the first was finished.
                dog.loosen(policy.idle_s)
                out = b"".join(tail) + out
                tail.clear()
            if out:
                dog.writing()
                yield out
                dog.reading()
        status = trial.settle(relay, failure)
        dog.writing()
        await trial.kept()
        if failure is not None:
            yield relay.fail(failure)
        else:
            yield b"".join(tail)
            if not (ended or reply.is_over()):
                dog.reading()
                dog.tighten(policy.reuse_s)
                await _read_out(reply)
    except asyncio.CancelledError:
        if dog.fired in _ANSWERED:
            uncancel()
            if trial.closed:
                pass  # the answer is out, and the connection is not worth waiting for
            elif facts.finished:
                tail += [unsent, relay.close()]
                status = trial.settle(relay, None)
                await trial.kept()
                yield b"".join(tail)
            else:
                if dog.fired == "upstream":
                    failure = silent(policy.idle_s)
                elif dog.fired == "beginning":
                    failure = unheard(policy.first_event_s)
                else:
                    failure = late()
                status = trial.settle(relay, failure)
                await trial.kept()
                yield unsent + relay.fail(failure)
        elif not trial.call.gone and dog.fired is None and not trial.closed:
            # The server shuts down and its patience is over (R2).
            uncancel()
            status = status_of_cut(trial.call)
            trial.note(relay)
            trial.close(status)
            yield unsent + relay.fail(cut_short(trial.call))
        else:
            drained = _drain_if_told(trial, reply, relay, pending)
            raise
    except GeneratorExit:
        drained = _drain_if_told(trial, reply, relay, pending)
        raise
    except Exception as error:  # noqa: BLE001  a bug of ours must not end a stream in silence
        means.report(error, trial.call)
        status = "house_error"
        trial.note(relay)
        trial.close(status)
        yield relay.fail(HouseError("server", "The gateway failed while relaying the stream."))
    finally:
        dog.stop()
        if pending is not None and not pending.done() and not drained:
            pending.cancel()
        if not drained:
            if not trial.closed:
                trial.note(relay)
                trial.close(status)
            await trial.hang_up()
        trial.finish()


async def _read_out(reply: UpstreamReply) -> None:
    """Reads what stands behind the last frame: a body at its end gives its connection back."""
    try:
        while await reply.next() is not None:
            pass
    except UpstreamError:
        pass  # of a connection that is lost nobody wants anything


def _drain_if_told(
    trial: Course,
    reply: UpstreamReply,
    relay: Relay,
    pending: asyncio.Future[bytes | None] | None,
) -> bool:
    """Reads an abandoned stream on, where the provider bills it whole anyway (D18).

    ``pending`` is the read that was under way, which has to be the first.
    """
    if not trial.drains or trial.closed:
        return False

    async def drain() -> None:
        try:
            async with asyncio.timeout(trial.means.policy.drain_s):
                piece = await pending if pending is not None else await reply.next()
                while piece is not None:
                    relay.feed(piece)
                    piece = await reply.next()
        except (UpstreamError, TimeoutError):
            pass
        finally:
            trial.note(relay)
            trial.close("client_cut")
            await trial.hang_up()

    task = asyncio.get_running_loop().create_task(drain())
    _DRAINING.add(task)
    task.add_done_callback(_DRAINING.discard)
    return True
