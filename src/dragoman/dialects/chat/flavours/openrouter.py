"""OpenRouter: one ``reasoning`` object, signed reasoning that is replayed, Anthropic's cache marks."""

from __future__ import annotations

from dragoman.core.capability import Capability
from dragoman.core.loss import Loss
from dragoman.core.parts import Thinking
from dragoman.core.request import Reasoning
from dragoman.dialects.chat.flavours.flavour import Asked, Flavour, Members, Recalled, nearest
from dragoman.dialects.chat.thoughts import details_of, shares_index

_TIERS = ("auto", "default", "flex", "scale", "priority", "fast")


def ask(asked: Reasoning, capability: Capability) -> Asked:
    """``reasoning``: effort or max_tokens, never both (P196)."""
    reasoning: Members = {}
    losses: list[Loss] = []
    if asked.mode == "disabled":
        reasoning["enabled"] = False
    elif asked.budget is not None:
        reasoning["max_tokens"] = asked.budget
        if asked.effort is not None:
            losses.append(Loss("reasoning.effort", "the budget says more precisely what it says"))
    elif asked.effort is not None:
        sent = nearest(asked.effort, capability.efforts)
        if sent != asked.effort:
            losses.append(Loss("reasoning.effort", f"this model takes {sent} instead", "changed"))
        reasoning["effort"] = sent
    elif asked.mode is not None:
        reasoning["enabled"] = True
    if asked.visibility == "hidden":
        reasoning["exclude"] = True
    elif asked.visibility == "summary":
        reasoning["summary"] = "auto"
    return ({"reasoning": reasoning} if reasoning else {}), tuple(losses)


def recall(thoughts: tuple[Thinking, ...]) -> Recalled:
    """``reasoning_details`` where anything has to come back byte for byte, else ``reasoning``."""
    details: list[Members] = []
    opaque = False
    index, previous = -1, None
    for thought in thoughts:
        index += not shares_index(previous, thought)
        found = details_of(thought, index)
        opaque = opaque or bool(found)
        details += found or [{"type": "reasoning.text", "text": thought.text, "index": index}]
        previous = thought
    if opaque:
        return Recalled({"reasoning_details": details})
    text = "".join(thought.text for thought in thoughts)
    return Recalled({"reasoning": text}) if text else Recalled()


OPENROUTER = Flavour(
    name="openrouter",
    knobs=frozenset({"top_k", "min_p", "repetition_penalty"}),
    extras=frozenset(
        {
            "user",
            "metadata",
            "store",
            "safety_identifier",
            "prompt_cache_key",
            "prompt_cache_retention",
            "prediction",
            "verbosity",
            "cache_control",
        }
    ),
    tiers={tier: tier for tier in _TIERS},
    marks="cache_control",
    result_media=True,
    developer=True,
    refusals=True,
    prefill=True,
    documents="file",
    document_urls=True,
    audio="any",
    videos=True,
    media_out=True,
    recalls=True,
    ask=ask,
    recall=recall,
)
