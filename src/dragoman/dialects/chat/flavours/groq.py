"""Groq: reasoning has three efforts and a member of its own, tool results may hold images."""

from __future__ import annotations

from dragoman.core.capability import Capability
from dragoman.core.loss import Loss
from dragoman.core.parts import Thinking
from dragoman.core.request import Reasoning
from dragoman.dialects.chat.flavours.flavour import Asked, Flavour, Recalled, ask_effort

_EFFORTS = {"minimal": "low", "xhigh": "high", "max": "high"}


def ask(asked: Reasoning, capability: Capability) -> Asked:
    """``reasoning_effort`` none, low, medium, high; ``reasoning_format`` hidden or parsed (§1.6)."""
    members, told = ask_effort(asked, capability)
    losses = [loss for loss in told if loss.path != "reasoning.visibility"]
    effort = members.get("reasoning_effort")
    if effort in _EFFORTS:
        members["reasoning_effort"] = _EFFORTS[effort]
        if asked.budget is None:
            losses.append(
                Loss("reasoning_effort", f"Groq takes {_EFFORTS[effort]} instead", "changed")
            )
    if asked.visibility == "hidden":
        members["reasoning_format"] = "hidden"
    elif asked.visibility == "full":
        members["reasoning_format"] = "parsed"
    return members, tuple(losses)


def recall(thoughts: tuple[Thinking, ...]) -> Recalled:
    """``reasoning`` on the assistant message."""
    text = "".join(thought.text for thought in thoughts)
    return Recalled({"reasoning": text}) if text else Recalled()


GROQ = Flavour(
    name="groq",
    extras=frozenset({"user", "metadata", "store"}),
    tiers={
        "auto": "auto",
        "default": "on_demand",
        "on_demand": "on_demand",
        "flex": "flex",
        "priority": "performance",
        "performance": "performance",
    },
    result_media=True,
    details=frozenset({"auto", "low", "high"}),
    recalls=True,
    ask=ask,
    recall=recall,
)
