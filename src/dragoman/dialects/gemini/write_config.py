"""``generationConfig``: sampling, the form of the answer, thinking."""

from __future__ import annotations

from dragoman.core.errors import invalid, unsupported
from dragoman.core.request import EFFORT_BUDGET, Effort
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.draft import Draft, own
from dragoman.dialects.gemini.write_tools import Toolbox

_INT32 = 2**31
_MOST_STOPS = 5
_MOST_BUDGET = 24576
"""Thinking tokens that every model with budgets takes."""
_LEVELS: dict[Effort, str] = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "XHIGH",
    "max": "XHIGH",
}
_ORDER: tuple[Effort, ...] = ("minimal", "low", "medium", "high", "xhigh", "max")


def write_config(draft: Draft, toolbox: Toolbox) -> dict[str, object]:
    """The members of ``generationConfig``."""
    request = draft.request
    config: dict[str, object] = {}
    kept = own(request.ext).get("generationConfig")
    if kept is not None:
        config.update(wire.members(kept, "generationConfig"))
    _sampling(draft, config)
    most, asked = draft.target.capability.max_output_tokens, request.max_tokens
    if asked is not None and asked > 0:
        if most is not None and asked > most:
            draft.lose("max_tokens", "above_the_models_maximum", "changed")
            asked = most
        config["maxOutputTokens"] = asked
    elif asked is not None:
        draft.lose("max_tokens", "at_least_1")
    _form(draft, toolbox, config)
    _thinking(draft, config)
    return config


def _sampling(draft: Draft, config: dict[str, object]) -> None:
    sampling = draft.request.sampling
    named = (
        ("temperature", sampling.temperature),
        ("topP", sampling.top_p),
        ("topK", sampling.top_k),
        ("frequencyPenalty", sampling.frequency_penalty),
        ("presencePenalty", sampling.presence_penalty),
        ("candidateCount", sampling.n),
    )
    config.update({name: value for name, value in named if value is not None})
    if sampling.seed is not None:  # P116
        if -_INT32 <= sampling.seed < _INT32:
            config["seed"] = sampling.seed
        else:
            draft.lose("seed", "beyond_32_bits")
    if sampling.stop:
        if len(sampling.stop) > _MOST_STOPS:
            raise invalid(
                f"stop has {len(sampling.stop)} sequences; Gemini takes {_MOST_STOPS}.", "stop"
            )  # P113
        config["stopSequences"] = list(sampling.stop)
    if sampling.logprobs is not None:
        config["responseLogprobs"] = sampling.logprobs
        if sampling.logprobs and sampling.top_logprobs:
            config["logprobs"] = sampling.top_logprobs
    for name in ("min_p", "repetition_penalty", "logit_bias"):
        if getattr(sampling, name):
            draft.lose(name, "not_in_dialect")


def _form(draft: Draft, toolbox: Toolbox, config: dict[str, object]) -> None:
    """JSON natively; a schema beside functions only where the model takes both (P63, P199).

    A forced function is the answer, so that no schema is missed. An instruction in the schema's
    place would be a promise that nobody keeps, and is refused instead.
    """
    output = draft.request.output
    if output.verbosity is not None:
        draft.lose("verbosity", "not_in_dialect")
    if output.audio is not None:
        draft.lose("audio", "not_in_dialect")
    if output.modalities and output.modalities != ("text",):
        config["responseModalities"] = [kind.upper() for kind in output.modalities]
    if output.format == "text":
        return
    if toolbox.functions and output.schema is not None:
        if toolbox.forced:
            draft.lose("response_format", "no_schema_beside_a_forced_function")
            return
        if not draft.modern:
            raise unsupported(
                f"{draft.target.model} takes no response schema beside functions: leave one of them "
                "out, or ask Gemini 3 or later.",
                "response_format",
            )
    config["responseMimeType"] = "application/json"
    if output.format == "json_schema" and output.schema is not None:
        config["responseJsonSchema"] = output.schema
        if output.schema_description is not None:
            draft.lose("response_format.json_schema.description", "not_in_dialect")


def _thinking(draft: Draft, config: dict[str, object]) -> None:
    """Levels for newer models, budgets for older ones, never both (P198)."""
    wanted = draft.request.reasoning
    if (wanted.mode, wanted.effort, wanted.budget, wanted.visibility) == (None,) * 4:
        return
    off = wanted.mode == "disabled" or (wanted.mode is None and wanted.effort == "none")
    if draft.target.capability.reasons is False or draft.generation < (2, 5):
        if not off:
            draft.lose("reasoning_effort", "model_does_not_reason")
        return
    said: dict[str, object] = {}
    if not off or wanted.visibility is not None:
        said["includeThoughts"] = wanted.visibility != "hidden" and not off
    if wanted.budget is not None and not off:
        said["thinkingBudget"] = _bounded(draft, wanted.budget)
    elif draft.modern:
        effort = "none" if off else wanted.effort
        if effort is not None:
            said["thinkingLevel"] = _level(draft, effort)
    elif off:
        said["thinkingBudget"] = 0
    elif wanted.effort is not None:
        said["thinkingBudget"] = _bounded(draft, EFFORT_BUDGET[wanted.effort])
    elif wanted.mode == "adaptive":
        said["thinkingBudget"] = -1
    config["thinkingConfig"] = said


def _bounded(draft: Draft, budget: int) -> int:
    if budget > _MOST_BUDGET and not draft.modern:
        draft.lose("reasoning.max_tokens", f"at_most_{_MOST_BUDGET}", "changed")
        return _MOST_BUDGET
    return budget


def _level(draft: Draft, effort: Effort) -> str:
    """A level that the model knows: MINIMAL is none of the larger ones', nor XHIGH of all (P198)."""
    level = _LEVELS[effort]
    known = draft.target.capability.efforts
    if level == "MINIMAL" and "pro" in draft.target.model and "minimal" not in known:
        level = "LOW"
    if level == "XHIGH" and "xhigh" not in known:
        level = "HIGH"
    if level != effort.upper():
        draft.lose("reasoning_effort", f"{level.lower()}_instead", "changed")
    return level
