"""A chat completion request → the canonical request.

Everything of `dialects.md` §1.1 is accepted, with the extras of Groq, OpenRouter, Mistral and
DeepSeek. Null is absent (P89). Members without a canonical name ride in ``ext["chat"]`` and
come back towards the chat family alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from dragoman.core.errors import invalid, unsupported
from dragoman.core.parts import Ext, raw
from dragoman.core.request import Output, Request, Sampling, retention
from dragoman.dialects.chat.read_messages import read_messages
from dragoman.dialects.chat.read_plain import NAMES, read_plain
from dragoman.dialects.chat.read_tools import read_tool_choice, read_tools
from dragoman.dialects.chat.reasoning import read_reasoning
from dragoman.dialects.chat.wire import leftover, take_cache
from dragoman.dialects.members import (
    NULL,
    Object,
    array,
    boolean,
    integer,
    mapping,
    members_of,
    missing,
    need,
    number,
    string,
    strings,
    take,
    take_raw,
    top_level,
)


def read_request(body: bytes) -> Request:
    """The request that a chat client sent.

    Raises:
        CallerError: malformed JSON, a missing member or one of the wrong type; ``param`` is its path.
    """
    members = top_level(body)
    # Only where it may be one, as much would be decoded twice of a long request that is none.
    if NAMES.issuperset(members) and (plain := read_plain(body)) is not None:
        return plain
    try:
        return _read(dict(members))
    except RecursionError:  # what could just be decoded may be too deep to be kept in a bag
        raise invalid("The request body is nested too deeply.") from None


def _read(body: Object) -> Request:
    model = need(body, "model", string)
    if not model:
        raise invalid("model must not be empty.", "model")
    messages = need(body, "messages", array)
    if not messages:
        raise invalid("messages must hold at least one message.", "messages")
    system, turns = read_messages(messages)
    for name in ("routing", "models"):  # spoken to the gateway, which has read them
        body.pop(name, None)
    include_usage, options = _stream_options(body)
    legacy = body.get("functions", NULL) != NULL
    request = Request(
        model=model,
        messages=turns,
        stream=take(body, "stream", boolean) or False,
        system=system,
        tools=read_tools(body),
        tool_choice=read_tool_choice(body),
        parallel_tools=take(body, "parallel_tool_calls", boolean),
        sampling=_sampling(body),
        output=_output(body),
        reasoning=read_reasoning(body),
        max_tokens=_limit(body),
        cache=take_cache(body, "body"),
        cache_key=take(body, "prompt_cache_key", string),
        cache_retention=retention(take(body, "prompt_cache_retention", string)),
        service_tier=take(body, "service_tier", string),
        metadata=take(body, "metadata", _labels),
        end_user=take(body, "user", string),
        safety_id=take(body, "safety_identifier", string),
        store=take(body, "store", boolean),
        prediction=take_raw(body, "prediction"),
        preferences=take_raw(body, "provider"),
        include_usage=include_usage,
        legacy_functions=legacy,
    )
    ext = leftover(body)
    if options is not None:
        ext = {"chat": {**(ext["chat"] if ext else {}), **options["chat"]}}
    return request if ext is None else structs.replace(request, ext=ext)


def _limit(body: Object) -> int | None:
    """``max_completion_tokens`` wins over the deprecated ``max_tokens`` (P110)."""
    old = take(body, "max_tokens", integer)
    new = take(body, "max_completion_tokens", integer)
    limit = new if new is not None else old
    if limit is not None and limit < 0:
        raise invalid(f"max_tokens is {limit}; it must not be negative.", "max_tokens")
    return limit


def _stream_options(body: Object) -> tuple[bool, Ext | None]:
    """Whether usage is asked for, and what else the options say."""
    options = take(body, "stream_options", mapping)
    if options is None:
        return False, None
    asked = take(options, "include_usage", boolean, "stream_options") or False
    rest = leftover(options)
    return asked, None if rest is None else {"chat": {"stream_options": raw(rest["chat"])}}


def _labels(value: object, at: str) -> dict[str, str]:
    return {name: string(item, f"{at}.{name}") for name, item in mapping(value, at).items()}


def _biases(value: object, at: str) -> dict[str, float]:
    return {name: number(item, f"{at}.{name}") for name, item in mapping(value, at).items()}


_SAMPLING: tuple[tuple[str, str, Callable[[object, str], object]], ...] = (
    ("random_seed", "seed", integer),  # Mistral's word (P116), over which OpenAI's wins
    ("seed", "seed", integer),
    ("temperature", "temperature", number),
    ("top_p", "top_p", number),
    ("top_k", "top_k", integer),
    ("min_p", "min_p", number),
    ("frequency_penalty", "frequency_penalty", number),
    ("presence_penalty", "presence_penalty", number),
    ("repetition_penalty", "repetition_penalty", number),
    ("logit_bias", "logit_bias", _biases),
    ("stop", "stop", strings),
    ("n", "n", integer),
    ("logprobs", "logprobs", boolean),
    ("top_logprobs", "top_logprobs", integer),
)
_AS_IT_IS = Sampling()


def _sampling(body: Object) -> Sampling:
    """What is asked for, and no look at what is not: few requests say more than two of these."""
    found: dict[str, Any] = {}
    for name, member, read in _SAMPLING:
        if name in body:
            value = take(body, name, read)
            if value is not None:
                found[member] = value
    return Sampling(**found) if found else _AS_IT_IS


_OUTPUT = frozenset({"verbosity", "modalities", "audio"})
_TEXT = Output()


def _output(body: Object) -> Output:
    output = _TEXT
    if not _OUTPUT.isdisjoint(body):
        output = Output(
            verbosity=take(body, "verbosity", string),
            modalities=take(body, "modalities", strings) or (),
            audio=take_raw(body, "audio"),
        )
    value = take_raw(body, "response_format")
    if value is None:
        return output
    at = "response_format"
    form = members_of(value, at)
    kind = need(form, "type", string, at)
    match kind:
        case "text":
            return output
        case "json_object":
            return structs.replace(output, format="json")
        case "json_schema":
            return _schema(form, output)
        case _:
            raise unsupported(
                f"{at}.type {kind[:64]!r} is not known; use text, json_object or json_schema.",
                f"{at}.type",
            )


def _schema(form: Object, output: Output) -> Output:
    at = "response_format.json_schema"
    value = take_raw(form, "json_schema")
    if value is None:
        raise missing(at)
    inner = members_of(value, at)
    schema = take_raw(inner, "schema")
    if schema is not None:
        members_of(schema, f"{at}.schema")
    return structs.replace(
        output,
        format="json_schema",
        schema=schema,
        schema_name=take(inner, "name", string, at),
        schema_description=take(inner, "description", string, at),
        strict=take(inner, "strict", boolean, at),
    )
