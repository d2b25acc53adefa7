"""Whole replies: read, write, and tapped on their way through."""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec import Raw, Struct

from dragoman.core.envelope import Envelope
from dragoman.core.errors import UpstreamError
from dragoman.core.loss import Loss
from dragoman.core.parts import (
    Media,
    Opaque,
    Part,
    Refusal,
    SearchResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.core.response import Choice, Response
from dragoman.core.usage import Usage, in_tier
from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.draft import own
from dragoman.dialects.anthropic.envelope import is_native, wrap
from dragoman.dialects.anthropic.error import read_stream_error
from dragoman.dialects.anthropic.finish import BROKEN, read_finish, write_details, write_reason
from dragoman.dialects.anthropic.read_blocks import read_block
from dragoman.dialects.anthropic.regular import TIER_READ, read_regular
from dragoman.dialects.anthropic.undo import undo_call
from dragoman.dialects.anthropic.usage import TOLD, read_usage, served_in, write_usage
from dragoman.dialects.anthropic.wire import DIALECT, WireError, encode
from dragoman.dialects.base import Context, Tapped, Target, Undo, Written
from dragoman.dialects.broken import not_understood
from dragoman.dialects.call_arguments import as_object
from dragoman.dialects.halves import mended
from dragoman.dialects.untold import logprob_losses, tier_losses, usage_losses

TIER_WRITE = {
    "default": "standard",
    "standard": "standard",
    "priority": "priority",
    "batch": "batch",
}

MESSAGE_EXT = ("container", "context_management", "diagnostics")
"""Members of a message that only this dialect has."""


class _Message(Struct, frozen=True):
    type: str | None = None
    id: str | None = None
    model: str | None = None
    content: list[Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Raw = wire.NULL
    usage: wire.WireUsage | None = None
    container: Raw = wire.NULL
    context_management: Raw = wire.NULL
    diagnostics: Raw = wire.NULL


_MESSAGE = msgspec.json.Decoder(_Message)


class _Probe(Struct, frozen=True):
    """What a tap wants to know; msgspec skips the rest."""

    type: str | None = None
    id: str | None = None
    model: str | None = None
    content: list[wire.Kind] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Raw = wire.NULL
    usage: wire.WireUsage | None = None


_PROBE = msgspec.json.Decoder(_Probe)


def read_response(body: bytes, target: Target, undo: Undo) -> Response:
    """The canonical response.

    Raises:
        UpstreamError: the body is an error, or no message of this dialect.
    """
    regular = read_regular(body, target.model)
    if regular is not None:
        return regular
    try:
        message = _MESSAGE.decode(body)
    except wire.BAD_JSON:
        message = _decode_leniently(body)
    if message.type == "error":
        raise read_stream_error(body)
    if message.content is None:
        raise not_understood("a reply without content")
    parts: list[Part] = []
    try:
        for number, raw in enumerate(message.content):
            part = read_block(raw, f"content[{number}]")
            parts.append(undo_call(part, undo) if isinstance(part, ToolCall) else part)
    except WireError:
        raise not_understood("a reply with content") from None
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    finish = read_finish(
        message.stop_reason, message.stop_sequence, message.stop_details, has_calls=has_calls
    )
    extra: dict[str, Raw] = {}
    if not (message.container is message.context_management is message.diagnostics is wire.NULL):
        of_message = ((name, getattr(message, name)) for name in MESSAGE_EXT)
        extra = {name: raw for name, raw in of_message if not wire.is_null(raw)}
    return Response(
        id=message.id or "",
        model=message.model or target.model,
        choices=(Choice(tuple(parts), finish, ext={DIALECT: extra} if extra else None),),
        usage=read_usage(message.usage),
        service_tier=TIER_READ.get(served_in(message.usage) or ""),
    )


def _decode_leniently(body: bytes) -> _Message:
    try:
        return _MESSAGE.decode(mended(body))
    except (*wire.BAD_JSON, ValueError):
        raise not_understood("a reply") from None


# --------------------------------------------------------------------------- writing


def message_id(given: str, context: Context) -> str:
    """The provider's id, or one that hangs on the call (R-XLATE-020)."""
    return given or f"msg_{hex_of(context)}"


def hex_of(context: Context) -> str:
    """The call's own 32 hex digits."""
    return context.call_id.replace("-", "")[:32]


def tool_use_id(given: str, context: Context, number: int) -> str:
    """The call's id, or one that is the same whenever it is written (R-XLATE-021)."""
    return given or f"toolu_{hex_of(context)[:22]}{number:02x}"


def write_response(response: Response, context: Context) -> Written:
    """A whole message.

    Raises:
        UpstreamError: the provider ended in a way that is no answer (P137).
    """
    losses: list[Loss] = []
    choice = response.choices[0] if response.choices else None
    if choice is not None and choice.finish.reason in BROKEN:
        raise broken_finish(choice.finish.reason)
    losses += [answer_loss(more.index) for more in response.choices[1:]]
    blocks: list[object] = []
    parts = choice.parts if choice else ()
    for number, part in enumerate(parts):
        block = write_block(part, context, number)
        if block is None:
            losses.append(Loss(f"content[{number}]", "not_in_dialect"))
            continue
        blocks.append(block)
        if isinstance(part, Text) and len(part.citations) > len(_native(part)):
            losses.append(citation_loss(number))
        if isinstance(part, ToolCall) and not as_object(part)[1]:
            losses.append(Loss(f"content[{number}].input", "not_a_json_object", "changed"))
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    body: dict[str, object] = {
        "id": message_id(response.id, context),
        "type": "message",
        "role": "assistant",
        "model": response.model or context.model,
        "content": blocks or [{"type": "text", "text": ""}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
    }
    if choice is not None:
        reason = write_reason(choice.finish, has_calls=has_calls, refused=bool(refusal))
        body["stop_reason"] = reason
        body["stop_sequence"] = choice.finish.stop_sequence
        if (details := write_details(choice.finish, reason, refusal)) is not None:
            body["stop_details"] = details
        body.update(own(choice.ext))
        losses += logprob_losses(choice.logprobs)
    losses += usage_losses(response.usage, TOLD)
    losses += tier_losses(response.service_tier, TIER_WRITE)
    tier = TIER_WRITE.get(response.service_tier or "")
    body["usage"] = write_usage(response.usage, tier=tier)
    return Written(encode(body), tuple(losses))


def broken_finish(reason: str) -> UpstreamError:
    """An end that no completion may be made of."""
    return UpstreamError(
        "upstream",
        "The provider's model ended its answer with an error.",
        code=f"upstream_{reason}",
    )


def write_block(part: Part, context: Context, number: int) -> object:
    """The block of one part; None where this dialect has no way to say it."""
    match part:
        case Text():
            block: dict[str, object] = {"type": "text", "text": part.text}
            return block | citations(part) if part.citations else block
        case Refusal():
            return {"type": "text", "text": part.text}
        case Thinking():
            return write_thinking(part, context.envelope)
        case ToolCall():
            return {
                "type": "tool_use",
                "id": tool_use_id(part.id, context, number),
                "name": part.name or "tool",
                "input": as_object(part)[0],
                **own(part.ext),
            }
        case Opaque():
            return part.payload if part.dialect == DIALECT else None
        case Media():
            return None if part.transcript is None else {"type": "text", "text": part.transcript}
        case SearchResult() | ToolResult():
            return None
        case _:
            assert_never(part)


def citations(part: Text) -> dict[str, object]:
    """The citations that this dialect itself spelled."""
    native = _native(part)
    return {"citations": native} if native else {}


def _native(part: Text) -> list[Raw]:
    return [c.raw for c in part.citations if c.dialect == DIALECT and c.raw is not None]


def citation_loss(number: int) -> Loss:
    """A citation of another dialect: Anthropic's are exact in ways that others are not (§5)."""
    return Loss(f"content[{number}].citations", "citations_of_another_dialect")


def answer_loss(index: int) -> Loss:
    """Any answer but the first: this dialect has one (P115)."""
    return Loss(f"choices[{index}]", "one_answer_only")


def write_thinking(part: Thinking, envelope: Envelope | None) -> dict[str, object]:
    """Reasoning with whatever has to come back with it; ``signature`` may be empty, never absent."""
    if is_native(part):
        if part.redacted or (part.signature is None and part.encrypted is not None):
            return {"type": "redacted_thinking", "data": part.encrypted or ""}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature or ""}
    if part.redacted or (not part.text and part.encrypted is not None):
        return {"type": "redacted_thinking", "data": wrap(part, envelope)}
    return {"type": "thinking", "thinking": part.text, "signature": wrap(part, envelope)}


# --------------------------------------------------------------------------- the same dialect


def tap_response(body: bytes, target: Target, context: Context) -> Tapped:
    """The provider's own bytes, and what they say about the call.

    Raises:
        UpstreamError: a 200 that holds an error (P140), or no message at all (P11).
    """
    try:
        probe = _PROBE.decode(body)
    except wire.BAD_JSON:
        message = _decode_leniently(body)
        kinds = [wire.Kind(wire.kind(raw)) for raw in message.content or ()]
        probe = _Probe(
            type=message.type,
            id=message.id,
            model=message.model,
            content=None if message.content is None else kinds,
            stop_reason=message.stop_reason,
            stop_sequence=message.stop_sequence,
            stop_details=message.stop_details,
            usage=message.usage,
        )
    if probe.type == "error":
        raise read_stream_error(body)
    if probe.content is None:
        raise not_understood("a reply without content")
    if probe.model is None:
        members = wire.members(body, "")
        body = encode({**members, "model": context.model or target.model})
    usage: Usage | None = in_tier(read_usage(probe.usage), served_in(probe.usage))
    finish = read_finish(
        probe.stop_reason,
        probe.stop_sequence,
        probe.stop_details,
        has_calls=any(block.type == "tool_use" for block in probe.content),
    )
    return Tapped(body, usage=usage, finish=finish, id=probe.id, model=probe.model)
