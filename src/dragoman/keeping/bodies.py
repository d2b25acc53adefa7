"""What was asked and answered, kept for who manages the tenant: only where the operator has turned that on.

A call's body and its answer are noted as they pass, cut where they are long, and written behind its back: nobody
waits for it, and a body that finds no room is given up and counted. It is no record: what a process has not
written when it is killed is lost. Nothing of it stands in a log, a metric or a trace.
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec
from msgspec import Struct

from dragoman.core.call import Call
from dragoman.core.errors import GatewayError

MOST_WAITING = 64 * 1024 * 1024
"""Bytes of bodies, of calls under way and of those that are to be written, in one process."""
AT_ONCE = 20
AT_ONCE_BYTES = 4 * 1024 * 1024
"""Of one transaction: others wait for the database meanwhile."""
AGAIN_S = 2.0
"""A database that is away is asked again after so long."""
PATIENCE_S = 5.0
"""How long the end of a process waits for what is to be written."""


class Said(Struct, frozen=True):
    """The bodies of one call, each as far as it is kept; the sizes are those of the whole."""

    tenant: str
    call_id: str
    created: float
    """Unix seconds."""
    request: bytes
    answer: bytes
    request_size: int
    answer_size: int

    def __repr__(self) -> str:
        return f"Said({self.call_id!r}, {self.request_size}, {self.answer_size})"


class BodyStore(Protocol):
    """Where they are kept, sealed; a ``HouseError`` means that it cannot be reached."""

    async def put(self, said: Sequence[Said]) -> None:
        """Keeps them; one that is there already stays as it is."""
        ...


class Wish(Struct, frozen=True):
    """Whose bodies are kept, and how much of each."""

    tenants: frozenset[str] = frozenset()
    """``*`` stands for all of them."""
    most_bytes: int = 0

    def of(self, tenant: str) -> bool:
        """Whether those of a tenant are."""
        return tenant in self.tenants or "*" in self.tenants


class Noting:
    """One call, as its bodies pass."""

    __slots__ = (
        "_bodies",
        "_call",
        "_held",
        "_most",
        "_pieces",
        "_request",
        "_request_size",
        "_size",
    )

    def __init__(self, bodies: Bodies, call: Call, body: bytes, most: int) -> None:
        self._bodies = bodies
        self._call = call
        self._most = most
        self._request: bytes | None = body[:most]
        self._request_size = len(body)
        self._pieces: list[bytes] = []
        self._size = 0
        self._held = 0
        self._hold(len(self._request))

    def _hold(self, size: int) -> bool:
        if not self._bodies.hold(size):
            self._give_up()
            return False
        self._held += size
        return True

    def _give_up(self) -> None:
        if self._request is None:
            return
        self._bodies.lost += 1
        self._bodies.let_go(self._held)
        self._request, self._pieces, self._held = None, [], 0

    def take(self, piece: bytes) -> None:
        """A piece of the answer goes out."""
        room = self._most - self._size
        self._size += len(piece)
        if room > 0 and self._request is not None:
            kept = piece[:room]
            if self._hold(len(kept)):
                self._pieces.append(kept)

    def beside(self, push: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
        """The way past this one, with what goes by it noted as well."""

        def pushed(piece: bytes) -> bool:
            if not push(piece):
                return False
            self.take(piece)
            return True

        return pushed

    def end(self) -> None:
        """The call is over; a second time does nothing."""
        request, self._request = self._request, None
        caller = self._call.caller
        if request is None or caller is None:
            return
        said = Said(
            caller.tenant,
            self._call.id,
            self._call.wall,
            request,
            b"".join(self._pieces),
            self._request_size,
            self._size,
        )
        self._pieces = []
        self._bodies.put(said, self._held)


class Bodies:
    """All of one process, on their way to the database."""

    def __init__(
        self,
        store: BodyStore,
        wish: Callable[[], Wish | None],
        failed: Callable[[Exception], None],
    ) -> None:
        """``wish`` is what the operator says now; ``failed`` is told once of a database that is away."""
        self.store = store
        self.wish = wish
        self.lost = 0
        """Of how many calls nothing was kept that should have been."""
        self._failed = failed
        self._held = 0
        self._queue: deque[tuple[Said, int]] = deque()
        self._writing: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Calls whose bodies are still to be written."""
        return len(self._queue)

    def begin(self, call: Call, body: bytes) -> Noting | None:
        """Begins to note a call whose caller is known; None: nobody wants it."""
        wish = self.wish()
        if wish is None or call.caller is None or not wish.of(call.caller.tenant):
            return None
        return Noting(self, call, body, wish.most_bytes)

    def hold(self, size: int) -> bool:
        """Takes room for so many bytes, if there is any."""
        if self._held + size > MOST_WAITING:
            return False
        self._held += size
        return True

    def let_go(self, size: int) -> None:
        """Gives it back."""
        self._held -= size

    def put(self, said: Said, held: int) -> None:
        """Has it written; ``held``: the room that it takes until then."""
        self._queue.append((said, held))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write(), name="bodies")

    async def _write(self) -> None:
        works = True
        while self._queue:
            some = self._next()
            try:
                await self.store.put([said for said, _ in some])
            except GatewayError as error:
                if works:
                    self._failed(error)
                works = False
                await asyncio.sleep(AGAIN_S)
                continue
            except Exception as error:  # noqa: BLE001  what cannot be written at all must not stop the rest
                self._failed(error)
                self.lost += len(some)
            works = True
            for _, held in some:
                self._queue.popleft()
                self.let_go(held)

    def _next(self) -> list[tuple[Said, int]]:
        """Those that go in one transaction."""
        found: list[tuple[Said, int]] = []
        size = 0
        for each in self._queue:
            size += each[1]
            if found and (len(found) == AT_ONCE or size > AT_ONCE_BYTES):
                break
            found.append(each)
        return found

    async def settle(self, patience_s: float = PATIENCE_S) -> None:
        """Returns once what was put so far is written, or the patience is over."""
        if self._writing is not None and not self._writing.done():
            await asyncio.wait({self._writing}, timeout=patience_s)

    async def close(self) -> None:
        """The end of the process: what is not written in time is lost."""
        await self.settle()
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait({self._writing})
        self.lost += len(self._queue)


def told(said: Said, days: int) -> bytes:
    """The bodies as who manages the tenant reads them; one that is no text comes as base64."""
    return msgspec.json.encode(
        {
            "object": "request.bodies",
            "call_id": said.call_id,
            "created_at": _time(said.created),
            "expires_at": _time(said.created + days * 86_400),
            "request": _part(said.request, said.request_size),
            "answer": _part(said.answer, said.answer_size),
        }
    )


def _time(wall: float) -> str:
    return datetime.fromtimestamp(int(wall), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _part(kept: bytes, size: int) -> dict[str, object]:
    cut = len(kept) < size
    try:
        # What was cut may have been cut within a character.
        text = kept.decode() if not cut else kept.decode("utf-8", "ignore")
    except UnicodeDecodeError:
        coded = base64.b64encode(kept).decode()
        return {"bytes": size, "truncated": cut, "encoding": "base64", "body": coded}
    return {"bytes": size, "truncated": cut, "encoding": "text", "body": text}
