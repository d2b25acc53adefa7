"""``keys.json``: the keys that are stored, for people and programs that look at files (R-AUTH-003).

It is written and never read back: a start that stored what stands in a file would undo what an older backup was
restored for, and whoever can write the file could make himself a key. There is no digest in it, so nothing could
be stored from it. A file of that name that is not ours holds raw keys, AnyGPT's, and is left as it is.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from dragoman.config.data_files import data_file, write_data_file
from dragoman.core.errors import GatewayError, invalid
from dragoman.file_shapes import KEYS_OBJECT, KeysFile, schema_of
from dragoman.services import Services

if TYPE_CHECKING:
    from dragoman.store.engine import Database
    from dragoman.store.sql.secrets import SecretVersions

MOST_MIRRORED = 10_000
"""Keys beyond which the file is only written by ``dragoman export``: making it holds up whoever is served."""
_SHARE = 50
"""The part of its time that a process spends on the file is one of so many."""


async def keys_file(database: Database, peppers: SecretVersions | None = None) -> KeysFile:
    """Every key with its tenant and project; with its digests, where the peppers are said."""
    from dragoman.store.sql.key_rows import (  # noqa: PLC0415  SQL only where it is needed
        key_rows,
        pepper_marks,
        place_rows,
    )

    rows = await key_rows(database, with_digests=peppers is not None)
    tenants, projects = await place_rows(database)
    marks = {} if peppers is None else pepper_marks(peppers)
    return KeysFile(KEYS_OBJECT, rows, marks, tenants=tenants, projects=projects)


async def mirror_keys(services: Services, every_s: float) -> None:
    """Keeps the file up to date, until cancelled; of several processes, one does."""
    path = data_file(services.settings, "keys.json")
    lock: int | None = None
    written, told = b"", ""
    try:
        while True:
            begun, trouble = time.monotonic(), ""
            try:
                lock = await asyncio.to_thread(_locked, path) if lock is None else lock
                if lock is not None:
                    written = await _written(services, path, written)
            except OSError as error:
                trouble = f"it cannot be written: {error.strerror}"
            except GatewayError as error:
                trouble = error.message
            if trouble and trouble != told:
                services.log.event("warn", "data file not written", file=path.name, error=trouble)
            told = trouble
            await asyncio.sleep(max(every_s, _SHARE * (time.monotonic() - begun)))
    finally:
        if lock is not None:
            os.close(lock)


async def _written(services: Services, path: Path, before: bytes) -> bytes:
    from dragoman.store.sql.key_rows import key_count  # noqa: PLC0415  SQL only where it is needed

    if (number := await key_count(services.database)) > MOST_MIRRORED:
        raise invalid(
            f"there are {number} keys, of more than {MOST_MIRRORED} it is not kept up to date: "
            "`dragoman export DIR` writes it."
        )
    data = msgspec.json.encode(await keys_file(services.database))
    if data != before:
        await asyncio.to_thread(_write, path, data, is_first=not before)
    return data


def _write(path: Path, data: bytes, *, is_first: bool) -> None:
    if not _is_ours(path):
        raise invalid(
            f"{path} was not written by Dragoman and is left as it is: `dragoman import json "
            f"{path.parent}` stores its keys; delete it afterwards."
        )
    write_data_file(path, msgspec.json.format(data, indent=2) + b"\n")
    if is_first:
        write_data_file(path.with_name("keys.schema.json"), schema_of("keys.schema.json"))


class _Head(Struct, frozen=True):
    object: str


def _is_ours(path: Path) -> bool:
    try:
        head = msgspec.json.decode(path.read_bytes(), type=_Head)
    except FileNotFoundError:
        return True
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return head.object == KEYS_OBJECT


def _locked(path: Path) -> int | None:
    """What only one process holds at a time, and loses with its end; None: another holds it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
