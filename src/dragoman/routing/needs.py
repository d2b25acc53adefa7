"""What a request needs of whoever serves it, read from its members without reading all of it (R-ROUTE-007).

This is asked only where there is a choice. Texts are skipped over, not decoded: of each part of a
message its kind is looked at and its length. What is no request of its dialect needs nothing here;
the dialect's reader says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from dragoman.core.ask import Ask
from dragoman.core.provider import Family, Operation
from dragoman.core.signs import may_hold_media
from dragoman.routing.members import peek, peek_value

Members: TypeAlias = Mapping[str, Raw]

BYTES_A_TOKEN = 4
"""Of text, as in counts of tokens where nobody counts (D38)."""
MEDIA_TOKENS = 1_000
"""What a picture, a recording or a document is taken for; the real figure depends on its size."""
TYPICAL_OUTPUT = 500
"""Tokens of an answer whose length the request does not bound."""


class Needs(Struct, frozen=True):
    """What has to be able to serve: kinds of input and output, and how much of it."""

    images: bool = False
    audio: bool = False
    documents: bool = False
    tools: bool = False
    structured: bool = False
    reasoning: bool = False
    sampling: bool = False
    """temperature or top_p is set: asked for only where every parameter must be honoured."""
    input_tokens: int = 0
    """Estimated."""
    output_tokens: int = TYPICAL_OUTPUT
    """The bound that the request sets, else a typical answer."""
    bounded: bool = False
    """Whether the request sets that bound."""
    text_bytes: int = 0
    """Bytes of the request beside its media."""
    pictures: int = 0
    audio_bytes: int = 0


_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])

_KINDS = {
    "image_url": "images",
    "input_image": "images",
    "image": "images",
    "input_audio": "audio",
    "audio": "audio",
    "file": "documents",
    "input_file": "documents",
    "document": "documents",
}
"""Types of parts in the dialects that name them."""
_MIME = {"image": "images", "audio": "audio", "application": "documents", "text": "documents"}
_NESTED = ("content", "output", "parts")
_BRACKET, _BRACE = b"[{"
_QUIET = (None, "none", False, "disabled", "off")
_BOUNDS = frozenset(
    {
        "max_completion_tokens",
        "max_tokens",
        "max_output_tokens",
        "maxOutputTokens",
        "num_predict",
    }
)
_SHAPES = frozenset(
    {
        *("text", "output_config", "response_format", "output_format", "format"),
        *("responseSchema", "responseJsonSchema", "response_schema", "response_json_schema"),
        *("responseMimeType", "response_mime_type"),
    }
)
"""Members that may ask for an answer of a certain form."""
_THINKING = frozenset(
    {
        *("reasoning_effort", "thinking", "reasoning", "think"),
        *("thinkingConfig", "thinking_config"),
    }
)


def needs_of(ask: Ask, family: Family, operation: Operation) -> Needs:
    """The needs of a request in its caller's dialect."""
    members = ask.members
    if operation == "embeddings":
        size = len(ask.body)
        return Needs(
            input_tokens=size // BYTES_A_TOKEN, output_tokens=0, bounded=True, text_bytes=size
        )
    media = _media_of(ask)
    kinds = {kind for kind, _ in media}
    text = max(0, len(ask.body) - sum([size for _, size in media]))
    options = _options(members, family)
    bound = _bound(options)
    return Needs(
        images="images" in kinds,
        audio="audio" in kinds,
        documents="documents" in kinds,
        tools=bool(_items(members.get("tools")) or _items(members.get("functions"))),
        structured=_structured(members, options),
        reasoning=_reasoning(members, options),
        sampling=_samples(options),
        input_tokens=text // BYTES_A_TOKEN + MEDIA_TOKENS * len(media),
        output_tokens=TYPICAL_OUTPUT if bound is None else bound,
        bounded=bound is not None,
        text_bytes=text,
        pictures=len([kind for kind, _ in media if kind == "images"]),
        audio_bytes=sum([size for kind, size in media if kind == "audio"]),
    )


def tokens_asked(ask: Ask, family: Family, operation: Operation) -> int:
    """What a request and its answer may use together: that of its needs, and nothing else is looked at."""
    if operation == "embeddings":
        return len(ask.body) // BYTES_A_TOKEN
    bound = _bound(_options(ask.members, family))
    media = _media_of(ask)
    if not media:
        return tokens_of_text(len(ask.body), bound)
    text = max(0, len(ask.body) - sum([size for _, size in media]))
    return tokens_of_text(text, bound) + MEDIA_TOKENS * len(media)


def tokens_of_text(size: int, bound: int | None) -> int:
    """What so many bytes of text and an answer of so many tokens at most may use."""
    return size // BYTES_A_TOKEN + (TYPICAL_OUTPUT if bound is None else bound)


def _media_of(ask: Ask) -> list[tuple[str, int]]:
    """Kind and bytes of all that is no text."""
    media: list[tuple[str, int]] = []
    if not may_hold_media(ask.body):
        return media
    members = ask.members
    for name in ("messages", "contents", "input"):
        if name in members:
            media += _media(members[name])
    media += [("images", len(item)) for item in _items(members.get("images"))]
    return media


def _options(members: Members, family: Family) -> Members:
    """Where the dialect has what steers an answer."""
    if family == "gemini":
        return _object(members.get("generationConfig") or members.get("generation_config"))
    if family in {"ollama", "generate"}:
        return _object(members.get("options"))
    return members


def _bound(options: Members) -> int | None:
    most: int | None = None
    # Which of several counts is the provider's to say.
    for name in _BOUNDS.intersection(options):
        value = peek_value(options[name])
        if type(value) is int and value > 0 and (most is None or value > most):
            most = value
    return most


def _samples(options: Members) -> bool:
    for name in ("temperature", "top_p", "topP"):
        if name in options and peek_value(options[name]) is not None:
            return True
    return False


def _structured(members: Members, options: Members) -> bool:
    """A schema, or at least JSON, is asked for."""
    if _SHAPES.isdisjoint(members) and _SHAPES.isdisjoint(options):
        return False
    for outer in ("text", "output_config"):
        form = _object(_object(members.get(outer)).get("format"))
        if peek_value(form.get("type")) in {"json_schema", "json_object"}:
            return True
    for name in ("response_format", "output_format"):
        if peek_value(_object(members.get(name)).get("type")) in {"json_schema", "json_object"}:
            return True
    named = ("responseSchema", "responseJsonSchema", "response_schema", "response_json_schema")
    if any(_said(options.get(name)) for name in named):
        return True
    mime = options.get("responseMimeType") or options.get("response_mime_type")
    return peek_value(mime) == "application/json" or _said(members.get("format"))


def _reasoning(members: Members, options: Members) -> bool:
    """Thinking is asked for; that none be done needs nothing."""
    if _THINKING.isdisjoint(members) and _THINKING.isdisjoint(options):
        return False
    if peek_value(members.get("reasoning_effort")) not in (*_QUIET, "minimal"):
        return True
    thinking = _object(members.get("thinking"))
    if peek_value(thinking.get("type")) not in _QUIET:
        return True
    reasoning = _object(members.get("reasoning"))
    if peek_value(reasoning.get("effort")) not in (*_QUIET, "minimal"):
        return True
    if peek_value(reasoning.get("enabled")) is True or _said(reasoning.get("max_tokens")):
        return True
    if peek_value(members.get("think")) not in _QUIET:
        return True
    config = _object(options.get("thinkingConfig") or options.get("thinking_config"))
    return peek_value(config.get("thinkingBudget")) not in (None, 0) or _said(
        config.get("thinkingLevel")
    )


def _media(raw: Raw) -> Iterable[tuple[str, int]]:
    """Kind and bytes of each part of the messages that is no text."""
    for item in _items(raw):
        part = _object(item)
        kind = _kind(part)
        if kind is not None:
            yield kind, len(item)
            continue
        for picture in _items(part.get("images")):
            yield "images", len(picture)
        for name in _NESTED:
            if name in part:
                yield from _media(part[name])


def _kind(part: Members) -> str | None:
    named = part.get("type")
    if named is not None:
        value = peek_value(named)
        return _KINDS.get(value) if isinstance(value, str) else None
    for name in ("inlineData", "inline_data", "fileData", "file_data"):
        if name in part:
            data = _object(part[name])
            mime = peek_value(data.get("mimeType") or data.get("mime_type"))
            return (
                _MIME.get(mime.partition("/")[0], "documents") if isinstance(mime, str) else None
            )
    return None


def _items(raw: Raw | None) -> list[Raw]:
    # Nothing else begins with a bracket, and a text is not worth being decoded for it.
    if raw is None or memoryview(raw)[0] != _BRACKET:
        return []
    nothing: list[Raw] = []
    return peek(_LIST, raw, nothing)


def _object(raw: Raw | None) -> Members:
    if raw is None or memoryview(raw)[0] != _BRACE:
        return {}
    nothing: dict[str, Raw] = {}
    return peek(_OBJECT, raw, nothing)


def _said(raw: Raw | None) -> bool:
    """Whether a member says anything: null, false, zero and what is empty do not."""
    return bool(peek_value(raw))
