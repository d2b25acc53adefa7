"""The canonical request → a legacy completion: what one side says once, as a prompt.

A conversation, instructions, tools and media have no place in a prompt that has no agreed form for
them, so they are refused; a provider of this dialect alone serves plain texts.
"""

from __future__ import annotations

from dragoman.core.errors import CallerError, unsupported
from dragoman.core.loss import Loss
from dragoman.core.parts import Text
from dragoman.core.request import Output, Reasoning, Request
from dragoman.dialects.base import Outgoing, Target
from dragoman.dialects.completions.patch import apply_quirks
from dragoman.dialects.completions.wire import DIALECT, encode, is_nothing
from dragoman.dialects.halves import mend

_KNOBS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logit_bias",
    "n",
)


def write_request(request: Request, target: Target) -> Outgoing:
    """The request for a provider of this dialect.

    Raises:
        CallerError: it is more than one text of the user's.
    """
    losses: list[Loss] = []
    body: dict[str, object] = {"model": target.model, "prompt": mend(_prompt(request, target))}
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    sampling = request.sampling
    for name in _KNOBS:
        value = getattr(sampling, name)
        if value is not None:
            body[name] = value
    if sampling.stop:
        body["stop"] = sampling.stop
    if sampling.logprobs:
        body["logprobs"] = sampling.top_logprobs or 0
    if request.end_user is not None:
        body["user"] = request.end_user
    if request.stream:
        body["stream"] = True
        if target.quirks.usage_in_stream == "asked":
            body["stream_options"] = {"include_usage": True}
    for dialect, members in (request.ext or {}).items():
        for name, raw in members.items():
            if dialect == DIALECT:
                body.setdefault(name, raw)
            elif not is_nothing(raw):
                losses.append(Loss(name, f"only {dialect} knows it"))
    _tell_the_rest(request, losses)
    return Outgoing(encode(apply_quirks(body, target, losses)), tuple(losses))


def _prompt(request: Request, target: Target) -> str:
    only = request.messages[0] if len(request.messages) == 1 else None
    if only is None or request.system or only.role != "user":
        raise _refusal(target, "a single message of the user's", "messages")
    if request.tools:
        raise _refusal(target, "no tools", "tools")
    if request.output.format != "text" or any(m != "text" for m in request.output.modalities):
        raise _refusal(target, "no form of the answer but text", "response_format")
    texts = [part.text for part in only.parts if isinstance(part, Text)]
    if len(texts) < len(only.parts):
        raise _refusal(target, "texts alone", "messages[0].content")
    return "\n".join(texts)


def _refusal(target: Target, what: str, param: str) -> CallerError:
    return unsupported(
        f"{target.provider}/{target.model} completes a text and takes {what}; use a chat model.",
        param,
    )


def _tell_the_rest(request: Request, losses: list[Loss]) -> None:
    """What a prompt cannot say and no answer's meaning hangs on."""
    wishes = {
        "reasoning_effort": None if request.reasoning == Reasoning() else request.reasoning,
        "verbosity": request.output.verbosity,
        "audio": request.output.audio if request.output != Output() else None,
        "metadata": request.metadata or None,
        "store": request.store or None,
        "safety_identifier": request.safety_id,
        "prompt_cache_key": request.cache_key,
        "prompt_cache_retention": request.cache_retention,
        "prediction": request.prediction,
        "cache_control": request.cache,
        "service_tier": None
        if request.service_tier in {"auto", "default"}
        else request.service_tier,
    }
    losses += [Loss(name, "not_in_dialect") for name, said in wishes.items() if said is not None]
