"""A Responses request → the canonical request (`dialects.md` §1.2).

Used on the translated way only: what OpenAI itself would judge is left to it on the same-dialect
way (D2). Null is absent (P89). Members without a canonical name ride in ``ext["responses"]``.
"""

from __future__ import annotations

from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.errors import CallerError, invalid, unsupported
from dragoman.core.parts import Part, Text
from dragoman.core.request import Effort, Output, Reasoning, Request, Sampling, retention
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
    one_of,
    plain,
    string,
    take,
    take_raw,
    top_level,
)
from dragoman.dialects.responses.read_items import Turns, read_input
from dragoman.dialects.responses.read_tools import read_tool_choice, read_tools
from dragoman.dialects.responses.wire import leftover

_EFFORTS: dict[str, Effort] = {
    "none": "none",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}

_STORED = {
    "previous_response_id": "it names a response that is kept elsewhere; send its items in input",
    "conversation": "it names a conversation that is kept elsewhere; send its items in input",
    "prompt": "it names a template that is kept by OpenAI; send its text",
}
"""Members that stand for what only their provider holds (P148)."""

_DISABLED = Raw(b'"disabled"')
_BOOKKEEPING = ("routing", "models", "stream_options")
"""Spoken to the gateway, or of no meaning beyond the family."""


def read_request(body: bytes) -> Request:
    """The request that a client of this dialect sent.

    Raises:
        CallerError: malformed JSON, a missing member, one of the wrong type, or one that stands
            for something kept elsewhere; ``param`` is its path.
    """
    try:
        return _read(dict(top_level(body)))
    except RecursionError:  # what could just be decoded may be too deep to be kept in a bag
        raise invalid("The request body is nested too deeply.") from None


def _read(body: Object) -> Request:
    model = need(body, "model", string)
    if not model:
        raise invalid("model must not be empty.", "model")
    _refuse_stored(body)
    value = take_raw(body, "input")
    turns = Turns() if value is None else read_input(plain(value, "input"))
    system = (*_instructions(body), *turns.system)
    if value is None and not system:
        raise missing("input")
    for name in _BOOKKEEPING:
        body.pop(name, None)
    if body.get("truncation") == _DISABLED:  # the default, spelled out
        del body["truncation"]
    include = take(body, "include", array) or []
    output = _output(body)
    request = Request(
        model=model,
        messages=tuple(turns.messages),
        stream=take(body, "stream", boolean) or False,
        system=system,
        tools=read_tools(body, turns.tools),
        tool_choice=read_tool_choice(body),
        parallel_tools=take(body, "parallel_tool_calls", boolean),
        sampling=_sampling(body, include),
        output=output,
        reasoning=_reasoning(body),
        max_tokens=_limit(body),
        cache_key=take(body, "prompt_cache_key", string),
        cache_retention=retention(take(body, "prompt_cache_retention", string)),
        service_tier=take(body, "service_tier", string),
        preferences=take_raw(body, "provider"),
        metadata=take(body, "metadata", _labels),
        end_user=take(body, "user", string),
        safety_id=take(body, "safety_identifier", string),
        include_usage=True,
    )
    take(
        body, "store", boolean
    )  # whether it is kept is the gateway's affair, and told in the answer
    ext = leftover(body)
    return request if ext is None else replace(request, ext=ext)


def _refuse_stored(body: Object) -> None:
    for name, why in _STORED.items():
        if body.get(name, NULL) != NULL:
            raise CallerError(
                "unsupported_feature",
                f"{name} cannot be used with this model's provider: {why}.",
                code="unsupported_parameter",
                param=name,
            )
    if take(body, "background", boolean):
        raise unsupported(
            "background is not supported with this model's provider; leave it out.", "background"
        )  # P151


def _instructions(body: Object) -> tuple[Part, ...]:
    """``instructions``: a text, or the items that stand for one."""
    value = plain(body.pop("instructions", None), "instructions")
    if value is None or value == "":
        return ()
    if isinstance(value, str):
        return (Text(value),)
    return tuple(read_input(value).system)


def _labels(value: object, at: str) -> dict[str, str]:
    return {name: string(item, f"{at}.{name}") for name, item in mapping(value, at).items()}


def _limit(body: Object) -> int | None:
    limit = take(body, "max_output_tokens", integer)
    if limit is not None and limit < 1:
        raise invalid(f"max_output_tokens is {limit}; it must be 1 or more.", "max_output_tokens")
    return limit


def _sampling(body: Object, include: list[object]) -> Sampling:
    return Sampling(
        temperature=take(body, "temperature", number),
        top_p=take(body, "top_p", number),
        logprobs=True if "message.output_text.logprobs" in include else None,
        top_logprobs=take(body, "top_logprobs", integer) or None,
    )


def _output(body: Object) -> Output:
    value = take_raw(body, "text")
    if value is None:
        return Output()
    text = members_of(value, "text")
    verbosity = take(text, "verbosity", string, "text")
    output = Output(verbosity=verbosity)
    form = take_raw(text, "format")
    if form is None:
        return output
    at = "text.format"
    members = members_of(form, at)
    kind = need(members, "type", string, at)
    match kind:
        case "text":
            return output
        case "json_object":
            return replace(output, format="json")
        case "json_schema":
            return replace(
                output,
                format="json_schema",
                schema=_schema(members, at),
                schema_name=take(members, "name", string, at),
                schema_description=take(members, "description", string, at),
                strict=take(members, "strict", boolean, at),
            )
        case _:
            raise unsupported(
                f"{at}.type {kind[:64]!r} is not known; use text, json_object or json_schema.",
                f"{at}.type",
            )


def _schema(members: Object, at: str) -> Raw:
    schema = take_raw(members, "schema")
    if schema is None:
        raise missing(f"{at}.schema")
    members_of(schema, f"{at}.schema")
    return schema


def _reasoning(body: Object) -> Reasoning:
    value = take(body, "reasoning", mapping)
    if value is None:
        return Reasoning()
    effort = take(value, "effort", one_of(_EFFORTS), "reasoning")
    summary = take(value, "summary", string, "reasoning") or take(
        value, "generate_summary", string, "reasoning"
    )
    rest = leftover(value)
    if rest is not None:
        for name, said in rest["responses"].items():
            body[f"reasoning.{name}"] = said
    shown = summary is not None and summary != "none"
    return Reasoning(effort=effort, visibility="summary" if shown else None)
