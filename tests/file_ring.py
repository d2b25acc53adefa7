"""A keyring of the library ``keyring``, in a file that FILE_RING names: PYTHON_KEYRING_BACKEND=file_ring.FileRing.

It keeps what it is given, and nothing of it is like the stores that are tested with it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError


class FileRing(KeyringBackend):
    """Passwords by service and name; locked while a file of that name lies beside it."""

    priority = 1

    @property
    def place(self) -> Path:
        return Path(os.environ["FILE_RING"])

    def all(self) -> dict[str, str]:
        if self.place.with_suffix(".locked").exists():
            raise KeyringLocked("locked")
        return json.loads(self.place.read_text()) if self.place.exists() else {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.all().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self.place.write_text(json.dumps({**self.all(), f"{service}/{username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        kept = self.all()
        if kept.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError("not found")
        self.place.write_text(json.dumps(kept))


class BrokenRing(FileRing):
    """Fails as systems do, with an error that is none of the library's."""

    def get_password(self, service: str, username: str) -> str | None:
        raise OSError(f"no bus for {service}")
