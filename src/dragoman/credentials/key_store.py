"""A user's own keys of providers: in a ``.env`` file of the secrets folder, or in the system's keyring.

The file is the lowest layer of the environment: what a shell exports, and a ``.env`` beside the program, go
before it. Only names that the catalogue knows are read from it. A change is written whole, and every line that
is not changed stays as somebody has written it (R-CRED-001, R-CRED-002, R-CRED-004).
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from dotenv.parser import parse_stream

from dragoman.catalog.schema import Definition
from dragoman.core.errors import HouseError
from dragoman.credentials.private_files import (
    Mended,
    held,
    private_folder,
    read_private,
    write_new,
    write_private,
)

FILE_NAME = ".env"
_SERVICE = "dragoman"
_PLAIN = re.compile(r"[!-~]+")
_BARE = re.compile(r"[A-Za-z0-9_.:/+=@-]+")
"""What needs no quotes in such a file."""


class KeyStore(Protocol):
    """Where keys are kept, by the names of their environment variables."""

    place: str
    """What people are told of where it is."""

    def get(self, name: str) -> str | None:
        """The value; None: there is none."""
        ...

    def put(self, name: str, value: str) -> None:
        """Keeps it in the place of the one before."""
        ...

    def remove(self, name: str) -> bool:
        """Forgets it; False: there was none."""
        ...


def template(known: Iterable[Definition]) -> str:
    """The first file: every name that may be said, and nothing said."""
    lines = [
        "# Your keys of AI providers, for your eyes alone. One is set by: dragoman set-key PROVIDER",
        "# What a shell exports, and a .env file beside a program, go before what stands here.",
    ]
    for definition in known:
        if definition.env.key and not definition.listed_by:
            form = definition.key_format.prefix
            lines += ["", f"# {definition.name}" + (f": begins with {form}" if form else "")]
            lines.append(f"#{definition.env.key[0]}=")
    return "\n".join(lines) + "\n"


def _untold(_: Path) -> None:
    """Nobody wants to know."""


class FileKeys:
    """The file ``.env`` of the secrets folder."""

    def __init__(self, folder: Path, mended: Mended = _untold) -> None:
        self.path = folder / FILE_NAME
        self.place = str(self.path)
        self._mended = mended

    def make(self, text: str) -> bool:
        """Writes the first file; False: there is one, and it was left alone."""
        private_folder(self.path.parent, self._mended)
        return write_new(self.path, text.encode())

    def all(self) -> dict[str, str]:
        """Every name with a value.

        Raises:
            HouseError: the file cannot be read; the message names the line, and nothing of it.
        """
        if not self.path.parent.exists():
            return {}
        private_folder(self.path.parent, self._mended)
        found: dict[str, str] = {}
        for binding in self._lines():
            if binding.key and binding.value:
                found[binding.key] = binding.value
        return found

    def get(self, name: str) -> str | None:
        """As ``KeyStore``."""
        return self.all().get(name)

    def put(self, name: str, value: str) -> None:
        """As ``KeyStore``.

        Raises:
            HouseError: the value cannot be a key, or the file not be written.
        """
        if not _PLAIN.fullmatch(value):
            raise HouseError(
                "server", "A key is of visible ASCII characters, without blanks.", code="bad_key"
            )
        self._change(name, f"{name}={value if _BARE.fullmatch(value) else _quoted(value)}\n")

    def remove(self, name: str) -> bool:
        """As ``KeyStore``."""
        if name not in self.all():
            return False
        self._change(name, "")
        return True

    def _change(self, name: str, line: str) -> None:
        private_folder(self.path.parent, self._mended)
        with held(self.path):
            kept: list[str] = []
            place: int | None = None
            for binding in self._lines():
                text = binding.original.string
                if binding.key == name:
                    place = len(kept) if place is None else place
                    continue
                if place is None and text.strip() == f"#{name}=" and line:
                    place = len(kept)  # the template's own line
                    continue
                kept.append(text if text.endswith("\n") else f"{text}\n")
            kept.insert(len(kept) if place is None else place, line)
            write_private(self.path, "".join(kept).encode())

    def _lines(self) -> list[Any]:
        content = read_private(self.path, self._mended)
        if content is None:
            return []
        try:
            # One line at a time: the parser joins comments to what follows them.
            lines = content.decode().splitlines(keepends=True)
        except UnicodeDecodeError:
            raise HouseError("server", f"{self.path} is not UTF-8.", code="secret_file") from None
        found = []
        for number, line in enumerate(lines, 1):
            for binding in parse_stream(io.StringIO(line)):
                if binding.error:
                    raise HouseError(
                        "server",
                        f"{self.path}, line {number}, cannot be read: say NAME=value.",
                        code="secret_file",
                    )
                found.append(binding)
        return found


class RingKeys:
    """The system's keyring: Keychain, Secret Service, Windows' Credential Locker."""

    place = "the system's keyring"

    def __init__(self) -> None:
        try:
            self._ring: Any = importlib.import_module("keyring")
        except ModuleNotFoundError:
            raise HouseError(
                "server",
                "CREDENTIAL_STORE=keyring needs the extra [keyring]: pip install 'dragoman[keyring]'",
                code="missing_extra",
            ) from None

    def get(self, name: str) -> str | None:
        """As ``KeyStore``.

        Raises:
            HouseError: there is no keyring here, or it stays locked.
        """
        value = self._asked("get_password", name)
        return value if isinstance(value, str) and value else None

    def put(self, name: str, value: str) -> None:
        """As ``KeyStore``.

        Raises:
            HouseError: as ``get``; or it keeps nothing, as keyring's ``null`` does.
        """
        self._asked("set_password", name, value)
        if self.get(name) != value:
            raise _unusable("it keeps nothing")

    def remove(self, name: str) -> bool:
        """As ``KeyStore``."""
        if self.get(name) is None:
            return False
        self._asked("delete_password", name)
        return True

    def _asked(self, what: str, *said: str) -> object:
        """Has the keyring do it; which one that is, it finds out with the first question."""
        try:
            return getattr(self._ring, what)(_SERVICE, *said)
        except Exception as error:  # noqa: BLE001  not every backend turns its system's errors into keyring's
            raise _unusable(type(error).__name__) from None


def _unusable(why: str) -> HouseError:
    return HouseError(
        "server",
        f"The system's keyring cannot be used ({why}): unlock it, or set CREDENTIAL_STORE=file.",
        code="keyring",
    )


def open_store(kind: str, folder: Path, mended: Mended = _untold) -> KeyStore:
    """The store of that kind, ``file`` or ``keyring``.

    Raises:
        HouseError: the keyring's extra is missing.
    """
    return RingKeys() if kind == "keyring" else FileKeys(folder, mended)


def stored(store: KeyStore, names: Iterable[str]) -> dict[str, str]:
    """What it has of those names."""
    if isinstance(store, FileKeys):
        everything: Mapping[str, str] = store.all()
        return {name: everything[name] for name in names if name in everything}
    found = {name: store.get(name) for name in names}
    return {name: value for name, value in found.items() if value}


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
