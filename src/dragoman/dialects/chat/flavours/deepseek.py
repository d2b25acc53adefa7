"""DeepSeek: thinking is switched by ``thinking`` and has three efforts; reasoning is replayed."""

from __future__ import annotations

from dragoman.core.capability import Capability
from dragoman.core.loss import Loss
from dragoman.core.parts import Thinking
from dragoman.core.request import Effort, Reasoning
from dragoman.dialects.chat.flavours.flavour import Asked, Flavour, Members, Recalled, effort_of

_EFFORTS: dict[Effort, Effort] = {
    "minimal": "low",
    "low": "low",
    "medium": "high",
    "high": "high",
    "xhigh": "high",
    "max": "max",
}


def ask(asked: Reasoning, _: Capability) -> Asked:
    """``thinking.type`` and ``reasoning_effort`` low, high, max (§1.9)."""
    losses: list[Loss] = []
    effort = effort_of(asked)
    if asked.mode == "disabled" or effort == "none":
        return {"thinking": {"type": "disabled"}}, ()
    members: Members = {}
    if asked.mode is not None or asked.budget is not None:
        members["thinking"] = {"type": "enabled"}
    if effort is not None:
        sent = _EFFORTS[effort]
        members["reasoning_effort"] = sent
        if sent != effort and asked.budget is None:
            losses.append(Loss("reasoning_effort", f"DeepSeek takes {sent} instead", "changed"))
    if asked.visibility == "hidden":
        losses.append(Loss("reasoning.visibility", "DeepSeek always shows its reasoning"))
    return members, tuple(losses)


def recall(thoughts: tuple[Thinking, ...]) -> Recalled:
    """``reasoning_content`` on the assistant message (P101)."""
    text = "".join(thought.text for thought in thoughts)
    return Recalled({"reasoning_content": text}) if text else Recalled()


DEEPSEEK = Flavour(
    name="deepseek",
    strict_tools=False,
    barred_while_thinking=frozenset({"tool_choice", "logprobs", "top_logprobs"}),
    unthinking={"thinking": {"type": "disabled"}},
    recalls=True,
    ask=ask,
    recall=recall,
)
