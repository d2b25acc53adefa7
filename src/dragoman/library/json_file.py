"""JSON files that callers, people and several processes share.

A file that is absent is not one that cannot be read, and neither is one that is no JSON (R-ADD-007). A file is
written beside its place and renamed into it: readers see the old or the new one, never half. What is read,
changed and written again is held by a lock of the folder's.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dragoman.library.failures import CallError

_LOCK = ".lock"


class _Here:
    """The lock of this process's threads; a child of ``fork`` has one that nobody holds."""

    def __init__(self) -> None:
        self.lock = threading.RLock()

    def renew(self) -> None:
        """Forgets who held it."""
        self.lock = threading.RLock()


_here = _Here()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_here.renew)


class DamagedError(CallError):
    """A file is there and is no JSON object."""


def read_json(path: Path) -> dict[str, Any] | None:
    """What a file holds; None where there is none.

    Raises:
        DamagedError: it is no JSON object.
        CallError: it cannot be read now, which says nothing of what is in it.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CallError(f"{path} cannot be read: {error.strerror}.", code="file_error") from None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path} is no JSON: {error}.", code="file_damaged") from None
    if not isinstance(value, dict):
        raise DamagedError(f"{path} holds no JSON object.", code="file_damaged")
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Puts a whole file in the place of what is there.

    Raises:
        CallError: it cannot be written.
    """
    beside = _beside(path)
    try:
        beside.write_text(_text(value), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise CallError(
            f"{path} cannot be written: {error.strerror}.", code="file_error"
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def create_json(path: Path, value: dict[str, Any], mode: int = 0o666) -> bool:
    """Writes a file that was not there; whether it was so. One that is there is never overwritten.

    ``mode`` is who may read it, less what the process's umask takes.

    Raises:
        CallError: it cannot be written.
    """
    if path.exists():
        return False
    beside = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.touch(mode)
        beside.write_text(_text(value), encoding="utf-8")
        # A link, unlike a rename, leaves alone what somebody else was quicker to write.
        os.link(beside, path)
    except FileExistsError:
        return False
    except OSError as error:
        raise CallError(
            f"{path} cannot be created: {error.strerror}.", code="file_error"
        ) from None
    finally:
        beside.unlink(missing_ok=True)
    return True


def change_json(
    path: Path, template: Callable[[], dict[str, Any]], change: Callable[[dict[str, Any]], None]
) -> None:
    """Reads a file, changes what it holds and writes it; the folder's lock is held by whoever calls.

    One that is absent begins as the template. One that is no JSON is put aside as ``NAME.damaged-TIME``
    and begins anew.

    Raises:
        CallError: it cannot be read or written; nothing is changed then.
    """
    try:
        value = read_json(path)
    except DamagedError:
        path.replace(path.with_name(f"{path.name}.damaged-{time.time_ns()}"))
        value = None
    if value is None:
        value = template()
    change(value)
    write_json(path, value)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder's files against other threads and processes.

    Raises:
        CallError: the folder cannot be written to.
    """
    with _here.lock:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            told = f"{folder} cannot be written to: {error.strerror}."
            raise CallError(told, code="file_error") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
