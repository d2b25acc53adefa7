"""What a flavour of the chat dialect is: what a provider's quirks cannot say as a flag.

A flavour holds facts about spelling and acceptance that the writer looks up, and two small
functions: how thinking is asked for, and how reasoning in the history is replayed. Whatever a
provider's file can say (renames, refused members, named steps) is not here (`design.md` §3).
Defaults are those of an unknown compatible server: the least that every server takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from dragoman.core.capability import Capability
from dragoman.core.loss import Loss
from dragoman.core.parts import Thinking
from dragoman.core.request import EFFORT_BUDGET, Effort, Reasoning

Members: TypeAlias = dict[str, Any]
Asked: TypeAlias = tuple[Members, tuple[Loss, ...]]
Ask: TypeAlias = Callable[[Reasoning, Capability], Asked]
"""The top-level members that ask for thinking, and what of the wish they cannot say."""


class Recalled(Struct, frozen=True):
    """Reasoning as members of its assistant message, or as parts before its text."""

    members: Members = {}
    parts: tuple[Members, ...] = ()


Recall: TypeAlias = Callable[[tuple[Thinking, ...]], Recalled]

RANKS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def effort_of(asked: Reasoning) -> Effort | None:
    """The effort that was asked for, or the smallest whose budget reaches the one given (§3.1)."""
    if asked.effort is not None:
        return asked.effort
    if asked.budget is None:
        return None
    return next((effort for effort in RANKS if EFFORT_BUDGET[effort] >= asked.budget), "max")


def thinks(asked: Reasoning) -> bool:
    """Whether thinking was asked for outright."""
    if asked.mode is not None:
        return asked.mode != "disabled"
    return effort_of(asked) not in {None, "none"}


def nearest(effort: Effort, accepted: tuple[str, ...]) -> Effort:
    """The accepted effort closest to the one asked for; none means any is accepted (P107, P169)."""
    known = [rank for rank in RANKS if rank in accepted]
    if not known or effort in known:
        return effort
    wish = RANKS.index(effort)
    return min(known, key=lambda rank: (abs(RANKS.index(rank) - wish), RANKS.index(rank)))


def ask_effort(asked: Reasoning, capability: Capability) -> Asked:
    """``reasoning_effort``, as OpenAI and most others have it."""
    losses: list[Loss] = []
    members: Members = {}
    effort = effort_of(asked)
    may_stop = "none" in capability.efforts or capability.reasons_by_default
    if effort is None and asked.mode == "disabled" and may_stop:
        effort = "none"  # other models do not think unasked, and refuse the member altogether
    if effort is not None:
        sent = nearest(effort, capability.efforts)
        if sent != effort and asked.budget is None:
            losses.append(Loss("reasoning_effort", f"this model takes {sent} instead", "changed"))
        members["reasoning_effort"] = sent
    elif thinks(asked) and not capability.reasons_by_default:
        losses.append(Loss("thinking", "it has no switch here, only an effort", "changed"))
    if asked.visibility in {"full", "summary"}:
        losses.append(Loss("reasoning.visibility", "this provider does not show reasoning"))
    return members, tuple(losses)


def recall_none(_: tuple[Thinking, ...]) -> Recalled:
    """No place for reasoning: it is left out, never shown as text (P93)."""
    return Recalled()


class Flavour(Struct, frozen=True):
    """One way to speak the chat dialect."""

    name: str
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The one member that bounds the answer; never both (P110, P187)."""
    knobs: frozenset[str] = frozenset()
    """Sampling members beyond OpenAI's own that are taken."""
    extras: frozenset[str] = frozenset()
    """Optional members that are taken; of the others a loss is told."""
    tiers: dict[str, str] = {}
    """Service tiers: the canonical word → this provider's."""
    marks: Literal["breakpoint", "cache_control"] | None = None
    """How a cache mark is spelled (P124)."""
    lists: bool = True
    """Whether texts may stay apart in a list; else they are joined (P84)."""
    result_media: bool = False
    """Whether a tool message may hold images (P52)."""
    names: bool = True
    """Whether messages may have a name (P77)."""
    developer: bool = False
    """Whether the developer role is known (P75)."""
    refusals: bool = False
    custom_tools: bool = False
    """Whether free-text tools are native; else they are wrapped (P67)."""
    allowed_tools: bool = False
    """Whether a choice among some tools is native; else the others are not offered."""
    bare_tools: bool = False
    """Whether a function may come without parameters (P59)."""
    strict_tools: bool = True
    barred_while_thinking: frozenset[str] = frozenset()
    """Members that are refused while the model thinks (P56, §1.9)."""
    unthinking: Members = {}
    """Members that switch off thinking which nobody asked for, where it bars what was asked."""
    prefill: bool = False
    """Whether an assistant message at the end is continued (P76)."""
    details: frozenset[str] = frozenset({"auto", "low", "high", "original"})
    documents: Literal["file", "document_url"] | None = None
    document_urls: bool = False
    audio: Literal["formats", "any", "bare"] | None = None
    """``input_audio`` in OpenAI's two formats, in any format, or as bare base64 (P83)."""
    videos: bool = False
    media_out: bool = False
    recalls: bool = False
    """Whether reasoning of the history has a place at all."""
    ask: Ask = ask_effort
    recall: Recall = recall_none
    min_output: int = 0
    """The smallest bound that a reasoning model takes (P111)."""
