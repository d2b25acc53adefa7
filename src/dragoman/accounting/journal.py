"""The journal of one process: what it writes here survives its own kill -9 (D26).

A process owns the files ``<tag>.<number>.journal`` and holds the flock of ``<tag>.lock``; the
system frees that lock when the process dies, however it dies, and then any other may drain
the files (``drain.py``). A plain ``os.write`` to a file in append mode is in the kernel's
hands when it returns, which is all that a killed process needs; a killed *host* needs
``usage_durability = "host"`` besides (``durability.py``).

At ``rotate_bytes`` a new file begins, and a file is deleted once no call needs it: each call
counts itself in for every file that holds a record of it, and out when SQL has its rows.

Disk full: ``append`` raises and the call is refused before it costs money; ``append_or_hold``,
for what has already cost money, keeps the frame in memory and writes it first thing when
there is room again. ``full`` shows it meanwhile.

All of this runs in the event loop's thread; nothing here waits but for the kernel's own copy.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from dragoman.accounting.records import frame, frame_into

ROTATE_BYTES = 16 << 20

Write: TypeAlias = Callable[[int, bytes | bytearray], int]
"""``os.write``, or what a test puts in its place: a full disk, a write that tears."""


def journal_files(folder: Path, tag: str) -> list[Path]:
    """The files of one process, oldest first."""
    return sorted(folder.glob(f"{tag}.*.journal"))


def claim(folder: Path, tag: str) -> int | None:
    """The lock of a process's journal as an open descriptor; None while its owner lives.

    The owner's last act is to unlink the lock file, so a lock taken on a file that is no longer
    there is worth nothing.
    """
    path = folder / f"{tag}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def release(folder: Path, tag: str, lock: int, *, empty: bool) -> None:
    """Frees the lock; its file goes too where no journal is left under it."""
    if empty:
        (folder / f"{tag}.lock").unlink(missing_ok=True)
    os.close(lock)


class Unsynced(NamedTuple):
    """A descriptor to sync and close, of which file, and the frames that this makes durable."""

    number: int
    descriptor: int
    frames: int


class Journal:
    """The append-only files of this process; ``close`` leaves only what SQL does not have."""

    def __init__(
        self,
        folder: Path,
        tag: str,
        *,
        rotate_bytes: int = ROTATE_BYTES,
        write: Write = os.write,
        remember_unsynced: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = claim(folder, tag)
        if lock is None:
            raise FileExistsError(errno.EEXIST, "The journal's tag is in use", f"{folder}/{tag}")
        self.folder = folder
        self.tag = tag
        self.full = False
        """Whether the last write failed."""
        self._lock = lock
        self._rotate_bytes = rotate_bytes
        self._write = write
        self._buffer = bytearray()
        self._held: deque[bytes] = deque()
        self._needed: defaultdict[int, int] = defaultdict(int)
        self._unsynced: list[bytes] | None = [] if remember_unsynced else None
        self._number = 0
        self._descriptor = -1
        self._size = 0
        try:
            self._begin_file()
        except OSError:
            release(folder, tag, lock, empty=True)
            raise

    @property
    def held(self) -> int:
        """Frames in memory that the full disk refused."""
        return len(self._held)

    def _path(self, number: int) -> Path:
        return self.folder / f"{self.tag}.{number:06}.journal"

    def _begin_file(self) -> None:
        """Goes on in the next file; on failure everything stays as it was."""
        number = self._number + 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._path(number), flags, 0o600)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        before = self._number
        self._number, self._descriptor, self._size = number, descriptor, 0
        if before and not self._needed.get(before):
            self._needed.pop(before, None)
            self._path(before).unlink(missing_ok=True)

    def append(self, record: Struct, last: int = 0) -> int:
        """Writes a record and returns the number of its file; OSError if it could not.

        ``last`` is the number that the call's record before this one got: the call counts
        itself into a file once.
        """
        buffer = self._buffer
        frame_into(record, buffer)
        if self._held:
            self._put_held()
        self._put(buffer)
        self.full = False
        number = self._number
        if number != last:
            self._needed[number] += 1
        if self._size >= self._rotate_bytes:
            self.rotate()
        return number

    def append_or_hold(self, record: Struct, last: int = 0) -> int:
        """As ``append``; where the disk is full the frame is kept in memory until it is not."""
        try:
            return self.append(record, last)
        except OSError:
            self._held.append(frame(record))
            number = self._number
            if number != last:
                self._needed[number] += 1
            return number

    def _put_held(self) -> None:
        while self._held:
            self._put(self._held[0])
            self._held.popleft()

    def write_held(self) -> bool:
        """Tries again to write what the full disk refused; whether nothing is held any more."""
        try:
            self._put_held()
        except OSError:
            return False
        self.full = False
        return True

    def _put(self, data: bytes | bytearray) -> None:
        try:
            written = self._write(self._descriptor, data)
        except OSError:
            self.full = True
            raise
        if written != len(data):
            self.full = True
            self._cut_off()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written
        if self._unsynced is not None:
            self._unsynced.append(bytes(data))

    def _cut_off(self) -> None:
        """Takes half a frame back; a file that cannot be cut ends there, and a new one begins."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            self._begin_file()

    def rotate(self) -> None:
        """Begins a new file; where that fails the old one simply grows on."""
        try:
            if self._unsynced is not None:
                os.fdatasync(self._descriptor)
                self._unsynced.clear()
            self._begin_file()
        except OSError:
            self.full = True

    def let_go(self, number: int, calls: int = 1) -> None:
        """SQL has the rows of so many calls of this file; the file goes with the last of them."""
        left = self._needed[number] - calls
        self._needed[number] = left
        if left == 0 and number != self._number:
            del self._needed[number]
            self._path(number).unlink(missing_ok=True)

    def path_of(self, number: int) -> Path:
        """Where the file of that number lies."""
        return self._path(number)

    def unsynced(self) -> Unsynced:
        """What a sync that begins now will have made durable when it returns."""
        return Unsynced(self._number, os.dup(self._descriptor), len(self._unsynced or ()))

    def synced(self, done: Unsynced) -> None:
        """These frames are on the disk; a rotation in the meantime has seen to them already."""
        if self._unsynced is not None and done.number == self._number:
            del self._unsynced[: done.frames]

    def sync_failed(self, failed: Unsynced) -> bool:
        """Writes all that was not yet durable to a new file; whether that worked.

        After a failed fsync the kernel holds the pages for clean, and the next fsync lies; so the
        old file is never synced again (`reliability.md` D11). Both files stay to the end.
        """
        if self._unsynced is None or failed.number != self._number:
            return True
        self._held.extendleft(reversed(self._unsynced))
        self._unsynced.clear()
        self._needed[self._number] += 1
        try:
            self._begin_file()
        except OSError:
            self.full = True
            return False
        self._needed[self._number] = 1
        return self.write_held()

    def close(self) -> None:
        """Ends the journal; files that a call still needs stay for whoever drains them."""
        if self._held:
            self.write_held()
        os.close(self._descriptor)
        pinned = {number for number, calls in self._needed.items() if calls > 0}
        if self._number not in pinned:
            self._path(self._number).unlink(missing_ok=True)
        release(self.folder, self.tag, self._lock, empty=not pinned)
