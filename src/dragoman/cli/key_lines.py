"""How keys are told on the command line: as members for programs, as lines and cells for people."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dragoman.cli.output import say, say_json
from dragoman.cli.place_lines import day, scope_of
from dragoman.cli.scope_options import told_scope

if TYPE_CHECKING:
    from dragoman.identity.ports import KeyRecord

__all__ = ["UNITS", "described", "limits_of", "state_of", "tell", "told"]

UNITS = {
    "rps": "/s",
    "rpm": "/min",
    "rpd": "/day",
    "tpm": " tokens/min",
    "tpd": " tokens/day",
    "max_tokens": " tokens",
    "concurrency": " at once",
}
"""Limits, and what stands behind their numbers."""


def described(record: KeyRecord) -> dict[str, object]:
    """A key, for programs."""
    return {
        "name": record.name,
        "label": record.label,
        "tenant": record.tenant,
        "project": record.project,
        "role": record.role,
        "tier": record.tier,
        "limits": {name: getattr(record.limits, name) for name in UNITS},
        "scope": scope_of(record.scopes),
        "user_id": record.user_id,
        "created": record.created,
        "expires": record.expires,
        "suspended": record.suspended,
        "revoked": record.revoked,
        "previous_until": record.previous_until,
    }


def limits_of(record: KeyRecord) -> str:
    """A key's limits in one cell."""
    told = [f"tier {record.tier}"] if record.tier is not None else []
    for name, unit in UNITS.items():
        number = getattr(record.limits, name)
        if number is not None:
            told.append(f"{number}{unit}" if number else f"no {name}")
    return ", ".join(told) or "none"


def state_of(record: KeyRecord) -> str:
    """How a key is, in one cell."""
    if record.revoked is not None:
        return f"revoked {day(record.revoked)}"
    if record.expires is not None and record.expires <= time.time():
        return f"expired {day(record.expires)}"
    if record.suspended is not None:
        return f"suspended {day(record.suspended)}"
    return "valid" if record.expires is None else f"valid until {day(record.expires)}"


def tell(record: KeyRecord, done: str = "", *, as_json: bool) -> None:
    """One key, and what was done to it."""
    if as_json:
        say_json({"id": record.id, **described(record)})
        return
    for line in told(record, done):
        say(line)


def told(record: KeyRecord, done: str = "") -> Iterator[str]:
    """One key in lines for people, and what was done to it."""
    label = "" if record.label is None else f", label {record.label!r}"
    yield f"Key {record.id} of {record.name!r}{label}{done}: {state_of(record)}."
    yield f"Tenant {record.tenant!r}, project {record.project!r}, role {record.role}."
    yield f"Limits: {limits_of(record)}. It may use: {told_scope(record.scopes)}."
    if record.previous_until is not None and record.previous_until > time.time():
        left = int(record.previous_until - time.time())
        yield f"The secret that it had before counts for {left} seconds more."
