"""What a route may ask of its caller; every route declares one of these (`reliability.md` A4)."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from dragoman.core.call import Caller
from dragoman.core.errors import CallerError

Permission: TypeAlias = Literal[
    "public", "completions", "models", "services", "usage", "tenant", "admin"
]
"""``public`` routes need no caller at all; ``tenant`` is for who manages a tenant, or the gateway."""

PERMISSIONS: frozenset[str] = frozenset(get_args(Permission))
"""All of them, for the check of the route table at start."""


def permit(caller: Caller, permission: Permission) -> None:
    """Refuses, with 403, a caller whose role does not reach ``permission``."""
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
