"""``logprobsResult`` ↔ log probabilities in OpenAI's shape, which is the canonical one (P117)."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
from msgspec import Raw

from dragoman.dialects.gemini import wire


class _Token(msgspec.Struct, frozen=True):
    token: str = ""
    logProbability: float = 0.0  # noqa: N815 - the wire's own name


class _Top(msgspec.Struct, frozen=True):
    candidates: list[_Token] = []


class _Result(msgspec.Struct, frozen=True):
    chosenCandidates: list[_Token] = []  # noqa: N815
    topCandidates: list[_Top] = []  # noqa: N815


_RESULT = msgspec.json.Decoder(_Result)


class _OpenTop(msgspec.Struct, frozen=True):
    token: str = ""
    logprob: float = 0.0


class _OpenToken(msgspec.Struct, frozen=True):
    token: str = ""
    logprob: float = 0.0
    top_logprobs: list[_OpenTop] | None = None


class _Open(msgspec.Struct, frozen=True):
    content: list[_OpenToken] | None = None


_OPEN = msgspec.json.Decoder(_Open)


def read_logprobs(raw: Raw) -> bytes | None:
    """OpenAI's object; None if nothing is in it."""
    with contextlib.suppress(*wire.BAD_JSON):
        result = _RESULT.decode(raw)
        if result.chosenCandidates:
            return wire.encode({"content": [_open(result, n) for n in range(_count(result))]})
    return None


def _count(result: _Result) -> int:
    return len(result.chosenCandidates)


def _open(result: _Result, number: int) -> dict[str, Any]:
    chosen = result.chosenCandidates[number]
    top = result.topCandidates[number].candidates if number < len(result.topCandidates) else []
    return {
        "token": chosen.token,
        "logprob": chosen.logProbability,
        "bytes": list(chosen.token.encode()),
        "top_logprobs": [
            {"token": t.token, "logprob": t.logProbability, "bytes": list(t.token.encode())}
            for t in top
        ],
    }


def write_logprobs(raw: Raw | bytes) -> dict[str, object] | None:
    """Gemini's object; None if nothing is in it."""
    try:
        tokens = _OPEN.decode(raw).content
    except wire.BAD_JSON:
        return None
    if not tokens:
        return None
    return {
        "chosenCandidates": [{"token": t.token, "logProbability": t.logprob} for t in tokens],
        "topCandidates": [
            {
                "candidates": [
                    {"token": top.token, "logProbability": top.logprob}
                    for top in token.top_logprobs or ()
                ]
            }
            for token in tokens
        ],
    }
