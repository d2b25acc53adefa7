"""The canonical request → a Messages request (`dialects.md` §3.1, §5).

Whatever Anthropic cannot say is emulated where that is faithful, dropped with a record where
it is harmless, and refused where it would change what the caller asked for.
"""

from __future__ import annotations

from msgspec import Raw

from dragoman.core.errors import invalid, unsupported
from dragoman.core.request import Request, Sampling
from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.draft import Block, Draft, own
from dragoman.dialects.anthropic.wire import DIALECT, encode
from dragoman.dialects.anthropic.write_cache import limit_marks
from dragoman.dialects.anthropic.write_messages import (
    Turn,
    called_names,
    starts_without_thinking,
    write_system,
    write_turns,
)
from dragoman.dialects.anthropic.write_output import Form, write_form
from dragoman.dialects.anthropic.write_plain import write_plain
from dragoman.dialects.anthropic.write_reasoning import Plan, plan_reasoning
from dragoman.dialects.anthropic.write_tools import write_tools
from dragoman.dialects.base import Outgoing, Target, Undo
from dragoman.dialects.foreign import weighs

_TIERS = {"auto": "auto", "default": "standard_only", "priority": "auto"}

_UNKNOWN_SAMPLING = (
    "min_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
)

_MEANINGFUL = frozenset(
    {"web_search_options", "plugins", "moderation", "guardrails", "safe_prompt", "mcp_servers"}
)
"""Members of other dialects whose absence would change the answer or what may be in it (§5)."""


def write_request(request: Request, target: Target) -> Outgoing:
    """The request for a provider of this dialect.

    Raises:
        CallerError: the request asks for what no Anthropic model can do, or its
            conversation is none that Anthropic accepts.
    """
    plain = write_plain(request, target)
    if plain is not None:
        return plain
    draft = Draft(request, target)
    try:
        return _write(draft)
    except RecursionError:
        raise invalid("The request is nested too deeply.", code="invalid_json") from None


def _write(draft: Draft) -> Outgoing:
    request, target = draft.request, draft.target
    _refuse(request)
    system = write_system(draft)
    turns = write_turns(draft)
    if not turns:
        if not system:
            raise invalid("The conversation has to hold at least one message.", "messages")
        # Instructions alone are nobody's turn (P73).
        draft.lose("messages", "instructions_became_the_user_turn", "changed")
        turns, system = [Turn("user", "system", system)], []
    plan = plan_reasoning(draft, starts_without_thinking=starts_without_thinking(turns))
    thinks = plan.mode == "enabled"
    toolbox = write_tools(draft, called_names(turns), thinks=thinks)
    form = write_form(draft, toolbox, thinks=thinks)
    if form.instruction is not None:
        system = [*system, {"type": "text", "text": form.instruction}]
    top_mark = draft.cache_control(request.cache, "cache_control") if request.cache else None
    prefix = [*form.toolbox.tools, *system]
    for turn in turns:
        prefix += turn.blocks
    limit_marks(draft, prefix, 1 if top_mark else 0)
    body: dict[str, object] = {"model": target.model, "max_tokens": plan.max_tokens}
    if system:
        body["system"] = _plain(system)
    body["messages"] = [{"role": turn.role, "content": _plain(turn.blocks)} for turn in turns]
    if form.toolbox.tools:
        body["tools"] = form.toolbox.tools
        if form.toolbox.choice is not None:
            body["tool_choice"] = form.toolbox.choice
    if plan.thinking is not None:
        body["thinking"] = plan.thinking
    if config := _config(draft, plan, form):
        body["output_config"] = config
    body.update(_sampling(draft, thinks=plan.mode != ""))
    body.update(_rest(draft))
    if top_mark is not None:
        body["cache_control"] = top_mark
    if request.stream:
        body["stream"] = True
    quirks = target.quirks
    if quirks.drop or quirks.rename:
        _apply_quirks(draft, body)
    return Outgoing(
        encode(body),
        losses=tuple(draft.losses),
        adjusted=tuple(draft.adjusted),
        undo=Undo(draft.names, form.json_tool, frozenset(draft.custom)),
    )


def _plain(blocks: list[Block]) -> object:
    """One text without anything to it is written as a string."""
    if len(blocks) == 1:
        only = blocks[0]
        if isinstance(only, dict) and only.keys() == {"type", "text"}:
            return only["text"]
    return blocks


def _refuse(request: Request) -> None:
    """What would change the answer if it were left out."""
    if request.sampling.n is not None and request.sampling.n > 1:
        raise unsupported(
            f"n is {request.sampling.n}, and Anthropic gives one answer to a request: send it "
            "several times instead.",
            "n",
        )
    for dialect, members in (request.ext or {}).items():
        if dialect == DIALECT:
            continue
        for name, raw in members.items():
            if name in _MEANINGFUL and weighs(name, raw):
                raise unsupported(
                    f"The member {name} is of the dialect {dialect}, and Anthropic has nothing "
                    "that does the same.",
                    name,
                )


def _config(draft: Draft, plan: Plan, form: Form) -> dict[str, object]:
    config: dict[str, object] = {}
    if plan.effort is not None:
        config["effort"] = plan.effort
    if form.format is not None:
        config["format"] = form.format
    if draft.request.ext is None:
        return config
    kept = own(draft.request.ext).get("output_config")
    return config if kept is None else config | dict(wire.members(kept, "output_config"))


def _sampling(draft: Draft, *, thinks: bool) -> dict[str, object]:
    """Temperature and its like, as far as this model has them (P106, P112, P113)."""
    sampling = draft.request.sampling
    capability = draft.target.capability
    written: dict[str, object] = {}
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(sampling, name)
        if value is None:
            continue
        if capability.rejects_sampling:
            draft.lose(name, "model_refuses_sampling_members")
        elif thinks and not (name == "temperature" and value == 1):
            draft.lose(name, "refused_while_thinking")
        elif name == "temperature" and value > 1:
            draft.lose(name, "at_most_1", "changed")
            written[name] = 1.0
        elif name == "top_p" and "temperature" in written and capability.temperature_xor_top_p:
            draft.lose(name, "temperature_or_top_p")
        else:
            written[name] = value
    for name in _UNKNOWN_SAMPLING if _is_choosy(sampling) else ():
        value = getattr(sampling, name)
        if value or (name == "seed" and value is not None):  # Other zeros are the default.
            draft.lose(name, "not_in_dialect")
    if sampling.stop:
        stop = [words for words in sampling.stop if words.strip()]
        if len(stop) < len(sampling.stop):
            draft.lose("stop", "white_space_is_refused")
        if stop:
            written["stop_sequences"] = stop
    return written


def _is_choosy(sampling: Sampling) -> bool:
    """Whether any of ``_UNKNOWN_SAMPLING`` may say something."""
    return (
        sampling.seed is not None
        or bool(sampling.frequency_penalty or sampling.presence_penalty)
        or bool(sampling.repetition_penalty or sampling.min_p or sampling.logit_bias)
        or bool(sampling.logprobs or sampling.top_logprobs)
    )


def _rest(draft: Draft) -> dict[str, object]:
    """What is about the call and not about the answer, and this dialect's own members."""
    request = draft.request
    kept: dict[str, Raw] = {}
    written: dict[str, object] = {}
    user = request.end_user if request.end_user is not None else request.safety_id
    metadata: dict[str, object] = {} if user is None else {"user_id": user}
    if request.ext is not None:
        kept.update(own(request.ext))
        for name in ("thinking", "output_config"):
            kept.pop(name, None)  # written with what belongs to them
        if (more := kept.pop("metadata", None)) is not None:
            metadata |= wire.members(more, "metadata")
    if metadata:
        written["metadata"] = metadata
    if request.service_tier is not None:
        tier = _TIERS.get(request.service_tier)
        if tier is None:
            draft.lose("service_tier", "not_in_dialect")
        else:
            if request.service_tier == "priority":
                draft.lose("service_tier", "auto_instead", "changed")
            written["service_tier"] = tier
    _lose_the_rest(draft)
    return written | kept if kept else written


def _lose_the_rest(draft: Draft) -> None:
    """Members about the call that nobody at Anthropic would read."""
    request = draft.request
    if request.safety_id is not None and request.end_user is not None:
        draft.lose("safety_identifier", "not_in_dialect")
    if request.metadata:
        draft.lose("metadata", "not_in_dialect")
    if request.store is True:
        draft.lose("store", "not_in_dialect")
    if request.prediction is not None:
        draft.lose("prediction", "not_in_dialect")
    if request.cache_key is not None:
        draft.lose("prompt_cache_key", "not_in_dialect")
    if request.cache_retention is not None:
        draft.lose("prompt_cache_retention", "not_in_dialect")
    for dialect, members in (request.ext or {}).items():
        if dialect != DIALECT:
            for name in members:
                draft.lose(name, "not_in_dialect")


def _apply_quirks(draft: Draft, body: dict[str, object]) -> None:
    """What the provider spells otherwise or refuses, by its own file."""
    quirks = draft.target.quirks
    for name in quirks.drop:
        if body.pop(name, None) is not None:
            draft.lose(name, "refused_by_provider")
    for name, other in quirks.rename.items():
        if name in body:
            body[other] = body.pop(name)
