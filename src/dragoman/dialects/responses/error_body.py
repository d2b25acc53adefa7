"""The shapes in which providers of this dialect say that something failed (P141).

OpenAI, Azure   {error: {message, type, param, code: text}}
OpenRouter      {error: {code: number, message, metadata}}
xAI             {code: text, error: text}
others          {error: text}, {message}, {detail: text or a list of complaints}
streams         {type: error, code, message, param} or with ``error`` inside, {response: {error}}
anything        HTML, plain text, nothing
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.dialects.halves import loads_leniently, mend
from dragoman.dialects.responses.wire import BAD_JSON

_ANY = msgspec.json.Decoder()
_SPACE = re.compile(r"\s+")
_LONGEST = 1000

_KEY = re.compile(
    r"""
      \b(?:sk|pk|rk|drg)[-_][A-Za-z0-9_\-*.]{6,}
    | \b(?:gsk|hf|r8|fw|pplx|nvapi|csk|tgp|key)[-_][A-Za-z0-9_\-*]{12,}
    | \bxai-[A-Za-z0-9*]{12,}
    | \bAIza[A-Za-z0-9_\-]{16,}
    | \bAKIA[A-Z0-9]{12,}
    | \beyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+)?
    | (?<=[Bb]earer[ ])[A-Za-z0-9_\-.~+/=]{8,}
    """,
    re.VERBOSE,
)
"""Credentials: some providers echo the key that they refuse (K8)."""


class Told(Struct, frozen=True):
    """What an error body said; ``number`` is a status that stands in it."""

    message: str | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None
    number: int | None = None
    details: dict[str, object] = {}


def read_body(body: bytes) -> Told:
    """What can be read of an error body, whatever it is."""
    text = body.strip()
    if not text:
        return Told()
    try:
        value: Any = _ANY.decode(text)
    except BAD_JSON:
        try:
            value = loads_leniently(text)
        except (ValueError, RecursionError):
            return Told(message=_page(text))
    return told_by(value)


def told_by(value: Any) -> Told:
    """The same, of a value that is decoded already."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, str):
        return Told(message=_sentence(value))
    if not isinstance(value, dict):
        return Told()
    response = value.get("response")
    if "error" not in value and isinstance(response, dict):
        return told_by({"error": response.get("error") or {}})
    inner = value.get("error")
    if isinstance(inner, dict):
        return _members(inner)
    flat = {name: said for name, said in value.items() if name != "type" or said != "error"}
    return _members({**flat, "message": inner} if isinstance(inner, str) else flat)


def _members(error: dict[str, Any]) -> Told:
    message = error.get("message")
    if message is None:
        message = error.get("detail")
    code = error.get("code")
    number = next(
        (
            found
            for found in (code, error.get("status"), error.get("status_code"))
            if isinstance(found, int) and not isinstance(found, bool) and 400 <= found < 600
        ),
        None,
    )
    metadata = error.get("metadata")
    return Told(
        message=_message(message),
        type=_word(error.get("type")),
        code=_word(code),
        param=_word(error.get("param")),
        number=number,
        details={"metadata": _clean(metadata)} if isinstance(metadata, dict) and metadata else {},
    )


def _message(value: Any) -> str | None:
    if isinstance(value, str):
        return _sentence(value)
    if isinstance(value, dict):
        return _message(value.get("detail", value.get("message")))
    if isinstance(value, list):
        told = [item.get("msg") for item in value[:5] if isinstance(item, dict)]
        return _sentence("; ".join(text for text in told if isinstance(text, str)))
    return None


def _clean(value: Any) -> object:
    """A detail with its texts redacted, whatever its depth."""
    if isinstance(value, str):
        return _sentence(value) or ""
    if isinstance(value, list):
        return [_clean(item) for item in value[:50]]
    if isinstance(value, dict):
        return {mend(str(name)): _clean(item) for name, item in list(value.items())[:50]}
    return value


def _word(value: Any) -> str | None:
    return redact(mend(value))[:200] if isinstance(value, str) and value else None


def _sentence(text: str) -> str | None:
    text = redact(mend(text).strip())
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    return text or None


def redact(text: str) -> str:
    """The text with everything that looks like a credential replaced."""
    return _KEY.sub("[redacted]", text)


def _page(text: bytes) -> str | None:
    """Plain words of a body that is no JSON; of a page of HTML nothing is shown."""
    words = _SPACE.sub(" ", text[:4000].decode("utf-8", "replace")).strip()
    return None if words.startswith("<") else _sentence(words[:300])
