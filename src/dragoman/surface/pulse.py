"""Signs of life in a silent stream (D11, P15): a heartbeat after 15 seconds without a frame."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from starlette.types import Send

from dragoman.core.call import Outlet

SILENCE_S = 15.0


class Pulse:
    """Sends the dialect's heartbeat between two frames, never within one."""

    __slots__ = ("_beat", "_handle", "_heartbeat", "_loop", "_outlet", "_send", "_sending")

    def __init__(self, send: Send, heartbeat: bytes | None, outlet: Outlet | None = None) -> None:
        """``outlet``: where frames go out that nobody tells of here."""
        self._outlet = outlet
        self._send = send
        self._heartbeat = heartbeat
        self._loop = asyncio.get_running_loop()
        self._beat = self._loop.time()
        self._sending: asyncio.Task[None] | None = None
        self._handle = (
            self._loop.call_later(SILENCE_S, self._look) if heartbeat is not None else None
        )

    def beat(self) -> None:
        """A frame is being sent."""
        self._beat = self._loop.time()

    def stop(self) -> Awaitable[object] | None:
        """The stream ends, and no heartbeat may follow its last frame: what has to be awaited before that."""
        if self._handle is not None:
            self._handle.cancel()
        if self._sending is not None and not self._sending.done():
            return asyncio.wait({self._sending}, timeout=1)
        return None

    def _look(self) -> None:
        last = self._beat if self._outlet is None else max(self._beat, self._outlet.at)
        silent = self._loop.time() - last
        if silent < SILENCE_S - 0.01:
            self._handle = self._loop.call_later(SILENCE_S - silent, self._look)
            return
        if self._sending is None or self._sending.done():
            self._sending = self._loop.create_task(self._one())
        self._beat = self._loop.time()
        self._handle = self._loop.call_later(SILENCE_S, self._look)

    async def _one(self) -> None:
        await self._send(
            {"type": "http.response.body", "body": self._heartbeat, "more_body": True}
        )
