"""What members of the Responses dialect have in common, and JSON as providers write it oddly."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dragoman.core.parts import CacheMark, Ext
from dragoman.dialects import members
from dragoman.dialects.halves import mend
from dragoman.dialects.members import Object, mapping, string, take

DIALECT = "responses"
THINKING_FORMAT = "openai-responses-v1"
"""OpenRouter's name for this family's reasoning, which the chat family knows it by (P97)."""

BAD_JSON = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What decoding foreign bytes can raise: malformed or wrong, not UTF-8, too deep (D8)."""

encode = msgspec.json.Encoder().encode

_NOTHING = (Raw(b"[]"), Raw(b"{}"), Raw(b'""'))


def leftover(source: Object) -> Ext | None:
    """What nobody took, as an extension bag; nothings are left out."""
    return members.leftover(source, DIALECT, _NOTHING)


def own(ext: Ext | None) -> dict[str, Raw]:
    """The members of an extension bag that belong to this dialect."""
    return (ext or {}).get(DIALECT, {})


def take_cache(source: Object, at: str) -> CacheMark | None:
    """A ``prompt_cache_breakpoint`` (P124)."""
    mark = take(source, "prompt_cache_breakpoint", mapping, at)
    if mark is None:
        return None
    return CacheMark(take(mark, "ttl", string, f"{at}.prompt_cache_breakpoint"))


# --------------------------------------------------------------------------- odd JSON of providers


def compact(value: Raw | bytes) -> Raw:
    """JSON on one line: the tokens as they were written, the white space between them gone (P27)."""
    return Raw(msgspec.json.format(value, indent=-1))


def said(words: str) -> bytes:
    """A string as JSON, whatever it holds."""
    try:
        return encode(words)
    except UnicodeEncodeError:
        return encode(mend(words))
