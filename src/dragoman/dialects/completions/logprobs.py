"""Log probabilities: lists side by side here, one object for each token in the canonical form."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from dragoman.dialects.completions.wire import BAD_JSON, encode


class _Columns(Struct, frozen=True):
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class _Token(Struct, frozen=True):
    token: str = ""
    logprob: float = 0.0


class _Tokens(_Token, frozen=True):
    top_logprobs: list[_Token] | None = None


class _Content(Struct, frozen=True):
    content: list[_Tokens] | None = None


_COLUMNS = msgspec.json.Decoder(_Columns)
_CONTENT = msgspec.json.Decoder(_Content)


def read_logprobs(raw: Raw) -> bytes | None:
    """The canonical form; None where there are none."""
    try:
        found = _COLUMNS.decode(raw)
    except BAD_JSON:
        return None
    if not found.tokens:
        return None
    known = found.token_logprobs or []
    tops = found.top_logprobs or []
    content = [
        {
            "token": token,
            "logprob": (known[place] if place < len(known) else None) or 0.0,
            "bytes": None,
            "top_logprobs": _tops(tops[place] if place < len(tops) else None),
        }
        for place, token in enumerate(found.tokens)
    ]
    return encode({"content": content, "refusal": None})


def _tops(column: dict[str, float] | None) -> list[dict[str, object]]:
    found = (column or {}).items()
    return [{"token": token, "logprob": number, "bytes": None} for token, number in found]


def write_logprobs(raw: bytes | Raw, offset: int) -> tuple[dict[str, Any], int] | None:
    """The lists side by side, and where the next token's text begins."""
    try:
        tokens = _CONTENT.decode(raw).content
    except BAD_JSON:
        return None
    if not tokens:
        return None
    offsets: list[int] = []
    for one in tokens:
        offsets.append(offset)
        offset += len(one.token)
    columns = {
        "tokens": [one.token for one in tokens],
        "token_logprobs": [one.logprob for one in tokens],
        "top_logprobs": [
            {top.token: top.logprob for top in one.top_logprobs or ()} for one in tokens
        ],
        "text_offset": offsets,
    }
    return columns, offset
