"""Who calls the library, and where its JSON files are: read off the stack (R-CFG-003).

The nearest file under ``flow/``, ``prax/`` or ``skills/skills_*/`` is the caller. Without one it is the nearest
file that is a program's own: not this package's, not the standard library's, not an installed package's. The
files of whoever lives in a folder ``X`` are in ``X/X_json``.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from functools import cache
from pathlib import Path
from types import FrameType

from msgspec import Struct

from dragoman.library.failures import CallError

ROOTS = ("flow", "prax")
"""Folders whose files are callers."""
_OWN = str(Path(__file__).resolve().parents[1])
_SKILL = "_skill"


class Place(Struct, frozen=True):
    """A caller's name, and the folder of its JSON files."""

    name: str
    folder: Path


def place_of(
    caller: str | None, home: Path, frame: FrameType | None = None, folder: Path | None = None
) -> Place:
    """The place of who calls.

    Args:
        caller: its name, perhaps a chain such as ``orchestrator->skill1`` (R-USE-014); None: off the stack.
        home: where callers live that have no file of their own, such as a shell.
        frame: where the stack begins; None: here.
        folder: the JSON folder, where the caller says it.

    Raises:
        CallError: nobody named a caller, and the stack shows none (R-CFG-018).
    """
    if caller is not None and not caller.strip():
        raise CallError("caller is empty: say who calls, or leave it out.", code="no_caller")
    found = detect(frame if frame is not None else sys._getframe(1))  # noqa: SLF001  no other way
    if caller is None:
        if found is None:
            raise CallError(
                "The caller cannot be found: no file of a program's own is on the stack. "
                'Say it: caller="my_program".',
                code="no_caller",
            )
        return found if folder is None else Place(found.name, folder)
    if folder is None:
        folder = found.folder if found is not None else _at_home(caller, home)
    return Place(caller, folder)


def detect(frame: FrameType | None) -> Place | None:
    """The caller on the stack from ``frame`` outwards; None where nobody is."""
    nearest: Place | None = None
    seen: set[str] = set()
    while frame is not None:
        name = frame.f_code.co_filename
        frame = frame.f_back
        if name in seen:
            continue
        seen.add(name)
        if _is_foreign(name):
            continue
        path = Path(name).resolve()
        known = recognised(path)
        if known is not None:
            return known
        nearest = nearest or _anywhere(path)
    return nearest


def recognised(path: Path) -> Place | None:
    """The caller that a file under ``flow/``, ``prax/`` or ``skills/skills_*/`` is."""
    for folder in path.parents:
        if folder.name in ROOTS:
            return Place(_name(path), json_folder(folder))
        if folder.name.startswith("skills_") and folder.parent.name == "skills":
            return Place(_name(path).removesuffix(_SKILL), json_folder(folder))
    return None


def json_folder(folder: Path) -> Path:
    """``X`` → ``X/X_json``."""
    return folder / f"{folder.name}_json"


def first_of(caller: str) -> str:
    """The first element of a chain of callers."""
    return caller.partition("->")[0].strip()


def _anywhere(path: Path) -> Place:
    return Place(_name(path), json_folder(path.parent))


def _name(path: Path) -> str:
    return path.parent.name if path.stem in {"__main__", "__init__"} else path.stem


def _at_home(caller: str, home: Path) -> Path:
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", first_of(caller)).lstrip(".") or "caller"
    return json_folder(home / name)


@cache
def _installed() -> tuple[str, ...]:
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = {sysconfig.get_path(kind) for kind in kinds}
    return tuple(str(Path(path).resolve()) for path in paths if path)


def _is_foreign(name: str) -> bool:
    """Whether a code's file is no program's own."""
    if name.startswith("<"):
        return True
    path = Path(name).resolve()
    text = str(path)
    inside = any(text.startswith(f"{folder}/") for folder in (*_installed(), _OWN))
    return inside or "site-packages" in path.parts or not path.is_file()
