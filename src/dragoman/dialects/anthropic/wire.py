"""The JSON of Anthropic's Messages API as it is on the wire, and how its pieces are decoded.

Only what the codecs look at is typed; everything else stays ``Raw`` and keeps its bytes.
A block is decoded strictly first, which is the usual and fast case; members that its
struct does not know are then set apart for the extension bag (`dialects.md` §2.2).
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

DIALECT = "anthropic"
THINKING_FORMAT = "anthropic-claude-v1"
"""OpenRouter's name for this family's reasoning, which the chat family knows it by (P97)."""

BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding foreign bytes can raise: malformed or wrong, not UTF-8, too deep (D8)."""

NULL = Raw(b"null")
"""What stands for an absent ``Raw`` member: absent and null are one thing (P89)."""

encode = msgspec.json.Encoder().encode
T = TypeVar("T", bound=Struct)


class WireError(Exception):
    """A member is missing or of a wrong type; readers turn it into their side's error."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


# --------------------------------------------------------------------------- blocks


class CacheControl(Struct, frozen=True):
    """``{"type": "ephemeral", "ttl"?}``."""

    type: str | None = None
    ttl: str | None = None


class CitationsConfig(Struct, frozen=True):
    """Whether the model shall cite a document."""

    enabled: bool | None = None


class Source(Struct, frozen=True):
    """Where an image or a document is; ``type`` tells which members count."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: Raw = NULL


class TextBlock(Struct, frozen=True, forbid_unknown_fields=True):
    """Words."""

    text: str
    type: str = "text"
    cache_control: CacheControl | None = None
    citations: list[Raw] | None = None


class ImageBlock(Struct, frozen=True, forbid_unknown_fields=True):
    """A picture."""

    source: Source
    type: str = "image"
    cache_control: CacheControl | None = None


class DocumentBlock(Struct, frozen=True, forbid_unknown_fields=True):
    """A PDF or a text to read and perhaps to cite."""

    source: Source
    type: str = "document"
    title: str | None = None
    context: str | None = None
    citations: CitationsConfig | None = None
    cache_control: CacheControl | None = None


class SearchResultBlock(Struct, frozen=True):
    """A search result that the caller brings along."""

    source: str
    title: str
    content: list[Raw]
    citations: CitationsConfig | None = None
    cache_control: CacheControl | None = None


class ThinkingBlock(Struct, frozen=True):
    """Signed reasoning."""

    thinking: str = ""
    signature: str | None = None


class RedactedThinkingBlock(Struct, frozen=True):
    """Encrypted reasoning."""

    data: str


class ToolUseBlock(Struct, frozen=True, forbid_unknown_fields=True):
    """A call of one of the caller's tools."""

    type: str = "tool_use"
    id: str | None = None
    name: str | None = None
    input: Raw = NULL
    cache_control: CacheControl | None = None


class ToolResultBlock(Struct, frozen=True, forbid_unknown_fields=True):
    """What came of a call."""

    type: str = "tool_result"
    tool_use_id: str | None = None
    content: Raw = NULL
    is_error: bool | None = None
    cache_control: CacheControl | None = None


class Kind(Struct, frozen=True, gc=False):
    """Just the type of an object."""

    type: str | None = None


# --------------------------------------------------------------------------- usage


class CacheCreation(Struct, frozen=True, gc=False):
    """Cache writes by how long they live; numbers are checked by ``core.usage.count`` (M11)."""

    ephemeral_1h_input_tokens: Any = None


class OutputDetails(Struct, frozen=True, gc=False):
    """What of the output was reasoning."""

    thinking_tokens: Any = None


class ServerToolUse(Struct, frozen=True, gc=False):
    """Calls that the provider made itself."""

    web_search_requests: Any = None


class Iteration(Struct, frozen=True, gc=False):
    """One of several model runs behind an answer (P127)."""

    type: str | None = None
    input_tokens: Any = None
    cache_creation_input_tokens: Any = None
    cache_read_input_tokens: Any = None
    output_tokens: Any = None


class WireUsage(Struct, frozen=True, gc=False):
    """Token counts; ``input_tokens`` leaves the cache out (P125)."""

    input_tokens: Any = None
    cache_creation_input_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_creation: CacheCreation | None = None
    output_tokens: Any = None
    output_tokens_details: OutputDetails | None = None
    server_tool_use: ServerToolUse | None = None
    service_tier: str | None = None
    speed: Any = None
    inference_geo: Any = None
    iterations: list[Iteration] | None = None


# --------------------------------------------------------------------------- decoding

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_KIND = msgspec.json.Decoder(Kind)
_STR = msgspec.json.Decoder(str)


def reason(error: BaseException) -> str:
    """Why decoding failed, in words that hold nothing of the value."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not valid UTF-8"
    if isinstance(error, msgspec.ValidationError):
        return str(error).replace("$", "it", 1) if "$" in str(error) else str(error)
    return "it is not valid JSON"


def members(raw: bytes | Raw, path: str) -> dict[str, Raw]:
    """The members of an object, each as it was written; of repeated ones the last."""
    try:
        return _MEMBERS.decode(raw)
    except BAD_JSON as error:
        raise WireError(path, reason(error)) from None


def items(raw: Raw, path: str) -> list[Raw]:
    """The elements of an array, each as it was written."""
    try:
        return _LIST.decode(raw)
    except BAD_JSON as error:
        raise WireError(path, reason(error)) from None


def text(raw: Raw, path: str) -> str:
    """A JSON string."""
    return value(_STR, raw, path)


V = TypeVar("V")


def value(decoder: msgspec.json.Decoder[V], raw: Raw, path: str) -> V:
    """A member of known type."""
    try:
        return decoder.decode(raw)
    except BAD_JSON as error:
        raise WireError(path, reason(error)) from None


def kind(raw: Raw) -> str | None:
    """The ``type`` of an object; None where it is no object or names none."""
    try:
        return _KIND.decode(raw).type
    except BAD_JSON:
        return None


def block(
    decoder: msgspec.json.Decoder[T], raw: Raw, path: str
) -> tuple[T, dict[str, dict[str, Raw]] | None]:
    """A block, and the members that its struct does not know as an extension bag."""
    try:
        return decoder.decode(raw), None
    except msgspec.ValidationError:
        pass
    except BAD_JSON as error:
        raise WireError(path, reason(error)) from None
    known: set[str] = set(decoder.type.__struct_fields__)
    every = members(raw, path)
    extra = {name: every.pop(name) for name in list(every) if name not in known}
    try:
        return decoder.decode(encode(every)), ({DIALECT: extra} if extra else None)
    except BAD_JSON as error:
        raise WireError(path, reason(error)) from None


def is_null(raw: Raw | None) -> bool:
    """Whether a member is absent or null, which are one thing (P89)."""
    return raw is NULL or raw is None or starts_with(raw, b"n")


def starts_with(raw: Raw, sign: bytes) -> bool:
    """Whether a value is of the kind that begins so: ``{``, ``[``, a quote, ``n`` for null."""
    view = memoryview(raw)  # no copy: it may be a message full of pictures
    return view.nbytes > 0 and view[0] == sign[0]


def compact(raw: Raw | bytes) -> str:
    """JSON on one line: the tokens as they were written, the white space between them gone (P27)."""
    return msgspec.json.format(raw, indent=-1).decode("utf-8", "replace")
