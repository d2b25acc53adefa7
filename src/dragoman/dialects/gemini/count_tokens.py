"""``countTokens``: the provider's own counter, and the four functions of a counter across families."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.request import Request
from dragoman.core.usage import count
from dragoman.dialects.base import Counter, Outgoing, Tapped, Target
from dragoman.dialects.broken import not_understood
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.error import read_stream_error, reported
from dragoman.dialects.gemini.patch import patch_request
from dragoman.dialects.gemini.read import read_request
from dragoman.dialects.gemini.wire import WireError, encode
from dragoman.dialects.gemini.write import write_request

_INNER = "generateContentRequest"


class _Count(Struct, frozen=True):
    totalTokens: object = None  # noqa: N815 - the wire's own name


_COUNT = msgspec.json.Decoder(_Count)


def patch_count(members: dict[str, Raw], target: Target) -> Outgoing:
    """The caller's own members; the request inside them names its model."""
    outgoing = patch_request(members, target)
    name = next((name for name in members if wire.camel(name) == _INNER), None)
    if name is None:
        return outgoing
    try:
        inner = msgspec.json.decode(members[name], type=dict[str, Raw])
        sent = msgspec.json.decode(outgoing.body, type=dict[str, Raw])
    except wire.BAD_JSON:  # The provider says best what is wrong with it.
        return outgoing
    patched = msgspec.json.decode(patch_request(inner, target).body, type=dict[str, Raw])
    sent[name] = Raw(encode({"model": f"models/{target.model}", **patched}))
    return Outgoing(encode(sent), outgoing.losses)


def read_count_request(body: bytes) -> Request:
    """What is to be counted, as a request.

    Raises:
        CallerError: it is none.
    """
    try:
        found = wire.members(body, "")
    except WireError:
        return read_request(body)
    return read_request(bytes(found[_INNER])) if _INNER in found else read_request(body)


def write_count_request(request: Request, target: Target) -> Outgoing:
    """The request, inside the one that has it counted."""
    written = write_request(request, target)
    inner = msgspec.json.decode(written.body, type=dict[str, Raw])
    body = encode({_INNER: {"model": f"models/{target.model}", **inner}})
    return Outgoing(body, written.losses, written.adjusted, written.undo, written.headers)


def read_count(body: bytes) -> int:
    """The number in a provider's answer.

    Raises:
        UpstreamError: a 200 that holds an error, or no number.
    """
    if reported(body) is not None:
        raise read_stream_error(body)
    try:
        tokens = count(_COUNT.decode(body).totalTokens)
    except wire.BAD_JSON:
        tokens = None
    if tokens is None:
        raise not_understood("a token count")
    return tokens


def write_count(tokens: int) -> bytes:
    """The body of the answer."""
    return encode({"totalTokens": tokens})


def tap_count(body: bytes) -> Tapped:
    """The provider's own answer; what is counted here is consumed by nobody."""
    read_count(body)
    return Tapped(body)


COUNTER = Counter(read_count_request, write_count_request, read_count, write_count)
