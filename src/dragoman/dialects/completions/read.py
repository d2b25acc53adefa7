"""A caller's legacy completion request → the canonical request: the prompt is what the user says.

What exists below a conversation only (text behind the answer, the prompt said again, token ids,
several prompts at once) changes what comes back and is refused, for no chat model does it.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dragoman.core.errors import invalid, unsupported
from dragoman.core.parts import Message, Text
from dragoman.core.request import Request, Sampling
from dragoman.dialects.completions import wire
from dragoman.dialects.completions.wire import Members

_TEXT = msgspec.json.Decoder(str)
_BOOL = msgspec.json.Decoder(bool)
_INT = msgspec.json.Decoder(int)
_FLOAT = msgspec.json.Decoder(float)
_STOP = msgspec.json.Decoder(str | list[str])
_BIAS = msgspec.json.Decoder(dict[str, float])
_PROMPT = msgspec.json.Decoder(str | list[str | int | list[int]])


def read_request(body: bytes) -> Request:
    """The canonical request.

    Raises:
        CallerError: a member is missing, of a wrong type, or means what a chat model cannot do.
    """
    try:
        return _read(wire.members(body))
    except RecursionError:
        raise invalid("The request body is nested too deeply.") from None


def _read(members: Members) -> Request:
    model = wire.take(members, "model", _TEXT)
    if not model:
        raise invalid("model is required.", "model", "missing_required_parameter")
    prompt = _prompt(members)
    _refuse_what_no_chat_does(members)
    include_usage = _stream_options(members)
    limit = wire.take(members, "max_tokens", _INT)
    if limit is not None and limit < 1:
        raise unsupported(
            f"max_tokens is {limit}, and this model writes at least one.", "max_tokens"
        )
    for name in ("routing", "models"):  # spoken to the gateway, which has read them
        members.pop(name, None)
    return Request(
        model=model,
        messages=(Message("user", (Text(prompt),)),),
        stream=wire.take(members, "stream", _BOOL) or False,
        sampling=_sampling(members),
        max_tokens=limit,
        end_user=wire.take(members, "user", _TEXT),
        include_usage=include_usage,
        preferences=_preferences(members),
        ext=wire.bag(members),
    )


def _preferences(members: Members) -> Raw | None:
    value = members.pop("provider", wire.NULL)
    return None if wire.is_nothing(value) else value


def _prompt(members: Members) -> str:
    """The one text; a list of one is the same."""
    prompt = wire.take(members, "prompt", _PROMPT)
    if prompt is None or prompt == []:
        raise invalid("prompt is required.", "prompt", "missing_required_parameter")
    if isinstance(prompt, str):
        return prompt
    if any(not isinstance(item, str) for item in prompt):
        raise unsupported(
            "prompt holds token ids, of a tokenizer that is not this model's: send its text.",
            "prompt",
        )
    if len(prompt) > 1:
        raise unsupported(
            f"prompt holds {len(prompt)} texts, and this model answers one at a time: send a "
            "request for each.",
            "prompt",
        )
    return str(prompt[0])


def _refuse_what_no_chat_does(members: Members) -> None:
    suffix = wire.take(members, "suffix", _TEXT)
    if suffix:
        raise unsupported("suffix: this model cannot write up to a given text.", "suffix")
    if wire.take(members, "echo", _BOOL):
        raise unsupported("echo: this model does not say the prompt again.", "echo")
    best_of = wire.take(members, "best_of", _INT)
    n = members.get("n", wire.NULL)
    answers = 1 if bytes(n) == b"null" else wire.value(_INT, n, "n")
    if best_of is not None and best_of > answers:
        # A wish about quality: fewer drafts are made, and the loss of it is told.
        members["best_of"] = Raw(str(best_of).encode())


def _stream_options(members: Members) -> bool:
    raw = members.pop("stream_options", None)
    if raw is None or bytes(raw) == b"null":
        return False
    options = wire.members(raw, "stream_options")
    asked = wire.take(options, "include_usage", _BOOL) or False
    if rest := {name: item for name, item in options.items() if not wire.is_nothing(item)}:
        members["stream_options"] = Raw(wire.encode(rest))
    return asked


def _sampling(members: Members) -> Sampling:
    """The knobs; ``logprobs`` is how many alternatives are told beside each token."""
    stop = wire.take(members, "stop", _STOP)
    logprobs = wire.take(members, "logprobs", _INT) if _is_number(members) else None
    asked = True if logprobs is not None else wire.take(members, "logprobs", _BOOL)
    return Sampling(
        temperature=wire.take(members, "temperature", _FLOAT),
        top_p=wire.take(members, "top_p", _FLOAT),
        top_k=wire.take(members, "top_k", _INT),
        min_p=wire.take(members, "min_p", _FLOAT),
        seed=wire.take(members, "seed", _INT),
        frequency_penalty=wire.take(members, "frequency_penalty", _FLOAT),
        presence_penalty=wire.take(members, "presence_penalty", _FLOAT),
        repetition_penalty=wire.take(members, "repetition_penalty", _FLOAT),
        logit_bias=wire.take(members, "logit_bias", _BIAS) or None,
        stop=() if stop is None else (stop,) if isinstance(stop, str) else tuple(stop),
        n=wire.take(members, "n", _INT),
        logprobs=asked,
        top_logprobs=logprobs or None,
    )


def _is_number(members: Members) -> bool:
    """Whether ``logprobs`` is a count and not, as some send it, a chat's yes or no."""
    return bytes(members.get("logprobs", wire.NULL)) not in {b"true", b"false"}
