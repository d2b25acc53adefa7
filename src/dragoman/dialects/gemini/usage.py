"""``usageMetadata`` ↔ canonical usage: thoughts stand beside the candidates' tokens (P108)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.core.usage import Usage, count, in_tier
from dragoman.dialects.gemini import wire


class ModalityCount(Struct, frozen=True, gc=False):
    """Tokens of one kind of content."""

    modality: Any = None
    tokenCount: Any = None  # noqa: N815 - the wire's own name


class WireUsage(Struct, frozen=True):
    """Token counts; checked by ``core.usage.count`` (M11)."""

    promptTokenCount: Any = None  # noqa: N815
    cachedContentTokenCount: Any = None  # noqa: N815
    candidatesTokenCount: Any = None  # noqa: N815
    thoughtsTokenCount: Any = None  # noqa: N815
    toolUsePromptTokenCount: Any = None  # noqa: N815
    totalTokenCount: Any = None  # noqa: N815
    promptTokensDetails: list[ModalityCount] | None = None  # noqa: N815
    candidatesTokensDetails: list[ModalityCount] | None = None  # noqa: N815
    serviceTier: Any = None  # noqa: N815


_DECODER = msgspec.json.Decoder(WireUsage)


def read_usage(raw: Raw | None) -> Usage | None:
    """The counts; None where a chunk says nothing of them (P128, P163)."""
    if raw is None:
        return None
    try:
        return of_wire(_DECODER.decode(raw))
    except wire.BAD_JSON:
        return None


def of_wire(usage: WireUsage | None) -> Usage | None:
    """Canonical counts."""
    if usage is None:
        return None
    prompt, tools = count(usage.promptTokenCount), count(usage.toolUsePromptTokenCount)
    said, thought = count(usage.candidatesTokenCount), count(usage.thoughtsTokenCount)
    given = None if prompt is None and tools is None else (prompt or 0) + (tools or 0)
    output = None if said is None and thought is None else (said or 0) + (thought or 0)
    found = Usage(
        input=given,
        cache_read=count(usage.cachedContentTokenCount),
        output=output,
        reasoning=thought,
        audio_input=_of_kind("AUDIO", usage.promptTokensDetails),
        audio_output=_of_kind("AUDIO", usage.candidatesTokensDetails),
        total=count(usage.totalTokenCount),
        image_input=_of_kind("IMAGE", usage.promptTokensDetails),
        image_output=_of_kind("IMAGE", usage.candidatesTokensDetails),
    )
    return None if found == Usage() else found


def told_usage(usage: WireUsage | None) -> Usage | None:
    """Canonical counts, and in which tier they were served."""
    return None if usage is None else in_tier(of_wire(usage), tier_of(usage.serviceTier))


TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}
"""Service tiers in our words."""


def tier_of(said: object) -> str | None:
    """The service tier that an answer tells."""
    if not isinstance(said, str):
        return None
    return TIERS.get(said.lower().removeprefix("service_tier_"))


def _of_kind(kind: str, details: list[ModalityCount] | None) -> int | None:
    for one in details or ():
        if one.modality == kind:
            return count(one.tokenCount)
    return None


TOLD = frozenset({"cache_read", "reasoning", "audio_input", "audio_output"})
"""The counts that this dialect has a word for, beside tokens in and out."""


def write_usage(usage: Usage | None) -> dict[str, object]:
    """The counts in Gemini's words; those that clients count on are 0 where they are unknown."""
    usage = usage or Usage()
    given, output = usage.input or 0, usage.output or 0
    thoughts = usage.reasoning
    beside = 0 if usage.apart else (thoughts or 0)
    written: dict[str, object] = {
        "promptTokenCount": given,
        "candidatesTokenCount": max(0, output - beside),
    }
    if usage.cache_read is not None:
        written["cachedContentTokenCount"] = usage.cache_read
    if thoughts is not None:
        written["thoughtsTokenCount"] = thoughts
    total = given + (usage.billed_output or 0) if usage.total is None else usage.total
    written["totalTokenCount"] = total
    for name, sound, pictures in (
        ("promptTokensDetails", usage.audio_input, usage.image_input),
        ("candidatesTokensDetails", usage.audio_output, usage.image_output),
    ):
        told = (("AUDIO", sound), ("IMAGE", pictures))
        details = [{"modality": kind, "tokenCount": n} for kind, n in told if n is not None]
        if details:
            written[name] = details
    return written
