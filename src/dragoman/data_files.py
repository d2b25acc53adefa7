"""The mirror: ``models.json`` and ``providers.json``, and with them the stored tiers and keys.

With ``DATA_SOURCE_PREFERENCE=filesystem`` they stand where ``config/data_files.py`` says and are written anew as
things change, whole or not at all, with their JSON schemas beside them. SQL is the record (D29); what is taken
over from them at a start is ``data_reading.py``'s business. No secret is in them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import msgspec

from dragoman.catalog.cards import Card
from dragoman.catalog.load import key_source
from dragoman.config.data_files import data_file, write_data_file
from dragoman.core.errors import GatewayError
from dragoman.data_tiers import mirror_tiers
from dragoman.file_shapes import (
    IN_CONFIGURATION,
    Model,
    ModelsFile,
    ModelState,
    ProviderFile,
    schema_of,
)
from dragoman.health.health import Health
from dragoman.health.score import score
from dragoman.health.statistics import Figures
from dragoman.live_models import LiveModels
from dragoman.services import Services
from dragoman.surface.listings import capabilities, pricing_of

if TYPE_CHECKING:
    from pathlib import Path

    from dragoman.catalog.registry import Registry
    from dragoman.catalog.stored import Overlay
    from dragoman.config.settings import Settings

MIRROR_S = 5.0
_ENCODER = msgspec.json.Encoder()


async def mirror(services: Services, environment: Callable[[], Mapping[str, str]]) -> None:
    """Keeps the files up to date, until cancelled; ``keys.json`` takes longer and goes its own way."""
    live = LiveModels(services)
    models = data_file(services.settings, "models.json")
    providers = data_file(services.settings, "providers.json")
    tiers = data_file(services.settings, "tiers.json")
    schemas = {
        models.with_name("models.schema.json"): schema_of("models.schema.json"),
        providers.with_name("providers.schema.json"): schema_of("providers.schema.json"),
        tiers.with_name("tiers.schema.json"): schema_of("tiers.schema.json"),
    }
    written: dict[Path, bytes] = {}
    trouble = ""
    before: Registry | None = None
    while True:
        if (registry := services.house.registry) is not before:
            places = await _places(services, environment)
            before = registry
        for path, data in (
            *schemas.items(),
            (models, models_file(live.now())),
            (providers, providers_file(services, places)),
        ):
            if written.get(path) == data:
                continue
            try:
                await asyncio.to_thread(write_data_file, path, data)
            except OSError as error:
                services.log.event(
                    "warn", "data file not written", file=path.name, error=error.strerror or ""
                )
            else:
                written[path] = data
        told, trouble = trouble, await _tiers_trouble(services)
        if trouble and trouble != told:
            services.log.event("warn", "data file not written", file=tiers.name, error=trouble)
        await asyncio.sleep(MIRROR_S)


async def _places(
    services: Services, environment: Callable[[], Mapping[str, str]]
) -> dict[str, str | None]:
    try:
        env = await asyncio.to_thread(environment)
    except GatewayError:
        env = {}  # a reload tells what is wrong with it; the variables are not named meanwhile
    return key_places(services.house.registry, env, services.settings, services.overlay)


async def _tiers_trouble(services: Services) -> str:
    """Mirrors the tiers; what kept them from it, in words."""
    try:
        await mirror_tiers(services)
    except GatewayError as error:
        return error.message
    except OSError as error:
        return f"it cannot be written: {error.strerror}"
    return ""


def models_file(cards: list[Card]) -> bytes:
    """``models.json``."""
    return _ENCODER.encode(ModelsFile("list", [_listed(card) for card in cards]))


def providers_file(services: Services, places: Mapping[str, str | None]) -> bytes:
    """``providers.json``: what is known of each provider, and no key, but where it is."""
    house = services.house
    return _ENCODER.encode(provider_rows(house.registry, house.health, places))


def key_places(
    registry: Registry, env: Mapping[str, str], settings: Settings, overlay: Overlay
) -> dict[str, str | None]:
    """Where providers' keys are: a variable or the file; None where one is stored, or there is none."""
    said = {row.get("name") for row in settings.providers if row.get("credentials")}
    found: dict[str, str | None] = {}
    for name in registry.providers:
        if name in overlay.keys:
            found[name] = None
        elif name in said:
            found[name] = IN_CONFIGURATION
        else:
            definition = registry.definitions.get(name)
            source = None if definition is None else key_source(definition, env)
            found[name] = f"${{{source}}}" if source else None
    return found


def provider_rows(
    registry: Registry,
    health: Health,
    places: Mapping[str, str | None],
    off: Collection[str] = (),
) -> list[ProviderFile]:
    """How each provider does; those of ``off`` are disabled whatever is known of their health."""
    now = time.monotonic()
    found = []
    for name, provider in registry.providers.items():
        figures = health.statistics.of(name)
        shown = figures or Figures()
        definition = registry.definitions.get(name)
        listed_by = None if definition is None else definition.listed_by
        found.append(
            ProviderFile(
                id=name,
                apiKey=places.get(name),
                provider_url=provider.base_url,
                dialect=provider.family,
                streamingCompatible=True,
                models_listed=registry.listings.of(name) is not None,
                disabled=name in off or listed_by in off or health.disabling.is_disabled(name),
                errors=shown.failures,
                requests=shown.requests,
                error_rate=round(shown.errors, 6),
                token_generation_speed=shown.tokens_per_s,
                provider_score=round(score(figures, now), 1),
                avg_response_time=_ms(shown.reply_s),
                avg_provider_latency=_ms(shown.first_event_s),
                models=_models_of(name, health),
            )
        )
    return found


def _models_of(provider: str, health: Health) -> dict[str, ModelState]:
    figured = dict(health.statistics.models_of(provider))
    names = dict.fromkeys((*figured, *health.disabling.models_off(provider)))
    return {
        model: _model_state(model, figured.get(model) or Figures(), health, provider)
        for model in names
    }


def _model_state(model: str, figures: Figures, health: Health, provider: str) -> ModelState:
    return ModelState(
        id=model,
        token_generation_speed=figures.tokens_per_s,
        response_times=[],
        errors=figures.failures,
        requests=figures.requests,
        error_rate=round(figures.errors, 6),
        avg_response_time=_ms(figures.reply_s),
        avg_provider_latency=_ms(figures.first_event_s),
        avg_token_speed=figures.tokens_per_s,
        disabled=health.disabling.is_disabled(provider, model),
    )


def _listed(card: Card) -> Model:
    live, pricing = card.live, pricing_of(card)
    return Model(
        id=card.id,
        object="model",
        created=card.row.created,
        owned_by=card.row.owned_by,
        providers=live.providers,
        throughput=live.throughput,
        capabilities=capabilities(card),
        active_providers=live.active,
        cooling_down_providers=live.cooling,
        pricing=None if pricing is None else msgspec.structs.asdict(pricing),
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
