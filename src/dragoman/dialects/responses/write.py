"""The canonical request → a Responses request for one provider.

What this dialect cannot say is told as a ``Loss`` or refused, as `dialects.md` §5 has it. Nothing
is kept at the provider unless the caller said so, hence reasoning comes with its state (P104).
Pure and idempotent: a retry writes the same bytes.
"""

from __future__ import annotations

from typing import assert_never

from dragoman.core.errors import unsupported
from dragoman.core.parts import Thinking
from dragoman.core.request import EFFORT_BUDGET, Effort, Output, Reasoning, Request
from dragoman.dialects.base import Outgoing, Target
from dragoman.dialects.foreign import weighs
from dragoman.dialects.members import Object
from dragoman.dialects.responses.draft import Draft, open_draft
from dragoman.dialects.responses.envelope import is_native
from dragoman.dialects.responses.quirks import apply_quirks
from dragoman.dialects.responses.wire import encode
from dragoman.dialects.responses.write_items import filler, write_items, write_system
from dragoman.dialects.responses.write_tools import write_tools

_REFUSED = {
    "anthropic": {"container", "mcp_servers", "inference_geo"},
    "gemini": {"cachedContent", "safetySettings"},
    "chat": {"moderation"},
}
"""Members of other dialects that change what the model sees or may do: leaving them out would lie."""

_LEAST_OUTPUT = 16
_RANKS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def write_request(request: Request, target: Target) -> Outgoing:
    """The request for a provider of this dialect.

    Raises:
        CallerError: the target cannot express something that changes the meaning; ``param`` says what.
    """
    draft = open_draft(request, target)
    _refuse_foreign(request)
    instructions, leading = write_system(request, draft)
    items = [*leading, *write_items(request, draft)]
    if not any(item.get("role") != "developer" for item in items):
        items.append(filler())
        draft.adjusted.append("input=an empty user message")  # P189
    body: Object = {"model": target.model}
    if instructions is not None:
        body["instructions"] = instructions
    body["input"] = items
    body.update(write_tools(request, draft))
    _limit(request, body, draft)
    include = _sampling(request, body, draft)
    if form := write_form(request.output, target):
        body["text"] = form
    if any(modality != "text" for modality in request.output.modalities):
        raise unsupported("modalities: models of this dialect answer in text.", "modalities")
    if request.output.audio is not None:
        draft.lose("audio", "models of this dialect answer in text")
    _reasoning(request, body, draft)
    body["store"] = request.store is True
    if not body["store"] and _wants_state(request, body, draft):
        include.append("reasoning.encrypted_content")
    if include:
        body["include"] = include
    _extras(request, body, draft)
    if request.stream:
        body["stream"] = True
    draft.extend(body, request.ext, "")
    body = apply_quirks(body, target.quirks, draft.losses)
    return Outgoing(encode(body), tuple(draft.losses), tuple(draft.adjusted), draft.undo())


def _refuse_foreign(request: Request) -> None:
    for dialect, members in (request.ext or {}).items():
        for name, raw in members.items():
            if name in _REFUSED.get(dialect, ()) and weighs(name, raw):
                raise unsupported(
                    f"{name} exists only at {dialect} providers; leave it out or use a model of theirs.",
                    name,
                )


def _limit(request: Request, body: Object, draft: Draft) -> None:
    limit = request.max_tokens
    if limit is None:
        return
    if limit == 0:
        raise unsupported(
            "max_tokens 0 warms a cache at Anthropic and means nothing here; send 1 or more.",
            "max_tokens",
        )  # P170
    if limit < _LEAST_OUTPUT:
        draft.lose("max_tokens", f"no less than {_LEAST_OUTPUT} is taken", "changed")  # P111
    body["max_output_tokens"] = max(limit, _LEAST_OUTPUT)


_ABSENT = (
    "top_k",
    "min_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logit_bias",
)
"""Sampling members that this dialect does not have."""


def _sampling(request: Request, body: Object, draft: Draft) -> list[str]:
    """Temperature and its kind; what has to be included in the answer is given back."""
    wish = request.sampling
    if (wish.n or 1) > 1:
        raise unsupported(f"n is {wish.n}; models of this dialect give one answer.", "n")  # P115
    for name in _ABSENT:
        if getattr(wish, name) not in (None, 0, {}):
            draft.lose(name, "not in this dialect")
    if wish.stop:
        draft.stop = tuple(stop for stop in wish.stop if stop)
        draft.lose("stop", "the answer is cut at it on its way back", "emulated")  # P113
    refused = _refused_knobs(request, draft.target)
    for name in ("temperature", "top_p"):
        value = getattr(wish, name)
        if value is None:
            continue
        if refused:
            if value != 1:  # the default, spelled out
                draft.lose(name, refused)
            continue
        body[name] = value
    if not (wish.logprobs or wish.top_logprobs):
        return []
    if refused:
        draft.lose("logprobs", refused)
        return []
    if wish.top_logprobs:
        body["top_logprobs"] = wish.top_logprobs
    return ["message.output_text.logprobs"]


def _refused_knobs(request: Request, target: Target) -> str:
    """Why the model takes no sampling members, if it takes none (P112, P182)."""
    capability = target.capability
    if capability.rejects_sampling:
        return "this model takes no sampling parameters"
    if capability.reasons_by_default and effort_of(request.reasoning) != "none":
        return "refused while this model reasons"
    return ""


def write_form(output: Output, target: Target | None = None) -> Object:
    """``text``: the form of the answer and its length; empty where nothing was said."""
    del target
    text: Object = {}
    match output.format:
        case "text":
            pass
        case "json":
            text["format"] = {"type": "json_object"}
        case "json_schema":
            form: Object = {"type": "json_schema", "name": output.schema_name or "response"}
            if output.schema_description is not None:
                form["description"] = output.schema_description
            form["schema"] = output.schema if output.schema is not None else {"type": "object"}
            if output.strict is not None:
                form["strict"] = output.strict
            text["format"] = form
        case _:
            assert_never(output.format)
    if output.verbosity is not None:
        text["verbosity"] = output.verbosity
    return text


# --------------------------------------------------------------------------- reasoning


def effort_of(asked: Reasoning) -> Effort | None:
    """The effort that was asked for, or the smallest whose budget reaches the one given (§3.1)."""
    if asked.effort is not None:
        return asked.effort
    if asked.budget is None:
        return None
    return next((effort for effort in _RANKS if EFFORT_BUDGET[effort] >= asked.budget), "max")


def thinks(asked: Reasoning) -> bool:
    """Whether thinking was asked for outright."""
    if asked.mode is not None:
        return asked.mode != "disabled"
    return effort_of(asked) not in {None, "none"}


def _nearest(effort: Effort, accepted: tuple[str, ...]) -> Effort:
    """The accepted effort closest to the one asked for; none means any is accepted (P107, P169)."""
    known = [rank for rank in _RANKS if rank in accepted]
    if not known or effort in known:
        return effort
    wish = _RANKS.index(effort)
    return min(known, key=lambda rank: (abs(_RANKS.index(rank) - wish), _RANKS.index(rank)))


def _reasoning(request: Request, body: Object, draft: Draft) -> None:
    asked = request.reasoning
    capability = draft.target.capability
    if asked == Reasoning():
        return
    if capability.reasons is False:
        if thinks(asked) or asked.visibility is not None:
            draft.lose("reasoning", "this model does not reason")
        return
    told: Object = {}
    effort = effort_of(asked)
    may_stop = "none" in capability.efforts or capability.reasons_by_default
    if effort is None and asked.mode == "disabled" and may_stop:
        effort = "none"
    if effort is not None:
        sent = _nearest(effort, capability.efforts)
        if sent != effort and asked.budget is None:
            draft.lose("reasoning.effort", f"this model takes {sent} instead", "changed")
        told["effort"] = sent
    elif thinks(asked) and not capability.reasons_by_default:
        draft.lose("thinking", "it has no switch here, only an effort", "changed")
    shown = asked.visibility in {"full", "summary"}
    if shown or (asked.visibility is None and asked.mode in {"enabled", "adaptive"}):
        told["summary"] = "auto"
    if told:
        body["reasoning"] = told


def _wants_state(request: Request, body: Object, draft: Draft) -> bool:
    """Whether reasoning may come, whose state has to come with it (P104).

    Models that do not reason refuse to be asked for it.
    """
    capability = draft.target.capability
    if capability.reasons is False:
        return False
    if capability.reasons_by_default or "reasoning" in body:
        return True
    return any(
        isinstance(part, Thinking) and is_native(part)
        for message in request.messages
        for part in message.parts
    )


# --------------------------------------------------------------------------- the rest

TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
"""The service tiers that this dialect has a word for (P119)."""


def _extras(request: Request, body: Object, draft: Draft) -> None:
    """Members that nobody's meaning hangs on."""
    wishes: Object = {
        "user": request.end_user,
        "metadata": request.metadata or None,
        "safety_identifier": request.safety_id,
        "prompt_cache_key": request.cache_key,
        "prompt_cache_retention": request.cache_retention,
    }
    body.update({name: value for name, value in wishes.items() if value is not None})
    if request.service_tier in TIERS:
        body["service_tier"] = request.service_tier
    elif request.service_tier is not None:
        draft.lose("service_tier", f"no tier {request.service_tier} in this dialect")
    if request.prediction is not None:
        draft.lose("prediction", "not in this dialect")
    if request.cache is not None:
        draft.lose("cache_control", "no cache marks for a whole request in this dialect")
