"""What a caller may give to others: nobody gives more than they have, and nobody changes who may more (A8).

Whose role and scopes allow what is also asked at every use. A tenant's own scope holds for all its keys, so within
a tenant only what the caller's project and key say beyond it has to be looked at.
"""

from __future__ import annotations

from dragoman.admin.desk import Desk
from dragoman.admin.key_shapes import OWN
from dragoman.admin.reach import reach_of
from dragoman.core.call import Caller
from dragoman.core.errors import CallerError
from dragoman.core.scopes import NOTHING_SAID, Bounds, Scopes, beyond, together
from dragoman.identity.permissions import rank_of
from dragoman.identity.ports import KeyRecord


async def check_grant(
    desk: Desk, caller: Caller, like: KeyRecord, *, limits: bool = False
) -> None:
    """Refuses, with 403, a key that may more than the caller.

    ``like`` is the key as it will be, ``limits`` whether its limits are the caller's word.
    """
    check_rank(caller, like.role)
    reach = reach_of(caller)
    if reach != "all" and like.tenant != caller.tenant:
        raise _more("tenant")
    await check_scopes(desk, caller, like.scopes, like.tenant, like.project)
    if limits and reach == "tenant":
        _check_limits(desk, caller, like)


def check_rank(caller: Caller, role: str) -> None:
    """Refuses, with 403, what concerns a key whose role reaches further than the caller's."""
    if rank_of(role) > rank_of(caller.role):
        raise _more("role")


async def end_of(desk: Desk, caller: Caller) -> float | None:
    """When the key ends by which somebody manages a tenant; None: never, or it is an administrator's.

    What it gives does not outlast it: a key for a week would else be one for ever.
    """
    if reach_of(caller) == "all":
        return None
    key = await desk.keys.get(caller.key_id)
    return None if key is None else key.expires


async def check_end(desk: Desk, caller: Caller, expires: float | None, param: str) -> None:
    """Refuses, with 403, a key that would go on when the caller's has ended; ``expires`` 0 or None: for ever."""
    end = await end_of(desk, caller)
    if end is not None and (not expires or expires > end):
        raise _more(param)


async def check_scopes(
    desk: Desk, caller: Caller, scopes: Scopes, tenant: str, project: str | None
) -> None:
    """Refuses, with 403, scopes that allow what the caller's do not.

    ``project`` is where they will hold; None: they are a project's own.
    """
    if caller.bounds is None:
        return
    word = beyond(scopes, await _own_bounds(desk, caller, tenant, project))
    if word is not None:
        raise _more(f"scope.{word}")


async def _own_bounds(
    desk: Desk, caller: Caller, tenant: str, project: str | None
) -> Bounds | None:
    """What bounds the caller beyond what bounds every key of that project anyway."""
    if tenant != caller.tenant:
        return caller.bounds
    key = await desk.keys.get(caller.key_id)
    said = [NOTHING_SAID if key is None else key.scopes]
    if project != caller.project:
        mine = await desk.tenancy.project(caller.tenant, caller.project)
        said.append(NOTHING_SAID if mine is None else mine.scopes)
    return together(*said)


def _check_limits(desk: Desk, caller: Caller, like: KeyRecord) -> None:
    """Refuses, with 403, a limit that is wider than the caller's own."""
    mine = desk.limits(caller)
    theirs = desk.limits(
        Caller(like.id, like.tenant, like.name, like.role, like.limits, like.tier, like.project)
    )
    for name in OWN:
        most, wanted = getattr(mine, name), getattr(theirs, name)
        if most and (not wanted or wanted > most):
            raise _more(f"limits.{name}")


def _more(param: str) -> CallerError:
    return CallerError(
        "permission",
        f"A key may be given no more than its maker has: {param} goes beyond that.",
        code="insufficient_permissions",
        param=param,
    )
