"""One chat completion over a WebSocket: a request as HTTP's handler knows it, and its answer as frames.

So a message goes the way of a POST to ``/v1/chat/completions``, whatever is done there: keys, limits, budgets, the
ledger's row, the log, traces, kept bodies, keys that are revoked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct
from msgspec.structs import replace
from starlette.types import ASGIApp, Message, Scope

from dragoman.core.ids import REQUEST_ID
from dragoman.dialects.framing.sse import SseFrames
from dragoman.surface.answer import now
from dragoman.surface.head import BY_NAME
from dragoman.surface.sockets.chunks import Sum, said_usage
from dragoman.surface.sockets.failures import broken, refused
from dragoman.surface.sockets.frames import (
    Asked,
    ChatComplete,
    ChatDelta,
    ChatStart,
    Refused,
)

Frame = ChatStart | ChatDelta | ChatComplete | Refused
Tell = Callable[[Frame], Awaitable[None]]
"""Sends a frame, or does nothing where nobody is there for it any more."""

_LEFT = frozenset(
    {
        "api-key",
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "idempotency-key",
        "last-event-id",
        "transfer-encoding",
        "upgrade",
        "x-api-key",
        "x-dragoman-resumable",
        "x-goog-api-key",
        "x-request-id",
    }
)
"""Headers of a handshake that say nothing of a message: about the connection, of one request, and the key."""
_UNTOLD = frozenset(
    {
        "cache-control",
        "content-length",
        "content-security-policy",
        "content-type",
        "x-accel-buffering",
        "x-content-type-options",
    }
)
"""Headers of an answer that speak of HTTP alone."""


def scope_of(handshake: Scope, headers: dict[str, str]) -> Scope:
    """What the scopes of all requests of a connection have; ``headers`` are its handshake's."""
    kept = {
        name: value
        for name, value in headers.items()
        if name not in _LEFT and not name.startswith("sec-websocket-")
    }
    return {
        "type": "http",
        "method": "GET",
        "path": handshake["path"],
        "query_string": b"",
        "client": handshake.get("client"),
        BY_NAME: kept,
    }


def _scope(common: Scope, key: str, request_id: str) -> Scope:
    headers = {**common[BY_NAME], "authorization": f"Bearer {key}"}
    if REQUEST_ID.fullmatch(request_id):
        headers["x-request-id"] = request_id
    given = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {**common, BY_NAME: headers, "headers": given}


class Exchange(Struct, eq=False):
    """One request and its answer."""

    asked: Asked
    request_id: str
    tell: Tell
    gone: asyncio.Event
    """Whether the caller has left."""
    began: float
    status: int = 0
    _headers: dict[str, str] = {}
    _body: list[bytes] = []
    _frames: SseFrames | None = None
    """None where the answer is whole."""
    _sum: Sum | None = None
    _is_told: bool = False
    """Whether the caller knows how it ended."""
    _is_read: bool = False

    # What it holds is a caller's own.
    __repr__ = object.__repr__

    @property
    def waiting(self) -> int:
        """Bytes of its body that nobody has taken yet."""
        return len(self.asked.body)

    async def run(self, app: ASGIApp, common: Scope, key: str) -> None:
        """Has the request answered, and tells its end."""
        await app(_scope(common, key, self.request_id), self._receive, self._send)
        if not self._is_told:
            await self._end(
                Refused(
                    "internal",
                    "The gateway ended this request without an answer.",
                    self.request_id,
                )
            )

    async def fail(self) -> None:
        """Tells that the gateway failed, unless the end was told already."""
        if not self._is_told:
            told = "The gateway failed at this request; its log says more."
            await self._end(Refused("internal", told, self.request_id))

    async def _receive(self) -> Message:
        if self._is_read:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        # The body is asked for once the caller was let in.
        self._is_read = True
        body, self.asked = self.asked.body, replace(self.asked, body=b"")
        await self.tell(ChatStart(self.request_id))
        return {"type": "http.request", "body": body, "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._frames is None:
            self._body.append(body)
        else:
            await self._pass_on(body, self._frames)
        if not more and not self._is_told:
            await self._end(self._whole() if self._frames is None else self._streamed())

    def _begin(self, message: Message) -> None:
        self.status = message["status"]
        told = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]
        }
        if told.get("content-type", "").startswith("text/event-stream"):
            self._frames, self._sum = SseFrames(), Sum()
        self._headers = {name: value for name, value in told.items() if name not in _UNTOLD}

    async def _pass_on(self, piece: bytes, frames: SseFrames) -> None:
        assert self._sum is not None, "a stream is added up"
        for frame in frames.feed(piece):
            if not frame.data or frame.data == b"[DONE]" or self._is_told:
                continue
            try:
                text = self._sum.add(frame.data)
            except (msgspec.DecodeError, RecursionError):
                # Of another shape than any that is known: its own client may know it.
                text, frame_data = "", _as_json(frame.data)
            else:
                frame_data = frame.data
            if text is None:
                await self._end(broken(self.request_id, frame.data, self._headers))
            else:
                await self.tell(ChatDelta(self.request_id, text, Raw(frame_data)))

    def _streamed(self) -> Frame:
        added = self._sum
        assert added is not None, "a stream is added up"
        return self._complete(added.message(), added.finish_reason, added.usage, added.model)

    def _whole(self) -> Frame:
        body = b"".join(self._body).strip()
        if self.status != 200:
            return refused(
                self.request_id, self.status, self._headers, body, streams=self.asked.stream
            )
        try:
            completion = _COMPLETION.decode(body)
        except (msgspec.DecodeError, RecursionError):
            completion = (
                _Completion()
            )  # of another shape than any that is known: its own client may know it
        choice = completion.choices[0] if completion.choices else _Choice()
        usage = said_usage(completion.usage)
        return self._complete(
            choice.message or {},
            choice.finish_reason,
            usage,
            completion.model,
            Raw(_as_json(body)),
        )

    def _complete(
        self,
        message: dict[str, Any],
        finish: str | None,
        usage: Raw | None,
        model: str | None,
        completion: Raw | None = None,
    ) -> ChatComplete:
        content = message.get("content")
        return ChatComplete(
            self.request_id,
            content if isinstance(content, str) else "",
            message,
            finish,
            usage,
            round((now() - self.began) * 1000),
            self._headers.get("x-dragoman-provider"),
            model,
            self._headers,
            UNSET if completion is None else completion,
        )

    async def _end(self, frame: Frame) -> None:
        self._is_told = True
        await self.tell(frame)


class _Choice(Struct):
    message: dict[str, Any] | None = None
    finish_reason: str | None = None


class _Completion(Struct):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: Raw = Raw(b"null")


_COMPLETION = msgspec.json.Decoder(_Completion)


def _as_json(data: bytes) -> bytes:
    """JSON as it is; anything else, and what is nested too deeply to be looked at, as a text."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return msgspec.json.encode(data.decode("utf-8", "replace"))
    return data
