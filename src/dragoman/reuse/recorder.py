"""Makes recordings: each in a task of its own, which no caller's leaving ends.

One process knows its recordings by where they are kept; several agree through the store. Who finds
that another process makes the answer looks again until it is there, or its maker is dead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias, assert_never

from msgspec.structs import replace

from dragoman.core.call import Answer, Call, Outcome
from dragoman.core.clock import Clock
from dragoman.core.errors import HouseError
from dragoman.reuse.event_ids import SSE, EventIds
from dragoman.reuse.policy import ReusePolicy
from dragoman.reuse.ports import Absent, AnswerCache, AnswerStore, Busy, Claimed, Differs, Spot
from dragoman.reuse.recording import Recording
from dragoman.reuse.refusals import differs, interrupted, no_stream, still_under_way
from dragoman.reuse.same import scope_of_stream
from dragoman.reuse.transcript import Transcript, head_of, origin_of, told_of, transcript_of

Make: TypeAlias = Callable[[Call, bytes], Awaitable[Answer]]
"""Carries a call whose body is there to its answer, and sees to its account."""

MOST_REMEMBERED = 64 * 1024 * 1024
"""Bytes of broken streams that may still be resumed."""
CLOSE_S = 5.0
_WELL = frozenset({"unknown", "complete"})
"""What a stream's outcome is until something has gone wrong; its last frame comes after that."""


def _nobody(call: Call) -> None:
    """Nobody has to be told."""


@dataclass(slots=True)
class Recorder:
    """One for each process."""

    store: AnswerStore
    cache: AnswerCache | None
    clock: Clock
    policy: ReusePolicy
    report: Callable[[Exception, Call], None]
    consumed: Callable[[Call], None] = _nobody
    """Told what a call came to whose caller was no longer there."""
    version: str = ""
    """Of the configuration in force: answers of the cache are its own."""
    live: dict[Spot, Recording] = field(default_factory=dict)
    _streams: dict[tuple[str, str], Recording] = field(default_factory=dict)
    """Tenant and call: what is recorded, and what has broken and may still be asked for."""
    _remembered: int = 0
    _claimed: dict[Spot, str] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _renewing: asyncio.Task[None] | None = None

    def record(
        self,
        spot: Spot,
        call: Call,
        body: bytes,
        fingerprint: bytes,
        make: Make,
        *,
        numbered: bool,
    ) -> Recording:
        """The answer to a call, recorded as it is made; where it is kept already, that.

        Args:
            spot: where it is kept.
            call: for whom it is made.
            body: its request.
            fingerprint: what has to be the same in every such request.
            make: makes it.
            numbered: whether events get ids.
        """
        recording = Recording(fingerprint, partial(self._window_s, spot.tenant))
        recording.is_numbered = numbered
        recording.call = own = replace(call, outcome=Outcome())
        self.live[spot] = self._streams[spot.tenant, own.id] = recording
        self._start(recording, self._made(spot, recording, own, body, make))
        return recording

    def replay(self, spot: Spot, call_id: str, fingerprint: bytes | None) -> Recording:
        """What is kept at a spot, or is being made there by another process; never a new answer."""
        recording = Recording(fingerprint, lambda: self.policy.window_s)
        self._start(recording, self._kept(spot, recording, call_id))
        return recording

    def stream(self, tenant: str, call_id: str) -> Recording | None:
        """The recording of a call of the tenant, if this process has it."""
        return self._streams.get((tenant, call_id))

    async def close(self) -> None:
        """Ends every recording; those who follow it are told."""
        for recording in list(self._streams.values()):
            recording.stop(gone=False)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        left = [*self._tasks, *([self._renewing] if self._renewing is not None else [])]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _window_s(self, tenant: str) -> float:
        """How long one more recording of the tenant may go on unread; of very many none may."""
        of_tenant = (found for (whose, _), found in self._streams.items() if whose == tenant)
        unread = sum(found.is_unread for found in of_tenant)
        return self.policy.window_s if unread <= self.policy.most_unread else 0.0

    # --- the tasks

    def _start(self, recording: Recording, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(_told(recording, work))
        recording.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _made(
        self, spot: Spot, recording: Recording, call: Call, body: bytes, make: Make
    ) -> None:
        is_complete = False
        try:
            kept = await self._claimed_or_kept(spot, call, recording.fingerprint or b"")
            if kept is not None:
                _play(recording, kept)
                return
            recording.begun = True
            is_complete = await self._write(spot, recording, call, await make(call, body))
            recording.end()
        except Exception as error:  # noqa: BLE001  whatever it is, all who wait are told
            self._leave(spot, recording)
            recording.end(error)
        finally:
            is_kept = await self._settle(spot, recording, call, is_complete=is_complete)
            self._leave(spot, recording)
            if recording.is_orphan:
                self.consumed(call)
            self._forget(spot.tenant, call.id, recording, at_once=is_kept)

    async def _kept(self, spot: Spot, recording: Recording, call_id: str) -> None:
        until = self.clock.monotonic() + self.policy.wait_s
        while True:
            found = await self.store.look(spot, recording.fingerprint)
            match found:
                case Transcript():
                    _play(recording, found)
                    return
                case Differs():
                    raise differs()
                case Absent():
                    raise no_stream(call_id)
                case Busy():
                    if self.clock.monotonic() >= until:
                        raise still_under_way(self.policy.wait_s)
                    await asyncio.sleep(self.policy.poll_s)
                case _:
                    assert_never(found)

    async def _claimed_or_kept(
        self, spot: Spot, call: Call, fingerprint: bytes
    ) -> Transcript | None:
        try:
            return await self._claim(spot, call.id, fingerprint)
        except HouseError as error:
            if spot.scope != scope_of_stream(call.id):
                raise
            # Nobody else makes this one: without the store only other processes do not find it.
            self.report(error, call)
            return None

    async def _claim(self, spot: Spot, call_id: str, fingerprint: bytes) -> Transcript | None:
        """What is kept; None once the spot is ours."""
        until = self.clock.monotonic() + self.policy.wait_s
        while True:
            found = await self.store.claim(spot, call_id, fingerprint)
            match found:
                case Transcript():
                    return found
                case Claimed():
                    self._claimed[spot] = call_id
                    if self._renewing is None or self._renewing.done():
                        self._renewing = asyncio.ensure_future(self._renew())
                    return None
                case Differs():
                    raise differs()
                case Busy():
                    if self.clock.monotonic() >= until:
                        raise still_under_way(self.policy.wait_s)
                    await asyncio.sleep(self.policy.poll_s)
                case _:
                    assert_never(found)

    async def _renew(self) -> None:
        """Keeps what is being made ours, as long as there is any."""
        while self._claimed:
            await asyncio.sleep(self.policy.lease_s / 3)
            try:
                await self.store.renew(tuple(self._claimed.items()))
            except Exception:  # noqa: BLE001, S112  the next one comes in time, or the lease is over
                continue

    async def _write(self, spot: Spot, recording: Recording, call: Call, answer: Answer) -> bool:
        """Takes the answer down; whether it is whole and good."""
        head, pieces = answer.head, answer.pieces
        if pieces is None:
            recording.is_numbered = False
            recording.add([head.body or b""])
            recording.open(head, origin_of(call), told_of(call.outcome))
            return call.outcome.status == "complete"
        async with aclosing(pieces):
            recording.is_numbered &= head.content_type.startswith(SSE)
            recording.open(head, origin_of(call), told_of(call.outcome))
            ids = EventIds(call.id) if recording.is_numbered else None
            async for piece in pieces:
                if call.outcome.status not in _WELL:
                    self._leave(spot, recording)
                if piece:
                    recording.add([piece] if ids is None else ids.number(piece))
                    if recording.size > self.policy.most_bytes:
                        await self._bound(recording)
        return call.outcome.status == "complete"

    def _leave(self, spot: Spot, recording: Recording) -> None:
        """Whoever comes from now on does not get this one: a failure is told once, to all who wait."""
        if self.live.get(spot) is recording:
            del self.live[spot]

    async def _bound(self, recording: Recording) -> None:
        """Waits until its readers leave no more of it in memory than may be."""
        recording.forget_read()
        while recording.size > self.policy.most_bytes:
            await recording.change()
            recording.forget_read()

    async def _settle(
        self, spot: Spot, recording: Recording, call: Call, *, is_complete: bool
    ) -> bool:
        """Has the answer kept, or the spot free again; whether it is kept."""
        if self._claimed.get(spot) != call.id:
            return recording.is_replay
        pieces, head = recording.pieces, recording.head
        try:
            if is_complete and head and pieces and recording.size <= self.policy.most_bytes:
                transcript = transcript_of(
                    call, head, pieces, self.clock.wall(), numbered=recording.is_numbered
                )
                return await self.store.finish(spot, call.id, transcript)
            await self.store.release(spot, call.id)
        except Exception as error:  # noqa: BLE001  the answer itself is out, and the lease will end
            self.report(error, call)
        finally:
            # Freed, it may be another recording's by now.
            if self._claimed.get(spot) == call.id:
                del self._claimed[spot]
        return False

    def _forget(self, tenant: str, call_id: str, recording: Recording, *, at_once: bool) -> None:
        """Lets go of a recording; a stream that is kept nowhere else stays for the window."""
        name = (tenant, call_id)
        size = recording.size
        room = self._remembered + size <= MOST_REMEMBERED
        if at_once or not room or recording.head is None or recording.head.body is not None:
            self._streams.pop(name, None)
            return
        self._remembered += size

        def forget() -> None:
            self._streams.pop(name, None)
            self._remembered -= size

        asyncio.get_running_loop().call_later(self.policy.window_s, forget)


async def _told(recording: Recording, work: Awaitable[None]) -> None:
    """Whichever way the work ends, whoever follows the recording comes to an end too."""
    try:
        await work
    except asyncio.CancelledError:
        recording.end(interrupted())
        raise
    except Exception as error:  # noqa: BLE001  it is raised where somebody waits for it
        recording.end(error)
    finally:
        if not recording.is_over:
            recording.end(interrupted())


def _play(recording: Recording, kept: Transcript) -> None:
    """The whole of a kept answer, at once."""
    recording.is_replay = True
    recording.is_numbered = kept.numbered
    recording.add(list(kept.pieces))
    recording.open(head_of(kept), kept.origin, kept.told)
    recording.end()
