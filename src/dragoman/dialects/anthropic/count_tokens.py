"""``/v1/messages/count_tokens``: the provider's own counter, or an estimate that says so (D38)."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from dragoman.core.request import Request
from dragoman.core.usage import count, tokens_of_size
from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.error import read_stream_error
from dragoman.dialects.anthropic.patch import patch_request
from dragoman.dialects.anthropic.read import read_count_request
from dragoman.dialects.anthropic.wire import encode
from dragoman.dialects.anthropic.write import write_request
from dragoman.dialects.base import Counter, Outgoing, Tapped, Target
from dragoman.dialects.broken import not_understood

_COUNTED = frozenset(
    {
        "model",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "cache_control",
        "context_management",
        "mcp_servers",
    }
)
"""Members that the counter takes; it refuses those that say how to answer."""
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


class _Count(Struct, frozen=True):
    type: str | None = None
    input_tokens: object = None


_COUNT = msgspec.json.Decoder(_Count)


def patch_count_tokens(members: dict[str, Raw], target: Target) -> Outgoing:
    """The caller's own members with the provider's model, for the provider's counter."""
    return patch_request(members, target)


def write_count_request(request: Request, target: Target) -> Outgoing:
    """A request of another family for the provider's counter: what is read, not how it is answered.

    Raises:
        CallerError: the request holds what Messages cannot say.
    """
    written = write_request(request, target)
    members = _MEMBERS.decode(written.body)
    kept = {name: value for name, value in members.items() if name in _COUNTED}
    return replace(written, body=encode(kept), adjusted=())


def estimate_tokens(body: bytes) -> int:
    """The tokens of a rendered request, by its bytes."""
    return tokens_of_size(len(body))


def write_count(tokens: int) -> bytes:
    """The body of the answer."""
    return encode({"input_tokens": tokens})


def tap_count(body: bytes) -> Tapped:
    """The provider's own answer; what is counted here is consumed by nobody."""
    read_count(body)
    return Tapped(body)


def read_count(body: bytes) -> int:
    """The number in a provider's answer, whose bytes may go on to the caller as they are.

    Raises:
        UpstreamError: a 200 that holds an error, or no number.
    """
    try:
        answer = _COUNT.decode(body)
    except wire.BAD_JSON:
        raise not_understood("a token count") from None
    if answer.type == "error":
        raise read_stream_error(body)
    tokens = count(answer.input_tokens)
    if tokens is None:
        raise not_understood("a token count")
    return tokens


COUNTER = Counter(read_count_request, write_count_request, read_count, write_count)
