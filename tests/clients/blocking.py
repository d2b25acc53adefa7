"""An async client driven from plain code, so that one story serves both kinds of clients.

A story is written once, as a user of the plain client writes it; over the async client the same
lines await, iterate and enter what comes back. What is no coroutine, iterator, context manager or
part of a client is handed out as it is.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any


class Blocking:
    """Any object of an async SDK, each wait of which is waited for."""

    def __init__(self, value: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._value = value
        self._loop = loop

    def _wait(self, value: Any) -> Any:
        if inspect.isawaitable(value):
            value = self._loop.run_until_complete(value)
        return Blocking(value, self._loop) if _waits(value) else value

    def __getattr__(self, name: str) -> Any:
        return self._wait(getattr(self._value, name))

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self._wait(self._value(*given, **named))

    def __iter__(self) -> Any:
        each = aiter(self._value)
        while True:
            try:
                item = self._loop.run_until_complete(anext(each))
            except StopAsyncIteration:
                return
            yield self._wait(item)

    def __enter__(self) -> Any:
        return self._wait(self._value.__aenter__())

    def __exit__(self, *failure: object) -> Any:
        return self._loop.run_until_complete(self._value.__aexit__(*failure))


def _waits(value: Any) -> bool:
    return (
        hasattr(value, "__aiter__")
        or hasattr(value, "__aenter__")
        or inspect.isroutine(value)
        or hasattr(value, "http_response")
        or type(value).__name__.startswith("Async")
    )
