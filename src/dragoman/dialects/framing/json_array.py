"""A JSON array that grows: bytes → its elements, however the bytes are cut (P10).

Gemini streams so where ``alt=sse`` is not asked for. Objects that stand one after another without
an array around them are taken as well, for some errors come that way.
"""

from __future__ import annotations

import re

from dragoman.core.errors import UpstreamError
from dragoman.dialects.framing.sse import LIMIT

_SIGN = re.compile(rb'["{}\[\]]')
_STRING_END = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class ArrayElements:
    """Cuts a byte stream into the objects of an array; one for each response."""

    __slots__ = ("_buffer", "_depth", "_limit", "_position", "_start")

    def __init__(self, limit: int = LIMIT) -> None:
        self._buffer = b""
        self._position = 0
        self._depth = 0
        self._start = 0
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """The elements that ``data`` completes.

        Raises:
            UpstreamError: an element grows beyond the limit.
        """
        buffer = self._buffer + data
        position, found = self._position, []
        while sign := _SIGN.search(buffer, position):
            mark = sign[0]
            if mark == b'"':
                end = _STRING_END.match(buffer, sign.end())
                if end is None:  # the string goes on in bytes to come
                    position = sign.start()
                    break
                position = end.end()
                continue
            position = sign.end()
            if self._depth == 0 and mark == b"{":
                self._start, self._depth = sign.start(), 1
            elif self._depth > 0:
                self._depth += 1 if mark in b"{[" else -1
                if self._depth == 0:
                    found.append(buffer[self._start : position])
        else:
            position = len(buffer)
        keep = self._start if self._depth else position
        self._buffer, self._position, self._start = buffer[keep:], position - keep, 0
        if len(self._buffer) > self._limit:
            raise UpstreamError(
                "upstream",
                f"The provider sent an event of more than {self._limit} bytes.",
                code="frame_too_large",
            )
        return found

    @property
    def half(self) -> bool:
        """Whether an element has begun and not ended."""
        return self._depth > 0
