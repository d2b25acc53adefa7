"""What is administered, as commands work on it: on the database itself, every change in the audit log (K13)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from dragoman.cli.work import done_with

if TYPE_CHECKING:
    from dragoman.audit.noting import Note
    from dragoman.config.settings import Settings
    from dragoman.store.administered import Administered
    from dragoman.store.sql.audit import SqlAudit

__all__ = ["noted", "where_keys_are", "with_stored"]

_T = TypeVar("_T")
COMMAND_LINE = "-"
"""Who it was, in the log: whoever can reach the database."""
HOUSE = "*"
"""Whose things are that are no tenant's."""


def noted(
    audit: SqlAudit, action: str, target: str, tenant: str = HOUSE, *, before: Any = None
) -> AbstractAsyncContextManager[Note]:
    """A change that is made while the block runs; ``before`` is what is there, without secrets."""
    from dragoman.audit.chain import Deed, told
    from dragoman.audit.noting import noted

    begun = Deed(action, target, tenant, COMMAND_LINE, COMMAND_LINE, "begun", before=told(before))
    return noted(begun, audit.append, audit.append)


def with_stored(
    work: Callable[[Administered], Awaitable[_T]], settings: Settings, *, as_json: bool
) -> _T:
    """What the work gives on what is administered; it ends the program where it cannot."""
    from dragoman.stores import open_administered_alone

    return done_with(open_administered_alone(settings), work, as_json=as_json)


def where_keys_are(settings: Settings) -> str:
    """The database's file, or its kind alone: a URL may hold a password."""
    kind, _, file = settings.database.partition(":///")
    return file if kind == "sqlite" else kind.partition(":")[0]
