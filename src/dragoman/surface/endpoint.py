"""The one handler of every data route, and of what is asked about kept responses: a scope in, an answer out.

It knows HTTP and the caller's dialect, and nothing of providers or money: the pipeline does the
work and yields a head and pieces. Whatever goes wrong is told in the caller's dialect. A caller
that leaves cancels everything at once, in whatever phase it is (D18).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.attempt.endings import draining
from dragoman.core.call import Answer, Call, Proof, Shown
from dragoman.core.errors import CallerError, code_of
from dragoman.core.ids import REQUEST_ID
from dragoman.core.trace import TraceContext, read_traceparent, read_tracestate
from dragoman.identity.proof import read_proof
from dragoman.keeping.bodies import Noting
from dragoman.pipeline import House, carry
from dragoman.surface.answer import (
    answer_headers,
    answer_lines,
    as_gateway_error,
    as_headers,
    error_headers,
    error_reply,
    now,
)
from dragoman.surface.body import ClientGoneError, read_body
from dragoman.surface.connection import SELF, Connection
from dragoman.surface.foreign_headers import FOREIGN, with_ours
from dragoman.surface.pulse import Pulse
from dragoman.surface.route import Route
from dragoman.surface.turn import TURN, Turn

SNIPPET = 1000
"""Bytes of a body that the log tells, where it tells of any."""
_YES = frozenset({"true", "1", "yes"})


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
    bodies: Callable[[Call, bytes], Noting | None] | None = None
    """What notes the bodies of a call with this one, where its tenant's are kept."""


_BY_NAME = "dragoman.headers"


def headers_of_scope(scope: Scope) -> dict[str, str]:
    """The request's headers; names come in lower case from the server, of repeated ones the last counts."""
    headers: dict[str, str] | None = scope.get(_BY_NAME)
    if headers is None:
        headers = scope[_BY_NAME] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
    return headers


_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"})


def proof_of(call: Call, scope: Scope) -> Proof | None:
    """The one credential of a request.

    Raises:
        CallerError: there are two different ones, in two headers or in one that is repeated (A18).
    """
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
    headers = headers_of_scope(scope)
    if not FOREIGN.isdisjoint(headers):
        headers = with_ours(headers)
    call_id = entry.new_id()
    given = headers.get("x-request-id", "")
    trace = headers.get("traceparent")
    context = None if trace is None else read_traceparent(trace)
    bare = call_id.replace("-", "")
    query = scope["query_string"]
    call = Call(
        id=call_id,
        request_id=given if given and REQUEST_ID.fullmatch(given) else f"req_{bare}",
        trace_id=bare if context is None else context.trace_id,
        dialect=route.dialect,
        operation=route.operation or "models",
        route=route.path,
        proof=None,
        headers=headers,
        read_body=lambda: read_body(receive, headers, entry.body_cap, scope.get(TURN)),
        received=now(),
        wall=entry.wall(),
        strict=headers.get("x-dragoman-strict", "").strip().lower() in _YES,
        named=scope["path_params"].get("model") if "path_params" in scope else None,
        streams=route.streams,
        home=route.home,
        flavour=route.flavour,
        query=dict(parse_qsl(query.decode("latin-1"))) if query else {},
        method=scope["method"],
        client=scope.get("client"),
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

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        call = new_call(scope, receive, route, entry)
        # What other services are asked is nobody's prompt.
        bodies = entry.bodies if route.operation is not None else None
        exchange = _Exchange(call, receive, send, scope, bodies)
        entry.started()
        try:
            call.proof = proof_of(call, scope)
            await exchange.run(serve, scope)
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
                await exchange.refuse(draining(), entry)
        except Exception as error:  # noqa: BLE001  whatever it is, the caller gets a clear answer
            await exchange.refuse(error, entry)
        finally:
            exchange.stop()
            if call.hold is not None:
                call.hold.leave()
            entry.finished(call, now() - call.received)

    return endpoint


async def _read_already() -> bytes:
    raise AssertionError("the body of a request is read once")


class _Exchange:
    """One request and its answer: what was sent so far, and whether the caller is still there."""

    __slots__ = (
        "_bodies",
        "_call",
        "_connection",
        "_ending",
        "_finished",
        "_noting",
        "_read",
        "_receive",
        "_send",
        "_started",
        "_task",
        "_turn",
        "_watcher",
    )

    def __init__(
        self,
        call: Call,
        receive: Receive,
        send: Send,
        scope: Scope,
        bodies: Callable[[Call, bytes], Noting | None] | None,
    ) -> None:
        self._bodies = bodies
        self._noting: Noting | None = None
        self._connection: Connection | None = scope.get(SELF)
        self._turn: Turn | None = scope.get(TURN)
        self._call = call
        self._receive = receive
        self._read = call.read_body
        self._send = send
        self._started = False
        self._ending = False
        self._finished = False
        self._watcher: asyncio.Task[None] | None = None
        self._task: asyncio.Task[Any] | None = None

    @property
    def started(self) -> bool:
        """Whether anything of the answer was sent."""
        return self._started

    async def run(self, serve: Serve, scope: Scope) -> None:
        """Has the call answered and sends what comes of it."""
        call = self._call
        call.read_body = self._read_then_watch
        answer = await serve(call, scope)
        head, pieces = answer.head, answer.pieces
        if pieces is None:
            body = head.body or b""
            lines = answer_lines(call, head.content_type, len(body), now(), head.extra)
            await self._whole(head.status, lines, body)
            return
        async with aclosing(pieces):
            self._started = True
            call.outcome.http_status = head.status
            headers = answer_headers(call, head.content_type, None, now(), head.extra)
            await self._send(
                {"type": "http.response.start", "status": head.status, "headers": headers}
            )
            outlet = answer.outlet
            if outlet is not None and self._turn is not None:
                push, noting = self._turn.push, self._noting
                outlet.push = push if noting is None else noting.beside(push)
            pulse = Pulse(self._send, head.heartbeat, outlet)
            try:
                async for piece in pieces:
                    if piece:
                        pulse.beat()
                        if self._noting is not None:
                            self._noting.take(piece)
                        await self._send(
                            {"type": "http.response.body", "body": piece, "more_body": True}
                        )
            finally:
                await pulse.stop()
            self._ending = True
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
            self._finished = True

    async def _read_then_watch(self) -> bytes:
        """The body; before it is read, ``receive`` belongs to the reader."""
        began = now()
        body = await self._read()
        call = self._call
        call.read_s = now() - began
        if call.shown is not None:
            call.shown.body = body[:SNIPPET].decode("utf-8", "replace")
        if self._bodies is not None:
            self._noting = self._bodies(call, body)
        self._task = asyncio.current_task()
        if self._connection is not None:
            self._connection.gone = self._leave
        else:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())
        return body

    async def _whole(self, status: int, lines: list[str], body: bytes) -> None:
        self._ending = self._started = True
        self._call.outcome.http_status = status
        if self._noting is not None:
            self._noting.take(body)
        if self._turn is None or not self._turn.answer(status, lines, body):
            headers = as_headers(lines)
            await self._send({"type": "http.response.start", "status": status, "headers": headers})
            await self._send({"type": "http.response.body", "body": body})
        self._finished = True

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
        extra = error_headers(told)
        lines = answer_lines(call, reply.content_type, len(reply.body), now(), extra)
        await self._whole(reply.status, lines, reply.body)

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

    def stop(self) -> None:
        """The exchange is over; nothing of it holds on to itself any more."""
        self._ending = True
        self._task = None
        if self._noting is not None:
            self._noting.end()
        self._call.read_body = self._read = _read_already
        if self._connection is not None:
            self._connection.gone = None
            if self._started and not self._finished:
                self._connection.give_up()
        if self._watcher is not None:
            self._watcher.cancel()
