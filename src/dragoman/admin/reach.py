"""How far a caller's role goes: everybody's things, its tenant's, or its own key's alone.

What lies beyond is answered as if it were not there (A5). Whether a caller may use a route at all is
decided before, on the route's row. A role goes no further than the permissions of its key's scope.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from dragoman.core.call import Call, Caller

Reach: TypeAlias = Literal["all", "tenant", "own"]


def caller_of(call: Call) -> Caller:
    """Who is calling, on a route that nobody uses without a key."""
    assert call.caller is not None, "the row needs a caller"
    return call.caller


def reach_of(caller: Caller) -> Reach:
    """How far the role goes."""
    role: str = caller.role
    if role == "admin" and _may(caller, "admin"):
        return "all"
    if role in {"admin", "tenant_admin"} and _may(caller, "tenant"):
        return "tenant"
    return "own"


def _may(caller: Caller, permission: str) -> bool:
    bounds = caller.bounds
    return bounds is None or bounds.permissions is None or permission in bounds.permissions


def sees(caller: Caller, tenant: str, key_id: str) -> bool:
    """Whether a thing of that tenant and key is there for the caller."""
    match reach_of(caller):
        case "all":
            return True
        case "tenant":
            return caller.tenant == tenant
        case "own":
            return (caller.tenant, caller.key_id) == (tenant, key_id)
