"""What an OpenAI-compatible provider answers, as it stands on the wire.

A chunk's ``delta`` and a whole reply's ``message`` hold the same members, so one struct
reads both. Real providers break the types that OpenAI documents: arguments that are objects
(P37), content that is a list or an object, an index that is text. ``decode`` therefore tries
the exact shape first, which is fast, and on a mismatch reads member by member and leaves out
only what cannot be understood. Unknown members are never an error (P23).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isfinite
from types import UnionType
from typing import Any, Generic, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Raw, Struct, ValidationError

from dragoman.dialects.chat.surrogates import mark, mend
from dragoman.dialects.told_cost import ABSENT

S = TypeVar("S", bound=Struct)

Oddity = Literal["", "loose", "torn"]
"""How far JSON was from what OpenAI documents: not, in its types, in its very characters."""


class TokenDetails(Struct, gc=False):
    """The inner counts of ``usage``."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    reasoning_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None
    image_tokens: int | None = None


class UsageWire(Struct, gc=False):
    """``usage``, with the spellings of DeepSeek, Mistral, Perplexity and Venice beside OpenAI's."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: TokenDetails | None = None
    completion_tokens_details: TokenDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    num_cached_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: Raw = ABSENT
    cost_in_usd_ticks: Any = None
    cost_details: Raw = ABSENT
    is_byok: Any = None
    prompt_audio_seconds: Any = None
    """Mistral's; of a request without sound it may be null or an empty object."""


class ContentChunk(Struct, gc=False):
    """One element of Mistral's content list, or of a thinking list inside it."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    thinking: str | list[ContentChunk] | None = None
    signature: str | None = None


class Detail(Struct, gc=False):
    """One entry of OpenRouter's ``reasoning_details``."""

    type: str = ""
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    id: str | None = None
    format: str | None = None
    index: int | None = None


class FunctionWire(Struct, gc=False):
    """Name and arguments of a call, whole or a fragment."""

    name: str | None = None
    arguments: str | None = None


class CustomWire(Struct, gc=False):
    """Name and free text of a custom tool's call."""

    name: str | None = None
    input: str | None = None


class CallWire(Struct, gc=False):
    """One element of ``tool_calls``."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionWire | None = None
    custom: CustomWire | None = None
    extra_content: dict[str, Raw] | None = None


class Said(Struct, gc=False):
    """``delta`` or ``message``: what the assistant said."""

    content: str | list[ContentChunk] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    refusal: str | None = None
    tool_calls: list[CallWire] | None = None
    function_call: FunctionWire | None = None
    annotations: list[Raw] | None = None
    audio: dict[str, Raw] | None = None
    images: list[Raw] | None = None


class ChoiceWire(Struct, gc=False):
    """One choice of a chunk or of a whole reply."""

    index: int = 0
    delta: Said | None = None
    message: Said | None = None
    finish_reason: str | None = None
    logprobs: Raw = ABSENT
    error: Raw = ABSENT


class GroqWire(Struct, gc=False):
    """Groq's own corner of a chunk."""

    usage: UsageWire | None = None
    error: Raw = ABSENT


class ReplyWire(Struct, gc=False):
    """A chunk, or a whole reply."""

    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[ChoiceWire] | None = None
    usage: UsageWire | None = None
    error: Raw = ABSENT
    x_groq: GroqWire | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None


def present(raw: Raw) -> bool:
    """Whether a raw member holds something that counts: not null, false, "", {} or []."""
    return raw is not ABSENT and bytes(raw) not in {b"", b"null", b"false", b'""', b"{}", b"[]"}


REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the exact decoder raises; a ``ValidationError`` is one of them."""


class Reader(Generic[S]):
    """Decodes JSON into one struct, however loosely it is meant."""

    __slots__ = ("_kind", "exact")

    def __init__(self, kind: type[S]) -> None:
        self._kind = kind
        self.exact: Callable[[bytes], S] = msgspec.json.Decoder(kind).decode
        """The way of the hot path; where it raises one of ``REFUSED``, ``read`` knows more."""

    def read(self, data: bytes, *, whole: bool = False) -> tuple[S, Oddity] | None:
        """The struct, and how oddly it was written; None: not a JSON object.

        In frames, halves of characters are marked for ``surrogates.join``; in a whole reply they
        are replaced at once (D8).
        """
        try:
            return self.exact(data), ""
        except ValidationError:
            pass
        except REFUSED:
            return self._read_torn(data, mend if whole else mark)
        found = self._read_loosely(data)
        return None if found is None else (found, "loose")

    def _read_torn(self, data: bytes, put: Callable[[Any], Any]) -> tuple[S, Oddity] | None:
        """What msgspec refuses and the standard library reads: lone surrogates."""
        try:
            value = json.loads(data, parse_constant=_refuse)
            sound = json.dumps(put(value), ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError):
            return None
        found = self._read_loosely(sound)
        return None if found is None else (found, "torn")

    def _read_loosely(self, data: bytes) -> S | None:
        try:
            return loosely(self._kind, Raw(data))
        except REFUSED:
            return None


def _refuse(constant: str) -> None:
    """NaN and the infinities are no JSON (D8)."""
    raise ValueError(constant)


def loosely(kind: type[S], raw: Raw) -> S | None:
    """The struct with every member that can be understood; None if it is no object."""
    if not bytes(raw).lstrip().startswith(b"{"):
        return None
    members = msgspec.json.decode(raw, type=dict[str, Raw])
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.encode_name in members:
            value = _value(field.type, members[field.encode_name])
            if value is not None:
                found[field.name] = value
    return kind(**found)


def _value(kind: Any, raw: Raw) -> Any:
    """One member as its type wants it, or as near as can be; None if nothing is near."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except ValidationError:
        pass
    kinds = get_args(kind) if get_origin(kind) in {UnionType, Union} else (kind,)
    text = bytes(raw).strip()
    for one in kinds:
        if text.startswith(b"{") and isinstance(one, type) and issubclass(one, Struct):
            return loosely(one, raw)
        if text.startswith(b"[") and get_origin(one) is list:
            elements = msgspec.json.decode(raw, type=list[Raw])
            values = [_value(get_args(one)[0], element) for element in elements]
            return [value for value in values if value is not None]
    if str in kinds and not text.startswith((b"[", b"t", b"f")):
        # An object where text is due is that object's own text (Mistral's arguments, P37).
        return text.decode("utf-8", "replace")
    if int in kinds:
        return _whole_number(text)
    return None


def _whole_number(text: bytes) -> int | None:
    try:
        number = float(text.strip(b'"'))
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


REPLY: Reader[ReplyWire] = Reader(ReplyWire)


def said(choice: ChoiceWire) -> Said | None:
    """What a choice says: Perplexity sends ``delta`` with a growing ``message`` beside it."""
    return choice.delta if choice.delta is not None else choice.message


def unix_seconds(value: float | None) -> int | None:
    """``created``, however it was written (P23)."""
    return int(value) if value is not None and isfinite(value) and value >= 0 else None


_LOGPROBS = msgspec.json.Decoder(dict[str, list[Raw] | None])


def logprobs_of(choice: ChoiceWire) -> Raw | None:
    """Log probabilities in OpenAI's shape; other shapes (Together's) say nothing to anybody."""
    if not present(choice.logprobs):
        return None
    try:
        _LOGPROBS.decode(choice.logprobs)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return choice.logprobs.copy()
