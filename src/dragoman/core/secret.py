"""A string that never prints itself: keys and tokens travel in this."""

from __future__ import annotations

from collections.abc import Callable

from typing_extensions import override

_REMEMBERED = 4


class Secret:
    """Holds a secret; only ``reveal`` gives it away, and only to what sends it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def shown(self) -> tuple[str, ...]:
        """Whatever ``reveal`` has given away of late: what must not be found in anything that is told."""
        return (self._value,) if self._value else ()

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
    """A secret that somebody else keeps good: each ``reveal`` gives what it is now.

    It knows what it was before: an answer to the last token may come after the next one was got.
    """

    __slots__ = ("_shown", "_source")

    def __init__(self, source: Callable[[], str]) -> None:
        super().__init__("")
        self._source = source
        self._shown: tuple[str, ...] = ()

    def reveal(self) -> str:
        """The secret of this moment; empty: there is none."""
        value = self._source()
        if value and value not in self._shown:
            self._shown = (value, *self._shown[: _REMEMBERED - 1])
        return value

    @override
    def shown(self) -> tuple[str, ...]:
        """The last few."""
        return self._shown

    def __bool__(self) -> bool:
        return bool(self._source())

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)
