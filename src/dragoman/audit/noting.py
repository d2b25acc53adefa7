"""A change that is written down before it is made, and how it ended after it (K13), whoever makes it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from msgspec.structs import replace

from dragoman.audit.chain import Deed, told
from dragoman.core.errors import GatewayError, code_of

Append: TypeAlias = Callable[[Deed], Awaitable[object]]


@dataclass(slots=True)
class Note:
    """What is told of a deed at its end."""

    target: str
    after: Any = None


@asynccontextmanager
async def noted(begun: Deed, append: Append, end: Append) -> AsyncIterator[Note]:
    """Writes down that a deed has begun, and what became of it when the block is over.

    Args:
        begun: what is done to what, by whom.
        append: adds its beginning to the log; where it cannot, nothing may be done.
        end: adds its end.
    """
    await append(begun)
    note = Note(begun.target)
    try:
        yield note
    except BaseException as error:
        why = code_of(error) if isinstance(error, GatewayError) else type(error).__name__
        await end(replace(begun, target=note.target, outcome="failed", after=told(why)))
        raise
    await end(
        replace(begun, target=note.target, outcome="done", before=None, after=told(note.after))
    )
