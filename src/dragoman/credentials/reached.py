"""Other services as the gateway reaches them: each with the credentials of the tenants that have one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from dragoman.catalog.service import EVERYBODY, Service
from dragoman.core.secret import Secret
from dragoman.credentials.token import Token


class Login(Protocol):
    """A login that is kept fresh; asking it may take a while, and is done in a thread."""

    def is_due(self) -> bool:
        """Whether the next ``current`` may have to ask somebody."""
        ...

    def current(self) -> Token:
        """A token that is good for some time yet."""
        ...

    def renewed(self, refused: str) -> Token:
        """Another token than the one that was refused."""
        ...


Held: TypeAlias = Secret | Login


@dataclass(frozen=True, slots=True)
class Reached:
    """A service, and what is shown to it by whose calls."""

    service: Service
    held: Mapping[str, Held] = field(default_factory=dict)

    def of(self, tenant: str) -> Held | None:
        """What a tenant's calls are made with: its own, else everybody's; None: it may not call."""
        return self.held.get(tenant) or self.held.get(EVERYBODY)
