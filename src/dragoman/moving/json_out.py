"""``dragoman export``: keys, tiers, providers and models as JSON files, with their schemas beside them.

No secret is in them. Of callers' keys the digests are there where they were asked for; of providers' keys
the name of the variable that holds each.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from dragoman.assembly.assemble import assemble_stored
from dragoman.catalog.cards import model_cards
from dragoman.catalog.stored import Overlay
from dragoman.config.health import health_of
from dragoman.config.running import write_whole
from dragoman.core.call import said_limits
from dragoman.core.clock import SystemClock
from dragoman.core.errors import invalid
from dragoman.data_files import key_places, models_file, provider_rows
from dragoman.data_keys import keys_file
from dragoman.file_shapes import SCHEMAS, ProviderFile, schema_of
from dragoman.health.sharing import Sharing
from dragoman.live_models import live_of
from dragoman.stores import open_store
from dragoman.telemetry.log import Log

if TYPE_CHECKING:
    from dragoman.config.settings import Settings
    from dragoman.health.health import Health


class Exported(Struct, frozen=True):
    """The files that were written, and how much is in each."""

    folder: str
    counts: dict[str, int]
    left: dict[str, int]
    """What is stored and stands in none of them."""


async def write_folder(
    settings: Settings, env: Mapping[str, str], folder: Path, *, with_digests: bool = False
) -> Exported:
    """Writes the four files and their schemas, each whole or not at all, for their owner alone.

    Raises:
        GatewayError: the configuration or the database cannot be read, or the folder not be written.
    """
    from dragoman.store.sql.health import SqlHealth  # noqa: PLC0415  SQL only where it is needed
    from dragoman.store.sql.named import SqlNamed  # noqa: PLC0415
    from dragoman.store.sql.tenant_keys import TenantKeys  # noqa: PLC0415
    from dragoman.store.sql.unexported import unexported  # noqa: PLC0415

    clock = SystemClock()
    health = health_of(settings, Log("silent"))
    async with open_store(settings) as (database, keys, sealer):
        entries = await SqlHealth(database).exchange([], 0, round(clock.wall() * 1000))
        Sharing(health, clock.wall() - clock.monotonic()).learn(entries, clock.monotonic())
        overlay = await SqlNamed(database, TenantKeys(database, sealer, clock), clock).overlay()
        listed = await keys_file(database, keys.peppers if with_digests else None)
        left = await unexported(database)
    built = assemble_stored(settings, env, overlay)
    moment = time.monotonic()
    cards = [
        replace(card, live=live_of(card, health, moment))
        for card in model_cards(built.registry, time.time(), None)
    ]
    providers = _providers(settings, env, overlay, health)
    tiers = {name: said_limits(limits) for name, limits in built.tiers.items()}
    files = {
        "keys.json": msgspec.json.encode(listed),
        "tiers.json": msgspec.json.encode(tiers),
        "providers.json": msgspec.json.encode(providers),
        "models.json": models_file(cards),
    }
    _write(folder, files)
    counts = {
        "keys.json": len(listed.data),
        "tiers.json": len(tiers),
        "providers.json": len(providers),
        "models.json": len(cards),
    }
    return Exported(str(folder), counts, left)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, data in files.items():
            write_whole(folder / name, msgspec.json.format(data, indent=2) + b"\n")
        for name in SCHEMAS:
            write_whole(folder / name, schema_of(name))
    except OSError as error:
        raise invalid(f"{folder} cannot be written: {error.strerror}.") from None


def _providers(
    settings: Settings, env: Mapping[str, str], overlay: Overlay, health: Health
) -> list[ProviderFile]:
    """All that are configured or stored, and those, too, that an administrator has disabled."""
    off = {each.name for each in overlay.providers if each.disabled}
    enabled = tuple(replace(each, disabled=False) for each in overlay.providers)
    registry = assemble_stored(settings, env, replace(overlay, providers=enabled)).registry
    return provider_rows(registry, health, key_places(registry, env, settings, overlay), off)
