"""``models.json`` and ``providers.json``: what other programs read of models and providers.

With ``DATA_SOURCE_PREFERENCE=filesystem`` they stand under ``data`` in the home and are written anew as things
change, whole or not at all, with their JSON schemas beside them. SQL is the record (D29): nobody here reads
them back. No key is in them.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from dragoman.catalog.cards import Card
from dragoman.config.running import write_whole
from dragoman.health.health import Health
from dragoman.health.score import score
from dragoman.live_models import LiveModels
from dragoman.services import Services
from dragoman.surface.listings import Pricing, capabilities, pricing_of

MIRROR_S = 5.0
_ENCODER = msgspec.json.Encoder()


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
    errors: int
    requests: int
    token_generation_speed: float | None
    avg_response_time: float | None
    """Milliseconds of whole replies."""
    avg_provider_latency: float | None
    """Milliseconds to the first content of streams."""
    disabled: bool


class ProviderState(Struct, frozen=True):
    """One provider, without its keys (R-PROV-002, R-STOR-009)."""

    id: str
    provider_url: str
    dialect: str
    streamingCompatible: bool  # noqa: N815  the file's own spelling
    disabled: bool
    errors: int
    provider_score: float
    avg_response_time: float | None
    avg_provider_latency: float | None
    models: dict[str, ModelState]


SCHEMAS = {
    "models.schema.json": _ENCODER.encode(msgspec.json.schema(ModelFile)),
    "providers.schema.json": _ENCODER.encode(msgspec.json.schema(list[ProviderState])),
}


async def mirror(services: Services, folder: Path) -> None:
    """Keeps the two files up to date, until cancelled."""
    live = LiveModels(services)
    written: dict[str, bytes] = {}
    while True:
        for name, data in (
            *SCHEMAS.items(),
            ("models.json", models_file(live.now())),
            ("providers.json", providers_file(services)),
        ):
            if written.get(name) == data:
                continue
            try:
                await asyncio.to_thread(_write, folder, name, data)
            except OSError as error:
                services.log.event(
                    "warn", "data file not written", file=name, error=error.strerror or ""
                )
            else:
                written[name] = data
        await asyncio.sleep(MIRROR_S)


def models_file(cards: list[Card]) -> bytes:
    """``models.json``."""
    return _ENCODER.encode(ModelFile([_listed(card) for card in cards]))


def providers_file(services: Services) -> bytes:
    """``providers.json``: what is known of each provider, and no key."""
    registry, health = services.house.registry, services.house.health
    now = time.monotonic()
    found = []
    for name, provider in registry.providers.items():
        figures = health.statistics.of(name)
        found.append(
            ProviderState(
                id=name,
                provider_url=provider.base_url,
                dialect=provider.family,
                streamingCompatible=True,
                disabled=health.disabling.is_disabled(name),
                errors=figures.failures if figures else 0,
                provider_score=round(score(figures, now), 1),
                avg_response_time=_ms(figures.reply_s if figures else None),
                avg_provider_latency=_ms(figures.first_event_s if figures else None),
                models=_models_of(name, health),
            )
        )
    return _ENCODER.encode(found)


def _models_of(provider: str, health: Health) -> dict[str, ModelState]:
    return {
        model: ModelState(
            id=model,
            errors=figures.failures,
            requests=figures.requests,
            token_generation_speed=figures.tokens_per_s,
            avg_response_time=_ms(figures.reply_s),
            avg_provider_latency=_ms(figures.first_event_s),
            disabled=health.disabling.is_disabled(provider, model),
        )
        for model, figures in health.statistics.models_of(provider)
    }


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


def _write(folder: Path, name: str, data: bytes) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(folder / name, data)
