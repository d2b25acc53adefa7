"""The JSON of OpenAI's legacy completions: requests by their members, replies as structs.

Replies are read as leniently as their providers write them: what has the wrong type in a member
that is only counted or named counts as not said.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import invalid
from dragoman.core.parts import Ext
from dragoman.core.response import Finish, FinishReason
from dragoman.core.usage import Usage, count
from dragoman.dialects.halves import mend

DIALECT = "completions"

BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
NULL = Raw(b"null")

Members = dict[str, Raw]
T = TypeVar("T")

encode = msgspec.json.Encoder().encode

_NOTHING = frozenset({b"null", b'""', b"[]", b"{}"})
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])

# --------------------------------------------------------------------------- requests


def value(kind: msgspec.json.Decoder[T], raw: Raw | bytes, path: str) -> T:
    """A caller's value of known type.

    Raises:
        CallerError: it is of another type, or no JSON; names the path.
    """
    try:
        return kind.decode(raw)
    except BAD_JSON as error:
        what = path or "The body"
        raise invalid(f"{what} is not usable: {_reason(error)}.", path or None) from None


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, msgspec.ValidationError):
        return str(error)
    return "it is not valid JSON"


def members(raw: Raw | bytes, path: str = "") -> Members:
    """The members of an object, each as it was written."""
    return value(_MEMBERS, raw, path)


def is_nothing(raw: Raw | None) -> bool:
    """Whether a member says nothing: absent, null or empty."""
    return raw is None or bytes(raw) in _NOTHING


def take(source: Members, name: str, kind: msgspec.json.Decoder[T]) -> T | None:
    """Removes a member and reads it; None where it is null or absent (P89)."""
    raw = source.pop(name, None)
    return None if raw is None or bytes(raw) == b"null" else value(kind, raw, name)


def bag(rest: Members) -> Ext | None:
    """What nobody took, as an extension bag; nothings are left out."""
    kept = {name: raw for name, raw in rest.items() if not is_nothing(raw)}
    return {DIALECT: kept} if kept else None


# --------------------------------------------------------------------------- replies


class PromptDetails(Struct, frozen=True):
    """What of the prompt came out of a cache."""

    cached_tokens: Any = None


class OutputDetails(Struct, frozen=True):
    """What of the answer was reasoning."""

    reasoning_tokens: Any = None


class UsageWire(Struct, frozen=True):
    """Token counts; numbers are checked by ``core.usage.count`` (M11)."""

    prompt_tokens: Any = None
    completion_tokens: Any = None
    total_tokens: Any = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: OutputDetails | None = None


class ChoiceWire(Struct, frozen=True):
    """One text, or a piece of one."""

    text: str | None = None
    index: int | None = None
    finish_reason: str | None = None
    logprobs: Raw = NULL


class ReplyWire(Struct, frozen=True):
    """A reply or a chunk of one, which are one shape in this dialect."""

    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[ChoiceWire] | None = None
    usage: UsageWire | None = None
    system_fingerprint: str | None = None
    error: Raw = NULL


_REPLY = msgspec.json.Decoder(ReplyWire)


def decode_reply(data: bytes) -> ReplyWire | None:
    """A reply or a chunk; None where the bytes are none."""
    try:
        return _REPLY.decode(data)
    except BAD_JSON:
        pass
    try:
        loaded = json.loads(data.decode("utf-8", "replace"), parse_constant=_refuse)
        return _REPLY.decode(encode(_whole(loaded)))
    except (*BAD_JSON, ValueError):
        return None


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def _whole(node: object) -> object:
    """The same JSON value with U+FFFD for every half of a character (D8)."""
    match node:
        case str():
            return mend(node)
        case list():
            return [_whole(item) for item in node]
        case dict():
            return {mend(str(name)): _whole(item) for name, item in node.items()}
        case _:
            return node


def read_usage(wire: UsageWire | None) -> Usage | None:
    """The counts, as far as they are any."""
    if wire is None:
        return None
    prompt, output = wire.prompt_tokens_details, wire.completion_tokens_details
    usage = Usage(
        input=count(wire.prompt_tokens),
        output=count(wire.completion_tokens),
        total=count(wire.total_tokens),
        cache_read=None if prompt is None else count(prompt.cached_tokens),
        reasoning=None if output is None else count(output.reasoning_tokens),
    )
    return usage if usage.known else None


TOLD = frozenset({"cache_read", "reasoning"})
"""The counts that this dialect has a word for, beside tokens in and out."""


def write_usage(usage: Usage | None) -> dict[str, object]:
    """The counts; unknown numbers that OpenAI requires are 0, others are left out."""
    usage = usage or Usage()
    given, output = usage.input or 0, usage.output or 0
    total = usage.total if usage.total is not None else given + (usage.billed_output or 0)
    wire: dict[str, object] = {
        "prompt_tokens": given,
        "completion_tokens": output,
        "total_tokens": total,
    }
    if usage.cache_read is not None:
        wire["prompt_tokens_details"] = {"cached_tokens": usage.cache_read}
    if usage.reasoning is not None:
        wire["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return wire


_READ: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",  # Together's word
    "length": "length",
    "content_filter": "content_filter",
    "error": "error",
    "insufficient_system_resource": "error",  # DeepSeek's
}
_WRITE: dict[FinishReason, str] = {
    "length": "length",
    "context_overflow": "length",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}
BROKEN: frozenset[FinishReason] = frozenset({"malformed_tool_call", "error"})
"""Ends that are failures and never told as a completion (P137)."""


def read_finish(reason: str | None) -> Finish:
    """Why a text ended; words that nobody knows are kept (P22)."""
    return Finish(_READ.get(reason or "", "unknown"), raw=reason or None)


def write_finish(finish: Finish) -> str:
    """The ``finish_reason``, one that clients know."""
    return _WRITE.get(finish.reason, "stop")
