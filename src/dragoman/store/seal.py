"""Seals the database's own secrets: by FERNET_KEY where it is set, else by a file beside it.

What is sealed is random and made with the database (D19, D22), so a stolen copy of the
database opens nothing. ``FERNET_KEY`` is a comma list: the first key seals, all open, hence
a key is rotated by putting the new one first. Beside what is sealed stands by which key, as a
mark that gives nothing of it away: what an older one has sealed is found without opening anything.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from dragoman.core.errors import HouseError

if TYPE_CHECKING:
    from collections.abc import Sequence

SealedBy: TypeAlias = str
"""``file``, or ``fernet:`` and the mark of the key; ``fernet`` alone where an older version has sealed it."""
FERNET = "fernet"
FILE = "file"
_FILE = "secret"
_MARK = 9


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret at rest, and what it was sealed by."""

    token: bytes
    by: SealedBy


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals and opens secrets; without Fernet keys by the file ``secret`` in ``home``."""

    home: Path
    fernets: Sequence[Fernet]
    marks: Sequence[SealedBy] = ()
    """Of each of them, what stands beside what it seals."""

    @property
    def current(self) -> SealedBy:
        """What stands beside what is sealed now."""
        return self.marks[0] if self.fernets else FILE

    def seal(self, secret: bytes) -> Sealed:
        """The secret, sealed by the key that is in force."""
        if self.fernets:
            return Sealed(self.fernets[0].encrypt(secret), self.current)
        return Sealed(self._file_key(make=True).encrypt(secret), FILE)

    def open(self, sealed: Sealed) -> bytes:
        """The secret; a ``HouseError`` that says what to do if no key of ours opens it."""
        try:
            if sealed.by == FILE:
                return self._file_key(make=False).decrypt(sealed.token)
            if self.fernets:
                return MultiFernet(self.fernets).decrypt(sealed.token)
        except InvalidToken:
            if sealed.by == FILE:
                raise _refusal(
                    f"are sealed by another file than {self._path}",
                    "restore the one that was made with the database",
                ) from None
            raise _refusal(
                "are not opened by any key in FERNET_KEY",
                "add the key that was used before (new ones first: FERNET_KEY=new,old)",
            ) from None
        raise _refusal("are sealed by FERNET_KEY, which is not set", "set it as it was before")

    def is_current(self, sealed: Sealed) -> bool:
        """Whether the key in force has sealed it, rather than an older one; what bears no mark has not."""
        return sealed.by == self.current

    @property
    def _path(self) -> Path:
        return self.home / _FILE

    def _file_key(self, *, make: bool) -> Fernet:
        if make:
            self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make_once(self._path, Fernet.generate_key())
        try:
            return Fernet(self._path.read_bytes().strip())
        except OSError as error:
            raise _refusal(
                f"are sealed by the file {self._path}, which cannot be read ({error.strerror})",
                "bring it back from where you keep it: no backup of the database has it",
            ) from None
        except ValueError:
            raise _refusal(
                f"are sealed by the file {self._path}, which is damaged",
                "bring it back from where you keep it: no backup of the database has it",
            ) from None


def _make_once(path: Path, content: bytes) -> None:
    """Writes a file for its owner alone, whole or not at all, unless it is there already."""
    if path.exists():
        return
    descriptor, draft = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike a rename, never replaces what another process made
        except FileExistsError:
            return
    finally:
        os.unlink(draft)  # noqa: PTH108 - as tempfile named it


def _refusal(what: str, remedy: str) -> HouseError:
    return HouseError(
        "server", f"The database's secrets {what}: {remedy}.", code="configuration_error"
    )


def open_sealer(home: Path, fernet_keys: str | None) -> Sealer:
    """The sealer of this process; ``fernet_keys`` is FERNET_KEY's comma list."""
    fernets: list[Fernet] = []
    marks: list[SealedBy] = []
    for number, key in enumerate((fernet_keys or "").split(","), start=1):
        if not key.strip():
            continue
        try:
            fernets.append(Fernet(key.strip()))
            marks.append(_mark(key.strip()))
        except ValueError:
            raise HouseError(
                "server",
                f"FERNET_KEY: key {number} is not 32 bytes in URL-safe base64; make one with: python3 -c "
                "'import base64,os;print(base64.urlsafe_b64encode(os.urandom(32)).decode())'",
                code="configuration_error",
            ) from None
    return Sealer(home, tuple(fernets), tuple(marks))


def _mark(key: str) -> SealedBy:
    """Of 256 random bits a digest tells nothing; the prefix keeps it from being the digest of anything else."""
    said = base64.urlsafe_b64decode(key)  # several spellings of a key are one key
    return f"{FERNET}:{hashlib.sha256(b'dragoman mark ' + said).hexdigest()[:_MARK]}"
