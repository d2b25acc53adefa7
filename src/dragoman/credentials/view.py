"""What one tenant's calls see: the house's providers and names, with the tenant's own credentials in their place.

For a provider of which the tenant has a credential, its own serve it and no others: a call whose own
credential fails is not paid for by the house. A provider that only lacks a key is there for who brings one.
What is met with own credentials is kept under an account of their own (``Provider.account``), so that
neither a refused key nor a used up allowance of one tenant says anything to another, or to the house.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from msgspec import structs

from dragoman.catalog.base_url import origin_of
from dragoman.catalog.registry import STUB, Registry
from dragoman.catalog.schema import Keyed
from dragoman.catalog.service import PREFIX
from dragoman.core.provider import ACCOUNT, Plan, Provider
from dragoman.credentials.own import Holding
from dragoman.credentials.pool import Pools

_MARK = 6


@dataclass(slots=True)
class View:
    """The registry and the pools of one tenant, and the plans that were made of them.

    A service has its pool under its name with ``PREFIX``; of addresses ``Reached.of`` is the judge.
    """

    registry: Registry
    pools: Pools
    plans: dict[Any, Plan] = field(default_factory=dict)
    own_only: bool = False
    """Whether only what the tenant brings is its own to call with."""


def brings(holding: Holding, registry: Registry) -> dict[str, tuple[Keyed, ...]]:
    """The tenant's credentials by provider, another surface of one being that one."""
    found = dict(holding.keyed)
    for name, definition in registry.definitions.items():
        if definition.listed_by in holding.keyed:
            found[name] = holding.keyed[definition.listed_by]
    return found


def needs_more(holding: Holding, registry: Registry) -> bool:
    """Whether the tenant brings a key for a provider that has none here: then ``widened`` has it."""
    return any(name in registry.dormant for name in brings(holding, registry))


def view_of(seen: Registry, wide: Registry, pools: Pools, tenant: str, holding: Holding) -> View:
    """What a tenant sees.

    Args:
        seen: the house's registry with the tenant's own names in it.
        wide: the same house's, with dormant providers if the tenant needs them.
        pools: the house's.
        tenant: whose view it is.
        holding: what it brings along.
    """
    if not holding:
        return View(seen, pools)
    own = {
        name: keyed
        for name, keyed in brings(holding, wide).items()
        if name in wide.providers and not wide.providers[name].stub
    }
    usable, barred = _usable(own, wide)
    providers: dict[str, Provider] = {}
    for name, provider in wide.providers.items():
        if name in usable:
            providers[name] = _account(provider, tenant)
        elif name in barred:
            continue
        elif holding.own_only:
            if not provider.stub:
                barred[name] = _none_of_its_own(name)
        elif name in seen.providers:
            providers[name] = provider
    if holding.own_only:
        # Who adds a key for them is served by them, too.
        asleep = (name for name in seen.dormant if name not in providers and name not in barred)
        barred |= {name: _none_of_its_own(name) for name in asleep}
    if STUB.name in providers and usable and all(each.stub for each in seen.providers.values()):
        # It answers where there is nobody else, and now there is.
        del providers[STUB.name]
    aliases = seen.aliases
    if STUB.name not in providers:
        stubs = f"{STUB.name}/"
        aliases = {
            name: targets
            for name, targets in aliases.items()
            if not all(target.startswith(stubs) for target in targets)
        }
    kept: Mapping[str, tuple[Keyed, ...]] = {} if holding.own_only else seen.credentials
    registry = replace(
        wide,
        providers=providers,
        credentials={**kept, **usable},
        aliases=aliases,
        routes=seen.routes,
        barred=barred,
        dormant={},
        memory={},
    )
    services = {name: keyed for name, keyed in holding.keyed.items() if name.startswith(PREFIX)}
    own_pools = pools.beside({**usable, **services}, alone=holding.own_only)
    return View(registry, own_pools, own_only=holding.own_only)


def _usable(
    own: Mapping[str, tuple[Keyed, ...]], wide: Registry
) -> tuple[dict[str, tuple[Keyed, ...]], dict[str, str]]:
    """The credentials that may be sent to where their providers are, and who is left without one."""
    usable: dict[str, tuple[Keyed, ...]] = {}
    barred: dict[str, str] = {}
    for name, keyed in own.items():
        here = origin_of(wide.providers[name].base_url)
        fitting = tuple(item for item in keyed if item.credential.origin == here)
        if fitting:
            usable[name] = fitting
        else:
            barred[name] = (
                f"Your own credential for {name} was stored for another address than the one that {name} "
                "has here now, and was not sent there: store it anew."
            )
    return usable, barred


def _none_of_its_own(provider: str) -> str:
    return (
        f"Your tenant's calls are made with its own credentials alone, and it has none for {provider}: "
        "add one with POST /v1/providers, or name another provider."
    )


def _account(provider: Provider, tenant: str) -> Provider:
    """The provider as the tenant's account there, in every family that it speaks."""
    said = f"{tenant}\0{provider.base_url}".encode()
    account = f"{provider.name}{ACCOUNT}{blake2b(said, digest_size=_MARK).hexdigest()}"
    also = tuple(structs.replace(each, account=account) for each in provider.also)
    return structs.replace(provider, account=account, also=also)
