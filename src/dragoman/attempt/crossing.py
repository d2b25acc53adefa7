"""Embeddings and counts of tokens between two families: the caller's words, the provider's, and back.

Caller's reader → provider's writer → provider's reader → caller's writer, as with completions. A
request that holds more inputs than one of the provider's may is sent as several, in order, and
their vectors come back as one answer (P202). What has come stays when a later one fails: the next try
at the same provider asks, and is billed, for the rest alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from dragoman.attempt.embody import Given
from dragoman.core.ask import Ask
from dragoman.core.call import Call
from dragoman.core.envelope import Envelope, open_thoughts
from dragoman.core.errors import UpstreamError, invalid, unsupported
from dragoman.core.loss import Loss
from dragoman.core.provider import Candidate
from dragoman.core.request import EmbeddingRequest
from dragoman.core.response import Embeddings
from dragoman.core.usage import Usage, add
from dragoman.dialects.base import Context, Counter, Embedder, Outgoing, Tapped, Target
from dragoman.dialects.registry import COUNTERS, EMBEDDERS, counter_of

Losses = tuple[Loss, ...]

MOST_INPUTS = 2048
"""As OpenAI bounds them: one admitted call must not become thousands of others."""


class Crossing(Protocol):
    """One try across families: what is to be sent, in order, and what has come back of it."""

    outgoing: Outgoing
    """The first request, with what was lost in all of them."""
    further: tuple[bytes, ...]
    """The bodies of those after it."""
    earlier: int
    """So many of them an earlier try has paid for."""

    parts: list[Embeddings]
    """Those whose replies have come, in order."""

    def resume(self, parts: list[Embeddings]) -> None:
        """Begins after those that an earlier try at the same provider has brought."""
        ...

    def take(self, body: bytes) -> Usage | None:
        """Reads the next reply; the usage of all that have come so far in this try.

        Raises:
            UpstreamError: it is no answer to its request.
        """
        ...

    def answer(self, context: Context) -> tuple[Tapped, Losses]:
        """The caller's answer, once every reply has come."""
        ...


def cross(
    call: Call,
    ask: Ask,
    candidate: Candidate,
    target: Target,
    envelope: Envelope | None,
    given: Given | None = None,
) -> Crossing:
    """The call's question as the candidate's provider takes it; ``given`` as in ``prepare``.

    Raises:
        CallerError: one of the two sides cannot say it.
    """
    caller, family = call.dialect, candidate.provider.family
    if call.operation == "embeddings" and caller in EMBEDDERS and family in EMBEDDERS:
        return _vectors(ask, EMBEDDERS[caller], EMBEDDERS[family], target)
    if call.operation == "count_tokens" and family in COUNTERS:
        return _tokens(ask, counter_of(caller), COUNTERS[family], target, envelope, given)
    raise unsupported(
        f"{candidate.provider.name} has no {call.operation.replace('_', ' ')} of this kind; "
        "choose another model.",
        "model",
    )


# --------------------------------------------------------------------------- embeddings


@dataclass(slots=True)
class _Vectors:
    outgoing: Outgoing
    further: tuple[bytes, ...]
    caller: Embedder
    provider: Embedder
    asked: EmbeddingRequest
    target: Target
    sizes: tuple[int, ...]
    parts: list[Embeddings] = field(default_factory=list)
    earlier: int = 0

    def resume(self, parts: list[Embeddings]) -> None:
        self.parts = parts.copy()
        self.earlier = len(parts)

    def take(self, body: bytes) -> Usage | None:
        part = self.provider.read_response(body, self.target)
        wanted = self.sizes[len(self.parts)]
        if len(part.vectors) != wanted:
            raise UpstreamError(
                "upstream",
                f"The provider gave {len(part.vectors)} vectors for {wanted} inputs.",
                code="provider_error",
            )
        self.parts.append(part)
        return _sum(self.parts[self.earlier :])

    def answer(self, context: Context) -> tuple[Tapped, Losses]:
        joined = Embeddings(
            model=self.parts[0].model,
            vectors=tuple(vector for part in self.parts for vector in part.vectors),
            usage=_sum(self.parts),
        )
        written = self.caller.write_response(joined, self.asked, context)
        return Tapped(written.body, _sum(self.parts[self.earlier :])), written.losses


def _sum(parts: list[Embeddings]) -> Usage | None:
    """The usage of all; unknown where one part of it is (D25)."""
    known = [part.usage for part in parts if part.usage is not None]
    if not known or len(known) < len(parts):
        return None
    total = known[0]
    for usage in known[1:]:
        total = add(total, usage)
    return total


def _vectors(ask: Ask, caller: Embedder, provider: Embedder, target: Target) -> Crossing:
    asked = caller.read_request(ask.body)
    if len(asked.inputs) > MOST_INPUTS:
        raise invalid(
            f"The request has {len(asked.inputs)} inputs, of {MOST_INPUTS} that one may have.",
            "input",
        )
    most = provider.most or len(asked.inputs)
    pieces = [
        replace(asked, inputs=asked.inputs[start : start + most])
        for start in range(0, len(asked.inputs), most)
    ]
    written = [provider.write_request(piece, target) for piece in pieces]
    losses = tuple(dict.fromkeys(loss for one in written for loss in one.losses))
    return _Vectors(
        outgoing=replace(written[0], losses=losses),
        further=tuple(one.body for one in written[1:]),
        caller=caller,
        provider=provider,
        asked=asked,
        target=target,
        sizes=tuple(len(piece.inputs) for piece in pieces),
    )


# --------------------------------------------------------------------------- counts of tokens


@dataclass(slots=True)
class _Tokens:
    outgoing: Outgoing
    caller: Counter
    provider: Counter
    further: tuple[bytes, ...] = ()
    number: int = 0
    parts: list[Embeddings] = field(default_factory=list)
    earlier: int = 0

    def resume(self, parts: list[Embeddings]) -> None:
        """A count is one request: there is nothing to go on from."""

    def take(self, body: bytes) -> Usage | None:
        """What is counted is consumed by nobody."""
        self.number = self.provider.read_response(body)
        return None

    def answer(self, context: Context) -> tuple[Tapped, Losses]:
        del context
        return Tapped(self.caller.write_response(self.number)), ()


def _tokens(
    ask: Ask,
    caller: Counter,
    provider: Counter,
    target: Target,
    envelope: Envelope | None,
    given: Given | None,
) -> Crossing:
    assert provider.write_request is not None, "where nobody counts, the house estimates"
    given = given or Given(None)
    request, unopened = open_thoughts(given.request or caller.read_request(ask.body), envelope)
    written = provider.write_request(request, target)
    losses = given.losses + unopened + written.losses
    return _Tokens(replace(written, losses=losses), caller, provider)
