"""Thinking, its budget, and the bound of the answer that has to hold both.

Models differ (P105, P107, P172, P173): some take a budget in tokens, newer ones an effort and
decide themselves, some do not think at all. What the caller said is put in the words of
the model at hand; the capability record says which those are.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from dragoman.core.request import EFFORT_BUDGET, Effort
from dragoman.dialects.anthropic.draft import Draft, own

LEAST_BUDGET = 1024
"""Anthropic refuses a smaller one."""

_ORDER: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_DEFAULT_EFFORT: Effort = "medium"
_DISPLAY = {"hidden": "omitted", "summary": "summarized", "full": "summarized"}
"""A summary is the most that is ever shown."""


class Plan(Struct, frozen=True):
    """What is sent: ``thinking``, the effort of ``output_config``, and ``max_tokens``."""

    max_tokens: int
    thinking: dict[str, object] | Raw | None = None
    effort: str | None = None
    mode: str = ""
    """``enabled``, ``adaptive`` or nothing: what other members depend on."""


def plan_reasoning(draft: Draft, *, starts_without_thinking: bool) -> Plan:
    """How the model shall think, and how long the answer may get."""
    max_tokens = _bound(draft)
    reasoning = draft.request.reasoning
    capability = draft.target.capability
    kept = own(draft.request.ext).get("thinking")
    if kept is not None:
        return Plan(max_tokens, kept, _effort(draft, reasoning.effort), "enabled")
    said = (reasoning.mode, reasoning.effort, reasoning.budget)
    if said == (None, None, None):
        if reasoning.visibility in {"full", "summary"}:
            draft.lose("reasoning.visibility", "nobody_asked_it_to_think")
        return Plan(max_tokens)
    if reasoning.mode == "disabled" or (reasoning.mode is None and reasoning.effort == "none"):
        return _disabled(draft, max_tokens)
    if capability.thinking == "none":
        draft.lose("reasoning_effort", "model_does_not_reason")
        return Plan(max_tokens)
    adaptive = capability.thinking == "adaptive" or (
        capability.thinking == "both"
        and (reasoning.mode == "adaptive" or reasoning.budget is None)
    )
    if adaptive:
        return _adaptive(draft, max_tokens)
    if starts_without_thinking:
        # Anthropic refuses a tool loop whose reasoning got lost on the way (P95).
        draft.lose("reasoning_effort", "reasoning_of_this_tool_loop_is_lost")
        return Plan(max_tokens, {"type": "disabled"})
    return _budgeted(draft, max_tokens)


def _bound(draft: Draft) -> int:
    """``max_tokens``, which Anthropic demands: the caller's, or what was reserved for the call (D27, P109)."""
    asked = draft.request.max_tokens
    most = draft.target.capability.max_output_tokens
    if asked is None:
        bound = draft.target.reserved_output
        bound = bound if most is None else min(bound, most)
        draft.adjusted.append(f"max_tokens={bound}")
        return bound
    if most is not None and asked > most:
        draft.lose("max_tokens", "above_the_models_maximum", "changed")
        return most
    return asked


def _disabled(draft: Draft, max_tokens: int) -> Plan:
    if draft.target.capability.thinking == "none":
        return Plan(max_tokens)
    effort = draft.request.reasoning.effort
    if (
        draft.target.capability.rejects_disabled_above_high
        and effort is not None
        and _ORDER.index(effort) > _ORDER.index("high")
    ):
        draft.lose("output_config.effort", "at_most_high_without_thinking", "changed")
        effort = "high"
    return Plan(
        max_tokens,
        {"type": "disabled"},
        None if effort == "none" else _effort(draft, effort),
    )


def _adaptive(draft: Draft, max_tokens: int) -> Plan:
    reasoning = draft.request.reasoning
    effort = reasoning.effort
    if reasoning.budget is not None:
        draft.lose("reasoning.max_tokens", "budget_became_an_effort", "changed")
        effort = effort or nearest_effort(reasoning.budget)
    thinking: dict[str, object] = {"type": "adaptive"}
    _display(draft, thinking)
    return Plan(max_tokens, thinking, _effort(draft, effort), "adaptive")


def _budgeted(draft: Draft, max_tokens: int) -> Plan:
    reasoning = draft.request.reasoning
    effort = reasoning.effort
    if reasoning.mode == "adaptive":
        draft.lose("thinking.type", "adaptive_became_a_budget", "changed")
    budget = reasoning.budget
    sent_effort = None
    if budget is None:
        budget = EFFORT_BUDGET[effort or _DEFAULT_EFFORT]
    elif effort is not None and effort in draft.target.capability.efforts:
        sent_effort = effort
    if budget < LEAST_BUDGET:
        if reasoning.budget is not None:
            draft.lose("reasoning.max_tokens", "at_least_1024", "changed")
        budget = LEAST_BUDGET
    if max_tokens <= budget:
        raised, budget = _raised(draft, max_tokens, budget)
        if budget < LEAST_BUDGET:
            draft.lose("reasoning_effort", "no_room_below_max_tokens")
            return Plan(max_tokens)
        max_tokens = raised
    thinking: dict[str, object] = {"type": "enabled", "budget_tokens": budget}
    _display(draft, thinking)
    return Plan(max_tokens, thinking, sent_effort, "enabled")


def _raised(draft: Draft, max_tokens: int, budget: int) -> tuple[int, int]:
    """A bound above the budget, with the room that was asked for the answer (P105).

    The budget gives way where both together are above the maximum of the model.
    """
    answer = max(max_tokens, 1)
    raised = budget + answer
    most = draft.target.capability.max_output_tokens
    if most is not None and raised > most:
        raised, budget = most, min(budget, most - min(answer, LEAST_BUDGET))
        if budget < LEAST_BUDGET:
            return max_tokens, budget
    if draft.request.max_tokens is not None:
        draft.lose("max_tokens", "has_to_exceed_the_thinking_budget", "changed")
    draft.adjusted[:] = [item for item in draft.adjusted if not item.startswith("max_tokens=")]
    draft.adjusted.append(f"max_tokens={raised}")
    return raised, budget


def _display(draft: Draft, thinking: dict[str, object]) -> None:
    visibility = draft.request.reasoning.visibility
    if visibility is not None:
        thinking["display"] = _DISPLAY[visibility]


def nearest_effort(budget: int) -> Effort:
    """The smallest effort whose budget holds this one."""
    return next((e for e in _ORDER[2:] if EFFORT_BUDGET[e] >= budget), "max")


def _effort(draft: Draft, effort: Effort | None) -> str | None:
    """An effort that the model knows: ``minimal`` does not exist, the highest may not either (P173)."""
    if effort is None or effort == "none":
        return None
    known = draft.target.capability.efforts
    wanted: Effort = "low" if effort == "minimal" else effort
    if known and wanted not in known:
        place = _ORDER.index(wanted)
        ranked = [e for e in _ORDER if e in known]
        wanted = next((e for e in ranked if _ORDER.index(e) > place), ranked[-1])
    if wanted != effort:
        draft.lose("reasoning_effort", f"{wanted}_instead", "changed")
    return wanted
