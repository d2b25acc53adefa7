"""A call written for one candidate: the bytes to send, and how the answer will come back.

Runs again for every try, for each candidate may speak another dialect. Everything that can be
refused is refused here, before a provider hears of the call.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from dragoman.attempt.crossing import Crossing, cross
from dragoman.attempt.embody import Given
from dragoman.attempt.policy import Policy
from dragoman.attempt.ports import UpstreamRequest
from dragoman.attempt.refusal import read_refusal
from dragoman.core.ask import Ask
from dragoman.core.call import Call
from dragoman.core.envelope import Envelope, open_thoughts
from dragoman.core.errors import CallerError, UpstreamError, unsupported
from dragoman.core.loss import Loss
from dragoman.core.provider import Candidate, Operation, Provider
from dragoman.core.request import Request
from dragoman.core.trace import span_of, write_traceparent
from dragoman.core.usage import Usage
from dragoman.credentials.static import header_of
from dragoman.dialects.base import Context, Dialect, Outgoing, Relay, Tapped, Target, Written
from dragoman.dialects.overheard import Hearer
from dragoman.dialects.registry import DIALECTS, UNARY, open_relay

DEFAULT_RESERVE = 8192
"""Tokens reserved for a model whose bound nobody knows (D27)."""


class _Options(Struct):
    """The member of ``stream_options`` that matters here."""

    include_usage: bool | None = None


_OPTIONS = msgspec.json.Decoder(_Options)

_FORWARDED = {
    "chat": ("openai-beta",),
    "responses": ("openai-beta",),
    "anthropic": ("anthropic-version", "anthropic-beta"),
    "gemini": ("x-goog-api-client",),
    "ollama": (),
    "completions": (),
    "generate": (),
}
"""What of a caller's headers reaches a provider of the same family (D9)."""
_ACCEPT = {"sse": "text/event-stream", "ndjson": "application/x-ndjson"}
_TO_OPENROUTER = ("http-referer", "x-title")
_QUERY = ("alt", "beta")


_NOTHING_GIVEN = Given(None)


class Prepared(Struct, frozen=True):
    """One try, ready to be sent."""

    candidate: Candidate
    caller: Dialect
    provider: Dialect
    target: Target
    context: Context
    outgoing: Outgoing
    request: UpstreamRequest
    members: dict[str, Raw]
    crossing: Crossing | None = None
    """Embeddings or a count of tokens between two families."""

    @property
    def same(self) -> bool:
        """Whether both sides speak one family."""
        return self.caller.family == self.provider.family

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
        if operation != "chat":
            return UNARY[operation, self.provider.family].tap(body, self.members), ()
        if self.same:
            return self.provider.tap_response(body, self.target, self.context), ()
        response = self.provider.read_response(body, self.target, self.outgoing.undo)
        written: Written = self.caller.write_response(response, self.context)
        finish = response.choices[0].finish if response.choices else None
        return Tapped(written.body, response.usage, finish, response.id), written.losses


def prepare(
    call: Call,
    ask: Ask,
    candidate: Candidate,
    policy: Policy,
    cost: Callable[[Usage], Decimal | None],
    user_agent: str,
    envelope: Envelope | None = None,
    left_s: float | None = None,
    given: Given | None = None,
    span_id: str | None = None,
) -> Prepared:
    """Writes the call for a candidate; ``left_s`` is what other candidates left of its time.

    ``given`` is the caller's request where it was read already, to put bytes into it. ``span_id`` is
    what the try is called in the trace; the call's own unless said.

    Raises:
        CallerError: the candidate's dialect cannot say what is asked for, or ``x-dragoman-strict``
            forbids what would be lost.
    """
    provider = candidate.provider
    caller_dialect = DIALECTS[call.dialect]
    provider_dialect = DIALECTS.get(provider.family)
    streams = ask.stream and call.operation == "chat"
    path = provider.paths.get(
        "stream" if streams and "stream" in provider.paths else call.operation
    )
    if provider_dialect is None or path is None:
        raise unsupported(
            f"{provider.name} does not serve {call.operation.replace('_', ' ')} here.", "model"
        )
    # What each has by position, here and below: names cost three times as much, for every try.
    target = Target(
        provider.name,
        candidate.model,
        provider.quirks,
        candidate.capability,
        candidate.capability.max_output_tokens or DEFAULT_RESERVE,
        streams,
    )
    request: Request | None = None
    crossing: Crossing | None = None
    if call.operation != "chat":
        unary = UNARY.get((call.operation, provider.family))
        if unary is not None and call.dialect == provider.family:
            outgoing = unary.patch(ask.members, target)
        else:
            crossing = cross(call, ask, candidate, target, envelope, given)
            outgoing = crossing.outgoing
    elif caller_dialect is provider_dialect:
        given = given or _NOTHING_GIVEN
        outgoing = provider_dialect.patch_request(given.members or ask.members, target)
        if given.losses:
            outgoing = replace(outgoing, losses=given.losses + outgoing.losses)
    else:
        given = given or _NOTHING_GIVEN
        read = given.request or caller_dialect.read_request(ask.body)
        request, unopened = open_thoughts(read, envelope)
        if request.stream != streams:  # Gemini says so in the path
            request = replace(request, stream=streams)
        outgoing = provider_dialect.write_request(request, target)
        if before := given.losses + unopened:
            outgoing = replace(outgoing, losses=before + outgoing.losses)
    if call.strict and outgoing.losses:
        lost = outgoing.losses[0]
        raise CallerError(
            "unsupported_feature",
            f"x-dragoman-strict is set, and {lost.path} would be {lost.action} on the way to "
            f"{provider.name}: {lost.reason}.",
            code="unsupported_feature",
            param=lost.path,
        )
    context = Context(
        call.id.replace("-", ""),
        int(call.wall),
        candidate.model,
        request,
        _include_usage(ask) if request is None else request.include_usage,
        cost,
        envelope,
        call.request_id,
        call.trace_id,
        call.flavour,
        call.dialect == "gemini" and call.query.get("alt") != "sse",
    )
    sent = UpstreamRequest(
        "POST",
        _url(provider, path, candidate.model, call),
        _headers(call, candidate, outgoing, user_agent, span_id, stream=streams),
        outgoing.body,
        policy.connect_s,
        policy.first_event_s if left_s is None else max(0.001, left_s),
    )
    return Prepared(
        candidate,
        caller_dialect,
        provider_dialect,
        target,
        context,
        outgoing,
        sent,
        ask.members,
        crossing,
    )


def _include_usage(ask: Ask) -> bool:
    """Whether a chat caller asked for usage in its stream."""
    options = ask.members.get("stream_options")
    if options is None:
        return False
    try:
        return _OPTIONS.decode(options).include_usage is True
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _url(provider: Provider, path: str, model: str, call: Call) -> str:
    if "{model}" in path:
        path = path.replace("{model}", quote(model, safe=""))
    url = provider.base_url + path
    if call.query and call.dialect == provider.family and "?" not in path:
        # Encoded anew: a value that was decoded may hold an ``&`` and a parameter after it (A19).
        kept = [f"{name}={quote(call.query[name])}" for name in _QUERY if name in call.query]
        if kept:
            return url + "?" + "&".join(kept)
    return url


def _headers(
    call: Call,
    candidate: Candidate,
    outgoing: Outgoing,
    user_agent: str,
    span_id: str | None,
    *,
    stream: bool,
) -> dict[str, str]:
    provider = candidate.provider
    headers = {
        "content-type": "application/json",
        "accept": _ACCEPT[DIALECTS[provider.family].framing] if stream else "application/json",
        "user-agent": user_agent,
        "traceparent": write_traceparent(
            call.trace_id, span_id or span_of(call.id), sampled=call.told_sampled
        ),
        **provider.headers,
    }
    if stream:
        headers["accept-encoding"] = "identity"
    if call.tracestate:
        headers["tracestate"] = call.tracestate
    given = call.headers
    if call.dialect == provider.family:
        for name in _FORWARDED[provider.family]:
            if name in given:
                headers[name] = given[name]
    if provider.quirks.flavour == "openrouter":
        for name in _TO_OPENROUTER:
            if name in given:
                headers[name] = given[name]
    headers.update(outgoing.headers)
    headers.update(header_of(provider, candidate.credential))
    return headers
