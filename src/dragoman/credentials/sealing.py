"""What lies in files of secrets: sealed where there is a key for it, else protected by the file's mode alone.

The key is ``FERNET_KEY`` (the first of the list seals, all of them open: D22), or one in the system's keyring.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from msgspec import Struct

from dragoman.core.errors import HouseError


class _Sealed(Struct):
    """A sealed file: one member."""

    sealed: str


class Sealing:
    """Seals and opens files; without a key it writes them as they are."""

    def __init__(self, fernets: Sequence[Fernet] = ()) -> None:
        self._fernets = tuple(fernets)

    def written(self, value: object) -> bytes:
        """The JSON of a value, as it is kept."""
        if not self._fernets:
            return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
        token = self._fernets[0].encrypt(msgspec.json.encode(value))
        return msgspec.json.encode(_Sealed(token.decode())) + b"\n"

    def read(self, content: bytes, where: str) -> Any:
        """The value again.

        Raises:
            HouseError: it is damaged, or sealed by a key that is not there.
        """
        try:
            value = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _unreadable(where, "is damaged: it is no JSON") from None
        if not (isinstance(value, dict) and set(value) == {"sealed"}):
            return value
        if not self._fernets:
            raise _unreadable(where, "is sealed by FERNET_KEY or a keyring, which is not set here")
        try:
            opened = MultiFernet(self._fernets).decrypt(str(value["sealed"]).encode())
        except InvalidToken:
            raise _unreadable(
                where,
                "is not opened by any key that is set; add the one that was used before "
                "(FERNET_KEY=new,old)",
            ) from None
        return msgspec.json.decode(opened)


def _unreadable(where: str, what: str) -> HouseError:
    return HouseError("server", f"{where} {what}.", code="secret_file")
