"""Bounds the answer to a request, in the words of its caller's dialect; only budgets that say so do it (D27)."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from dragoman.core.ask import Ask
from dragoman.core.errors import invalid
from dragoman.core.provider import Candidate, Family

_CHAT = ("max_completion_tokens", "max_tokens")
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_ENCODE = msgspec.json.Encoder().encode
_NESTED = {
    "gemini": (
        ("generationConfig", "generation_config"),
        ("maxOutputTokens", "max_output_tokens"),
    ),
    "ollama": (("options",), ("num_predict",)),
    "generate": (("options",), ("num_predict",)),
}
"""Where a dialect has the bound within another member: that one's spellings, and the bound's."""


def bounded_to(ask: Ask, tokens: int, dialect: Family, candidate: Candidate) -> tuple[Ask, str]:
    """The request with answers of so many tokens at most, and how the caller is told of it.

    ``candidate`` is who is asked first: newer models of the chat family know the bound by another name.

    Raises:
        CallerError: the member that holds the bound is no object.
    """
    members = dict(ask.members)
    bound = Raw(b"%d" % tokens)
    if dialect in _NESTED:
        outers, inners = _NESTED[dialect]
        outer = next((name for name in outers if name in members), outers[0])
        held = _object(members.get(outer), outer)
        name = next((name for name in inners if name in held), inners[0])
        members[outer] = Raw(_ENCODE({**held, name: bound}))
        told = f"{outer}.{name}={tokens}"
    else:
        names = _names(members, dialect, candidate)
        for name in names:
            members[name] = bound
        told = f"{names[0]}={tokens}"
    changed = msgspec.structs.replace(ask, body=_ENCODE(members), members=members)
    return changed, told


def _names(members: dict[str, Raw], dialect: Family, candidate: Candidate) -> list[str]:
    match dialect:
        case "responses":
            return ["max_output_tokens"]
        case "chat":
            said = [name for name in _CHAT if name in members]
            newer = candidate.capability.reasons_by_default
            return said or ["max_completion_tokens" if newer else "max_tokens"]
        case _:
            return ["max_tokens"]


def _object(raw: Raw | None, name: str) -> dict[str, Raw]:
    if raw is None or bytes(raw) == b"null":
        return {}
    try:
        return _OBJECT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise invalid(f"{name} must be an object.", name, "invalid_field_type") from None
