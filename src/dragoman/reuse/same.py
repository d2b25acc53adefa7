"""When two requests are the same: hashes of what decides about an answer."""

from __future__ import annotations

import hashlib

import msgspec

from dragoman.core.call import Call

_CREDENTIALS = frozenset({"key", "api_key", "api-key"})
"""Members of a query by which callers prove who they are."""
_TELLING = ("anthropic-version", "anthropic-beta", "openai-beta", "http-referer", "x-title")
"""Headers that reach providers (D9) and may change what they answer."""
_OURS = "x-dragoman-"
_OF_REUSE = frozenset({"x-dragoman-cache", "x-dragoman-resumable"})
"""Headers of ours that say how an answer is given, not which."""


def scope_of(key_id: str, route: str, key: str) -> str:
    """Where an Idempotency-Key counts: for one API key, on one route (D23)."""
    return hashlib.sha256(msgspec.msgpack.encode((key_id, route, key))).hexdigest()


def scope_of_stream(call_id: str) -> str:
    """Where a stream is recorded that has no Idempotency-Key."""
    return f"stream:{call_id}"


def fingerprint(call: Call, body: bytes) -> bytes:
    """What has to be the same in every request with one Idempotency-Key."""
    return _hash(call.named, _query(call), body)


def cache_key(call: Call, body: bytes, version: str) -> str:
    """What has to be the same for an answer of the cache: all that could change it, and whose it is.

    ``version`` is that of the configuration, by which a name stands for a model.
    """
    caller = call.caller
    assert caller is not None, "only who is known is answered"
    headers = call.headers
    telling = [(name, headers.get(name, "")) for name in _TELLING]
    telling += sorted(
        (name, value)
        for name, value in headers.items()
        if name.startswith(_OURS) and name not in _OF_REUSE
    )
    return _hash(
        version,
        caller.tenant,
        caller.key_id,
        # A key that is narrowed later gets no answer of a model that it might ask for before.
        None if caller.bounds is None else caller.bounds.models,
        call.route,
        call.dialect,
        call.operation,
        call.named,
        call.home,
        call.flavour,
        _query(call),
        telling,
        body,
    ).hex()


def _query(call: Call) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in call.query.items() if name not in _CREDENTIALS)


def _hash(*parts: object) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode(parts)).digest()
