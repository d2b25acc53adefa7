"""The names that a tenant has given for itself alone: nobody else has them, and they go before the house's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dragoman.catalog.load import refuse_circles
from dragoman.catalog.registry import Registry
from dragoman.catalog.routes import read_routes
from dragoman.catalog.stored import Named, route_table


def with_policies(registry: Registry, policies: Iterable[Named]) -> Registry:
    """The registry as one tenant sees it.

    Raises:
        CatalogError: a strategy is none, or names go in a circle.
    """
    routes = read_routes({each.name: route_table(each) for each in policies})
    aliases = {
        **registry.aliases,
        **{name: tuple(leg.model for leg in route.legs) for name, route in routes.items()},
    }
    refuse_circles(aliases)
    return replace(registry, aliases=aliases, routes={**registry.routes, **routes})
