"""Files that only their owner may read: made so, mended where they are wider, written whole or not at all.

A crash at any moment leaves the old file or the new one. What is wider than it should be and belongs to
somebody else is refused: we can neither mend it nor know who has read it. Locks hold between threads as
well as between processes, and end with whoever held them.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dragoman.core.errors import HouseError

_FOLDER = 0o700
_FILE = 0o600
_WIDER = 0o077
_PATIENCE_S = 60.0
_TURN_S = 0.02

Mended = Callable[[Path], object]
"""Told of a file or folder that others could read until now."""


def _untold(_: Path) -> None:
    """Nobody wants to know."""


def trouble(path: Path, what: str) -> HouseError:
    """Why a secret file cannot be used, and what to do."""
    return HouseError("server", f"{path} {what}", code="secret_file")


def private_folder(path: Path, mended: Mended = _untold) -> Path:
    """The folder for secrets, made if it is not there, and open to its owner alone.

    Raises:
        HouseError: it cannot be made, belongs to somebody else, or is one that others need.
    """
    _make(path)
    found = path.stat()
    wide = stat.S_IMODE(found.st_mode) & _WIDER
    if wide and (found.st_mode & stat.S_ISVTX or path.resolve() in {Path("/"), Path.home()}):
        raise trouble(path, "is used by others: choose a folder of its own for secrets.")
    _mend(path, found, _FOLDER, mended)
    return path


def _make(path: Path) -> None:
    """Makes the folder and what it lies in, each for its owner alone."""
    try:
        for each in (*reversed(path.parents), path):
            if not each.exists():
                each.mkdir(mode=_FOLDER, exist_ok=True)
    except OSError as error:
        raise trouble(path, f"cannot be made: {error.strerror}.") from None


def _mend(path: Path, found: os.stat_result, mode: int, mended: Mended) -> None:
    if not stat.S_IMODE(found.st_mode) & _WIDER:
        return
    if found.st_uid != os.geteuid():
        raise trouble(
            path,
            f"may be read by others and belongs to user {found.st_uid}: it holds secrets, so have its "
            f"owner run: chmod {mode:o} {path}",
        )
    try:
        path.chmod(mode)
    except OSError as error:
        raise trouble(
            path, f"may be read by others and cannot be mended ({error.strerror})."
        ) from None
    mended(path)


def read_private(path: Path, mended: Mended = _untold) -> bytes | None:
    """What the file holds; None: there is no such file.

    Raises:
        HouseError: it cannot be read, is no file, or others may read it and it is not ours to mend.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise trouble(path, "is no file.")
        _mend(path, found, _FILE, mended)
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise trouble(path, f"cannot be read: {error.strerror}.") from None


def write_private(path: Path, content: bytes) -> None:
    """Puts the content in the file's place, in one step.

    Raises:
        HouseError: it cannot be written; the old one is as it was.
    """
    _make(path.parent)
    draft: str | None = None
    try:
        descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
        _lasting(path.parent)
    except OSError as error:
        if draft is not None:
            with suppress(OSError):
                Path(draft).unlink()
        raise trouble(
            path, f"cannot be written: {error.strerror}; the old one is as it was."
        ) from None


def write_new(path: Path, content: bytes) -> bool:
    """Writes a file that is not there yet; False: it is there, and was left alone."""
    _make(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE)
    except FileExistsError:
        return False
    except OSError as error:
        raise trouble(path, f"cannot be written: {error.strerror}.") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return True


def remove(path: Path) -> bool:
    """Removes the file; False: there was none."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise trouble(path, f"cannot be removed: {error.strerror}.") from None
    return True


def _lasting(folder: Path) -> None:
    """Has the folder itself survive a loss of power, where its file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def held(path: Path, patience_s: float = _PATIENCE_S) -> Iterator[None]:
    """Holds the lock beside a file: one thread of one process at a time.

    Raises:
        HouseError: somebody else has held it for longer than the patience lasts.
    """
    _make(path.parent)
    lock = path.with_name(f".{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE)
    except OSError as error:
        raise trouble(lock, f"cannot be opened: {error.strerror}.") from None
    try:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise trouble(
                        path, f"is held by another process for more than {patience_s:g} seconds."
                    ) from None
                time.sleep(_TURN_S)
        yield
    finally:
        os.close(descriptor)
