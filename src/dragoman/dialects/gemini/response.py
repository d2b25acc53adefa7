"""Whole replies: read, write, and tapped on their way through."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import UpstreamError
from dragoman.core.events import Event
from dragoman.core.fold import fold
from dragoman.core.loss import Loss
from dragoman.core.response import Choice, Response
from dragoman.dialects.base import Context, Tapped, Target, Undo, Written
from dragoman.dialects.broken import not_understood
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.draft import own
from dragoman.dialects.gemini.error import read_stream_error
from dragoman.dialects.gemini.finish import read_finish, word, write_finish
from dragoman.dialects.gemini.grounding import write_grounding
from dragoman.dialects.gemini.logprobs import write_logprobs
from dragoman.dialects.gemini.reply_parts import PartsOut
from dragoman.dialects.gemini.stream_read import GeminiStreamReader
from dragoman.dialects.gemini.usage import TOLD, WireUsage, told_usage, write_usage
from dragoman.dialects.gemini.wire import WireError, encode
from dragoman.dialects.untold import stop_losses, tier_losses, usage_losses


def read_response(body: bytes, target: Target, undo: Undo) -> Response:
    """The canonical response: the fold of its own one-chunk stream.

    Raises:
        UpstreamError: the body is an error, or no reply of this dialect.
    """
    reader = GeminiStreamReader(target, undo)
    events: list[Event] = []
    try:
        for chunk in wire.items(Raw(body.strip()), ""):
            reader.chunk(bytes(chunk), events)
    except WireError:
        raise not_understood("a reply") from None
    if not events or not reader.answered:
        raise not_understood("a reply without candidates")
    reader.end(events)
    return fold(events)


# --------------------------------------------------------------------------- writing


def reply_id(given: str, context: Context) -> str:
    """The provider's id, or one that hangs on the call (R-XLATE-020)."""
    return given or context.call_id.replace("-", "")[:32]


def write_response(response: Response, context: Context) -> Written:
    """A whole reply.

    Raises:
        UpstreamError: the provider ended in a way that is no answer (P137).
    """
    losses: list[Loss] = []
    body: dict[str, object] = {
        "candidates": [_candidate(choice, context, losses) for choice in response.choices],
        "usageMetadata": write_usage(response.usage),
        "modelVersion": response.model or context.model,
        "responseId": reply_id(response.id, context),
    }
    losses += usage_losses(response.usage, TOLD) + tier_losses(response.service_tier)
    return Written(encode(body), tuple(losses))


def _candidate(choice: Choice, context: Context, losses: list[Loss]) -> dict[str, object]:
    if choice.finish.reason == "error":
        raise broken_finish()
    out = PartsOut(context, choice.index)
    parts: list[object] = []
    for number, part in enumerate(choice.parts):
        parts += out.whole(part, number)
    parts += out.rest()
    losses += out.losses + stop_losses(choice.finish, f"candidates[{choice.index}]")
    logprobs = write_logprobs(choice.logprobs) if choice.logprobs is not None else None
    return candidate(parts, out, choice, logprobs)


def candidate(
    parts: list[object], out: PartsOut, choice: Choice, logprobs: object
) -> dict[str, object]:
    """A candidate that has ended."""
    written: dict[str, object] = {
        "content": {"parts": parts, "role": "model"},
        "finishReason": write_finish(choice.finish),
        "index": choice.index,
    }
    if choice.finish.explanation is not None:
        written["finishMessage"] = choice.finish.explanation
    if logprobs is not None:
        written["logprobsResult"] = logprobs
    grounding = write_grounding(out.cited)
    if grounding is not None:
        written["groundingMetadata"] = grounding
    return written | own(choice.ext)


def broken_finish() -> UpstreamError:
    """An end that no completion may be made of."""
    return UpstreamError(
        "upstream",
        "The provider's model ended its answer with an error.",
        code="provider_error",
    )


# --------------------------------------------------------------------------- the same dialect


class _Content(Struct, frozen=True):
    parts: list[Raw] | None = None


class _Candidate(Struct, frozen=True):
    content: _Content | None = None
    finishReason: Any = None  # noqa: N815 - the wire's own name


class _Feedback(Struct, frozen=True):
    blockReason: Any = None  # noqa: N815


class Probe(Struct, frozen=True):
    """What a tap wants to know; msgspec skips the rest."""

    candidates: list[_Candidate] | None = None
    promptFeedback: _Feedback | None = None  # noqa: N815
    usageMetadata: WireUsage | None = None  # noqa: N815
    responseId: str | None = None  # noqa: N815
    modelVersion: str | None = None  # noqa: N815
    error: Raw = wire.NULL


_PROBE = msgspec.json.Decoder(Probe)


def probe(data: bytes) -> Probe:
    """What a chunk says to accounting.

    Raises:
        UpstreamError: it holds an error.
        WireError: it is no reply object.
    """
    if data.lstrip()[:1] == b"[":
        raise read_stream_error(data)
    try:
        found = _PROBE.decode(data)
    except wire.BAD_JSON:
        try:
            found = _PROBE.decode(wire.mended(data))
        except wire.BAD_JSON as error:
            raise WireError("", wire.reason(error)) from None
    if bytes(found.error) != b"null":
        raise read_stream_error(data)
    return found


def has_call(parts: list[Raw] | None) -> bool:
    """Whether one of the parts is a call."""
    return any(bytes(part).find(b'"functionCall"') >= 0 for part in parts or ())


def tap_response(body: bytes, target: Target, context: Context) -> Tapped:
    """The provider's own bytes, and what they say about the call.

    Raises:
        UpstreamError: a 200 that holds an error (P140), or no reply at all (P11).
    """
    try:
        found = probe(body)
    except WireError:
        raise not_understood("a reply") from None
    blocked = found.promptFeedback is not None and found.promptFeedback.blockReason is not None
    if not found.candidates and not blocked:
        raise not_understood("a reply without candidates")
    if found.modelVersion is None:
        members = msgspec.json.decode(body, type=dict[str, Raw])
        body = encode({**members, "modelVersion": context.model or target.model})
    first = found.candidates[0] if found.candidates else _Candidate()
    calls = has_call(first.content.parts if first.content else None)
    raw = word(first.finishReason) if found.candidates else "SAFETY"
    finish = read_finish(raw, has_calls=calls)
    return Tapped(
        body, told_usage(found.usageMetadata), finish, found.responseId, found.modelVersion
    )
