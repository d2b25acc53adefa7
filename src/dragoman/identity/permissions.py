"""What a route may ask of its caller; every route declares one of these (`reliability.md` A4)."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from dragoman.core.call import Caller
from dragoman.core.errors import CallerError
from dragoman.core.provider import Family
from dragoman.core.scopes import Bounds

Permission: TypeAlias = Literal[
    "public", "completions", "models", "services", "usage", "tenant", "admin"
]
"""``public`` routes need no caller at all; ``tenant`` is for who manages a tenant, or the gateway."""

PERMISSIONS: frozenset[str] = frozenset(get_args(Permission))
"""All of them, for the check of the route table at start."""
GRANTS = ("completions", "models", "services", "usage", "tenant", "admin")
"""Those that a scope may name."""
SURFACES = ("chat", "completions", "responses", "anthropic", "gemini", "ollama")
"""The dialects that a scope may name; Ollama's generate is Ollama's."""

_RANKS = {"user": 1, "tenant_admin": 2, "admin": 3}


def rank_of(role: str) -> int:
    """How much a role may, beside others; 0: it is none."""
    return _RANKS.get(role, 0)


def permit(caller: Caller, permission: Permission, family: Family | None = None) -> None:
    """Refuses, with 403, a caller whose role or scopes do not reach ``permission``.

    ``family`` is the dialect in which a model is asked.
    """
    role: str = caller.role
    if permission == "tenant" and role not in {"admin", "tenant_admin"}:
        raise CallerError(
            "permission",
            f"This API key has the role {role!r}, and this route is for who manages the tenant.",
            code="insufficient_permissions",
        )
    if permission == "admin" and role != "admin":
        raise CallerError(
            "permission",
            f"This API key has the role {role!r}, and this route needs the role 'admin'.",
            code="insufficient_permissions",
        )
    if caller.bounds is not None:
        _within(caller.bounds, permission, family)


def _within(bounds: Bounds, permission: Permission, family: Family | None) -> None:
    if bounds.permissions is not None and permission not in bounds.permissions:
        raise _beyond(f"the permission {permission!r}", bounds.permissions)
    if family is None or permission != "completions" or bounds.surfaces is None:
        return
    surface = "ollama" if family == "generate" else family
    if surface not in bounds.surfaces:
        raise _beyond(f"the surface {surface!r}", bounds.surfaces)


def _beyond(what: str, has: frozenset[str]) -> CallerError:
    told = ", ".join(sorted(has)) or "none"
    return CallerError(
        "permission",
        f"This API key's scope does not have {what}, which this route needs; it has: {told}.",
        code="insufficient_permissions",
    )
