"""Models: what can be asked for, who has it, and how it does (R-CAT-003)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field

from dragoman.admin.bench import DeskOf, room
from dragoman.admin.paging import Asked, Listed, Word, page_of, place_of
from dragoman.catalog.cards import Card
from dragoman.core.money import plain

router = room("models")


class ModelShown(BaseModel):
    """A model, by the name under which it is asked for."""

    id: str
    owned_by: str
    providers: list[str] = Field(description="Who has it")
    active_providers: int
    cooling_down_providers: int
    throughput: float = Field(
        description="Output tokens a second where it is quickest; 0: unknown"
    )
    input_usd: str | None = Field(description="USD per million tokens; null: unknown")
    output_usd: str | None


class Filter(Asked):
    """Which models are wanted."""

    provider: Word | None = Field(None, description="Only those that it has")
    contains: Word | None = Field(None, description="A piece of the id, in any case")


def _shown(card: Card) -> ModelShown:
    price = card.price
    return ModelShown(
        id=card.id,
        owned_by=card.row.owned_by,
        providers=list(dict.fromkeys(provider for provider, _ in card.places)),
        active_providers=card.live.active,
        cooling_down_providers=card.live.cooling,
        throughput=card.live.throughput,
        input_usd=plain(price.input) if price and price.input is not None else None,
        output_usd=plain(price.output) if price and price.output is not None else None,
    )


@router.get("/api/admin/models")
async def list_models(desk: DeskOf, asked: Annotated[Filter, Query()]) -> Listed[ModelShown]:
    """Models by id."""
    after = place_of(asked.cursor, str) or ""
    piece = (asked.contains or "").lower()
    wanted = [
        card
        for card in sorted(await desk.cards(), key=lambda card: card.id)
        if card.id > after
        and piece in card.id.lower()
        and (asked.provider is None or asked.provider in {name for name, _ in card.places})
    ]
    return page_of(wanted, asked.limit, _shown, lambda card: card.id)
