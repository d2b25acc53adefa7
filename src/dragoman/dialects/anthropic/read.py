"""A caller's Messages request → the canonical request (`dialects.md` §1.3).

Used on the translated way only: what Anthropic itself would judge is left to it on the
same-dialect way (D2). Here a member that cannot be understood is refused by its path, and
one that is merely unknown rides in the extension bag.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from dragoman.core.errors import CallerError, invalid
from dragoman.core.parts import Message, Part, Thinking, ToolCall
from dragoman.core.request import Request
from dragoman.dialects.anthropic import read_options as options
from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.envelope import received
from dragoman.dialects.anthropic.read_blocks import mark, read_content
from dragoman.dialects.anthropic.wire import WireError

_BOOL = msgspec.json.Decoder(bool | None)
_CACHE = msgspec.json.Decoder(wire.CacheControl | None)


class _Message(Struct, frozen=True):
    role: Literal["user", "assistant", "system"]
    content: Raw


_MESSAGE = msgspec.json.Decoder(_Message)

_KNOWN = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "system",
        "stream",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "output_format",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "metadata",
        "service_tier",
        "cache_control",
        "routing",
        "models",
    }
)
"""Members with a canonical name, and the two that are the gateway's own."""


def read_request(body: bytes) -> Request:
    """The canonical request.

    Raises:
        CallerError: a member is missing, of a wrong type, or the body is no JSON object.
    """
    return _read(body, bounded=True)


def read_count_request(body: bytes) -> Request:
    """The request of ``count_tokens``, which is the same without ``max_tokens``."""
    return _read(body, bounded=False)


def _read(body: bytes, *, bounded: bool) -> Request:
    try:
        return _request(wire.members(body, ""), bounded=bounded)
    except WireError as error:
        if not error.path:
            raise invalid(
                f"The body has to be one JSON object: {error.why}.", code="invalid_json"
            ) from None
        raise invalid(
            f"The member {error.path} is not usable: {error.why}.", param=error.path
        ) from None


def _request(members: dict[str, Raw], *, bounded: bool) -> Request:
    _refuse_thread(members)
    demanded = ("model", "messages", "max_tokens") if bounded else ("model", "messages")
    for name in demanded:
        if wire.is_null(members.get(name)):
            raise invalid(
                f"The member {name} is required.", param=name, code="missing_required_field"
            )
    ext = {
        name: raw for name, raw in members.items() if name not in _KNOWN and not wire.is_null(raw)
    }
    output, effort = options.read_output(members, ext)
    choice, parallel = options.read_choice(members)
    user = options.read_user(members, ext)
    stream = members.get("stream")
    cache = members.get("cache_control")
    system = members.get("system")
    max_tokens = options.integer(members, "max_tokens")
    if max_tokens is not None and max_tokens < 0:
        raise WireError("max_tokens", "it has to be 0 or more")
    return Request(
        model=wire.text(members["model"], "model"),
        messages=tuple(_messages(members["messages"])),
        stream=bool(stream is not None and wire.value(_BOOL, stream, "stream")),
        system=() if system is None else read_content(system, "system"),
        tools=options.read_tools(members),
        tool_choice=choice,
        parallel_tools=parallel,
        sampling=options.read_sampling(members),
        output=output,
        reasoning=options.read_reasoning(members, effort, ext),
        max_tokens=max_tokens,
        cache=None if cache is None else mark(wire.value(_CACHE, cache, "cache_control")),
        service_tier=_tier(members, ext),
        end_user=user,
        include_usage=True,
        ext=options.bag(ext),
    )


def _refuse_thread(members: dict[str, Raw]) -> None:
    """A conversation held by the provider exists at Anthropic only; its SDK falls back on this answer (D40)."""
    if not wire.is_null(members.get("thread")):
        raise CallerError(
            "unsupported_feature",
            "The member thread needs a conversation held by Anthropic, which this model's "
            "provider is not: send the whole conversation without it.",
            code="thread_unsupported_request",
            param="thread",
            details={"error_code": "thread_unsupported_request"},
        )


def _tier(members: dict[str, Raw], ext: dict[str, Raw]) -> str | None:
    raw = members.get("service_tier")
    if raw is None or wire.is_null(raw):
        return None
    tier = options.TIER_READ.get(wire.text(raw, "service_tier"))
    if tier is None:
        ext["service_tier"] = raw
    return tier


def _messages(raw: Raw) -> list[Message]:
    found: list[Message] = []
    for number, item in enumerate(wire.items(raw, "messages")):
        path = f"messages[{number}]"
        message = wire.value(_MESSAGE, item, path)
        parts = read_content(message.content, f"{path}.content")
        if message.role == "assistant":
            parts = tuple(_replayed(part, f"{number}.{place}") for place, part in enumerate(parts))
        found.append(Message(message.role, parts))
    if not found:
        raise WireError("messages", "it has to hold at least one message")
    return found


def _replayed(part: Part, place: str) -> Part:
    """A part of the assistant's, as it comes back from a client.

    A call gets an id and a name even if it came without (R-XLATE-005); the id hangs on its
    place. Reasoning in an envelope stays there (`dialects.md` §2.3); without a signature
    nobody knows whose it is.
    """
    if isinstance(part, Thinking):
        return received(part)
    if not isinstance(part, ToolCall) or (part.id and part.name):
        return part
    made = hashlib.blake2b(f"{place} {part.name} {part.arguments}".encode(), digest_size=16)
    return replace(part, id=part.id or f"call_{made.hexdigest()}", name=part.name or "tool")
