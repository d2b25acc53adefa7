"""An event loop in a thread of its own, for programs that block: the library and the clients of other services.

There is one in a process, begun by the first who needs it; any number of threads may wait for what it does.
A child of ``fork`` gets its own: the thread does not come along.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

__all__ = ["at_end", "run"]

_T = TypeVar("_T")
_PATIENCE_S = 10.0


class _State:
    """The loop of this process, and what is closed before it ends."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.closing: list[Callable[[], Awaitable[None]]] = []
        self.registered = False


_state = _State()


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """What comes of the work, done in the loop's thread; its exceptions are raised here.

    Raises:
        RuntimeError: called from the loop's own thread, which would wait for itself.
    """
    loop = _loop()
    if _is_own(loop):
        work.close()
        raise RuntimeError("Work of the background loop must not wait for that loop.")
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        # Ctrl-C in the thread that waits ends the work as well.
        future.cancel()
        raise


def at_end(close: Callable[[], Awaitable[None]]) -> None:
    """Has something closed in the loop when the program ends, the last first."""
    _state.closing.append(close)


def _is_own(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _loop() -> asyncio.AbstractEventLoop:
    with _state.lock:
        if _state.loop is None:
            loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="dragoman", daemon=True).start()
            _state.loop = loop
            if not _state.registered:
                _state.registered = True
                atexit.register(_end)
        return _state.loop


def _end() -> None:
    """Closes what is open, the ledger's buffer written; the program waits for that a little."""
    loop = _state.loop
    if loop is None:
        return
    future = asyncio.run_coroutine_threadsafe(_close_all(), loop)
    try:
        future.result(_PATIENCE_S)
    except Exception:  # noqa: BLE001  the journal has what was not written
        future.cancel()
    loop.call_soon_threadsafe(loop.stop)
    _state.loop = None


async def _close_all() -> None:
    while _state.closing:
        await _state.closing.pop()()


def _forget() -> None:
    _state.lock = threading.Lock()
    _state.loop, _state.closing = None, []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
