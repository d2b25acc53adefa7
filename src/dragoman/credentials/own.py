"""What tenants bring along: credentials of their own at providers, and whether they may use any others.

A credential is shown with its first and last characters alone; the value is opened for the calls of its
own tenant, and for nobody else. It is bound to the address that its provider had when it was stored, as
who can say another address must not come by it (F12).
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from dragoman.catalog.schema import Keyed
from dragoman.core.secret import Secret

OWN = "own_"
"""What the id of every tenant's credential begins with, and no id of the house's."""
MOST = 256
"""Credentials of one tenant."""
HEAVIEST = 1000


class OwnCredential(Struct, frozen=True):
    """A credential as it may be shown; times are Unix milliseconds."""

    id: str
    tenant: str
    provider: str
    name: str
    preview: str
    origin: str
    """The only place that it may be sent to (``https://api.example.com:443``)."""
    weight: int = 1
    disabled: bool = False
    created_ms: int = 0
    changed_ms: int = 0
    used_ms: int | None = None
    """When it was last sent, give or take a minute."""


class OwnRule(Struct, frozen=True):
    """Whether a tenant's calls are made with its own credentials alone, and who says so."""

    tenant: str
    by_operator: bool = False
    by_tenant: bool = False
    """Which it may take back, and with it nothing of what the operator has said."""

    @property
    def own_only(self) -> bool:
        """Whether they are."""
        return self.by_operator or self.by_tenant


class Holding(Struct, frozen=True):
    """What one tenant's calls are made with."""

    own_only: bool = False
    """Providers for which the tenant has none of its own serve it nothing."""
    keyed: Mapping[str, tuple[Keyed, ...]] = {}
    """Its credentials that are not disabled, by provider."""

    def __bool__(self) -> bool:
        return self.own_only or bool(self.keyed)


NOTHING = Holding()


class Opened(Struct, frozen=True):
    """A credential with its value, for whoever tries it out."""

    credential: OwnCredential
    secret: Secret


def is_own(credential: str | None) -> bool:
    """Whether a credential's id is of a tenant's own: then it is the tenant whom the provider bills."""
    return credential is not None and credential.startswith(OWN)
