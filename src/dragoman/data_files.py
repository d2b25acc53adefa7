"""The mirror: ``models.json`` and ``providers.json``, and with them the stored tiers and keys.

With ``DATA_SOURCE_PREFERENCE=filesystem`` they stand where ``config/data_files.py`` says and are written anew as
things change, whole or not at all, with their JSON schemas beside them. SQL is the record (D29); what is taken
over from them at a start is ``data_reading.py``'s business. No secret is in them.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

from dragoman.catalog.cards import Card
from dragoman.config.data_files import data_file, write_data_file
from dragoman.core.errors import GatewayError
from dragoman.data_tiers import mirror_tiers
from dragoman.file_shapes import schema_of
from dragoman.health.health import Health
from dragoman.health.score import score
from dragoman.health.statistics import Figures
from dragoman.live_models import LiveModels
from dragoman.services import Services
from dragoman.surface.listings import Pricing, capabilities, pricing_of

if TYPE_CHECKING:
    from pathlib import Path

MIRROR_S = 5.0
_ENCODER = msgspec.json.Encoder()


Count: TypeAlias = Annotated[int, Meta(ge=0)]
Amount: TypeAlias = Annotated[float, Meta(ge=0)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]


class ModelFile(Struct, frozen=True):
    """``models.json`` (R-CAT-001)."""

    data: list[ListedModel]
    object: str = "list"


class ListedModel(Struct, frozen=True):
    """One model (R-CAT-001)."""

    id: str
    created: int
    owned_by: str
    providers: int
    throughput: float
    capabilities: list[str]
    object: str = "model"
    active_providers: int = 0
    cooling_down_providers: int = 0
    pricing: Pricing | None = None


class ModelState(Struct, frozen=True):
    """How one model does at one provider."""

    id: str
    errors: Count = 0
    """Requests that failed."""
    requests: Count = 0
    error_rate: Share = 0.0
    """Share of the last requests that failed, smoothed."""
    token_generation_speed: Amount | None = None
    avg_response_time: Amount | None = None
    """Milliseconds of whole replies."""
    avg_provider_latency: Amount | None = None
    """Milliseconds to the first content of streams."""
    disabled: bool = False


class ProviderState(Struct, frozen=True):
    """One provider, without its keys (R-PROV-002, R-STOR-009)."""

    id: str
    models: dict[str, ModelState]
    provider_url: str = ""
    dialect: str = ""
    streamingCompatible: bool = True  # noqa: N815  the file's own spelling
    models_listed: bool = False
    """Whether the models of ``models.json`` are what it lists itself."""
    disabled: bool = False
    errors: Count = 0
    requests: Count = 0
    error_rate: Share = 0.0
    token_generation_speed: Amount | None = None
    provider_score: Annotated[float, Meta(ge=0, le=100)] = 50.0
    avg_response_time: Amount | None = None
    avg_provider_latency: Amount | None = None


SCHEMAS = {
    "models.schema.json": _ENCODER.encode(msgspec.json.schema(ModelFile)),
    "providers.schema.json": _ENCODER.encode(msgspec.json.schema(list[ProviderState])),
}


async def mirror(services: Services) -> None:
    """Keeps the files up to date, until cancelled; ``keys.json`` takes longer and goes its own way."""
    live = LiveModels(services)
    models = data_file(services.settings, "models.json")
    providers = data_file(services.settings, "providers.json")
    tiers = data_file(services.settings, "tiers.json")
    schemas = {
        models.with_name("models.schema.json"): SCHEMAS["models.schema.json"],
        providers.with_name("providers.schema.json"): SCHEMAS["providers.schema.json"],
        tiers.with_name("tiers.schema.json"): schema_of("tiers.schema.json"),
    }
    written: dict[Path, bytes] = {}
    trouble = ""
    while True:
        for path, data in (
            *schemas.items(),
            (models, models_file(live.now())),
            (providers, providers_file(services)),
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
        before, trouble = trouble, await _tiers_trouble(services)
        if trouble and trouble != before:
            services.log.event("warn", "data file not written", file=tiers.name, error=trouble)
        await asyncio.sleep(MIRROR_S)


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
    return _ENCODER.encode(ModelFile([_listed(card) for card in cards]))


def providers_file(services: Services) -> bytes:
    """``providers.json``: what is known of each provider, and no key."""
    return _ENCODER.encode(provider_states(services))


def provider_states(services: Services) -> list[ProviderState]:
    """How each provider does."""
    registry, health = services.house.registry, services.house.health
    now = time.monotonic()
    found = []
    for name, provider in registry.providers.items():
        figures = health.statistics.of(name)
        shown = figures or Figures()
        found.append(
            ProviderState(
                id=name,
                provider_url=provider.base_url,
                dialect=provider.family,
                models_listed=registry.listings.of(name) is not None,
                disabled=health.disabling.is_disabled(name),
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
        errors=figures.failures,
        requests=figures.requests,
        error_rate=round(figures.errors, 6),
        token_generation_speed=figures.tokens_per_s,
        avg_response_time=_ms(figures.reply_s),
        avg_provider_latency=_ms(figures.first_event_s),
        disabled=health.disabling.is_disabled(provider, model),
    )


def _listed(card: Card) -> ListedModel:
    live = card.live
    return ListedModel(
        id=card.id,
        created=card.row.created,
        owned_by=card.row.owned_by,
        providers=live.providers,
        throughput=live.throughput,
        capabilities=capabilities(card),
        active_providers=live.active,
        cooling_down_providers=live.cooling,
        pricing=pricing_of(card),
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
