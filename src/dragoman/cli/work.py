"""Work of a command that has to be awaited: what fails in it ends the program with its sentence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from dragoman.cli.output import fail
from dragoman.cli.progress import working

__all__ = ["done", "done_with"]

_T = TypeVar("_T")
_S = TypeVar("_S")


def done(work: Coroutine[Any, Any, _T], *, as_json: bool, what: str = "Working") -> _T:
    """What came of the work; ``what`` is told while it is under way, to a person who looks on."""
    import asyncio

    from dragoman.core.errors import GatewayError

    try:
        with working(what):
            return asyncio.run(work)
    except GatewayError as error:
        from dragoman.store.engine import told_reason

        fail(told_reason(error), as_json=as_json)


def done_with(
    opening: AbstractAsyncContextManager[_S],
    work: Callable[[_S], Awaitable[_T]],
    *,
    as_json: bool,
) -> _T:
    """What came of the work with something that is open as long as it lasts."""

    async def opened() -> _T:
        async with opening as found:
            return await work(found)

    return done(opened(), as_json=as_json)
