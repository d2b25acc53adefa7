"""The many shapes in which OpenAI-compatible providers say that something failed (P141).

OpenAI, Groq, DeepSeek   {error: {message, type, param, code: text}, …}
OpenRouter, llama.cpp    {error: {code: number, message, metadata}}
xAI                      {code: text, error: text}
Venice, Ollama           {error: text}
Mistral                  {object: error, message, type, param, code} or {detail: [{loc, msg}]}
Doubleword, Cohere       {code, message, type}, {id, message}
Google's compatible one  [{error: {…}}]
streams of Responses     {type: error, code, message, param} or with ``error`` inside, {response: {error}}
anything in between      HTML, plain text, nothing
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from dragoman.dialects.halves import loads_leniently, mend
from dragoman.dialects.redact import redact

_ANY = msgspec.json.Decoder()
_SPACE = re.compile(r"\s+")
_LONGEST = 1000
_STATUS = ("status", "status_code", "raw_status_code")


class Told(Struct, frozen=True):
    """What an error body said; ``number`` is a status that it repeats."""

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
    value = _decode(text)
    if value is None:
        return Told(message=_page(text))
    return _told_by(value)


def _told_by(value: Any) -> Told:
    """The same, of a value that is decoded already."""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, str):
        return Told(message=_sentence(value))
    if not isinstance(value, dict):
        return Told()
    inner = value.get("error")
    response = value.get("response")
    if "error" not in value and isinstance(response, dict):
        inner = response.get("error") or {}
    if isinstance(inner, dict):
        return _members(inner)
    flat = {name: said for name, said in value.items() if name != "type" or said != "error"}
    return _members({**flat, "message": inner} if isinstance(inner, str) else flat)


def _decode(text: bytes) -> Any:
    try:
        return _ANY.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return loads_leniently(text)
    except (ValueError, RecursionError):
        return None


def _members(error: dict[str, Any]) -> Told:
    message = error.get("message")
    if message is None:
        message = error.get("detail", error.get("error"))
    code, number = _code(error)
    kept = {
        name: error[name]
        for name in ("failed_generation", "schema_kind", "metadata")
        if error.get(name) not in (None, "", {})
    }
    return Told(
        message=_words(message),
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
            for found in (code, *(error.get(name) for name in _STATUS))
            if isinstance(found, int) and not isinstance(found, bool) and 400 <= found < 600
        ),
        None,
    )
    if isinstance(code, str) and code.isdecimal() and 400 <= int(code[:4]) < 600:
        return None, int(code[:4])
    return _text(code), number


def _words(message: Any) -> str | None:
    """A sentence out of text, of FastAPI's list of complaints, or of an object with one."""
    if isinstance(message, str):
        return _sentence(message)
    if isinstance(message, dict):
        return _words(message.get("detail", message.get("message")))
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
    return redact(mend(value))[:200] if isinstance(value, str) and value else None


def _sentence(text: str) -> str | None:
    text = redact(mend(text).strip())
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    return text or None


def _clean(value: Any) -> object:
    """A detail with its texts redacted, whatever its depth."""
    if isinstance(value, str):
        return _sentence(value) or ""
    if isinstance(value, list):
        return [_clean(item) for item in value[:50]]
    if isinstance(value, dict):
        return {mend(str(name)): _clean(item) for name, item in list(value.items())[:50]}
    return value


def _page(text: bytes) -> str | None:
    """Plain words of a body that is no JSON; of a page of HTML nothing is shown."""
    said = _SPACE.sub(" ", text[:4000].decode("utf-8", "replace")).strip()
    if said.startswith("<"):
        return None
    return _sentence(said[:300])
