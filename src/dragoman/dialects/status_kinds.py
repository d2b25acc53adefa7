"""What a provider's status says failed, where the dialect's own words do not say it better."""

from __future__ import annotations

from dragoman.core.errors import Kind

_KIND_OF_STATUS: dict[int, Kind] = {
    400: "invalid_request",
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    422: "unprocessable",
    429: "rate_limit",
    500: "server",
    502: "upstream",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}

OURS: frozenset[Kind] = frozenset({"authentication", "billing", "permission"})
"""Refusals of the gateway's own credential, of which the caller's is not to blame (P144)."""

RETRYABLE: frozenset[Kind] = frozenset(
    {"rate_limit", "timeout", "server", "overloaded", "upstream", "conflict"}
)


def kind_of_status(status: int) -> Kind:
    """The kind of a failure of this status; one that nobody knows is as the first of its hundred."""
    kind = _KIND_OF_STATUS.get(status)
    if kind is None:
        return "server" if status >= 500 else "invalid_request"
    return kind
