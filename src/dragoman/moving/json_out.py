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
from dragoman.catalog.load import key_source
from dragoman.catalog.stored import Overlay
from dragoman.config.health import health_of
from dragoman.config.running import write_whole
from dragoman.core.call import said_limits
from dragoman.core.clock import SystemClock
from dragoman.core.errors import invalid
from dragoman.data_files import models_file
from dragoman.data_keys import keys_file
from dragoman.file_shapes import (
    SCHEMAS,
    ModelState,
    ProviderFile,
    schema_of,
)
from dragoman.health.score import score
from dragoman.health.sharing import Sharing
from dragoman.live_models import live_of
from dragoman.stores import open_store
from dragoman.telemetry.log import Log

if TYPE_CHECKING:
    from dragoman.catalog.registry import Registry
    from dragoman.config.settings import Settings
    from dragoman.health.health import Health
    from dragoman.health.statistics import Figures


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
    now = time.monotonic()
    found = []
    for name, provider in registry.providers.items():
        figures = health.statistics.of(name)
        definition = registry.definitions.get(name)
        listed_by = None if definition is None else definition.listed_by
        found.append(
            ProviderFile(
                id=name,
                apiKey=_key_place(name, registry, env, settings, overlay),
                provider_url=provider.base_url,
                models=_models(name, health),
                streamingCompatible=True,
                disabled=name in off or listed_by in off or health.disabling.is_disabled(name),
                dialect=provider.family,
                avg_response_time=_ms(figures.reply_s if figures else None),
                avg_provider_latency=_ms(figures.first_event_s if figures else None),
                errors=figures.failures if figures else 0,
                provider_score=round(score(figures, now), 1),
            )
        )
    return found


def _key_place(
    name: str,
    registry: Registry,
    env: Mapping[str, str],
    settings: Settings,
    overlay: Overlay,
) -> str | None:
    """Where the provider's key is: its variable or the file; None where it is stored, or there is none."""
    if name in overlay.keys:
        return None
    if any(row.get("name") == name and row.get("credentials") for row in settings.providers):
        return "dragoman.toml"
    source = key_source(registry.definitions[name], env) if name in registry.definitions else None
    return f"${{{source}}}" if source else None


def _models(provider: str, health: Health) -> dict[str, ModelState]:
    return {
        model: _state(model, figures, disabled=health.disabling.is_disabled(provider, model))
        for model, figures in health.statistics.models_of(provider)
    }


def _state(model: str, figures: Figures, *, disabled: bool) -> ModelState:
    return ModelState(
        id=model,
        token_generation_speed=figures.tokens_per_s,
        response_times=[],
        errors=figures.failures,
        requests=figures.requests,
        avg_response_time=_ms(figures.reply_s),
        avg_provider_latency=_ms(figures.first_event_s),
        avg_token_speed=figures.tokens_per_s,
        disabled=disabled,
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
