"""Where one login's token lies: a file that is written whole, with a note beside it while it is renewed.

The note says that a refresh token has been shown to the server and that nothing has been kept of the answer
yet. A crash leaves it behind, and whoever comes next knows why the old refresh token may be used up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from dragoman.catalog.login import Login
from dragoman.credentials.private_files import Mended, held, read_private, remove, write_private
from dragoman.credentials.sealing import Sealing
from dragoman.credentials.token import Token, read_google, read_own, write_google, write_own


class Shelf(Protocol):
    """The one place where a token is kept."""

    def load(self) -> Token | None:
        """The token; None: nobody has logged in."""
        ...

    def save(self, token: Token) -> None:
        """Keeps it in the place of the one before."""
        ...

    def forget(self) -> bool:
        """Removes it; False: there was none."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Holds the lock under which it is renewed."""
        ...

    def begin(self, token: Token) -> None:
        """Notes that the token's refresh token is about to be shown."""
        ...

    def was_interrupted(self, token: Token) -> bool:
        """Whether somebody has shown it and never came back."""
        ...

    def end(self) -> None:
        """The answer has been kept, or it is known that there was none."""
        ...


_Reader = Callable[[dict[str, Any]], Token | None]
_Writer = Callable[[Token], dict[str, Any]]
_FORMS: dict[str, tuple[_Reader, _Writer]] = {
    "own": (read_own, write_own),
    "google": (read_google, write_google),
}


def _untold(_: Path) -> None:
    """Nobody wants to know."""


class TokenFile:
    """A file with one token."""

    def __init__(
        self, path: Path, sealing: Sealing, form: str = "own", mended: Mended = _untold
    ) -> None:
        self.path = path
        self._sealing = sealing
        self._read, self._write = _FORMS[form]
        self._mended = mended
        self._note = RefreshNote(path)

    def load(self) -> Token | None:
        """As ``Shelf``.

        Raises:
            HouseError: the file cannot be read, or not be opened.
        """
        content = read_private(self.path, self._mended)
        if content is None:
            return None
        table = self._sealing.read(content, str(self.path))
        return self._read(table) if isinstance(table, dict) else None

    def save(self, token: Token) -> None:
        """As ``Shelf``."""
        write_private(self.path, self._sealing.written(self._write(token)))

    def forget(self) -> bool:
        """As ``Shelf``."""
        self._note.end()
        return remove(self.path)

    def alone(self) -> AbstractContextManager[None]:
        """As ``Shelf``."""
        return held(self.path)

    def begin(self, token: Token) -> None:
        """As ``Shelf``."""
        self._note.begin(token)

    def was_interrupted(self, token: Token) -> bool:
        """As ``Shelf``."""
        return self._note.was_interrupted(token)

    def end(self) -> None:
        """As ``Shelf``."""
        self._note.end()


class RefreshNote:
    """The note beside a file, ``.NAME.refreshing``: a digest of the token that is renewed, never the token."""

    def __init__(self, path: Path, whose: str = "") -> None:
        self.path = path.with_name(f".{path.name}{whose and '.' + _digest(whose)}.refreshing")

    def begin(self, token: Token) -> None:
        """Notes that the refresh token of this one is about to be shown."""
        write_private(self.path, _digest_of(token))

    def was_interrupted(self, token: Token) -> bool:
        """Whether a note of this token was left behind."""
        return read_private(self.path) == _digest_of(token)

    def end(self) -> None:
        """Takes the note away."""
        remove(self.path)


def _digest_of(token: Token) -> bytes:
    """Of both: a server that lets the refresh token be gives another access token all the same."""
    refresh = token.refresh.reveal() if token.refresh else ""
    return _digest(f"{token.access.reveal()} {refresh}").encode()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def path_of(login: Login, folder: Path) -> Path:
    """Where a login's tokens lie, given the secrets folder."""
    return folder / Path(login.file_name).expanduser()
