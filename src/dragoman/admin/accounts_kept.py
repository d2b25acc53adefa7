"""What the admin room needs of OB-1's accounts, and of the way to seal an attempt to log in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dragoman.core.provider import Rotation
from dragoman.credentials.account_work import Begun, Renewal
from dragoman.credentials.accounts import Account, Standing
from dragoman.credentials.log_in import Polled
from dragoman.credentials.token import Token


class Work(Protocol):
    """The accounts; all of it reads and writes files or asks servers, and belongs into a thread."""

    def standings(self) -> list[Standing]:
        """How each stands."""
        ...

    def renew(self, account: str | None = None) -> list[Renewal]:
        """Renews one, or all; empty: there is none of that name."""
        ...

    def remove(self, account: str) -> bool:
        """Forgets one; whether it was there."""
        ...

    def take(self, accounts: Sequence[Account]) -> tuple[list[str], list[str]]:
        """Takes some over; those that are new, and those replaced."""
        ...

    def give(self, names: Collection[str]) -> list[dict[str, Any]]:
        """Those of these names, with their tokens."""
        ...

    def begin(self, seal: Callable[[bytes], str]) -> Begun:
        """Asks for a code that a person types."""
        ...

    def poll(self, opened: bytes | None) -> Polled | None:
        """Whether it was typed; None: there was no such attempt."""
        ...

    def keep(self, token: Token) -> str:
        """Keeps the account of a new login; its name."""
        ...


@dataclass(frozen=True, slots=True)
class Ob1:
    """OB-1, as this process is configured for it."""

    work: Callable[[], Work]
    """The accounts, as the configuration in force has them; asked for anew each time, and in a thread."""
    seal: Callable[[bytes], str]
    open: Callable[[str], bytes | None]
    """What was sealed by any process of this gateway; None: this was not."""
    rotation: Callable[[], Rotation]
    """Whose turn it is, as the configuration says."""
    proxy: Callable[[], str | None]
    """The proxy that it is reached by, without the way to prove oneself there."""
