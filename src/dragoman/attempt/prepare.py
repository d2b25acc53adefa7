"""A call written for one candidate: the bytes to send, and how the answer will come back.

Runs again for every try, for each candidate may speak another dialect. Everything that can be
refused is refused here, before a provider hears of the call.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from dragoman.attempt.crossing import Crossing, cross
from dragoman.attempt.embody import Given
from dragoman.attempt.letterhead import Letterhead
from dragoman.attempt.policy import Policy
from dragoman.attempt.ports import UpstreamRequest
from dragoman.attempt.refusal import read_refusal
from dragoman.core.ask import Ask
from dragoman.core.call import Call
from dragoman.core.envelope import Envelope, open_thoughts
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.loss import Loss
from dragoman.core.provider import Candidate, Operation
from dragoman.core.request import Request
from dragoman.core.trace import traceparent_of
from dragoman.core.usage import USUAL_TIERS, Usage, in_tier
from dragoman.credentials.static import header_of
from dragoman.dialects.base import Context, Dialect, Outgoing, Relay, Tapped, Target, Written
from dragoman.dialects.overheard import Hearer
from dragoman.dialects.registry import UNARY, open_relay


class _Options(Struct):
    """The member of ``stream_options`` that matters here."""

    include_usage: bool | None = None


_OPTIONS = msgspec.json.Decoder(_Options)

_QUERY = ("alt", "beta")


_NOTHING_GIVEN = Given(None)
_LEAST_S = 0.001
"""A request that is late already is sent all the same, and times out."""


class Prepared(Struct, frozen=True):
    """One try, ready to be sent."""

    candidate: Candidate
    letterhead: Letterhead
    context: Context
    outgoing: Outgoing
    request: UpstreamRequest
    members: dict[str, Raw]
    crossing: Crossing | None = None
    """Embeddings or a count of tokens between two families."""

    @property
    def caller(self) -> Dialect:
        """What the caller speaks."""
        return self.letterhead.caller

    @property
    def provider(self) -> Dialect:
        """What the provider speaks."""
        return self.letterhead.provider

    @property
    def target(self) -> Target:
        """Whom the request is written for."""
        return self.letterhead.target

    def refusal(self, status: int, headers: dict[str, str], body: bytes) -> UpstreamError:
        """The provider's error."""
        return read_refusal(self.provider, self.candidate.credential, status, headers, body)

    def relay(self, hear: Hearer | None = None) -> Relay:
        """The way back of a stream, whose events somebody may want to hear."""
        return open_relay(
            self.caller, self.provider, self.target, self.context, self.outgoing.undo, hear
        )

    def tap(self, operation: Operation, body: bytes) -> tuple[Tapped, tuple[Loss, ...]]:
        """The way back of a whole reply: the caller's bytes, and what they said."""
        letterhead = self.letterhead
        provider = letterhead.provider
        if letterhead.patched:
            return provider.tap_response(body, letterhead.target, self.context), ()
        if operation != "chat":
            return UNARY[operation, provider.family].tap(body, self.members), ()
        response = provider.read_response(body, letterhead.target, self.outgoing.undo)
        tier = response.service_tier
        if tier is not None and tier not in USUAL_TIERS:
            response = replace(response, usage=in_tier(response.usage, tier))
        written: Written = letterhead.caller.write_response(response, self.context)
        finish = response.choices[0].finish if response.choices else None
        return Tapped(
            written.body, response.usage, finish, response.id, response.model
        ), written.losses


def prepare(
    call: Call,
    ask: Ask,
    candidate: Candidate,
    letterhead: Letterhead,
    policy: Policy,
    cost: Callable[[Candidate, Usage], Decimal | None],
    try_id: str,
    left_s: float,
    envelope: Envelope | None = None,
    given: Given | None = None,
) -> Prepared:
    """Writes the call for a candidate; ``left_s`` is what other candidates left of its time.

    ``given`` is the caller's request where it was read already, to put bytes into it. ``try_id`` names the
    try, in the trace as well.

    Raises:
        CallerError: the candidate's dialect cannot say what is asked for, or ``x-dragoman-strict``
            forbids what would be lost.
    """
    request: Request | None = None
    crossing: Crossing | None = None
    if given is None and letterhead.patched:
        outgoing = letterhead.provider.patch_request(ask.members, letterhead.target)
    elif call.operation == "chat":
        outgoing, request = _written(ask, letterhead, envelope, given or _NOTHING_GIVEN)
    else:
        unary = UNARY.get((call.operation, candidate.provider.family))
        if unary is not None and letterhead.same:
            outgoing = unary.patch(ask.members, letterhead.target)
        else:
            crossing = cross(call, ask, candidate, letterhead.target, envelope, given)
            outgoing = crossing.outgoing
    if outgoing.losses and call.strict:
        raise _strict(outgoing.losses[0], letterhead.target)
    context = letterhead.context
    if context is None:
        context = Context(
            call.id.replace("-", ""),
            int(call.wall),
            candidate.model,
            request,
            _include_usage(ask.members) if request is None else request.include_usage,
            partial(cost, candidate),
            envelope,
            call.request_id,
            call.trace_id,
            call.flavour,
            call.dialect == "gemini" and call.query.get("alt") != "sse",
        )
    own: dict[str, str] = {}
    trace = traceparent_of(call.trace_id, try_id, sampled=call.told_sampled)
    if (
        letterhead.varied
        or call.tracestate
        or outgoing.headers
        or not letterhead.passed.isdisjoint(call.headers)
    ):
        own["traceparent"] = trace
        trace = ""
        _vary(own, call, candidate, letterhead, outgoing)
    url = letterhead.shared.url
    if call.query and letterhead.takes_query:
        url = _with_query(url, call)
    sent = UpstreamRequest(
        "POST",
        url,
        own,
        outgoing.body,
        policy.connect_s,
        max(_LEAST_S, left_s),
        letterhead.shared,
        trace,
    )
    return Prepared(candidate, letterhead, context, outgoing, sent, ask.members, crossing)


def retraced(request: UpstreamRequest, call: Call, try_id: str) -> UpstreamRequest:
    """The request as that of another try, which its trace names."""
    trace = traceparent_of(call.trace_id, try_id, sampled=call.told_sampled)
    if request.trace:
        return replace(request, trace=trace)
    return replace(request, own={**request.own, "traceparent": trace})


def _written(
    ask: Ask, letterhead: Letterhead, envelope: Envelope | None, given: Given
) -> tuple[Outgoing, Request | None]:
    """A chat request for another family, or with what was put into it; and what was read for that."""
    target = letterhead.target
    if letterhead.same:
        outgoing = letterhead.provider.patch_request(given.members or ask.members, target)
        if given.losses:
            outgoing = replace(outgoing, losses=given.losses + outgoing.losses)
        return outgoing, None
    read = given.request or letterhead.caller.read_request(ask.body)
    request, unopened = open_thoughts(read, envelope)
    if request.stream != target.stream:  # Gemini says so in the path
        request = replace(request, stream=target.stream)
    outgoing = letterhead.provider.write_request(request, target)
    if before := given.losses + unopened:
        outgoing = replace(outgoing, losses=before + outgoing.losses)
    return outgoing, request


def _strict(lost: Loss, target: Target) -> CallerError:
    return CallerError(
        "unsupported_feature",
        f"x-dragoman-strict is set, and {lost.path} would be {lost.action} on the way to "
        f"{target.provider}: {lost.reason}.",
        code="unsupported_feature",
        param=lost.path,
    )


def _include_usage(members: dict[str, Raw]) -> bool:
    """Whether a chat caller asked for usage in its stream."""
    options = members.get("stream_options")
    if options is None:
        return False
    try:
        return _OPTIONS.decode(options).include_usage is True
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _with_query(url: str, call: Call) -> str:
    # Encoded anew: a value that was decoded may hold an ``&`` and a parameter after it (A19).
    kept = [f"{name}={quote(call.query[name])}" for name in _QUERY if name in call.query]
    return url + "?" + "&".join(kept) if kept else url


def _vary(
    headers: dict[str, str],
    call: Call,
    candidate: Candidate,
    letterhead: Letterhead,
    outgoing: Outgoing,
) -> None:
    """Puts in what is this request's own besides the trace; each of it goes before what was there."""
    headers.update(letterhead.instead)
    if call.tracestate:
        headers["tracestate"] = call.tracestate
    given = call.headers
    for name in letterhead.passed.intersection(given):
        headers[name] = given[name]
    headers.update(outgoing.headers)
    if letterhead.live or outgoing.headers:
        headers.update(header_of(candidate.provider, candidate.credential))
