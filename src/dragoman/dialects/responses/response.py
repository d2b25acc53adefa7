"""Whole replies of a provider: read, and tapped on their way through.

A 200 is no promise: it may hold an error, a response that failed, a page of HTML or nothing
(P11, P140). Whatever holds no response is an ``UpstreamError``.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.core.parts import Part, ToolCall
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage, in_tier
from dragoman.dialects.base import Context, Tapped, Target, Undo
from dragoman.dialects.halves import mended
from dragoman.dialects.members import NULL
from dragoman.dialects.responses.error import malformed, read_stream_error
from dragoman.dialects.responses.finish import read_finish
from dragoman.dialects.responses.reply_items import CALLS, Kind, logprobs_of, parts_of, read_item
from dragoman.dialects.responses.stops import cut_parts, stopped
from dragoman.dialects.responses.usage import WireUsage, read_usage
from dragoman.dialects.responses.wire import BAD_JSON, encode

FAILED = frozenset({"failed", "cancelled"})


class _Why(Struct, frozen=True, gc=False):
    reason: str | None = None


class Reply(Struct, frozen=True):
    """A response object, as far as it matters."""

    object: str | None = None
    id: str | None = None
    status: str | None = None
    model: str | None = None
    created_at: Any = None
    service_tier: str | None = None
    incomplete_details: _Why | None = None
    output: list[Raw] | None = None
    usage: WireUsage | None = None
    error: Raw = NULL

    @property
    def created(self) -> int | None:
        """``created_at`` in whole seconds."""
        at = self.created_at
        known = isinstance(at, (int, float)) and not isinstance(at, bool) and 0 <= at < 10**12
        return int(at) if known else None

    @property
    def reason(self) -> str | None:
        """Why it is incomplete."""
        return self.incomplete_details.reason if self.incomplete_details else None


_REPLY = msgspec.json.Decoder(Reply)
_KIND = msgspec.json.Decoder(Kind)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


def read_reply(body: bytes | Raw) -> Reply:
    """The response object in some bytes.

    Raises:
        UpstreamError: there is none.
    """
    try:
        return _REPLY.decode(body)
    except BAD_JSON:
        pass
    try:
        return _REPLY.decode(mended(bytes(body)))
    except (*BAD_JSON, ValueError):
        raise malformed() from None


def open_reply(body: bytes) -> Reply:
    """The response in a body of status 200.

    Raises:
        UpstreamError: there is none, it failed, or an error stands in its place.
    """
    reply = read_reply(body.removeprefix(b"\xef\xbb\xbf"))
    failed = reply.status in FAILED
    if failed or (bytes(reply.error) != b"null" and reply.status != "completed"):
        raise read_stream_error(body)
    if reply.output is None:
        raise malformed()
    return reply


def kinds_of(output: list[Raw] | None) -> list[str]:
    """The types of a response's items."""
    found: list[str] = []
    for raw in output or ():
        try:
            found.append(_KIND.decode(raw).type)
        except BAD_JSON:
            continue
    return found


def usage_and_finish(reply: Reply, kinds: list[str]) -> tuple[Usage | None, Finish]:
    """What a finished response says of its cost and its end."""
    usage = in_tier(read_usage(reply.usage, kinds), reply.service_tier)
    has_calls = not CALLS.isdisjoint(kinds)
    return usage, read_finish(reply.status, reply.reason, has_calls=has_calls)


def read_response(body: bytes, target: Target, undo: Undo) -> Response:
    """The canonical response.

    Raises:
        UpstreamError: see ``open_reply``; or it is not finished yet.
    """
    reply = open_reply(body)
    if reply.status in {"queued", "in_progress"}:
        raise malformed("a finished response")
    parts: list[Part] = []
    tokens: list[Raw] = []
    for raw in reply.output or ():
        item = read_item(raw)
        parts += parts_of(item, raw, undo)
        if item.type == "message":
            tokens += [one for piece in item.content or () for one in piece.logprobs or ()]
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    finish = read_finish(reply.status, reply.reason, has_calls=has_calls)
    if undo.stop:
        parts, stop = cut_parts(parts, undo.stop)
        finish = finish if stop is None else stopped(stop)
    logprobs = logprobs_of(tokens)
    return Response(
        id=reply.id or "",
        model=reply.model or target.model,
        created=reply.created,
        choices=(
            Choice(
                parts=tuple(parts),
                finish=finish,
                logprobs=None if logprobs is None else Raw(logprobs),
            ),
        ),
        usage=read_usage(reply.usage, kinds_of(reply.output)),
        service_tier=reply.service_tier,
    )


def tap_response(body: bytes, target: Target, context: Context) -> Tapped:
    """The provider's own bytes, and what they say about the call.

    Raises:
        UpstreamError: see ``open_reply``.
    """
    reply = open_reply(body)
    if reply.model is None:
        members = _members(body)
        members["model"] = context.model or target.model
        body = encode(members)
    usage, finish = usage_and_finish(reply, kinds_of(reply.output))
    return Tapped(body, usage=usage, finish=finish, id=reply.id, model=reply.model)


def _members(body: bytes) -> dict[str, Any]:
    try:
        return dict(_MEMBERS.decode(body))
    except BAD_JSON:
        raise malformed() from None
