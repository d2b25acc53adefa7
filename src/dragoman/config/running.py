"""What a running gateway leaves in its folder of the home: where it is, and the file in force.

The folder is the one of ``telemetry/siblings.py``, locked while its owner lives. Commands find the gateway
there and ask it by a signal; workers find the configuration that one of them has accepted.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

_GATEWAY = "gateway.json"
_OUTCOME = "outcome.json"
_IN_FORCE = "dragoman.toml"
_TAKEN = "taken."
_FIRST = "first"

T = TypeVar("T", bound=Struct)


class RunningGateway(Struct, frozen=True):
    """A gateway that serves on this home."""

    pid: int
    """Of the process that takes signals."""
    port: int
    file: str
    """Its configuration file, as an absolute path."""


class Taken(Struct, frozen=True):
    """What one worker made of the configuration that was put down."""

    stamp: int
    error: str = ""


class Outcome(Struct, frozen=True):
    """What became of a reload."""

    at: int
    """Unix nanoseconds."""
    ok: bool
    version: str
    """Of the file that is now in force."""
    error: str = ""
    changed: tuple[str, ...] = ()
    """What is different now."""
    restart: tuple[str, ...] = ()
    """What the file says otherwise, and only a restart takes over."""
    workers: int = 1
    """Workers that serve by it."""
    behind: tuple[str, ...] = ()
    """Workers that do not, and why."""


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file that nobody sees half of, readable by its owner alone."""
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(part).replace(path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise


def announce(folder: Path, gateway: RunningGateway) -> None:
    """Tells commands where the gateway is."""
    write_whole(folder / _GATEWAY, msgspec.json.encode(gateway))


def tell_outcome(folder: Path, outcome: Outcome) -> None:
    """Tells whoever asked by a signal what became of it."""
    write_whole(folder / _OUTCOME, msgspec.json.encode(outcome))


def read_outcome(folder: Path) -> Outcome | None:
    """What became of the last reload; None: there was none."""
    return _read(folder / _OUTCOME, Outcome)


def put_in_force(folder: Path, text: str) -> int:
    """Puts down the configuration that all workers are to serve by; its stamp."""
    write_whole(folder / _IN_FORCE, text.encode())
    return stamp_of(folder)


def in_force(folder: Path) -> str | None:
    """The configuration that the gateway serves by; None: it has not said."""
    try:
        return (folder / _IN_FORCE).read_text(encoding="utf-8")
    except OSError:
        return None


def stamp_of(folder: Path) -> int:
    """Which configuration was put down; a later one has a larger stamp."""
    try:
        return (folder / _IN_FORCE).stat().st_mtime_ns
    except OSError:
        return 0


def tell_taken(folder: Path, taken: Taken) -> None:
    """Tells the others what this worker made of it."""
    write_whole(folder / f"{_TAKEN}{os.getpid()}", msgspec.json.encode(taken))


def taken_by(folder: Path) -> Iterator[tuple[int, Taken]]:
    """What each living worker has made of it."""
    for file in folder.glob(f"{_TAKEN}[0-9]*"):
        pid = int(file.suffix[1:])
        taken = _read(file, Taken)
        if taken is not None and _lives(pid):
            yield pid, taken


def is_first(folder: Path) -> bool:
    """Whether nobody of this gateway has asked before, nor anybody else serves on its home."""
    try:
        (folder / _FIRST).touch(exist_ok=False)
    except OSError:
        return False
    return all(other == folder for other, _ in running_gateways(folder.parent))


def running_gateways(home: Path) -> list[tuple[Path, RunningGateway]]:
    """The gateways that serve on this home, with their folders."""
    found = []
    for folder in sorted(home.glob("workers-*")):
        gateway = _read(folder / _GATEWAY, RunningGateway)
        if gateway is not None and _is_owned(folder):
            found.append((folder, gateway))
    return found


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def _is_owned(folder: Path) -> bool:
    """Whether a living process holds the folder's lock."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
