"""The one handler of every data route, and of what is asked about kept responses: a scope in, an answer out.

It knows HTTP and the caller's dialect, and nothing of providers or money: the pipeline does the
work and yields a head and pieces. Whatever goes wrong is told in the caller's dialect. A caller
that leaves cancels everything at once, in whatever phase it is (D18).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias
from urllib.parse import parse_qsl

from msgspec import Struct
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.attempt.endings import cut_short
from dragoman.core.call import Answer, Call, Head, Proof, Shown
from dragoman.core.errors import CallerError, GatewayError, code_of
from dragoman.core.ids import REQUEST_ID
from dragoman.core.trace import TraceContext, read_traceparent, read_tracestate
from dragoman.identity.proof import read_proof
from dragoman.keeping.bodies import Noting
from dragoman.pipeline import House, carry
from dragoman.surface.answer import (
    Headers,
    answer_text,
    as_gateway_error,
    as_headers,
    error_headers,
    error_reply,
    now,
)
from dragoman.surface.body import ClientGoneError, read_body, too_large
from dragoman.surface.connection import SELF, Connection
from dragoman.surface.foreign_headers import FOREIGN, with_ours
from dragoman.surface.head import BY_NAME, SEEN, Seen, headers_of_scope
from dragoman.surface.pulse import Pulse
from dragoman.surface.route import Route
from dragoman.surface.turn import TURN, Turn

SNIPPET = 1000
"""Bytes of a body that the log tells, where it tells of any."""
_YES = frozenset({"true", "1", "yes"})
_TOLD = FOREIGN | {"x-request-id", "traceparent", "x-dragoman-strict"}
"""Headers by which a caller says what it wants its call to be named, to be part of, or to hold to."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the surface needs beside the house."""

    body_cap: int
    new_id: Callable[[], str]
    wall: Callable[[], float]
    started: Callable[[], None]
    """Told once a data request has begun."""
    finished: Callable[[Call, float], None]
    """Told once a request is over: metrics and the access log."""
    failed: Callable[[Exception, Call], None]
    """Told of failures that are ours."""
    sample: Callable[[str, TraceContext | None], bool] | None = None
    """Whether a trace is recorded, by its id and what its caller says; None: none is."""
    passes_state: bool = False
    """Whether providers get the caller's ``tracestate``."""
    shows: bool = False
    """Whether the log tells of URLs and of what was said."""
    paged: Callable[[Call, int, float], None] | None = None
    """Told of every page that was answered, with its status; None: nobody wants to know."""
    live: set[UnderWay] = field(default_factory=set)
    """Data requests that are under way."""
    opened: Callable[[int], None] | None = None
    """Told of each WebSocket: 1 when it opens, -1 when it ends; None: nobody wants to know."""
    bodies: Callable[[Call, bytes], Noting | None] | None = None
    """What notes the bodies of a call with this one, where its tenant's are kept."""


class UnderWay(Protocol):
    """A request that is being answered."""

    @property
    def call(self) -> Call:
        """The request."""
        ...

    def cut(self, why: GatewayError, /) -> None:
        """Ends it as soon as may be, and tells its caller why."""
        ...


_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"})


def proof_of(call: Call, scope: Scope) -> Proof | None:
    """The one credential of a request.

    Raises:
        CallerError: there are two different ones, in two headers or in one that is repeated (A18).
    """
    known: Seen | None = scope.get(SEEN)
    if known is not None:
        if known.proof is None:
            known.proof = read_proof(call.headers, call.query)  # none of its headers is repeated
        return known.proof
    given = scope["headers"]
    if len(given) != len(headers_of_scope(scope)):
        seen: dict[bytes, bytes] = {}
        for name, value in given:
            if name in _CREDENTIALS and seen.setdefault(name, value) != value:
                raise CallerError(
                    "invalid_request",
                    f"The header {name.decode()} is there twice with different values: send one.",
                    code="conflicting_credentials",
                )
    return read_proof(call.headers, call.query)


def new_call(scope: Scope, receive: Receive, route: Route, entry: Entry) -> Call:
    """The call that a request makes; nothing is checked yet."""
    call = _call_of(scope, route, entry)
    headers = call.headers
    call.read_body = lambda: read_body(receive, headers, entry.body_cap, scope.get(TURN))
    return call


def _call_of(scope: Scope, route: Route, entry: Entry) -> Call:
    headers: dict[str, str] = scope[BY_NAME] if BY_NAME in scope else headers_of_scope(scope)
    call_id = entry.new_id()
    bare = trace_id = call_id.replace("-", "")
    request_id = f"req_{bare}"
    context: TraceContext | None = None
    strict = False
    if not _TOLD.isdisjoint(headers):
        if not FOREIGN.isdisjoint(headers):
            headers = with_ours(headers)
        given, trace = headers.get("x-request-id", ""), headers.get("traceparent")
        if REQUEST_ID.fullmatch(given):
            request_id = given
        if trace is not None and (context := read_traceparent(trace)) is not None:
            trace_id = context.trace_id
        strict = headers.get("x-dragoman-strict", "").strip().lower() in _YES
    query = scope["query_string"]
    # What each has by position: names cost three times as much, for every call.
    call = Call(
        call_id,
        request_id,
        trace_id,
        route.dialect,
        route.operation or "models",
        route.path,
        None,
        headers,
        _read_already,
        now(),
        entry.wall(),
        scope["method"],
        scope.get("client"),
        "",
        False,  # noqa: FBT003
        True,  # noqa: FBT003
        "",
        strict,
        scope["path_params"].get("model") if "path_params" in scope else None,
        route.streams,
        dict(parse_qsl(query.decode("latin-1"))) if query else {},
        route.home,
        route.flavour,
    )
    if context is not None:
        call.parent_id, call.told_sampled = context.span_id, context.sampled
        if entry.passes_state:
            call.tracestate = read_tracestate(headers)
    if entry.shows:
        call.shown = Shown(scope["path"] + (f"?{query.decode('latin-1')}" if query else ""))
    if entry.sample is not None:
        call.sampled = call.told_sampled = entry.sample(call.trace_id, context)
    return call


Serve: TypeAlias = Callable[[Call, Scope], Awaitable[Answer]]
"""What answers a call whose credential was read; it reads the body, if only to know that it has ended."""


def data_endpoint(route: Route, house: House, entry: Entry) -> ASGIApp:
    """The ASGI application of one data route."""
    permission = route.permission
    return call_endpoint(route, lambda call, _: carry(call, permission, house), entry)


def call_endpoint(route: Route, serve: Serve, entry: Entry) -> ASGIApp:
    """The ASGI application of a route whose calls are counted, logged and waited for at the end."""
    # What other services are asked is nobody's prompt.
    bodies = entry.bodies if route.operation is not None else None
    live, started, finished, cap = entry.live, entry.started, entry.finished, entry.body_cap

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        call = _call_of(scope, route, entry)
        exchange = _Exchange(call, receive, send, cap, scope.get(SELF), scope.get(TURN), bodies)
        call.read_body = exchange.read
        started()
        live.add(exchange)
        try:
            call.proof = proof_of(call, scope)
            answer = await serve(call, scope)
            if answer.pieces is not None:
                await exchange.pass_on(answer, answer.pieces)
            elif (rest := exchange.give(answer.head)) is not None:
                await rest
        except ClientGoneError:
            call.outcome.status = "client_cut"
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
            if call.gone or exchange.started:
                call.outcome.status = "client_cut"
            else:
                # The server shuts down, and the call has not come to an attempt, or rests between two.
                await exchange.refuse(cut_short(call), entry)
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets a clear answer
            await exchange.refuse(error, entry)
        finally:
            exchange.stop()
            live.discard(exchange)
            if call.hold is not None:
                call.hold.leave()
            finished(call, now() - call.received)

    return endpoint


async def _read_already() -> bytes:
    raise AssertionError("the body of a request is read once")


class _Exchange(Struct, eq=False):
    """One request and its answer: what was sent so far, and whether the caller is still there."""

    _call: Call
    _receive: Receive
    _send: Send
    _cap: int
    _connection: Connection | None
    _turn: Turn | None
    _bodies: Callable[[Call, bytes], Noting | None] | None
    _noting: Noting | None = None
    _started: bool = False
    _ending: bool = False
    _finished: bool = False
    _watcher: asyncio.Task[None] | None = None
    _task: asyncio.Task[Any] | None = None

    # What it holds is a caller's own.
    __repr__ = object.__repr__

    @property
    def started(self) -> bool:
        """Whether anything of the answer was sent."""
        return self._started

    async def read(self) -> bytes:
        """The body; before it is read, ``receive`` belongs to the reader."""
        call, turn, connection = self._call, self._turn, self._connection
        headers = call.headers
        body = None if turn is None or "content-encoding" in headers else turn.whole_body()
        if body is None:
            began = now()
            try:
                body = await read_body(self._receive, headers, self._cap, turn)
            except ClientGoneError:
                call.gone = True
                raise
            call.read_s = now() - began
        elif len(body) > self._cap:
            raise too_large(self._cap)
        if call.shown is not None:
            call.shown.body = body[:SNIPPET].decode("utf-8", "replace")
        if self._bodies is not None:
            self._noting = self._bodies(call, body)
        self._task = asyncio.current_task() if turn is None else turn.task
        if call.cut is not None:
            raise call.cut
        if connection is not None:
            connection.gone = self._leave
        else:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())
        return body

    def give(self, head: Head) -> Awaitable[None] | None:
        """Sends a whole answer; None where it could be written at once."""
        call, body = self._call, head.body or b""
        text, number = answer_text(call, head.content_type, len(body), now(), head.extra)
        self._ending = self._started = True
        call.outcome.http_status = head.status
        if self._noting is not None:
            self._noting.take(body)
        turn = self._turn
        if turn is None or not turn.answer(head.status, text, number, body):
            return self._send_whole(head.status, as_headers((text, number)), body)
        self._finished = True
        return None

    async def _send_whole(self, status: int, headers: Headers, body: bytes) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})
        self._finished = True

    async def pass_on(self, answer: Answer, pieces: AsyncGenerator[bytes, None]) -> None:
        """Sends an answer as it comes."""
        head = answer.head
        try:
            self._started = True
            self._call.outcome.http_status = head.status
            told = answer_text(self._call, head.content_type, None, now(), head.extra)
            turn = self._turn
            if turn is None or not turn.begin(head.status, *told):
                headers = as_headers(told)
                await self._send(
                    {"type": "http.response.start", "status": head.status, "headers": headers}
                )
            outlet = answer.outlet
            noting = self._noting
            if outlet is not None and turn is not None:
                outlet.push = turn.push if noting is None else noting.beside(turn.push)
            pulse = Pulse(self._send, head.heartbeat, outlet)
            try:
                async for piece in pieces:
                    if piece:
                        pulse.beat()
                        if noting is not None:
                            noting.take(piece)
                        if turn is None or not turn.push(piece):
                            await self._send(
                                {"type": "http.response.body", "body": piece, "more_body": True}
                            )
            finally:
                if (sending := pulse.stop()) is not None:
                    await sending
            self._ending = True
            if turn is None or not turn.finish():
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            self._finished = True
        finally:
            await pieces.aclose()

    async def refuse(self, error: Exception, entry: Entry) -> None:
        """Tells the caller of a failure, if the answer has not begun yet."""
        call = self._call
        told = as_gateway_error(error)
        if told is not error or told.kind == "server":
            entry.failed(error, call)
        call.outcome.error_code = code_of(told)
        if call.shown is not None:
            call.shown.error = told.message
        if self._started:
            return
        reply = error_reply(told, call.dialect, call)
        head = Head(reply.status, reply.content_type, reply.body, None, error_headers(told))
        rest = self.give(head)
        if rest is not None:
            await rest

    async def _watch(self) -> None:
        """Waits for the caller to leave, where the server's connection does not tell."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        """Cancels the request's task: its caller has left."""
        # The server says so after a complete answer as well.
        if self._task is not None and not self._ending:
            self._call.gone = True
            self._task.cancel()

    @property
    def call(self) -> Call:
        """The request."""
        return self._call

    def cut(self, why: GatewayError) -> None:
        """Ends it as soon as may be, and tells its caller why, if there is still something to tell."""
        self._call.cut = why
        if self._task is not None and not self._ending:
            self._task.cancel()

    def stop(self) -> None:
        """The exchange is over; nothing of it holds on to itself any more."""
        self._ending = True
        self._task = None
        if self._noting is not None:
            self._noting.end()
        self._call.read_body = _read_already
        connection = self._connection
        if connection is not None:
            connection.gone = None
            if self._started and not self._finished:
                connection.give_up()
        if self._watcher is not None:
            self._watcher.cancel()
