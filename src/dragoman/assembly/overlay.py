"""What administrators have added while serving, laid over what the file says; it goes before the file.

A name that is stored hides the file's alias or route of that name. Of a stored provider the members that
were said take the place of the file's, and its key that of the file's and the environment's; adopted
keys stand beside whatever key there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace as with_members

from dragoman.catalog.files import definitions
from dragoman.catalog.load import key_source
from dragoman.catalog.policies import with_policies
from dragoman.catalog.registry import Registry
from dragoman.catalog.schema import CatalogError
from dragoman.catalog.stored import Named, Overlay, StoredProvider, alias_value, route_table
from dragoman.config.settings import ConfigError, Settings
from dragoman.config.tiers import limits_of, read_tiers
from dragoman.core.call import Limits


def overlaid(settings: Settings, overlay: Overlay, env: Mapping[str, str]) -> Settings:
    """The settings with all that is stored in them."""
    if not overlay:
        return settings
    aliases, routes = dict(settings.aliases), dict(settings.routes)
    for named in overlay.named:
        if named.kind == "policy":
            continue
        aliases.pop(named.name, None)
        routes.pop(named.name, None)
        if named.kind == "alias":
            aliases[named.name] = alias_value(named)
        else:
            routes[named.name] = route_table(named)
    update = {
        "aliases": aliases,
        "routes": routes,
        "providers": _rows(settings.providers, overlay, env),
    }
    return settings.model_copy(update=update).read_from(settings.file_text)


def _rows(
    said: list[dict[str, Any]], overlay: Overlay, env: Mapping[str, str]
) -> list[dict[str, Any]]:
    # Whose turn it is among its accounts, says nothing of whether it serves.
    stored = {provider.name: provider for provider in overlay.providers if provider.is_stored}
    names = dict.fromkeys([*(str(row.get("name")) for row in said), *stored, *overlay.adopted])
    rows = {str(row.get("name")): row for row in said}
    if len(rows) != len(said):
        return said  # a name is given twice: the catalogue refuses it in its own words
    return [_row(name, rows.get(name), stored.get(name), overlay, env) for name in names]


def _row(
    name: str,
    said: dict[str, Any] | None,
    stored: StoredProvider | None,
    overlay: Overlay,
    env: Mapping[str, str],
) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, **(said or {})}
    if stored is not None:
        if stored.base_url is not None:
            row["base_url"] = stored.base_url
        if stored.dialect is not None:
            row["dialect"] = stored.dialect
        if stored.models:
            row["models"] = list(stored.models)
        if name in overlay.keys:
            row["credentials"] = [{"key": key} for key in overlay.keys[name]]
    adopted = overlay.adopted.get(name, ())
    if adopted:
        there = row.get("credentials") or _of_environment(name, env)
        known = {item.get("key") for item in there}
        row["credentials"] = [*there, *({"key": key} for key in adopted if key not in known)]
    return row


def _of_environment(name: str, env: Mapping[str, str]) -> list[dict[str, Any]]:
    definition = definitions().get(name)
    source = None if definition is None else key_source(definition, env)
    if source is None:
        return []
    keys = [item.strip() for item in env[source].split(",")]
    return [{"key": key} for key in dict.fromkeys(keys) if key]


def without_disabled(registry: Registry, overlay: Overlay) -> Registry:
    """The registry without the providers that an administrator has disabled."""
    off = {provider.name for provider in overlay.providers if provider.disabled}
    if not off:
        return registry
    # Another surface of a provider goes with it.
    off |= {name for name, each in registry.definitions.items() if each.listed_by in off}
    kept = {name: each for name, each in registry.providers.items() if name not in off}
    dormant = {name: each for name, each in registry.dormant.items() if name not in off}
    return replace(registry, providers=kept, dormant=dormant, shut=frozenset(off), memory={})


def tiers_of(settings: Settings, overlay: Overlay) -> dict[str, Limits]:
    """All tiers by their names, the stored ones in the place of the files'.

    Raises:
        ConfigError: a tier cannot be used; the message says which and what to do.
    """
    stored = {
        tier.name: limits_of(tier.name, to_builtins(tier.limits), f"The tier {tier.name!r}")
        for tier in overlay.tiers
    }
    return read_tiers(settings) | stored


def tenants_of(registry: Registry, overlay: Overlay) -> dict[str, Registry]:
    """The registry of each tenant that has names of its own.

    Raises:
        ConfigError: a name leads back to itself; the message says whose it is.
    """
    found: dict[str, list[Named]] = {}
    for named in overlay.named:
        if named.kind == "policy":
            found.setdefault(named.tenant, []).append(named)
    tenants = {}
    for tenant, policies in found.items():
        try:
            tenants[tenant] = with_policies(registry, policies)
        except CatalogError as error:
            raise ConfigError(f"A routing policy: {error.message}") from None
    return tenants


def parts(overlay: Overlay) -> list[Overlay]:
    """What is stored, one name or provider at a time.

    For when all of it together cannot be served by: what fits is kept, in this order.
    """
    bare = Overlay(overlay.generation)
    found: list[Overlay] = []
    for provider in overlay.providers:
        key = {provider.name: overlay.keys[provider.name]} if provider.name in overlay.keys else {}
        found.append(with_members(bare, providers=(provider,), keys=key))
    found += [with_members(bare, adopted={name: keys}) for name, keys in overlay.adopted.items()]
    found += [with_members(bare, named=(named,)) for named in overlay.named]
    found += [with_members(bare, tiers=(tier,)) for tier in overlay.tiers]
    return found


def joined(first: Overlay, second: Overlay) -> Overlay:
    """Both together."""
    return Overlay(
        first.generation,
        (*first.named, *second.named),
        (*first.providers, *second.providers),
        {**first.keys, **second.keys},
        {**first.adopted, **second.adopted},
        (*first.tiers, *second.tiers),
    )


def said_of(overlay: Overlay) -> str:
    """What a part is called to people."""
    names = [f"{each.kind} {each.name}" for each in overlay.named]
    names += [f"provider {each.name}" for each in overlay.providers]
    names += [f"tier {each.name}" for each in overlay.tiers]
    names += [f"submitted keys of {name}" for name in overlay.adopted]
    return ", ".join(names)
