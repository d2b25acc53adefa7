"""How callers of each dialect ask, and what they understand of an answer.

Written by hand, from the dialects' own descriptions: nothing of the product's codecs is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
Counts: TypeAlias = tuple[int | None, int | None]
"""Tokens in and out, as the answer says."""

MOST = 300
"""Tokens that are asked for at most."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One of a caller's languages."""

    path: Callable[[str, bool], str]
    """Of the model, and whether a stream is wanted."""
    body: Callable[[str, bool, str], Json]
    """Of the model, whether a stream is wanted, and what is said."""
    frames: Callable[[bytes], list[Any]]
    """The pieces of a stream that are there whole; ``[DONE]`` is a text."""
    is_end: Callable[[Any], bool]
    """Whether a piece says that the answer is complete."""
    usage: Callable[[Iterable[Any]], Counts]
    """What the pieces, or the one object of a whole reply, say of usage."""


def _sse(body: bytes) -> list[Any]:
    pieces = body.replace(b"\r\n", b"\n").split(b"\n\n")[:-1]
    said = [
        b"\n".join(line[5:].lstrip() for line in piece.split(b"\n") if line.startswith(b"data:"))
        for piece in pieces
    ]
    return ["[DONE]" if data == b"[DONE]" else json.loads(data) for data in said if data]


def _lines(body: bytes) -> list[Any]:
    return [json.loads(line) for line in body.split(b"\n")[:-1] if line]


def _messages(model: str, stream: bool, text: str) -> Json:  # noqa: FBT001 - as all of them
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}


def _chat(model: str, stream: bool, text: str) -> Json:  # noqa: FBT001
    body = {**_messages(model, stream, text), "max_tokens": MOST}
    return {**body, "stream_options": {"include_usage": True}} if stream else body


def _last(pieces: Iterable[Any], name: str) -> Json:
    """The last object of that name that is not null."""
    found = [piece[name] for piece in pieces if isinstance(piece, dict) and piece.get(name)]
    return found[-1] if found else {}


def _chat_usage(pieces: Iterable[Any]) -> Counts:
    used = _last(pieces, "usage")
    return used.get("prompt_tokens"), used.get("completion_tokens")


def _responses_usage(pieces: Iterable[Any]) -> Counts:
    flat = [
        piece["response"] if isinstance(piece, dict) and "response" in piece else piece
        for piece in pieces
    ]
    used = _last(flat, "usage")
    return used.get("input_tokens"), used.get("output_tokens")


def _anthropic_usage(pieces: Iterable[Any]) -> Counts:
    told: Json = {}
    for piece in pieces:
        message = piece.get("message", piece)
        told |= {name: n for name, n in (message.get("usage") or {}).items() if n is not None}
    if "input_tokens" not in told:
        return None, None
    cached = told.get("cache_read_input_tokens", 0) + told.get("cache_creation_input_tokens", 0)
    return told["input_tokens"] + cached, told.get("output_tokens")


def _gemini_usage(pieces: Iterable[Any]) -> Counts:
    used = _last(pieces, "usageMetadata")
    out = used.get("candidatesTokenCount")
    if out is not None:
        out += used.get("thoughtsTokenCount", 0)
    return used.get("promptTokenCount"), out


def _ollama_usage(pieces: Iterable[Any]) -> Counts:
    last = [piece for piece in pieces if piece.get("done")]
    if not last:
        return None, None
    return last[-1].get("prompt_eval_count"), last[-1].get("eval_count")


def _gemini_path(model: str, stream: bool) -> str:  # noqa: FBT001
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{model}:{method}"


def _is_over(piece: Any) -> bool:
    return any(each.get("finishReason") for each in piece.get("candidates", ()))


DIALECTS = {
    "chat": Dialect(
        lambda *_: "/v1/chat/completions",
        _chat,
        _sse,
        lambda piece: piece == "[DONE]",
        _chat_usage,
    ),
    "responses": Dialect(
        lambda *_: "/v1/responses",
        lambda model, stream, text: {
            "model": model,
            "stream": stream,
            "input": text,
            "max_output_tokens": MOST,
            "store": False,
        },
        _sse,
        lambda piece: piece.get("type") in {"response.completed", "response.incomplete"},
        _responses_usage,
    ),
    "anthropic": Dialect(
        lambda *_: "/v1/messages",
        lambda model, stream, text: {**_messages(model, stream, text), "max_tokens": MOST},
        _sse,
        lambda piece: piece.get("type") == "message_stop",
        _anthropic_usage,
    ),
    "gemini": Dialect(
        _gemini_path,
        lambda _model, _stream, text: {
            "contents": [{"role": "user", "parts": [{"text": text}]}],
            "generationConfig": {"maxOutputTokens": MOST},
        },
        _sse,
        _is_over,
        _gemini_usage,
    ),
    "ollama": Dialect(
        lambda *_: "/api/chat",
        lambda model, stream, text: {
            **_messages(model, stream, text),
            "options": {"num_predict": MOST},
        },
        _lines,
        lambda piece: piece.get("done") is True,
        _ollama_usage,
    ),
}
PROVIDERS = {
    "chat": "openai",
    "responses": "openai-responses",
    "anthropic": "anthropic",
    "gemini": "google",
    "ollama": "ollama",
}
"""A provider of each dialect."""


def is_error(piece: Any) -> bool:
    """Whether a piece of a stream tells of an error."""
    if not isinstance(piece, dict):
        return False
    return bool(piece.get("error")) or piece.get("type") in {"error", "response.failed"}
