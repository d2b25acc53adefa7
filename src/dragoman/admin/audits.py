"""The audit log, read and verified; nobody writes to it by asking."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from fastapi import Query
from pydantic import BaseModel, Field

from dragoman.accounting.report import time_of
from dragoman.admin.bench import DeskOf, room
from dragoman.admin.metrics import Moment
from dragoman.admin.paging import Asked, Listed, Word, page_of, place_of
from dragoman.admin.spans import span
from dragoman.audit.chain import Entry

router = room("audit")

_MOST = 2**62


class EntryShown(BaseModel):
    """One entry: who did what to what, and when."""

    number: int
    at: str
    action: str = Field(examples=["api_key.revoke"])
    target: str
    tenant: str = Field(description="Whose the target is; `*` is the gateway's own")
    actor: str = Field(description="Id of the key; `-` is a stranger or the command line")
    actor_tenant: str
    outcome: Literal["begun", "done", "failed", "refused"]
    request_id: str
    before: Any = Field(description="What was there, without secrets")
    after: Any = Field(description="What is there, or the code of a failure")
    previous: str = Field(description="Seal of the entry before")
    seal: str


class Filter(Asked):
    """Which entries are wanted."""

    action: Word | None = None
    actor: Word | None = None
    target: Word | None = None
    tenant: Word | None = None
    outcome: Literal["begun", "done", "failed", "refused"] | None = None
    since: Moment = None
    until: Moment = None


class Verdict(BaseModel):
    """Whether the log is whole."""

    whole: bool
    entries: int = Field(description="So many hang together from the first")
    broken_at: int | None
    trouble: str | None


def _shown(entry: Entry) -> EntryShown:
    deed = entry.deed
    return EntryShown(
        number=entry.number,
        at=time_of(entry.at_us),
        action=deed.action,
        target=deed.target,
        tenant=deed.tenant,
        actor=deed.actor,
        actor_tenant=deed.actor_tenant,
        outcome=deed.outcome,
        request_id=deed.request_id,
        before=_value(deed.before),
        after=_value(deed.after),
        previous=entry.previous,
        seal=entry.seal,
    )


def _value(text: str | None) -> Any:
    """What was there; an entry that somebody has changed is shown as it is."""
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


@router.get("/api/admin/audit")
async def list_entries(desk: DeskOf, asked: Annotated[Filter, Query()]) -> Listed[EntryShown]:
    """Entries, the newest first."""
    before = place_of(asked.cursor, int)
    since_us, until_us = span(asked.since, asked.until)
    entries = await desk.audit.page(
        before=None if before is None else max(-_MOST, min(before, _MOST)),
        limit=asked.limit + 1,
        tenant=asked.tenant,
        since_us=since_us,
        until_us=until_us,
        action=asked.action,
        actor=asked.actor,
        target=asked.target,
        outcome=asked.outcome,
    )
    return page_of(entries, asked.limit, _shown, lambda entry: entry.number)


@router.get("/api/admin/audit/verify")
async def verify(desk: DeskOf) -> Verdict:
    """Follows the whole chain from its first entry."""
    found = await desk.audit.verify()
    return Verdict(
        whole=found.number is None,
        entries=found.entries,
        broken_at=found.number,
        trouble=found.trouble or None,
    )
