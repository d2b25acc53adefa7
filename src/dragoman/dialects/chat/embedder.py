"""Embeddings between the chat family and others: the canonical request and vectors, both ways.

Within the family the caller's own members go through (``embeddings.py``); this is the way of a
caller or a provider of another family (`dialects.md` §3.3).
"""

from __future__ import annotations

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.errors import invalid
from dragoman.core.loss import Loss
from dragoman.core.parts import Ext
from dragoman.core.request import EmbeddingRequest
from dragoman.core.response import Embeddings
from dragoman.dialects.base import Context, Embedder, Outgoing, Target, Written
from dragoman.dialects.chat.embeddings import (
    asked_encoding,
    check_input,
    read_embeddings,
    refuse_dimensions,
    write_embeddings,
)
from dragoman.dialects.chat.quirks import apply_quirks
from dragoman.dialects.chat.wire import leftover
from dragoman.dialects.members import NULL, Object, integer, need, string, take, top_level

_ENCODE = msgspec.json.Encoder().encode
_INPUT = msgspec.json.Decoder(str | list[str | int | list[int]])
_OURS = ("routing", "models")
"""Members that speak to the gateway, which has read them."""

MOST = 512
"""OpenAI takes 2048 inputs at once, but the numbers of so many long vectors are a reply beyond all bounds."""


def read_request(body: bytes) -> EmbeddingRequest:
    """The request that a chat client sent.

    Raises:
        CallerError: a member is missing or of the wrong form.
    """
    members = dict(top_level(body))
    given = members.pop("input", None)
    check_input(given)
    encoding = asked_encoding(members)
    members.pop("encoding_format", None)
    for name in _OURS:
        members.pop(name, None)
    model = need(members, "model", string)
    dimensions = take(members, "dimensions", integer)
    if dimensions is not None and dimensions < 1:
        raise invalid("dimensions must be a whole number above 0.", "dimensions")
    user = take(members, "user", string)
    return EmbeddingRequest(
        model=model,
        inputs=_inputs(given or NULL),
        dimensions=dimensions,
        encoding=encoding,
        end_user=user,
        ext=leftover(members),
    )


def _inputs(given: Raw) -> tuple[str, ...] | tuple[tuple[int, ...], ...]:
    value = _INPUT.decode(given)
    if isinstance(value, str):
        return (value,)
    texts = tuple(item for item in value if isinstance(item, str))
    if texts:
        return texts
    flat = tuple(item for item in value if isinstance(item, int))
    return (flat,) if flat else tuple(tuple(item) for item in value if isinstance(item, list))


def write_request(request: EmbeddingRequest, target: Target) -> Outgoing:
    """The request for a provider of the chat family.

    Raises:
        CallerError: the provider cannot shorten its vectors, and the caller asked it to.
    """
    if request.dimensions is not None:
        refuse_dimensions(target)
    one = len(request.inputs) == 1
    body: Object = {
        "model": target.model,
        "input": request.inputs[0] if one else request.inputs,
    }
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.encoding == "base64":
        body["encoding_format"] = "base64"
    if request.end_user is not None:
        body["user"] = request.end_user
    losses: list[Loss] = []
    _extend(body, request.ext, losses)
    body = apply_quirks(body, target, losses)
    return Outgoing(_ENCODE(body), tuple(losses))


def _extend(body: Object, ext: Ext | None, losses: list[Loss]) -> None:
    """The family's own members come back, those of others are told as lost."""
    for dialect, members in (ext or {}).items():
        for name, value in members.items():
            if dialect == "chat":
                body.setdefault(name, value)
            else:
                losses.append(Loss(name, f"only {dialect} knows it"))


def read_response(body: bytes, target: Target) -> Embeddings:
    """The provider's vectors, in the order of the inputs.

    Raises:
        UpstreamError: the body holds an error, or no vectors.
    """
    found = read_embeddings(body)
    return found if found.model else replace(found, model=target.model)


def write_response(embeddings: Embeddings, request: EmbeddingRequest, context: Context) -> Written:
    """The vectors for a chat client, in the encoding that it asked for."""
    named = embeddings if embeddings.model else replace(embeddings, model=context.model)
    return Written(write_embeddings(named, request.encoding))


EMBEDDER = Embedder(read_request, write_request, read_response, write_response, MOST)
