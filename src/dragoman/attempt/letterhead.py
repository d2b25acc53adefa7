"""What every request of one kind to one candidate begins with: worked out once, and kept.

What is said here of headers is written to the provider as it stands, so what
may be another from one call to the next is none of it: the trace, what callers send along, and a
credential that somebody keeps fresh.
"""

from __future__ import annotations

from typing import TypeAlias
from urllib.parse import quote
from weakref import ref

from msgspec import Struct

from dragoman.attempt.ports import Shared
from dragoman.catalog.base_url import origin_of
from dragoman.core.ask import Ask
from dragoman.core.call import Call
from dragoman.core.capability import Capability
from dragoman.core.errors import unsupported
from dragoman.core.provider import Candidate, Credential, Family, Operation, Provider
from dragoman.core.secret import Secret
from dragoman.credentials.own import is_own
from dragoman.credentials.static import header_of
from dragoman.dialects.base import Context, Dialect, Target
from dragoman.dialects.registry import DIALECTS
from dragoman.health.breaker import Key
from dragoman.health.health import key_of

MOST = 1024
"""Letterheads that are kept; model names are foreign input."""
DEFAULT_RESERVE = 8192
"""Tokens reserved for a model whose bound nobody knows (D27)."""

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
_TRACE = ("traceparent", "tracestate")


class Letterhead(Struct, frozen=True):
    """What does not change from one request to the next."""

    caller: Dialect
    provider: Dialect
    same: bool
    """Whether both speak one family."""
    patched: bool
    """Whether it is a chat in one family: the caller's own request is sent, but for a few members."""
    regular: bool
    """Whether requests go over the network as they are written, and failures are told in our own words."""
    target: Target
    takes_query: bool
    """Whether some of a caller's query goes behind the URL."""
    context: Context | None
    """Of a whole reply within one family: it stays the provider's own, and tells nothing of the call.

    None where each call needs one that is its own.
    """
    shared: Shared
    passed: frozenset[str]
    """Headers of a caller's that reach the provider."""
    instead: dict[str, str]
    """What the provider is sent of headers that a call may bring along, where it brings none."""
    live: bool
    """Whether the credential is to be shown as it is at that moment."""
    varied: bool
    """Whether more than the trace is each request's own, whatever the caller has sent."""
    key: Key
    """What the candidate's health is kept under."""
    is_account: bool
    """Whether the provider is known to health by a tenant's own account."""
    credential: str | None
    own: bool
    """Whether the credential is the tenant's own."""
    label: str
    """The model's id if the catalogue knows it: a metric label (D12)."""


_Kind: TypeAlias = tuple[int, int, int, str, bool, Family, Operation, bool]
"""Candidates are made anew for each call that has a choice: what they are made of lives longer."""


class Letterheads:
    """Those that were made; no credential outlives here whoever holds it."""

    def __init__(self) -> None:
        self._made: dict[_Kind, Letterhead] = {}
        self._held: dict[_Kind, tuple[Provider, Capability, ref[Credential] | None]] = {}
        """What is known by its place in memory, which so stays its own."""

    def of(self, candidate: Candidate, call: Call, ask: Ask, user_agent: str) -> Letterhead:
        """What the call's requests to the candidate begin with.

        Raises:
            CallerError: the provider does not serve the operation.
        """
        kind = (
            id(candidate.provider),
            id(candidate.credential),
            id(candidate.capability),
            candidate.model,
            candidate.known,
            call.dialect,
            call.operation,
            ask.stream,
        )
        return self._made.get(kind) or self._make(kind, candidate, user_agent)

    def _make(self, kind: _Kind, candidate: Candidate, user_agent: str) -> Letterhead:
        *_, family, operation, stream = kind
        stream = stream and operation == "chat"
        new = letterhead_of(candidate, family, operation, stream=stream, user_agent=user_agent)
        made, held = self._made, self._held
        if len(made) >= MOST:
            made.clear()
            held.clear()

        def forget(_: ref[Credential]) -> None:
            made.pop(kind, None)
            held.pop(kind, None)

        credential = candidate.credential
        living = None if credential is None else ref(credential, forget)
        held[kind] = (candidate.provider, candidate.capability, living)
        made[kind] = new
        return new


def letterhead_of(
    candidate: Candidate, family: Family, operation: Operation, *, stream: bool, user_agent: str
) -> Letterhead:
    """What a caller of that family has written to the candidate.

    Raises:
        CallerError: the provider does not serve the operation.
    """
    provider, credential = candidate.provider, candidate.credential
    dialect = DIALECTS.get(provider.family)
    path = provider.paths.get("stream" if stream and "stream" in provider.paths else operation)
    if dialect is None or path is None:
        raise unsupported(
            f"{provider.name} does not serve {operation.replace('_', ' ')} here.", "model"
        )
    same = family == provider.family
    passed = frozenset(
        (
            *(_FORWARDED[family] if same else ()),
            *(_TO_OPENROUTER if provider.quirks.flavour == "openrouter" else ()),
        )
    )
    changing = passed.union(_TRACE)
    live = not _is_fixed(provider, credential) or provider.auth.header in changing
    instead = {name: value for name, value in provider.headers.items() if name in changing}
    headers = {
        "content-type": "application/json",
        "accept": _ACCEPT[dialect.framing] if stream else "application/json",
        "user-agent": user_agent,
        **{name: value for name, value in provider.headers.items() if name not in changing},
    }
    if stream:
        headers["accept-encoding"] = "identity"
    if not live:
        headers.update(header_of(provider, credential))
    return Letterhead(
        DIALECTS[family],
        dialect,
        same,
        same and operation == "chat",
        not provider.stub and provider.words is None,
        Target(
            provider.name,
            candidate.model,
            provider.quirks,
            candidate.capability,
            candidate.capability.max_output_tokens or DEFAULT_RESERVE,
            stream,
        ),
        same and "?" not in path,
        Context("", 0, candidate.model) if same and operation == "chat" and not stream else None,
        Shared(
            provider.base_url + path.replace("{model}", quote(candidate.model, safe="")), headers
        ),
        passed,
        instead,
        live,
        live or bool(instead),
        key_of(candidate),
        bool(provider.account),
        credential.id if credential else None,
        credential is not None and is_own(credential.id),
        candidate.model if candidate.known else "other",
    )


def _is_fixed(provider: Provider, credential: Credential | None) -> bool:
    """Whether what is shown stays the same, and may be shown at all; else it is asked for each time."""
    return credential is None or (
        type(credential.secret) is Secret
        and credential.renewal is None
        and credential.origin == origin_of(provider.base_url)
    )
