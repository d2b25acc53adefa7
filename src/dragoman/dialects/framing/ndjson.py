"""Lines of JSON: bytes → lines, however the bytes are cut.

One object stands on each line and its own bytes are kept, so that a relay can pass them on as
they came (D1). Lines end in LF or CRLF; blank ones are no line, for the clients of such
streams decode every one that they get (P9). A last line without its end is given at the close.
"""

from __future__ import annotations

from dragoman.core.errors import UpstreamError

_BOM = b"\xef\xbb\xbf"

LIMIT = 32 * 1024 * 1024
"""Bytes of one line; media inside a line is legal and large (P25), endless lines are not (S11)."""


class NdjsonLines:
    """Cuts a byte stream into lines without their ends; one for each response."""

    __slots__ = ("_limit", "_parts", "_size", "_started")

    def __init__(self, limit: int = LIMIT) -> None:
        self._parts: list[bytes] = []
        """Pieces of the line that has not ended: joined once, however many there are."""
        self._size = 0
        self._started = False
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that ``data`` completes.

        Raises:
            UpstreamError: a line grows beyond the limit.
        """
        end = data.rfind(b"\n")
        if end < 0:
            self._keep(data)
            return []
        whole = b"".join([*self._parts, data[:end]])
        self._parts, self._size = [], 0
        self._keep(data[end + 1 :])
        return self._lines(whole)

    def close(self) -> list[bytes]:
        """The line that was still open at the end of the bytes, if it says anything."""
        rest = b"".join(self._parts)
        self._parts, self._size = [], 0
        return self._lines(rest)

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._limit:
            raise UpstreamError(
                "upstream",
                f"The provider sent a line of more than {self._limit} bytes.",
                code="frame_too_large",
            )

    def _lines(self, whole: bytes) -> list[bytes]:
        if not self._started and whole:
            whole = whole.removeprefix(_BOM)
            self._started = True
        return [line for piece in whole.split(b"\n") if (line := piece.strip(b" \t\r"))]
