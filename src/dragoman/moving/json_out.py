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

from dragoman.assembly.assemble import assemble
from dragoman.assembly.overlay import tiers_of
from dragoman.catalog.cards import model_cards
from dragoman.catalog.load import key_source
from dragoman.catalog.stored import Overlay
from dragoman.config.health import health_of
from dragoman.config.running import write_whole
from dragoman.core.call import said_limits
from dragoman.core.clock import SystemClock
from dragoman.core.errors import invalid
from dragoman.data_files import models_file
from dragoman.health.score import score
from dragoman.health.sharing import Sharing
from dragoman.live_models import live_of
from dragoman.moving.shapes import (
    KEYS_OBJECT,
    SCHEMAS,
    KeysFile,
    ModelState,
    ProviderFile,
    schema_of,
)
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


async def write_folder(
    settings: Settings, env: Mapping[str, str], folder: Path, *, with_digests: bool = False
) -> Exported:
    """Writes the four files and their schemas, each whole or not at all, for their owner alone.

    Raises:
        GatewayError: the configuration or the database cannot be read, or the folder not be written.
    """
    from dragoman.store.sql.health import SqlHealth  # noqa: PLC0415  SQL only where it is needed
    from dragoman.store.sql.key_rows import key_rows, pepper_marks, place_rows  # noqa: PLC0415
    from dragoman.store.sql.stored_tiers import SqlTiers  # noqa: PLC0415

    clock = SystemClock()
    built = assemble(settings, env)
    health = health_of(settings, Log("silent"))
    async with open_store(settings) as (database, keys, _):
        entries = await SqlHealth(database).exchange([], 0, round(clock.wall() * 1000))
        Sharing(health, clock.wall() - clock.monotonic()).learn(entries, clock.monotonic())
        stored = await SqlTiers(database, clock).all()
        rows = await key_rows(database, with_digests=with_digests)
        tenants, projects = await place_rows(database)
        peppers = pepper_marks(keys.peppers) if with_digests else {}
    moment = time.monotonic()
    cards = [
        replace(card, live=live_of(card, health, moment))
        for card in model_cards(built.registry, time.time(), None)
    ]
    providers = _providers(built.registry, health, env, settings)
    known = tiers_of(settings, Overlay(tiers=stored))
    tiers = {name: said_limits(limits) for name, limits in known.items()}
    files = {
        "keys.json": msgspec.json.encode(
            KeysFile(KEYS_OBJECT, rows, peppers, tenants=tenants, projects=projects)
        ),
        "tiers.json": msgspec.json.encode(tiers),
        "providers.json": msgspec.json.encode(providers),
        "models.json": models_file(cards),
    }
    _write(folder, files)
    counts = {
        "keys.json": len(rows),
        "tiers.json": len(tiers),
        "providers.json": len(providers),
        "models.json": len(cards),
    }
    return Exported(str(folder), counts)


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
    registry: Registry, health: Health, env: Mapping[str, str], settings: Settings
) -> list[ProviderFile]:
    now = time.monotonic()
    in_file = {str(row.get("name")): row.get("credentials") for row in settings.providers}
    found = []
    for name, provider in registry.providers.items():
        figures = health.statistics.of(name)
        source = (
            key_source(registry.definitions[name], env) if name in registry.definitions else None
        )
        held = f"${{{source}}}" if source and not in_file.get(name) else None
        if held is None and in_file.get(name):
            held = "dragoman.toml"
        found.append(
            ProviderFile(
                id=name,
                apiKey=held,
                provider_url=provider.base_url,
                models=_models(name, health),
                streamingCompatible=True,
                disabled=health.disabling.is_disabled(name),
                dialect=provider.family,
                avg_response_time=_ms(figures.reply_s if figures else None),
                avg_provider_latency=_ms(figures.first_event_s if figures else None),
                errors=figures.failures if figures else 0,
                provider_score=round(score(figures, now), 1),
            )
        )
    return found


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
