"""Where the workers of one gateway leave their numbers for one another, so that ``/metrics`` sums.

One of them is asked, and nobody can choose which: so each writes its numbers to a file of its
own, about once a second, and who is asked adds the others' to its own. A file outlives its
worker, for a counter may not fall while the gateway runs; the folder ends with the gateway. Its
owner holds a lock on it, so that the next start knows which folders nobody owns any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from dragoman.core.errors import HouseError
from dragoman.telemetry.numbers import Numbers, decode_numbers

PUBLISH_S = 1.0
_PREFIX = "workers-"


class Siblings:
    """The folder, as one worker sees it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # The time keeps what a dead worker counted from one that gets its number again.
        self._own = folder / f"{os.getpid()}.{time.time_ns()}"
        self._written = b""

    def write(self, data: bytes) -> None:
        """Writes this worker's numbers if they have changed; a full disk only makes them old."""
        if data == self._written:
            return
        part = self._own.with_name(f".{self._own.name}")
        try:
            part.write_bytes(data)
            part.replace(self._own)
        except OSError:
            return
        self._written = data

    def read(self) -> Iterator[tuple[int, bool, Numbers]]:
        """The others' numbers: whose, whether it lives, what it counted."""
        for file in sorted(self._folder.glob("[0-9]*")):
            if file == self._own:
                continue
            try:
                numbers = decode_numbers(file.read_bytes())
            except (OSError, msgspec.DecodeError):
                continue
            pid = int(file.name.partition(".")[0])
            yield pid, _lives(pid), numbers


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def workers_folder(home: Path) -> Iterator[Path]:
    """A folder for the workers' numbers, there while the block runs.

    Raises:
        HouseError: it cannot be made.
    """
    for left in home.glob(f"{_PREFIX}*"):
        lock = _lock(left)
        if lock is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
    except OSError as error:
        raise HouseError(
            "server",
            f"The folder {home} cannot be written to ({error.strerror}): check its owner, or set "
            "DRAGOMAN_HOME.",
            code="configuration_error",
        ) from None
    lock = _lock(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """A lock on the folder that ends with this process; None where another holds it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None  # another start was quicker to remove it
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
