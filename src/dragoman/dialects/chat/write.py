"""The canonical request → a chat completion request for one provider.

Written in the flavour that the target's quirks name; the provider's declared renames, refused
members and steps come last. What the target cannot say is told as a ``Loss`` or refused,
as `dialects.md` §5 has it. Pure and idempotent: a retry writes the same bytes.
"""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.errors import invalid, unsupported
from dragoman.core.request import Reasoning, Request
from dragoman.dialects.base import Outgoing, Target
from dragoman.dialects.chat.draft import Draft, open_draft
from dragoman.dialects.chat.flavours.flavour import effort_of, thinks
from dragoman.dialects.chat.quirks import apply_quirks
from dragoman.dialects.chat.steps import schema_to_json_object
from dragoman.dialects.chat.write_content import mark
from dragoman.dialects.chat.write_messages import write_messages
from dragoman.dialects.chat.write_tools import write_tools
from dragoman.dialects.foreign import weighs
from dragoman.dialects.members import Object, members_of

_ENCODE = msgspec.json.Encoder().encode

_REFUSED = {
    "anthropic": {"container", "mcp_servers", "inference_geo"},
    "responses": {"previous_response_id", "conversation", "background", "prompt", "moderation"},
    "gemini": {"cachedContent", "safetySettings"},
}
"""Members of other dialects that change what the model sees or may do: leaving them out would lie."""

_MOST_STOPS = 4


def write_request(request: Request, target: Target) -> Outgoing:
    """The request in the target's flavour.

    Raises:
        CallerError: the target cannot express something that changes the meaning; ``param`` says what.
    """
    draft = open_draft(request, target)
    _refuse_foreign(request)
    request = _reasonable(request, draft)
    body: Object = {"model": target.model, "messages": write_messages(request, draft)}
    body.update(write_tools(request, draft))
    _limit(request, body, draft)
    _sampling(request, body, draft)
    body = _output(request, body, draft)
    asked, told = draft.flavour.ask(request.reasoning, target.capability)
    body.update(asked)
    draft.losses += told
    _unthink(request, body, draft)
    _extras(request, body, draft)
    _stream(request, body, draft)
    _own_extension(request, body, draft)
    body = apply_quirks(body, target, draft.losses)
    return Outgoing(_ENCODE(body), tuple(draft.losses), undo=draft.undo())


def _refuse_foreign(request: Request) -> None:
    for dialect, members in (request.ext or {}).items():
        for name, raw in members.items():
            if name in _REFUSED.get(dialect, ()) and weighs(name, raw):
                raise unsupported(
                    f"{name} exists only at {dialect} providers; leave it out or use a model of theirs.",
                    name,
                )


def _reasonable(request: Request, draft: Draft) -> Request:
    """The request without the wish for what this model cannot do: think (§5)."""
    asked = request.reasoning
    if draft.target.capability.reasons is not False or asked == Reasoning():
        return request
    if thinks(asked) or asked.visibility is not None:
        draft.lose("reasoning_effort", "this model does not reason")
    return replace(request, reasoning=Reasoning())


def _unthink(request: Request, body: Object, draft: Draft) -> None:
    """A model that thinks unasked refuses some members while it does: then it shall not (P56)."""
    asked = request.reasoning
    unasked = asked.mode is None and effort_of(asked) is None
    if not (unasked and draft.target.capability.reasons_by_default):
        return
    barred = draft.flavour.barred_while_thinking & body.keys()
    if any(body[name] not in ("auto", "none", False) for name in barred):
        body.update(draft.flavour.unthinking)
        draft.lose("thinking", f"switched off: it goes with no {min(barred)}", "changed")


def _limit(request: Request, body: Object, draft: Draft) -> None:
    limit = request.max_tokens
    if limit is None:
        return
    if limit == 0:
        raise unsupported(
            "max_tokens 0 warms a cache at Anthropic and means nothing here; send 1 or more.",
            "max_tokens",
        )  # P170
    least = draft.flavour.min_output if draft.target.capability.reasons_by_default else 0
    if limit < least:
        draft.lose("max_tokens", f"this model takes no less than {least}", "changed")  # P111
    body[draft.flavour.limit] = max(limit, least)


def _sampling(request: Request, body: Object, draft: Draft) -> None:
    wish = request.sampling
    if len(wish.stop) > _MOST_STOPS:
        raise invalid(
            f"stop has {len(wish.stop)} sequences; at most {_MOST_STOPS} are taken.", "stop"
        )  # P113
    refused = _refused_knobs(request, draft)
    for name in _KNOBS:
        value = getattr(wish, name)
        if value is None:
            continue
        if name in refused:
            if not (name in {"temperature", "top_p"} and value == 1):  # the default, spelled out
                draft.lose(name, refused[name])
            continue
        body[name] = value
    if wish.stop:
        body["stop"] = wish.stop


_EXTRA_KNOBS = ("top_k", "min_p", "repetition_penalty")
_THINKERS_REFUSE = (
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
)
_KNOBS = (*_THINKERS_REFUSE, *_EXTRA_KNOBS, "seed", "n")


def _refused_knobs(request: Request, draft: Draft) -> dict[str, str]:
    """Which sampling members the target refuses, and why."""
    capability = draft.target.capability
    refused = {
        name: "this provider does not take it"
        for name in _EXTRA_KNOBS
        if name not in draft.flavour.knobs
    }
    if capability.temperature_xor_top_p and request.sampling.temperature is not None:
        refused["top_p"] = "this model takes temperature or top_p, not both"
    if capability.rejects_sampling:
        why = "this model takes no sampling parameters"
        refused |= dict.fromkeys(("temperature", "top_p", "top_k"), why)  # P112
    thinking = capability.reasons_by_default and effort_of(request.reasoning) != "none"
    if thinking and draft.flavour.name == "openai":
        refused |= dict.fromkeys(_THINKERS_REFUSE, "refused while this model reasons")  # P182
    if thinks(request.reasoning):
        why = "refused while this model thinks"
        refused |= dict.fromkeys(draft.flavour.barred_while_thinking, why)
    return refused


def _output(request: Request, body: Object, draft: Draft) -> Object:
    wish = request.output
    if any(modality != "text" for modality in wish.modalities) and not draft.flavour.media_out:
        raise unsupported("modalities: this provider answers in text only.", "modalities")
    if wish.modalities:
        body["modalities"] = wish.modalities
    if wish.audio is not None:
        if draft.flavour.media_out:
            body["audio"] = wish.audio
        else:
            draft.lose("audio", "this provider answers in text only")
    match wish.format:
        case "text":
            return body
        case "json":
            body["response_format"] = {"type": "json_object"}
            return body
        case "json_schema":
            return _schema(request, body, draft)
        case _:
            assert_never(wish.format)


def _schema(request: Request, body: Object, draft: Draft) -> Object:
    wish = request.output
    schema: Object = {"name": wish.schema_name or "response"}
    if wish.schema_description is not None:
        schema["description"] = wish.schema_description
    if wish.schema is not None:
        schema["schema"] = wish.schema
    if wish.strict is not None:
        schema["strict"] = wish.strict
    body["response_format"] = {"type": "json_schema", "json_schema": schema}
    how = draft.target.capability.structured_output
    if how in {"native", "tool"}:
        return body
    body, told = schema_to_json_object(body, draft.target)
    draft.losses += told
    if how == "none":
        del body["response_format"]
    return body


def _extras(request: Request, body: Object, draft: Draft) -> None:
    """Members that only some providers take, and nobody's meaning hangs on."""
    flavour = draft.flavour
    wishes: Object = {
        "user": request.end_user,
        "metadata": request.metadata,
        "store": request.store,
        "safety_identifier": request.safety_id,
        "prompt_cache_key": request.cache_key,
        "prompt_cache_retention": request.cache_retention,
        "prediction": request.prediction,
        "verbosity": request.output.verbosity,
    }
    if flavour.name == "openrouter" and request.preferences is not None:
        body["provider"] = request.preferences
    for name, value in wishes.items():
        if value is None:
            continue
        if name in flavour.extras:
            body[name] = value
        elif value is not False and value != {}:
            draft.lose(name, "this provider does not take it")
    if request.service_tier is not None:
        tier = flavour.tiers.get(request.service_tier)
        if tier is not None:
            body["service_tier"] = tier
        elif request.service_tier not in {"auto", "default"}:
            draft.lose("service_tier", f"no tier {request.service_tier} at this provider")
    if request.cache is not None:
        if "cache_control" in flavour.extras:
            mark(body, request.cache, "", draft)
        else:
            draft.lose("cache_control", "no cache marks for a whole request at this provider")


def _stream(request: Request, body: Object, draft: Draft) -> None:
    if not request.stream:
        return
    body["stream"] = True
    if draft.target.quirks.usage_in_stream == "asked":
        own = (request.ext or {}).get("chat", {}).get("stream_options")
        options = {} if own is None else members_of(own, "stream_options")
        body["stream_options"] = {**options, "include_usage": True}


def _own_extension(request: Request, body: Object, draft: Draft) -> None:
    """What only the chat family knows comes back to it."""
    ext = request.ext
    if ext is None:
        return
    own: dict[str, Raw] = dict(ext.get("chat", {}))
    own.pop("stream_options", None)
    others = {dialect: members for dialect, members in ext.items() if dialect != "chat"}
    draft.extend(body, {**others, "chat": own}, "")
