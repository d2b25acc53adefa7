"""What a request asks for beside its words, as Ollama says it; the same for both of its shapes."""

from __future__ import annotations

from typing import assert_never

from dragoman.core.errors import unsupported
from dragoman.core.request import Effort, Request
from dragoman.dialects.foreign import weighs
from dragoman.dialects.ollama.draft import Draft, Object
from dragoman.dialects.ollama.read_options import OPTION, SAMPLING
from dragoman.dialects.ollama.wire import own

_MEANINGFUL = {
    "anthropic": {"container", "mcp_servers", "inference_geo"},
    "chat": {"web_search_options", "plugins", "moderation", "guardrails", "safe_prompt"},
    "responses": {"previous_response_id", "conversation", "background", "prompt", "moderation"},
    "gemini": {"cachedContent", "safetySettings"},
}
"""Members of other dialects whose absence would change the answer or what may be in it (§5)."""

_LEVEL: dict[Effort, str] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}


def refuse_foreign(request: Request) -> None:
    """Refuses what would change the answer if it were left out."""
    if request.sampling.n is not None and request.sampling.n > 1:
        raise unsupported(
            f"n is {request.sampling.n}, and Ollama gives one answer to a request: send it several "
            "times instead.",
            "n",
        )  # P115
    if request.max_tokens == 0:
        raise unsupported(
            "max_tokens 0 warms a cache at Anthropic and means nothing here; send 1 or more.",
            "max_tokens",
        )  # P170
    for dialect, members in (request.ext or {}).items():
        for name, raw in members.items():
            if name in _MEANINGFUL.get(dialect, ()) and weighs(name, raw):
                raise unsupported(
                    f"The member {name} is of the dialect {dialect}, and Ollama has nothing that "
                    "does the same.",
                    name,
                )


def write_rest(draft: Draft) -> Object:
    """Every member but the words, the tools and the model."""
    request = draft.request
    body: Object = {}
    _output(draft, body)
    _reasoning(draft, body)
    if request.sampling.logprobs is not None:
        body["logprobs"] = request.sampling.logprobs
    if request.sampling.top_logprobs is not None:
        body["top_logprobs"] = request.sampling.top_logprobs
    options = _options(draft)
    if request.ext is not None:
        for name, raw in own(request.ext).items():
            if name.startswith(OPTION):
                options.setdefault(name.removeprefix(OPTION), raw)
            else:
                body.setdefault(name, raw)
        draft.foreign(request.ext, "")
    if options:
        body["options"] = options
    _tell_the_rest(draft)
    return body


def _options(draft: Draft) -> Object:
    """How tokens are drawn; nothing is filled in, for the model's own file says the rest (P167)."""
    sampling = draft.request.sampling
    options: Object = {}
    for name, canonical, _ in SAMPLING:
        value = getattr(sampling, canonical)
        if value is not None:
            options[name] = value
    if sampling.stop:
        options["stop"] = sampling.stop
    if draft.request.max_tokens is not None:
        options["num_predict"] = draft.request.max_tokens
    if sampling.logit_bias:
        draft.lose("logit_bias", "this provider does not take it")
    return options


def _output(draft: Draft, body: Object) -> None:
    wish = draft.request.output
    if any(modality != "text" for modality in wish.modalities):
        raise unsupported("modalities: this provider answers in text only.", "modalities")
    if wish.audio is not None:
        draft.lose("audio", "this provider answers in text only")
    if wish.verbosity is not None:
        draft.lose("verbosity", "this provider does not take it")
    match wish.format:
        case "text":
            return
        case "json":
            body["format"] = "json"
        case "json_schema":
            body["format"] = "json" if wish.schema is None else wish.schema
            if wish.schema_description is not None:
                draft.lose("response_format.json_schema.description", "no place for it here")
        case _:
            assert_never(wish.format)


def _reasoning(draft: Draft, body: Object) -> None:
    """``think``: an effort as a level (P107), a budget as a yes."""
    wish = draft.request.reasoning
    if wish.mode == "disabled" or (wish.mode is None and wish.effort == "none"):
        if draft.target.capability.reasons is not False:
            body["think"] = False
        return
    if wish.mode is None and wish.effort is None and wish.budget is None:
        if wish.visibility is not None:
            draft.lose("reasoning.visibility", "reasoning is shown where there is any")
        return
    if draft.target.capability.reasons is False:
        draft.lose("reasoning_effort", "this model does not reason")
        return
    if wish.mode == "adaptive" and wish.effort is None:
        pass  # as it sees fit: what a model here does unasked, and no error of one that cannot
    elif wish.effort is None or wish.effort == "none":
        body["think"] = True
        if wish.budget is not None:
            draft.lose("reasoning.max_tokens", "the model decides how long it thinks", "changed")
    else:
        body["think"] = level = _LEVEL[wish.effort]
        if level != wish.effort:
            draft.lose("reasoning_effort", f"{level}_instead", "changed")
    if wish.visibility == "hidden":
        draft.lose("reasoning.visibility", "reasoning is shown where there is any")


def _tell_the_rest(draft: Draft) -> None:
    """Members about the call that nobody here would read."""
    request = draft.request
    wishes = {
        "user": request.end_user,
        "metadata": request.metadata or None,
        "store": request.store or None,
        "safety_identifier": request.safety_id,
        "prompt_cache_key": request.cache_key,
        "prompt_cache_retention": request.cache_retention,
        "prediction": request.prediction,
        "cache_control": request.cache,
    }
    for name, value in wishes.items():
        if value is not None:
            draft.lose(name, "this provider does not take it")
    if request.service_tier not in {None, "auto", "default"}:
        draft.lose("service_tier", f"no tier {request.service_tier} at this provider")
