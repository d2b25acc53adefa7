"""Changes of what is routed by: tried out as a whole, then stored, then in force (R-ADM-001, D37)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from msgspec.structs import replace

from dragoman.admin.desk import Desk
from dragoman.catalog.stored import Named, Overlay, StoredProvider, StoredTier
from dragoman.core.errors import GatewayError, HouseError, invalid


@asynccontextmanager
async def changing(desk: Desk) -> AsyncIterator[Overlay]:
    """What is stored now, while nobody else here changes it."""
    async with desk.changes:
        yield await desk.names.overlay()


async def fits(desk: Desk, overlay: Overlay) -> None:
    """Refuses what could not be served by.

    Raises:
        CallerError: in the words of the configuration's own check.
    """
    try:
        await desk.try_out(overlay)
    except HouseError:
        raise
    except GatewayError as error:
        raise invalid(error.message, code="invalid_field_value") from None


def with_named(overlay: Overlay, new: Named) -> Overlay:
    """The overlay with a name in the place of what it was, alias or route."""
    rest = without_named(overlay, new)
    return replace(rest, named=(*rest.named, new))


def without_named(overlay: Overlay, gone: Named) -> Overlay:
    """The overlay without a name."""
    kept = [
        each
        for each in overlay.named
        if (each.kind, each.name, each.tenant) != (gone.kind, gone.name, gone.tenant)
    ]
    return replace(overlay, named=tuple(kept))


def with_provider(overlay: Overlay, new: StoredProvider, key: str | None) -> Overlay:
    """The overlay with a provider in the place of what it was."""
    rest = [each for each in overlay.providers if each.name != new.name]
    keys = overlay.keys if key is None else {**overlay.keys, new.name: (key,)}
    return replace(overlay, providers=(*rest, new), keys=keys)


def without_provider(overlay: Overlay, name: str) -> Overlay:
    """The overlay without what is stored of a provider."""
    kept = [each for each in overlay.providers if each.name != name]
    keys = {each: keys for each, keys in overlay.keys.items() if each != name}
    return replace(overlay, providers=tuple(kept), keys=keys)


def with_tiers(
    overlay: Overlay, put: Collection[StoredTier], gone: Collection[str] = ()
) -> Overlay:
    """The overlay with tiers in the place of what they were, and without others."""
    said = {*gone, *(tier.name for tier in put)}
    kept = [each for each in overlay.tiers if each.name not in said]
    return replace(overlay, tiers=(*kept, *put))
