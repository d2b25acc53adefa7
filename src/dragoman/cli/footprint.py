"""How much an installation is: the packages that Dragoman needs, without extras, and their size."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from msgspec import Struct

from dragoman.cli.markers import Requirement, holds, normalised, parse_requirement

__all__ = ["Extra", "Footprint", "extras", "measure"]

Find = Callable[[str], Distribution]


class Footprint(Struct, frozen=True):
    """What the base installs."""

    packages: dict[str, int]
    """Name → bytes on disk, Dragoman's own included."""
    missing: tuple[str, ...] = ()
    """Needed and not installed."""

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(self.packages.values())


class Extra(Struct, frozen=True):
    """An optional part, and what of it is not installed."""

    name: str
    missing: tuple[str, ...]


def measure(name: str = "dragoman", find: Find = distribution) -> Footprint:
    """Walks the requirements of ``name``; ``PackageNotFoundError`` if it is not installed itself."""
    packages = {normalised(name): _size(find(name))}
    missing: list[str] = []
    seen: set[tuple[str, str]] = set()
    pending = _needs(find(name), "")
    while pending:
        need = pending.pop()
        wanted = {(need.name, extra) for extra in ("", *need.extras)} - seen
        if not wanted:
            continue
        seen |= wanted
        try:
            found = find(need.name)
        except PackageNotFoundError:
            missing.append(need.name)
            continue
        packages.setdefault(need.name, _size(found))
        for _, extra in wanted:
            pending.extend(_needs(found, extra))
    return Footprint(dict(sorted(packages.items())), tuple(sorted(set(missing))))


def extras(name: str = "dragoman", find: Find = distribution) -> list[Extra]:
    """The optional parts of ``name``."""
    here = find(name)
    base = {need.name for need in _needs(here, "")}
    told: list[Extra] = []
    for extra in here.metadata.get_all("Provides-Extra") or []:
        needs = {need.name for need in _needs(here, extra)} - base - {normalised(name)}
        if needs:
            told.append(Extra(extra, tuple(sorted(n for n in needs if not _is_there(n, find)))))
    return told


def _is_there(name: str, find: Find) -> bool:
    try:
        find(name)
    except PackageNotFoundError:
        return False
    return True


def _needs(found: Distribution, extra: str) -> list[Requirement]:
    needs: Iterable[Requirement] = (parse_requirement(line) for line in found.requires or [])
    return [need for need in needs if holds(need.marker, extra)]


def _size(found: Distribution) -> int:
    """Bytes of a package's files; bytecode is not counted, since installers differ in making it."""
    total = 0
    for file in found.files or []:
        if not file.name.endswith(".pyc"):
            try:
                total += found.locate_file(file).stat().st_size  # type: ignore[attr-defined]  # a Path in fact
            except OSError:
                continue
    return total
