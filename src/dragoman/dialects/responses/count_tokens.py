"""``/v1/responses/input_tokens``: the provider's own counter, or an estimate that says so (D38)."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.usage import count
from dragoman.dialects.base import Outgoing, Tapped, Target
from dragoman.dialects.responses.error import malformed, read_stream_error
from dragoman.dialects.responses.patch import patch_request
from dragoman.dialects.responses.wire import BAD_JSON, NULL, encode


class _Count(Struct, frozen=True):
    input_tokens: object = None
    error: Raw = NULL


_COUNT = msgspec.json.Decoder(_Count)


def patch_count_tokens(members: dict[str, Raw], target: Target) -> Outgoing:
    """The caller's own members with the provider's model, for the provider's counter."""
    return patch_request(members, target)


def write_count(tokens: int) -> bytes:
    """The body of the answer."""
    return encode({"object": "response.input_tokens", "input_tokens": tokens})


def tap_count(body: bytes) -> Tapped:
    """The provider's own answer; what is counted here is consumed by nobody."""
    read_count(body)
    return Tapped(body)


def read_count(body: bytes) -> int:
    """The number in a provider's answer.

    Raises:
        UpstreamError: a 200 that holds an error, or no number.
    """
    try:
        answer = _COUNT.decode(body)
    except BAD_JSON:
        raise malformed("a token count") from None
    if bytes(answer.error) != b"null":
        raise read_stream_error(body)
    tokens = count(answer.input_tokens)
    if tokens is None:
        raise malformed("a token count")
    return tokens
