"""``/api/embed``, and the older ``/api/embeddings``, which takes one ``prompt`` and gives one ``embedding``.

Towards a provider only the newer one is spoken. Its vectors have the length 1, those of the older
one are as the model made them: who asks for the old is told (D6).
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from dragoman.core.errors import invalid, unsupported
from dragoman.core.loss import Loss
from dragoman.core.request import EmbeddingRequest
from dragoman.core.response import Embeddings
from dragoman.core.usage import Usage, count
from dragoman.dialects.base import Context, Embedder, Outgoing, Tapped, Target, Written
from dragoman.dialects.broken import not_understood
from dragoman.dialects.halves import mend
from dragoman.dialects.ollama import wire
from dragoman.dialects.ollama.error import is_error, read_line_error
from dragoman.dialects.ollama.patch import patch_request
from dragoman.dialects.ollama.reply import write_usage
from dragoman.dialects.ollama.wire import NULL, Members, encode, is_nothing, own

_TEXTS = msgspec.json.Decoder(str | list[str])
_SCALED = Loss("prompt", "its vector comes with the length 1", "changed")


class _Reply(Struct, frozen=True):
    model: str | None = None
    embeddings: list[list[float]] | None = None
    embedding: list[float] | None = None
    prompt_eval_count: object = None
    error: Raw = NULL

    @property
    def vectors(self) -> list[list[float]] | None:
        """The vectors, whichever way they are told; None if none are."""
        if self.embeddings is not None:
            return self.embeddings
        return None if self.embedding is None else [self.embedding]


_REPLY = msgspec.json.Decoder(_Reply)


def is_old(members: Members) -> bool:
    """Whether a caller speaks to ``/api/embeddings``."""
    return "prompt" in members and is_nothing(members.get("input"))


# --------------------------------------------------------------------------- requests


def read_request(body: bytes) -> EmbeddingRequest:
    """The texts of either form.

    Raises:
        CallerError: there are none, or a member has the wrong form.
    """
    members = wire.members(body, "")
    single = is_old(members)
    inputs = _texts(members, "prompt" if single else "input")
    dimensions = wire.take_int(members, "dimensions")
    model = wire.take_text(members, "model")
    if not model:
        raise invalid("The member model is required.", "model", "missing_required_field")
    for name in ("input", "prompt", "routing", "models"):
        members.pop(name, None)
    return EmbeddingRequest(
        model, inputs, single=single, dimensions=dimensions, ext=wire.bag(members)
    )


def _texts(members: Members, name: str) -> tuple[str, ...]:
    raw = members.get(name)
    if raw is None or is_nothing(raw):
        raise invalid(f"The member {name} is required.", name, "missing_required_field")
    found = wire.value(_TEXTS, raw, name)
    return (found,) if isinstance(found, str) else tuple(found)


def write_request(request: EmbeddingRequest, target: Target) -> Outgoing:
    """The request for ``/api/embed``.

    Raises:
        CallerError: the inputs are token ids, of a tokenizer that is not this model's.
    """
    texts = [mend(item) for item in request.inputs if isinstance(item, str)]
    if len(texts) < len(request.inputs):
        raise unsupported(
            f"input holds token ids, and {target.provider} takes texts alone.", "input"
        )
    body: dict[str, object] = {"model": target.model, "input": texts}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    body.update(own(request.ext))
    losses = [
        Loss(name, f"only {dialect} knows it")
        for dialect, members in (request.ext or {}).items()
        if dialect != wire.DIALECT
        for name, raw in members.items()
        if not is_nothing(raw)
    ]
    if request.end_user is not None:
        losses.append(Loss("user", "this provider does not take it"))
    return Outgoing(encode(body), tuple(losses))


# --------------------------------------------------------------------------- replies


def _open(body: bytes) -> _Reply:
    try:
        reply = _REPLY.decode(body)
    except wire.BAD_JSON:
        raise not_understood("vectors") from None
    if is_error(reply.error):
        raise read_line_error(body)
    if reply.vectors is None:
        raise not_understood("a reply without vectors")
    return reply


def _usage(reply: _Reply) -> Usage | None:
    tokens = count(reply.prompt_eval_count)
    return None if tokens is None else Usage(input=tokens)


def read_response(body: bytes, target: Target) -> Embeddings:
    """The vectors in the order of the inputs.

    Raises:
        UpstreamError: the body holds an error, or no vectors.
    """
    reply = _open(body)
    vectors = tuple(tuple(vector) for vector in reply.vectors or ())
    return Embeddings(reply.model or target.model, vectors, _usage(reply))


def write_response(embeddings: Embeddings, request: EmbeddingRequest, context: Context) -> Written:
    """The vectors in the form that was asked for."""
    if request.single:
        return Written(encode({"embedding": next(iter(embeddings.vectors), ())}))
    usage = embeddings.usage
    counted = Usage(input=usage.input) if usage is not None else None
    body = {"model": embeddings.model or context.model, "embeddings": embeddings.vectors}
    return Written(encode({**body, **write_usage(counted)}))


# --------------------------------------------------------------------------- the same dialect


def patch_embeddings(members: Members, target: Target) -> Outgoing:
    """The caller's own request with the provider's model, in the newer form (D2).

    One without any text loads the model, as one to ``/api/chat`` without messages does.
    """
    if not is_old(members):
        return patch_request(members, target)
    sent = {name: raw for name, raw in members.items() if name not in {"prompt", "input"}}
    outgoing = patch_request({**sent, "input": members["prompt"]}, target)
    return Outgoing(outgoing.body, (*outgoing.losses, _SCALED))


def tap_embeddings(body: bytes, members: Members) -> Tapped:
    """The provider's own bytes, or the older form of them, and what they cost.

    Raises:
        UpstreamError: the body holds an error, or no vectors.
    """
    reply = _open(body)
    if is_old(members) and reply.embedding is None:
        body = encode({"embedding": next(iter(reply.vectors or ()), [])})
    return Tapped(body, usage=_usage(reply), model=reply.model)


EMBEDDER = Embedder(
    read_request=read_request,
    write_request=write_request,
    read_response=read_response,
    write_response=write_response,
)
"""Ollama's part in embeddings across families."""
