"""Reasoning in the history of a chat conversation, and how much thinking is asked for.

Assistant messages carry it as ``reasoning_content`` (DeepSeek, older vLLM), ``reasoning`` (Groq,
OpenRouter, newer vLLM; P181) or ``reasoning_details`` (OpenRouter's list, which alone has room
for signatures and encrypted reasoning). Text that stands in several of them counts once (P97).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, structs

from dragoman.core.parts import Part, Thinking, raw
from dragoman.core.request import Effort, Reasoning
from dragoman.dialects.chat.thoughts import family_of
from dragoman.dialects.members import (
    Object,
    array,
    boolean,
    integer,
    mapping,
    one_of,
    string,
    take,
)

EFFORTS: dict[str, Effort] = {
    "none": "none",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
    "ultra": "max",  # DeepSeek's
}
_MODES: dict[str, Literal["enabled", "disabled", "adaptive"]] = {
    "enabled": "enabled",
    "disabled": "disabled",
    "adaptive": "adaptive",
}
_HIDDEN = Raw(b'"hidden"')
_PARSED = Raw(b'"parsed"')


# --------------------------------------------------------------------------- history


def read_thinking(message: Object, at: str) -> tuple[Part, ...]:
    """Takes the reasoning out of an assistant message."""
    content = take(message, "reasoning_content", string, at)
    short = take(message, "reasoning", string, at)
    text = content or short or ""  # never both (P181)
    told: list[Thinking] = []
    strange: list[object] = []
    last: object = None
    for i, value in enumerate(take(message, "reasoning_details", array, at) or ()):
        detail = mapping(value, f"{at}.reasoning_details[{i}]")
        thinking = _read_detail(detail, f"{at}.reasoning_details[{i}]")
        if thinking is None:
            strange.append(detail)
            continue
        index = detail.get("index")
        joined = (
            _joined(told[-1], thinking) if told and index is not None and index == last else None
        )
        if joined is None:
            told.append(thinking)
        else:
            told[-1] = joined
        last = index
    if strange:
        message["reasoning_details"] = raw(strange)  # kept for the chat family
    if text and not any(thinking.text for thinking in told):
        told.insert(0, Thinking(text, family="chat"))
    return tuple(told)


def _read_detail(detail: Object, at: str) -> Thinking | None:
    """One entry; fragments may lack text, summary or data (P97)."""

    def said(name: str) -> str | None:
        value = detail.get(name)
        return None if value is None else string(value, f"{at}.{name}")

    form = said("format")
    head = Thinking(id=said("id"), format=form, family=family_of(form))
    match detail.get("type"):
        case "reasoning.text":
            return structs.replace(head, text=said("text") or "", signature=said("signature"))
        case "reasoning.summary":
            return structs.replace(head, text=said("summary") or "", summary=True)
        case "reasoning.encrypted":
            return structs.replace(head, encrypted=said("data"), redacted=True)
        case _:
            return None


def _joined(earlier: Thinking, later: Thinking) -> Thinking | None:
    """Two fragments of one block; None if they are two blocks."""
    if earlier.family != later.family or earlier.redacted:
        return None
    if later.redacted:
        if earlier.encrypted is not None or earlier.id != later.id:
            return None
        return structs.replace(earlier, encrypted=later.encrypted)
    if earlier.summary != later.summary:
        return None
    return structs.replace(
        earlier,
        text=earlier.text + later.text,
        signature=later.signature or earlier.signature,
        id=earlier.id or later.id,
    )


# --------------------------------------------------------------------------- what is asked for


_ASKING = frozenset(
    {"reasoning_effort", "reasoning", "thinking", "include_reasoning", "reasoning_format"}
)
_UNASKED = Reasoning()


def read_reasoning(body: Object) -> Reasoning:
    """Takes the members of OpenAI, OpenRouter, DeepSeek and Groq that ask for thinking."""
    asked = _UNASKED
    if _ASKING.isdisjoint(body):
        return asked
    effort = take(body, "reasoning_effort", string)
    if effort == "default":  # Groq's word for: think as you do
        asked = structs.replace(asked, mode="enabled")
    elif effort is not None:
        asked = structs.replace(asked, effort=one_of(EFFORTS)(effort, "reasoning_effort"))
    asked = _openrouter(body, asked)
    asked = _deepseek(body, asked)
    shown = take(body, "include_reasoning", boolean)
    if shown is not None:
        asked = structs.replace(asked, visibility="full" if shown else "hidden")
    form = body.get("reasoning_format")
    if form in (_HIDDEN, _PARSED):
        del body["reasoning_format"]  # "raw" stays in the bag: it is about spelling
        asked = structs.replace(asked, visibility="hidden" if form == _HIDDEN else "full")
    return asked


def _openrouter(body: Object, asked: Reasoning) -> Reasoning:
    found = take(body, "reasoning", mapping)
    if found is None:
        return asked
    at = "reasoning"
    enabled = take(found, "enabled", boolean, at)
    effort = take(found, "effort", one_of(EFFORTS), at)
    budget = take(found, "max_tokens", integer, at)
    hidden = take(found, "exclude", boolean, at)
    summary = take(found, "summary", string, at)
    if enabled is not None:
        asked = structs.replace(asked, mode="enabled" if enabled else "disabled")
    if effort is not None:
        asked = structs.replace(asked, effort=effort)
    if budget is not None:
        asked = structs.replace(asked, budget=budget)
    if hidden:
        return structs.replace(asked, visibility="hidden")
    if summary is not None:
        return structs.replace(asked, visibility="summary")
    return asked


def _deepseek(body: Object, asked: Reasoning) -> Reasoning:
    found = take(body, "thinking", mapping)
    if found is None:
        return asked
    mode = take(found, "type", one_of(_MODES), "thinking")
    budget = take(found, "budget_tokens", integer, "thinking")
    if budget is not None:
        asked = structs.replace(asked, budget=budget)
    return asked if mode is None else structs.replace(asked, mode=mode)
