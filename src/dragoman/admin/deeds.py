"""Every change goes through here: it is written down before it is made, and how it ended after it (K13)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from dragoman.admin.desk import Desk
from dragoman.audit.chain import Deed, told
from dragoman.audit.noting import Note, noted
from dragoman.core.call import Call
from dragoman.core.errors import GatewayError

HOUSE_TENANT = "*"
"""Whose things are that are no tenant's."""
STRANGER = "-"


def deed(
    desk: Desk,
    call: Call,
    action: str,
    target: str,
    *,
    tenant: str = HOUSE_TENANT,
    before: Any = None,
) -> AbstractAsyncContextManager[Note]:
    """A change that is made while the block runs.

    Args:
        desk: with the audit log.
        call: whose caller makes the change.
        action: ``noun.verb``.
        target: the id of what is changed, empty while it has none.
        tenant: whose it is.
        before: what is there, without secrets.

    Raises:
        HouseError: the log cannot be written, and so nothing was changed.
    """
    caller = call.caller
    begun = Deed(
        action=action,
        target=target,
        tenant=tenant,
        actor=STRANGER if caller is None else caller.key_id,
        actor_tenant=STRANGER if caller is None else caller.tenant,
        outcome="begun",
        request_id=call.request_id,
        before=told(before),
    )
    return noted(begun, desk.audit.append, partial(_end, desk))


async def _end(desk: Desk, ended: Deed) -> None:
    """The end of a deed whose beginning is in the log: that it cannot be written changes nothing any more."""
    try:
        entry = await desk.audit.append(ended)
    except GatewayError as error:
        desk.log("error", "audit entry lost", action=ended.action, error=error.message)
        return
    desk.log(
        "info",
        "audit",
        number=entry.number,
        action=ended.action,
        target=ended.target,
        actor=ended.actor,
        outcome=ended.outcome,
        seal=entry.seal,
    )


async def refused(desk: Desk, call: Call, row: str) -> None:
    """Writes down what somebody tried who may not."""
    caller = call.caller
    assert caller is not None, "who is refused was known"
    await _end(
        desk,
        Deed(
            action="access.refused",
            target=row,
            tenant=caller.tenant,
            actor=caller.key_id,
            actor_tenant=caller.tenant,
            outcome="refused",
            request_id=call.request_id,
        ),
    )
