"""A backup as a file: one stream of rows that either kind of database can be made from.

Gzip around: eight bytes that name the form, then msgpack values, each behind its length: a ``Head``, for
each table a ``TableHead`` and pieces of its rows (lists of lists, in the head's order), and a ``Tail``
with the number of rows and the SHA-256 of everything before it. Nothing in it is unsealed: secrets are
the tokens that stand in the database, and open only with FERNET_KEY or the file beside it.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

import msgspec
from msgspec import Struct

from dragoman.core.errors import HouseError

MAGIC = b"DRGMBAK1"
SQLITE_MAGIC = b"SQLite format 3\x00"
PIECE = 500
"""Rows that are written together."""
_LENGTH = struct.Struct(">I")
_LARGEST = 1 << 31
_COMPRESSION = 3
_encode = msgspec.msgpack.Encoder().encode

Row: TypeAlias = Sequence[Any]


class Head(Struct, frozen=True, tag="head"):
    """What the backup is of."""

    schema: str
    """The version of the tables."""
    backend: str
    dragoman: str
    """The version of the program that wrote it."""
    made_ms: int


class TableHead(Struct, frozen=True, tag="table"):
    """The rows that follow are of this table."""

    name: str
    columns: tuple[str, ...]


class Rows(Struct, frozen=True, tag="rows"):
    """Some rows of the table whose head came last."""

    rows: list[list[Any]]


class Tail(Struct, frozen=True, tag="tail"):
    """The end: without it the file is not whole."""

    rows: int
    sha256: bytes


Piece: TypeAlias = Head | TableHead | Rows | Tail
_DECODER = msgspec.msgpack.Decoder(Piece)


class Writer:
    """Writes pieces, and the sum over them at the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sum = hashlib.sha256()
        self.rows = 0
        file.write(MAGIC)

    def put(self, piece: Head | TableHead | Rows) -> None:
        """Writes one piece."""
        if isinstance(piece, Rows):
            self.rows += len(piece.rows)
        frame = _framed(piece)
        self._sum.update(frame)
        self._file.write(frame)

    def end(self) -> None:
        """Writes the tail."""
        self._file.write(_framed(Tail(self.rows, self._sum.digest())))


def _framed(piece: Piece) -> bytes:
    data = _encode(piece)
    return _LENGTH.pack(len(data)) + data


@contextmanager
def new_backup(path: Path) -> Iterator[Writer]:
    """Writes a backup that is whole or not there at all, readable by its owner alone.

    Raises:
        HouseError: the folder or the disk does not take it.
    """
    with whole_file(path) as part:
        try:
            with (
                part.open("wb") as raw,
                gzip.GzipFile(
                    fileobj=raw, mode="wb", compresslevel=_COMPRESSION, mtime=0
                ) as zipped,
            ):
                writer = Writer(cast("IO[bytes]", zipped))
                yield writer
                writer.end()
        except OSError as error:
            raise _unwritable(path, error) from None


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that takes its name at the end, and is gone if the block fails."""
    with scratch_file(path) as part:
        yield part
        try:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            raise _unwritable(path, error) from None


@contextmanager
def scratch_file(path: Path) -> Iterator[Path]:
    """A file beside ``path`` for its owner alone, which is gone after the block with all that SQLite adds."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise _unwritable(path, error) from None
    part = Path(name)
    try:
        yield part
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            part.with_name(part.name + suffix).unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> HouseError:
    return _refused(path, f"cannot be written ({error.strerror})")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_pieces(path: Path) -> Iterator[Head | TableHead | Rows]:
    """The pieces in their order; the sum is checked at the end, so nothing counts before it.

    Raises:
        HouseError: it is no backup, or not whole, or was changed.
    """
    expected = hashlib.sha256()
    rows = 0
    try:
        with gzip.open(path, "rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise _refused(path, "is no backup of Dragoman's")
            while True:
                frame = _frame(file, path)
                piece = _DECODER.decode(frame[_LENGTH.size :])
                if isinstance(piece, Tail):
                    if piece != Tail(rows, expected.digest()):
                        raise _refused(path, "was changed since it was written: its sum is wrong")
                    if file.read(1):
                        raise _refused(path, "goes on behind its end")
                    return
                expected.update(frame)
                if isinstance(piece, Rows):
                    rows += len(piece.rows)
                yield piece
    except gzip.BadGzipFile:
        raise _refused(path, "is no backup of Dragoman's, or is damaged") from None
    except (EOFError, zlib.error):
        raise _refused(path, "is damaged: it breaks off in the middle") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _refused(path, "is damaged: a piece of it cannot be read") from None
    except OSError as error:
        raise _refused(path, f"cannot be read ({error.strerror})") from None


def _frame(file: gzip.GzipFile, path: Path) -> bytes:
    length = file.read(_LENGTH.size)
    if len(length) != _LENGTH.size:
        raise _refused(path, "is damaged: it has no end")
    (size,) = _LENGTH.unpack(length)
    if size > _LARGEST:
        raise _refused(path, "is damaged: a piece of it cannot be read")
    data = file.read(size)
    if len(data) != size:
        raise _refused(path, "is damaged: it breaks off in the middle")
    return length + data


def read_head(path: Path) -> Head:
    """Reads all of a backup, and gives its head if the file is whole.

    Raises:
        HouseError: as ``read_pieces``.
    """
    head: Head | None = None
    table: TableHead | None = None
    for number, piece in enumerate(read_pieces(path)):
        if isinstance(piece, Head) != (number == 0):
            raise _refused(path, "is no backup: its head is not at its beginning")
        match piece:
            case Head():
                head = piece
            case TableHead():
                table = piece
            case Rows(rows):
                if table is None or any(len(row) != len(table.columns) for row in rows):
                    raise _refused(path, "is no backup: rows do not fit their table")
    if head is None:
        raise _refused(path, "is empty")
    return head


def is_sqlite(path: Path) -> bool:
    """Whether the file is a SQLite database.

    Raises:
        HouseError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
    except OSError as error:
        raise _refused(path, f"cannot be read ({error.strerror})") from None


def _refused(path: Path, what: str) -> HouseError:
    return HouseError("server", f"The backup {path} {what}.", code="configuration_error")
