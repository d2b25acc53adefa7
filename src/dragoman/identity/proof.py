"""Finds the credential in a request: one resolver for every header that may carry it (A18).

Programs of every dialect come here with their own habit; the verdict is the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping

from dragoman.core.call import Proof
from dragoman.core.errors import CallerError

_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")
_OTHERS = frozenset(_HEADERS)
_QUERY = "key"
_BEARER = "bearer "


def read_proof(headers: Mapping[str, str], query: Mapping[str, str]) -> Proof | None:
    """The one credential of a request, None where there is none.

    ``headers`` have lower-case names. The same credential twice is one; two different ones
    are refused, because nobody could say whose request it is.
    """
    proof: Proof | None = None
    authorization = headers.get("authorization")
    if authorization is not None and authorization[:7].lower() == _BEARER:
        value = authorization[7:].strip()
        if value:
            proof = Proof(value, "authorization")
    if not _OTHERS.isdisjoint(headers):
        for name in _HEADERS:
            if name in headers:
                proof = _joined(proof, headers[name], name)
    if _QUERY in query:
        proof = _joined(proof, query[_QUERY], "key")
    return proof


def _joined(proof: Proof | None, value: str, via: str) -> Proof | None:
    value = value.strip()
    if not value:
        return proof
    if proof is None:
        return Proof(value, via)
    if proof.value != value:
        raise CallerError(
            "invalid_request",
            f"The request carries two different API keys, in {proof.via!r} and in {via!r}: "
            "send one.",
            code="conflicting_credentials",
        )
    return proof
