"""A string that never prints itself: keys and tokens travel in this."""

from __future__ import annotations

from collections.abc import Callable


class Secret:
    """Holds a secret; only ``reveal`` gives it away, and only to what sends it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class LiveSecret(Secret):
    """A secret that somebody else keeps good: each ``reveal`` gives what it is now."""

    __slots__ = ("_source",)

    def __init__(self, source: Callable[[], str]) -> None:
        super().__init__("")
        self._source = source

    def reveal(self) -> str:
        """The secret of this moment; empty: there is none."""
        return self._source()

    def __bool__(self) -> bool:
        return bool(self._source())

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)
