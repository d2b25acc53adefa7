"""The many shapes in which OpenAI-compatible providers say that something failed (P141).

OpenAI, Groq, DeepSeek   {error: {message, type, param, code: text}, …}
OpenRouter, llama.cpp    {error: {code: number, message, metadata}}
xAI                      {code: text, error: text}
Venice, Ollama           {error: text}
Mistral                  {object: error, message, type, param, code} or {detail: [{loc, msg}]}
Doubleword, Cohere       {code, message, type}, {id, message}
Google's compatible one  [{error: {…}}]
anything in between      HTML, plain text, nothing
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.dialects.chat.redact import redact

_ANY = msgspec.json.Decoder()
_SPACE = re.compile(r"\s+")
_LONGEST = 1000


class Envelope(Struct, frozen=True):
    """What an error body said; ``number`` is a status that it repeats."""

    message: str | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None
    number: int | None = None
    details: dict[str, object] = {}


def open_envelope(body: bytes) -> Envelope:
    """What can be read of an error body, whatever it is."""
    text = body.strip()
    if not text:
        return Envelope()
    value = _decode(text)
    if value is None:
        return Envelope(message=_page(text))
    return envelope_of(value)


def envelope_of(value: Any) -> Envelope:
    """The same, of a value that is decoded already."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, str):
        return Envelope(message=_sentence(value))
    if not isinstance(value, dict):
        return Envelope()
    inner = value.get("error")
    if isinstance(inner, dict):
        return _members({"id": value.get("id"), **inner})
    if isinstance(inner, str):
        return _members({**value, "message": inner})
    return _members(value)


def _decode(text: bytes) -> Any:
    try:
        return _ANY.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _members(error: dict[str, Any]) -> Envelope:
    message = error.get("message")
    if message is None:
        message = error.get("detail", error.get("error"))
    code, number = _code(error)
    kept = {
        name: error[name]
        for name in ("failed_generation", "schema_kind", "metadata")
        if error.get(name) not in (None, "", {})
    }
    return Envelope(
        message=_told(message),
        type=_text(error.get("type")),
        code=code,
        param=_text(error.get("param")),
        number=number,
        details={name: _clean(value) for name, value in kept.items()},
    )


def _code(error: dict[str, Any]) -> tuple[str | None, int | None]:
    """The code, and the HTTP status that stands in it or beside it."""
    code = error.get("code")
    number = next(
        (
            found
            for found in (code, error.get("status_code"), error.get("raw_status_code"))
            if isinstance(found, int) and not isinstance(found, bool) and 400 <= found < 600
        ),
        None,
    )
    if isinstance(code, str) and code.isdecimal() and 400 <= int(code[:4]) < 600:
        return None, int(code[:4])
    return _text(code), number


def _told(message: Any) -> str | None:
    """A sentence out of text, of FastAPI's list of complaints, or of an object with one."""
    if isinstance(message, str):
        return _sentence(message)
    if isinstance(message, dict):
        return _told(message.get("detail", message.get("message")))
    if isinstance(message, list):
        told = [text for item in message[:5] if (text := _complaint(item))]
        return _sentence("; ".join(told))
    return None


def _complaint(item: Any) -> str:
    if not isinstance(item, dict):
        return item if isinstance(item, str) else ""
    where = item.get("loc")
    path = ".".join(str(step) for step in where) if isinstance(where, list) else ""
    said = item.get("msg")
    words = said if isinstance(said, str) else ""
    return f"{path}: {words}" if path and words else words or path


def _text(value: Any) -> str | None:
    return redact(_sayable(value))[:200] if isinstance(value, str) and value else None


def _sentence(text: str) -> str | None:
    text = redact(_sayable(text).strip())
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    return text or None


def _sayable(text: str) -> str:
    """The text without halves of characters, which no UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _clean(value: Any) -> object:
    """A detail with its texts redacted, whatever its depth."""
    if isinstance(value, str):
        return _sentence(value) or ""
    if isinstance(value, list):
        return [_clean(item) for item in value[:50]]
    if isinstance(value, dict):
        return {_sayable(str(name)): _clean(item) for name, item in list(value.items())[:50]}
    return value


def _page(text: bytes) -> str | None:
    """Plain words of a body that is no JSON; of a page of HTML nothing is shown."""
    said = _SPACE.sub(" ", text[:4000].decode("utf-8", "replace")).strip()
    if said.startswith("<"):
        return None
    return _sentence(said[:300])
