"""What a provider's failure says about its health, and what says nothing (D17, P-table of `attempt/verdict.py`).

A request that is wrong is wrong anywhere, a key that is refused is our fault, as is an address
that redirects, and a limit passes: none of these counts against the provider. It broke, it is
overloaded, it is silent, it talks garbage: these do.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from dragoman.core.errors import Kind, UpstreamError, code_of

Blame: TypeAlias = Literal["provider", "rate", "credential", "nobody"]

_BY_KIND: dict[Kind, Blame] = {
    "rate_limit": "rate",
    "authentication": "credential",
    "permission": "nobody",
    "billing": "credential",
    "quota": "credential",
    "timeout": "provider",
    "server": "provider",
    "overloaded": "provider",
    "upstream": "provider",
}


_OURS = frozenset({"no_credential"})
"""Nobody was asked at all."""


def blame(error: UpstreamError) -> Blame:
    """Whom the failure is put down to."""
    if error.code in _OURS:
        return "nobody"
    status = error.upstream_status
    if status in {401, 402}:
        return "credential"
    if status == 429:
        return "credential" if error.kind == "quota" else "rate"
    if status is not None and 300 <= status < 500 and status != 408:
        return "nobody"
    return _BY_KIND.get(error.kind, "nobody")


def is_excluded(error: UpstreamError, patterns: tuple[str, ...]) -> bool:
    """Whether the operator has said that such an error disables nobody (R-PROV-005, R-ADD-023).

    A pattern, in lower case, stands anywhere in the status, the code or the message.
    """
    if not patterns:
        return False
    text = f"{error.upstream_status or ''} {code_of(error)} {error.kind} {error.message}".lower()
    return any(pattern in text for pattern in patterns)
