"""What tells one conversation from another: the cache key that is said, else how it began.

A conversation grows at its end, so its instructions and its first user message stay. What a client
moves along while it grows (marks of where to cache) is no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import Raw

from dragoman.routing.members import peek, peek_value

_LIST = msgspec.json.Decoder(list[Raw] | None)
_SAID = ("prompt_cache_key", "session_id")
_INSTRUCTIONS = ("system", "instructions", "systemInstruction", "system_instruction")
_TURNS = ("messages", "contents", "input", "prompt")
_MOVED = frozenset({"cache_control", "id", "status"})
_LONGEST = 32
"""Turns that are looked through for the first of a user."""


def conversation_of(members: Mapping[str, Raw]) -> bytes:
    """A fingerprint: the same for all requests of one conversation."""
    for name in _SAID:
        value = peek_value(members.get(name))
        if isinstance(value, str) and value:
            return _hash([name, value])
    begun: list[Any] = [_bare(peek_value(members.get(name))) for name in _INSTRUCTIONS]
    begun += [_beginning(members[name]) for name in _TURNS if name in members]
    return _hash(begun)


def _beginning(raw: Raw) -> Any:
    """The turns up to the first of the user."""
    turns = peek(_LIST, raw, None)
    if turns is None:
        return peek_value(raw)
    found = []
    for turn in turns[:_LONGEST]:
        value = _bare(peek_value(turn))
        found.append(value)
        if not isinstance(value, dict) or value.get("role", "user") == "user":
            break
    return found


def _bare(value: Any) -> Any:
    """The value without what moves along; one text is the same as a part of text."""
    if isinstance(value, list):
        return [_bare(item) for item in value]
    if not isinstance(value, dict):
        return value
    bare = {name: _bare(item) for name, item in value.items() if name not in _MOVED}
    content = bare.get("content")
    if isinstance(content, str):
        bare["content"] = [{"type": "text", "text": content}]
    return bare


def _hash(value: Any) -> bytes:
    try:
        said = msgspec.json.encode(value, order="deterministic")
    except RecursionError:
        said = b""
    return blake2b(said, digest_size=32).digest()
