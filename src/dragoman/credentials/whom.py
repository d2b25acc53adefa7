"""Whom a tenant's own credential may be stored for: a provider, or a service that the operator has named.

A service is stored as ``services/NAME``, so that a provider of the same name is another. Which services tenants
reach is the operator's to say, for their addresses may be inside its network: a tenant brings a credential for
those alone whose row says ``bring``, while an administrator stores one for any.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from dragoman.catalog.base_url import origin_of
from dragoman.catalog.keys import wrong_form
from dragoman.catalog.nearest import nearest
from dragoman.catalog.registry import Registry
from dragoman.catalog.schema import Definition
from dragoman.catalog.service import PREFIX, Service
from dragoman.core.errors import invalid


class Whom(Struct, frozen=True):
    """Somebody to whom credentials are shown."""

    name: str
    """As it is stored: a provider's name, or ``services/NAME``."""
    origin: str
    """The only place that what is stored now may be sent to."""
    definition: Definition | None = None
    """A provider's, which knows how its keys look; None: a service."""
    bring: bool = True
    """Whether tenants may bring their own by themselves."""

    def fault(self, key: str) -> str | None:
        """What makes it no key of theirs, in words."""
        return None if self.definition is None else wrong_form(self.definition, key)


def find(name: str, registry: Registry, services: Mapping[str, Service]) -> Whom | None:
    """Who is stored under a name; None: nobody is there of that name any more."""
    if name.startswith(PREFIX):
        service = services.get(name.removeprefix(PREFIX))
        if service is None:
            return None
        return Whom(name, origin_of(service.base_url), bring=service.bring)
    provider = registry.reachable(name)
    if provider is None or provider.stub:
        return None
    return Whom(name, origin_of(provider.base_url), registry.definitions.get(name))


def whom(
    said: str, registry: Registry, services: Mapping[str, Service], *, by_tenant: bool = False
) -> Whom:
    """Whom somebody means who stores a credential: a bare name is a provider's first, and a service's then.

    Raises:
        CallerError: nobody is there of that name, or the tenant may not bring one for it.
    """
    found = find(said, registry, services)
    if found is None and not said.startswith(PREFIX):
        found = find(PREFIX + said, registry, services)
    if found is None or (by_tenant and not found.bring):
        known = sorted(
            {
                *(name for name, each in registry.providers.items() if not each.stub),
                *registry.dormant,
                *(PREFIX + each.name for each in services.values() if each.bring or not by_tenant),
            }
        )
        near = nearest(said, known, 3)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise invalid(
            f"There is no provider or service {said[:80]!a} here{hint}.",
            "provider",
            "invalid_field_value",
        )
    if found.definition is not None and found.definition.listed_by:
        raise invalid(
            f"{said} is another surface of {found.definition.listed_by}: name that one.",
            "provider",
            "invalid_field_value",
        )
    return found
