"""One WebSocket connection of chat, from the moment that it is open to its end.

A loop over what the caller says. Completions run beside it, each in a task that the server knows of: several at
once, told apart by their ids. When the caller leaves all of them are ended, as its requests over HTTP would be;
when the server ends they run to their end, and the connection closes behind the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from msgspec import UNSET
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dragoman.core.call import Caller
from dragoman.core.errors import CallerError, GatewayError
from dragoman.surface.answer import as_gateway_error, now
from dragoman.surface.socket_scope import LEAVE, Socket
from dragoman.surface.sockets.bounds import Bounds
from dragoman.surface.sockets.exchange import Exchange
from dragoman.surface.sockets.failures import code_of
from dragoman.surface.sockets.frames import (
    Asked,
    Auth,
    AuthOk,
    ChatComplete,
    ChatDelta,
    ChatStart,
    ErrorCode,
    FrameError,
    Ping,
    Pong,
    Refused,
    encode,
    read_frame,
)

NORMAL, GOING_AWAY, POLICY = 1000, 1001, 1008
Outgoing = AuthOk | Pong | ChatStart | ChatDelta | ChatComplete | Refused


class Welcome(Protocol):
    """Who comes in, who has gone, and at whose request we failed."""

    async def check(self, key: str) -> Caller:
        """Whose key it is.

        Raises:
            GatewayError: nobody's who may be here.
        """
        ...

    def enter(self, caller: Caller) -> None:
        """Counts a connection of the caller's.

        Raises:
            CallerError: it has too many.
        """
        ...

    def leave(self, caller: Caller) -> None:
        """One less."""
        ...

    def failed(self, error: Exception, request_id: str) -> None:
        """Notes a failure of ours at one of its requests."""
        ...


class Session:
    """What is known of a connection."""

    def __init__(
        self,
        receive: Receive,
        send: Send,
        socket: Socket,
        welcome: Welcome,
        answer: ASGIApp,
        common: Scope,
        new_id: Callable[[], str],
        bounds: Bounds,
    ) -> None:
        """``answer`` is the handler of a request; ``common`` what the scopes of all of them have."""
        self._receive = receive
        self._send = send
        self._socket = socket
        self._welcome = welcome
        self._answer = answer
        self._common = common
        self._new_id = new_id
        self._bounds = bounds
        self._key: str | None = None
        self._caller: Caller | None = None
        """Whose connection it is counted as."""
        self._tries = 0
        self._gone = asyncio.Event()
        self._leaving = False
        self._closed = False
        self._running: dict[str, asyncio.Task[None]] = {}
        self._exchanges: dict[str, Exchange] = {}
        """What runs, by the same ids."""
        self._since = now()
        """When it was last heard of, or had an answer to its end."""

    async def run(self, subprotocol: str | None = None) -> None:
        """Opens it, and serves it to its end.

        Raises:
            OSError: the caller has left before it was open.
        """
        try:
            await self._send({"type": "websocket.accept", "subprotocol": subprotocol})
            while True:
                message = await self._next()
                if message is None or message["type"] == "websocket.disconnect":
                    return
                if self._gone.is_set():
                    return  # what it said before it left, nobody waits for
                if message["type"] == LEAVE:
                    self._leaving = True
                    await self._leave()
                else:
                    await self._hear(message)
        except asyncio.CancelledError:
            # The server has no more patience. It has told its completions, too, and they tell the caller.
            if self._running:
                await asyncio.wait(self._running.values(), timeout=1)
            self._leaving = True
            await self._leave()
        finally:
            self._gone.set()
            if self._caller is not None:
                self._welcome.leave(self._caller)

    async def _next(self) -> Message | None:
        """What comes next; None where nothing has come for too long, and the connection was closed."""
        while True:
            bounds = self._bounds
            patience = bounds.auth_s if self._key is None else bounds.idle_s
            left = patience if self._running else max(0.0, self._since + patience - now())
            try:
                async with asyncio.timeout(left):
                    return await self._receive()
            except TimeoutError:
                if self._running or now() - self._since < patience:
                    continue
            if self._key is None:
                told = f"No API key was given within {bounds.auth_s:g} seconds."
                await self._tell(Refused("auth_required", told))
                await self._close(POLICY, "no API key was given")
            else:
                await self._close(NORMAL, "idle")
            return None

    async def _hear(self, message: Message) -> None:
        text = message.get("text")
        try:
            if text is None:
                raise FrameError("bad_request", "Messages are text, not binary.")
            said = read_frame(text)
        except FrameError as error:
            await self._tell(Refused(error.code, error.message, error.request_id))
            return
        match said:
            case Ping():
                if self._key is not None:
                    self._since = now()
                await self._tell(Pong(said.request_id))
            case Auth():
                await self._authenticate(said.key)
            case Asked():
                await self._begin(said)

    # --- who it is

    def take(self, key: str, caller: Caller) -> None:
        """Whose connection it is from now on.

        Raises:
            CallerError: they have too many.
        """
        if self._caller is not None:
            self._welcome.leave(self._caller)
            self._caller = None
        self._welcome.enter(caller)
        self._key, self._caller, self._since = key, caller, now()
        self._socket.trust()

    async def _authenticate(self, key: str) -> None:
        already = self._key is not None
        try:
            caller = await self._welcome.check(key)
            if already and key != self._key:
                raise CallerError(
                    "authentication",
                    "The connection has another API key already: open a further one.",
                )
            if not already:
                self.take(key, caller)
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets a clear answer
            told = as_gateway_error(error)
            await self._refuse_key(told)
            return
        tier = caller.tier if caller.tier is not None else UNSET
        await self._tell(AuthOk(caller.role, tier, already or UNSET))

    async def _refuse_key(self, error: GatewayError) -> None:
        code = code_of(error.status, error.code or "", streams=False)
        await self._tell(Refused(code, error.message, status=error.status))
        self._tries += 1
        if self._tries >= self._bounds.tries:
            await self._close(POLICY, "too many API keys were tried")

    # --- completions

    async def _begin(self, asked: Asked) -> None:
        request_id = asked.request_id
        known = request_id if isinstance(request_id, str) else None
        refusal = self._refusal(known, len(asked.body))
        if refusal is not None:
            refusal_code, told = refusal
            await self._tell(Refused(refusal_code, told, request_id))
            return
        if not isinstance(request_id, str):
            request_id = f"req_{self._new_id().replace('-', '')}"
        assert self._key is not None, "it has been looked at"
        self._since = now()
        exchange = Exchange(asked, request_id, self._tell, self._gone, now())
        task = asyncio.get_running_loop().create_task(self._run(exchange, self._key))
        self._running[request_id] = task
        self._exchanges[request_id] = exchange
        self._socket.tasks.add(task)
        task.add_done_callback(self._socket.tasks.discard)

    def _refusal(self, request_id: str | None, size: int) -> tuple[ErrorCode, str] | None:
        """Why a completion is not begun, where it is not."""
        if self._key is None:
            return "auth_required", 'Say who you are first: {"type": "auth", "apiKey": "<key>"}.'
        if self._leaving:
            return "internal", "The gateway is shutting down: connect again."
        if request_id in self._running:
            return (
                "bad_request",
                f"The request {request_id!r} is under way: say another requestId.",
            )
        if len(self._running) >= self._bounds.at_once:
            return (
                "rate_limited",
                f"{self._bounds.at_once} requests of this connection are under way.",
            )
        most, waiting = self._bounds.waiting, sum(e.waiting for e in self._exchanges.values())
        if waiting and waiting + size > most:
            told = (
                f"The requests of this connection that have not started have {waiting} bytes; with this one's "
                f"{size} they would have more than the {most} bytes they may: wait for a chat.start."
            )
            return "rate_limited", told
        return None

    async def _run(self, exchange: Exchange, key: str) -> None:
        try:
            await exchange.run(self._answer, self._common, key)
        except Exception as error:  # noqa: BLE001  whatever it is, the caller is told an end
            self._welcome.failed(error, exchange.request_id)
            await exchange.fail()
        finally:
            del self._running[exchange.request_id]
            del self._exchanges[exchange.request_id]
            self._since = now()
        if exchange.status == 401 and key == self._key:
            # Revoked, or expired: another one may be said.
            self._key = None
            self._socket.doubt()
        await self._leave()

    # --- what goes out

    async def _tell(self, frame: Outgoing) -> None:
        if self._closed or self._gone.is_set():
            return
        try:
            await self._send({"type": "websocket.send", "text": encode(frame).decode()})
        except OSError:
            # So the server says that the caller has left; the loop hears of it as well.
            self._gone.set()

    async def _leave(self) -> None:
        """Closes behind the last completion, where the server ends."""
        if self._leaving and not self._running:
            await self._close(GOING_AWAY, "the gateway is shutting down")

    async def _close(self, code: int, reason: str) -> None:
        if self._closed or self._gone.is_set():
            return
        self._closed = True
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError:
            self._gone.set()
