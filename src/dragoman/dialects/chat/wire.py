"""What members of the chat dialect have in common: what nobody took, and marks of a cache."""

from __future__ import annotations

from msgspec import Raw

from dragoman.core.parts import CacheMark, Ext
from dragoman.dialects import members
from dragoman.dialects.members import Object, mapping, string, take

_NOTHING = (Raw(b"[]"), Raw(b"{}"))


def leftover(source: Object) -> Ext | None:
    """What nobody took, as an extension bag; nothings are left out."""
    return members.leftover(source, "chat", _NOTHING)


def take_cache(source: Object, at: str) -> CacheMark | None:
    """OpenAI's ``prompt_cache_breakpoint`` or OpenRouter's ``cache_control`` (P124)."""
    for name in ("prompt_cache_breakpoint", "cache_control"):
        if name not in source:
            continue
        mark = take(source, name, mapping, at)
        if mark is not None:
            return CacheMark(take(mark, "ttl", string, f"{at}.{name}"))
    return None
