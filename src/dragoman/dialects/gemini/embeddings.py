"""``embedContent`` and ``batchEmbedContents``: passed through, and across families.

Providers are asked for batches alone; a caller that asks for one vector gets the one.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import CallerError, invalid, unsupported
from dragoman.core.request import EmbeddingRequest
from dragoman.core.response import Embeddings
from dragoman.dialects.base import Context, Embedder, Outgoing, Tapped, Target, Written
from dragoman.dialects.broken import not_understood
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.error import read_stream_error, reported
from dragoman.dialects.gemini.usage import WireUsage, of_wire, write_usage
from dragoman.dialects.gemini.wire import DIALECT, WireError, encode
from dragoman.dialects.halves import mend

MOST = 100
"""Requests that one batch may hold (P202)."""

_OURS = ("routing", "models", "model")
_KNOWN = {"content", "model", "outputDimensionality", "requests", "routing", "models"}


class _Vector(Struct, frozen=True):
    values: list[float] = []


class _Reply(Struct, frozen=True):
    embedding: _Vector | None = None
    embeddings: list[_Vector] | None = None
    usageMetadata: WireUsage | None = None  # noqa: N815 - the wire's own name


_REPLY = msgspec.json.Decoder(_Reply)
_OBJECT = msgspec.json.Decoder(dict[str, Raw])


def _name(target: Target) -> str:
    return f"models/{target.model}"


def patch_embeddings(members: dict[str, Raw], target: Target) -> Outgoing:
    """The caller's own request as a batch: other model names, the rest byte for byte (D2).

    Raises:
        CallerError: ``requests`` is no list of objects.
    """
    kept = {name: raw for name, raw in members.items() if name not in _OURS}
    model = Raw(encode(_name(target)))
    if "requests" not in members:
        return Outgoing(encode({"requests": [{"model": model, **kept}]}))
    try:
        asked = msgspec.json.decode(members["requests"], type=list[dict[str, Raw]])
    except wire.BAD_JSON:
        raise invalid("requests must be an array of objects.", "requests") from None
    sent = [{**one, "model": model} for one in asked]
    return Outgoing(encode({**kept, "requests": sent}))


def tap_embeddings(body: bytes, members: dict[str, Raw]) -> Tapped:
    """The provider's own vectors, in the form that the caller asked for.

    Raises:
        UpstreamError: the body holds an error, or no vectors.
    """
    reply = _open(body)
    usage = of_wire(reply.usageMetadata)
    if "requests" in members or reply.embeddings is None:
        return Tapped(body, usage)
    found = _OBJECT.decode(body)
    vectors = msgspec.json.decode(found.pop("embeddings"), type=list[Raw])
    return Tapped(encode({"embedding": vectors[0], **found}), usage)


def _open(body: bytes) -> _Reply:
    if reported(body) is not None:
        raise read_stream_error(body)
    try:
        reply = _REPLY.decode(body)
    except wire.BAD_JSON:
        raise not_understood("vectors") from None
    if reply.embedding is None and not reply.embeddings:
        raise not_understood("a reply without vectors")
    return reply


# --------------------------------------------------------------------------- across families


def read_request(body: bytes) -> EmbeddingRequest:
    """The canonical request.

    Raises:
        CallerError: a member is missing, of a wrong type, or asks for what only Gemini embeds.
    """
    try:
        found = wire.members(body, "")
        single = "requests" not in found
        asked = (
            [found]
            if single
            else [
                wire.members(one, f"requests[{n}]")
                for n, one in enumerate(wire.items(found["requests"], "requests"))
            ]
        )
        if not asked:
            raise WireError("requests", "it has to hold at least one request")
        sizes = {
            wire.integer(one["outputDimensionality"], "outputDimensionality")
            for one in asked
            if "outputDimensionality" in one
        }
        inputs = tuple(_text(one, n) for n, one in enumerate(asked))
    except WireError as error:
        raise invalid(
            f"The member {error.path or 'body'} is not usable: {error.why}.", error.path or None
        ) from None
    if len(sizes) > 1:
        raise unsupported("Every request of a batch needs one outputDimensionality.", "requests")
    extra = {name: raw for name, raw in asked[0].items() if name not in _KNOWN}
    return EmbeddingRequest(
        model=wire.opt_text(found, "model", "") or "",
        inputs=inputs,
        single=single,
        dimensions=next(iter(sizes), None),
        ext={DIALECT: extra} if extra else None,
    )


def _text(one: dict[str, Raw], number: int) -> str:
    path = f"requests[{number}].content"
    if "content" not in one:
        raise WireError(path, "it is required")
    content = one["content"]
    if bytes(content)[:1] == b'"':
        return wire.text(content, path)
    found = wire.members(content, path)
    words: list[str] = []
    for part in wire.items(found["parts"], path) if "parts" in found else ():
        inner = wire.members(part, path)
        if "text" not in inner:
            raise WireError(path, "only text can be embedded by this model's provider")
        words.append(wire.text(inner["text"], path))
    return "\n".join(words)


def write_request(request: EmbeddingRequest, target: Target) -> Outgoing:
    """A batch for a provider of this dialect.

    Raises:
        CallerError: token ids, which Gemini does not embed.
    """
    common: dict[str, object] = dict((request.ext or {}).get(DIALECT, {}))
    if request.dimensions is not None:
        common["outputDimensionality"] = request.dimensions
    asked: list[dict[str, object]] = []
    for words in request.inputs:
        if not isinstance(words, str):
            raise CallerError(
                "unsupported_feature",
                "Token ids cannot be embedded by this model: send text.",
                code="unsupported_feature",
                param="input",
            )
        content = {"parts": [{"text": mend(words)}]}
        asked.append({"model": _name(target), "content": content, **common})
    return Outgoing(encode({"requests": asked}))


def read_response(body: bytes, target: Target) -> Embeddings:
    """The vectors in the order of the inputs.

    Raises:
        UpstreamError: the body holds an error, or no vectors.
    """
    reply = _open(body)
    vectors = reply.embeddings or ([reply.embedding] if reply.embedding else [])
    return Embeddings(
        model=target.model,
        vectors=tuple(tuple(vector.values) for vector in vectors),
        usage=of_wire(reply.usageMetadata),
    )


def write_response(embeddings: Embeddings, request: EmbeddingRequest, context: Context) -> Written:
    """The vectors for a Gemini client: the one, or a batch."""
    del context
    vectors = [{"values": vector} for vector in embeddings.vectors]
    body: dict[str, object] = (
        {"embedding": vectors[0]} if request.single and vectors else {"embeddings": vectors}
    )
    if embeddings.usage is not None:
        tokens = write_usage(embeddings.usage)["promptTokenCount"]
        body["usageMetadata"] = {"promptTokenCount": tokens}
    return Written(encode(body))


EMBEDDER = Embedder(read_request, write_request, read_response, write_response, most=MOST)
