"""Vectors that depend on the text and the seed alone, and the list of models."""

from __future__ import annotations

import struct
from base64 import b64encode
from functools import lru_cache
from math import sqrt
from random import Random
from typing import Any

import msgspec

from dragoman.mock.answer import Billed
from dragoman.mock.ask import Json, Refused, as_list, tokens
from dragoman.mock.reply import Reply
from dragoman.mock.script import Script

__all__ = ["MODELS", "embed", "model", "models"]

_encoded = msgspec.json.Encoder().encode
_SIZES = {"text-embedding-3-large": 3072, "mistral-embed": 1024}
_USUAL_SIZE = 1536

MODELS = (
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-5-mini",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
    "deepseek-chat",
    "grok-4",
    "llama-3.3-70b-versatile",
    "mistral-large-latest",
    "text-embedding-3-large",
    "text-embedding-3-small",
)
"""What the list names; any other model answers as well."""


def embed(body: Json, script: Script, number: int, seed: int) -> Reply:
    """An embeddings ``list``, as floats or as base64 of little-endian 32-bit floats."""
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise Refused("you must provide a model parameter", param="model")
    texts = _inputs(body.get("input"))
    size = body.get("dimensions") or _SIZES.get(name, _USUAL_SIZE)
    if not isinstance(size, int) or not 0 < size <= 8192:
        raise Refused("Invalid 'dimensions': expected 1 to 8192.", param="dimensions")
    packed = body.get("encoding_format") == "base64"
    data = b",".join(
        b'{"object":"embedding","index":%d,"embedding":%b}'
        % (index, _vector(text, size, seed, packed=packed))
        for index, text in enumerate(texts)
    )
    spent = sum(tokens(text) for text in texts)
    used = b',"usage":{"prompt_tokens":%d,"total_tokens":%d}' % (spent, spent)
    reply = b'{"object":"list","data":[%b],"model":%b%b}\n' % (
        data,
        _encoded(name),
        used if script.usage else b"",
    )
    return Reply(
        status=200,
        frames=((reply, 0),),
        headers=(("x-request-id", f"req_mock{number:06d}"),),
        billed=Billed(spent, 0),
    )


def _inputs(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    texts = as_list(given, "input")
    if not texts:
        raise Refused("Invalid 'input': empty array.", param="input")
    if isinstance(texts[0], int):
        texts = [texts]
    # Token lists are told apart by their numbers; their text is beside the point.
    return [each if isinstance(each, str) else repr(each) for each in texts]


@lru_cache(maxsize=128)
def _vector(text: str, size: int, seed: int, *, packed: bool) -> bytes:
    """A vector of length 1 as JSON."""
    dice = Random(f"{seed}:{text}")  # noqa: S311 - numbers to look at, not secrets
    raw = [dice.uniform(-1, 1) for _ in range(size)]
    norm = sqrt(sum(value * value for value in raw))
    if not packed:
        return _encoded([round(value / norm, 8) for value in raw])
    numbers = struct.pack(f"<{size}f", *(value / norm for value in raw))
    return b'"' + b64encode(numbers) + b'"'


def models(*, anthropic: bool) -> bytes:
    """The list, in the shape of the dialect that asks."""
    rows = b",".join(model(name, anthropic=anthropic) for name in MODELS)
    if anthropic:
        return b'{"data":[%b],"has_more":false,"first_id":%b,"last_id":%b}' % (
            rows,
            _encoded(MODELS[0]),
            _encoded(MODELS[-1]),
        )
    return b'{"object":"list","data":[%b]}' % rows


def model(name: str, *, anthropic: bool) -> bytes:
    """One row of the list."""
    if anthropic:
        return (
            b'{"type":"model","id":%b,"display_name":%b,"created_at":"2026-01-01T00:00:00Z"}'
            % (_encoded(name), _encoded(name))
        )
    return b'{"id":%b,"object":"model","created":1767225600,"owned_by":"mock"}' % _encoded(name)
