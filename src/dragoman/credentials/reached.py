"""Other services as the gateway reaches them: each with the credentials of the tenants that have one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from dragoman.catalog.base_url import origin_of
from dragoman.catalog.service import EVERYBODY, Service
from dragoman.core.errors import CallerError
from dragoman.core.provider import Credential
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
class Shown:
    """What a call may be made with."""

    held: Held
    own: str | None = None
    """The id of a credential that the tenant has brought; None: it stands in the operator's file."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A service, and what is shown to it by whose calls."""

    service: Service
    held: Mapping[str, Held] = field(default_factory=dict)

    def of(
        self, tenant: str, brought: Sequence[Credential] = (), *, own_only: bool = False
    ) -> tuple[Shown, ...]:
        """What a tenant's calls are made with, the first first; none: it may not call.

        What it has brought goes before what the operator's file has for it, and both before what that has
        for everybody. A credential that was brought is never paid for by another one where it fails.

        Args:
            tenant: whose call it is.
            brought: its own credentials, in the order of their turn.
            own_only: whether what is everybody's is not the tenant's.

        Raises:
            CallerError: what it has brought was stored for another address than the service has now.
        """
        if brought:
            here = origin_of(self.service.base_url)
            fitting = tuple(Shown(each.secret, each.id) for each in brought if each.origin == here)
            if fitting:
                return fitting
            raise CallerError(
                "permission",
                f"Your own credential for {self.service.name} was stored for another address than the one "
                "that it has here now, and was not sent there: store it anew.",
                code="no_own_credential",
            )
        found = self.held.get(tenant) or (None if own_only else self.held.get(EVERYBODY))
        return () if found is None else (Shown(found),)
