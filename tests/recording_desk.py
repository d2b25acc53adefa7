"""A recorder without a database, and a provider of a few words."""

import asyncio
from dataclasses import dataclass, field

from dragoman.core.call import Answer, Attempt, Call, Caller, Head
from dragoman.core.clock import SystemClock
from dragoman.reuse.policy import ReusePolicy
from dragoman.reuse.ports import Absent, Busy, Claimed, Differs, Spot
from dragoman.reuse.recorder import Recorder

POLICY = ReusePolicy(wait_s=0.3, window_s=0.2, poll_s=0.01, lease_s=0.09)
SSE = "text/event-stream"


@dataclass
class Store:
    """Several recorders that share one are several processes."""

    rows: dict = field(default_factory=dict)
    renewed: int = 0
    down: Exception | None = None

    async def claim(self, spot, call_id, fingerprint):
        found = await self.look(spot, fingerprint)
        if not isinstance(found, Absent):
            return found
        self.rows[spot] = (call_id, fingerprint, None)
        return Claimed()

    async def look(self, spot, fingerprint):
        await asyncio.sleep(0)
        if self.down is not None:
            raise self.down
        if spot not in self.rows:
            return Absent()
        _, first, kept = self.rows[spot]
        if fingerprint not in {None, first}:
            return Differs()
        return kept or Busy()

    async def scope(self, tenant, call_id):
        found = [
            s.scope for s, row in self.rows.items() if s.tenant == tenant and row[0] == call_id
        ]
        return found[0] if found else None

    async def finish(self, spot, call_id, transcript):
        if self.down is not None:
            raise self.down
        call, fingerprint, _ = self.rows[spot]
        assert call == call_id
        self.rows[spot] = (call, fingerprint, transcript)
        return True

    async def release(self, spot, call_id):
        assert self.rows.pop(spot)[0] == call_id

    async def renew(self, calls):
        self.renewed += len(calls)

    async def expire(self, most):
        return 0


@dataclass
class Provider:
    """Answers in pieces; each waits until it is told to go on."""

    pieces: list = field(default_factory=lambda: [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"])
    whole: bytes | None = None
    status: str = "complete"
    error: Exception | None = None
    calls: list = field(default_factory=list)
    go: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1000))
    cancelled: int = 0

    async def make(self, call, body):
        self.calls.append(call)
        call.outcome.attempts.append(
            Attempt("a", 1, "openai", "gpt-4o", None, started=0.0, wall=0.0)
        )
        if self.error is not None:
            raise self.error
        if self.whole is not None:
            await self._turn()
            call.outcome.status = self.status
            return Answer(Head(200, "application/json", self.whole))
        pieces = self._stream(call)
        await anext(pieces)
        return Answer(Head(200, SSE, heartbeat=b": \n\n"), pieces)

    async def _turn(self):
        try:
            await self.go.acquire()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def _stream(self, call):
        yield b""
        for piece in self.pieces:
            await self._turn()
            yield piece
        call.outcome.status = self.status


def new_recorder(store=None, policy=POLICY, cache=None, reports=None):
    told = [] if reports is None else reports
    return Recorder(
        store or Store(),
        cache,
        SystemClock(),
        policy,
        lambda error, call: told.append((error, call.id)),
    )


_numbers = iter(range(1, 10**9))


def new_call(headers=None, dialect="chat", tenant="ours", key_id="key-1", **members):
    async def no_body():
        raise AssertionError("the body is read once")

    return Call(
        id=f"01a21956-ba3d-74a6-a770-{next(_numbers):012x}",
        request_id="req",
        trace_id="0" * 32,
        dialect=dialect,
        operation="chat",
        route="/v1/chat/completions",
        proof=None,
        headers=headers or {},
        read_body=no_body,
        received=0.0,
        wall=0.0,
        caller=Caller(key_id, tenant),
        **members,
    )


async def read(answer):
    """All of an answer."""
    if answer.pieces is None:
        return answer.head.body
    return b"".join([piece async for piece in answer.pieces])


__all__ = ["POLICY", "SSE", "Provider", "Spot", "Store", "new_call", "new_recorder", "read"]
