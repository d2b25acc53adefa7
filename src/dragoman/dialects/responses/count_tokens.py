"""``/v1/responses/input_tokens``: the provider's own counter, or an estimate that says so (D38)."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.request import Request
from dragoman.core.usage import count
from dragoman.dialects.base import Counter, Outgoing, Tapped, Target
from dragoman.dialects.members import NULL
from dragoman.dialects.responses.error import malformed, read_stream_error
from dragoman.dialects.responses.patch import patch_request
from dragoman.dialects.responses.read import read_request
from dragoman.dialects.responses.wire import BAD_JSON, encode
from dragoman.dialects.responses.write import write_request


class _Count(Struct, frozen=True):
    input_tokens: object = None
    error: Raw = NULL


_COUNT = msgspec.json.Decoder(_Count)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])

_COUNTED = frozenset(
    {
        "model",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "text",
    }
)
"""What a request's tokens hang on; the counter refuses every other member."""


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


def write_count_request(request: Request, target: Target) -> Outgoing:
    """A request of any dialect for the provider's counter."""
    written = write_request(request, target)
    members = _MEMBERS.decode(written.body)
    body = encode({name: said for name, said in members.items() if name in _COUNTED})
    return Outgoing(body, written.losses, written.adjusted, written.undo)


COUNTER = Counter(read_request, write_count_request, read_count, write_count)
