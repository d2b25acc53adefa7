"""Lists of models in each family's own shape: what a client of theirs expects to find (D14).

What a shape asks for and nobody knows is null, or left out where its clients take no null.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from dragoman.catalog.cards import Card
from dragoman.core.money import plain
from dragoman.core.provider import Family, Operation, Price

Object = dict[str, Any]

_MILLION = Decimal(1_000_000)
_METHODS: dict[Operation, tuple[str, ...]] = {
    "chat": ("generateContent", "streamGenerateContent", "countTokens"),
    "embeddings": ("embedContent", "batchEmbedContents"),
}
"""Gemini's methods, by what a provider serves."""


def listed(cards: list[Card], family: Family, flavour: str = "") -> Object:
    """The whole list."""
    match family:
        case "anthropic":
            data = [_anthropic(card) for card in cards]
            ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
            return {"data": data, "has_more": False, "first_id": None, "last_id": None, **ends}
        case "gemini":
            return {"models": [_gemini(card) for card in cards]}
        case "ollama":
            return {"models": [_ollama(card) for card in cards]}
        case _:
            one = _openrouter if flavour == "openrouter" else _openai
            return {"object": "list", "data": [one(card) for card in cards]}


def described(card: Card, family: Family, flavour: str = "") -> Object:
    """One model alone."""
    match family:
        case "anthropic":
            return _anthropic(card)
        case "gemini":
            return _gemini(card)
        case "ollama":
            return shown(card)
        case _:
            return {"data": _openrouter(card)} if flavour == "openrouter" else _openai(card)


def _time(created: int) -> str:
    return datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _openai(card: Card) -> Object:
    row = card.row
    return {
        "id": row.id,
        "object": row.object,
        "created": row.created,
        "owned_by": row.owned_by,
        "name": row.name,
    }


def _anthropic(card: Card) -> Object:
    """``created_at`` is 1970 where nobody knows it, as Anthropic writes it itself."""
    return {
        "type": "model",
        "id": card.id,
        "display_name": card.row.name,
        "created_at": _time(card.row.created),
    }


def _gemini(card: Card) -> Object:
    found: Object = {
        "name": f"models/{card.id}",
        "displayName": card.row.name,
        "supportedGenerationMethods": [
            method
            for operation, names in _METHODS.items()
            if operation in card.operations
            for method in names
        ],
    }
    if card.context_tokens is not None:
        found["inputTokenLimit"] = card.context_tokens
    if card.max_output_tokens is not None:
        found["outputTokenLimit"] = card.max_output_tokens
    return found


def _ollama(card: Card) -> Object:
    created = card.row.created
    return {
        "name": card.id,
        "model": card.id,
        "modified_at": _time(created) if created else None,
        "size": None,
        "digest": None,
        "details": _details(card),
    }


def _details(card: Card) -> Object:
    return {
        "parent_model": "",
        "format": "",
        "family": card.row.owned_by,
        "families": [card.row.owned_by],
        "parameter_size": "",
        "quantization_level": "",
    }


def shown(card: Card) -> Object:
    """Ollama's answer about one model."""
    maker = card.row.owned_by
    facts: Object = {"general.architecture": maker, "general.basename": card.row.name}
    if card.context_tokens is not None:
        facts[f"{maker}.context_length"] = card.context_tokens
    capabilities = []
    if "chat" in card.operations or not card.operations:
        capabilities += ["completion", "tools"] if card.tools else ["completion"]
    if "embeddings" in card.operations:
        capabilities.append("embedding")
    found: Object = {
        "details": _details(card),
        "model_info": facts,
        "capabilities": capabilities,
    }
    if card.row.created:
        found["modified_at"] = _time(card.row.created)
    return found


def _openrouter(card: Card) -> Object:
    row = card.row
    return {
        "id": row.id,
        "canonical_slug": row.id,
        "name": row.name,
        "created": row.created,
        "description": None,
        "context_length": card.context_tokens,
        "architecture": None,
        "pricing": _pricing(card.price),
        "top_provider": {
            "context_length": card.context_tokens,
            "max_completion_tokens": card.max_output_tokens,
            "is_moderated": None,
        },
        "per_request_limits": None,
        "supported_parameters": None,
    }


def _pricing(price: Price | None) -> Object | None:
    """USD per token, as plain decimal strings."""
    if price is None:
        return None
    rates = {
        "prompt": price.input,
        "completion": price.output,
        "input_cache_read": price.cache_read,
        "input_cache_write": price.cache_write,
    }
    found = {name: plain(rate / _MILLION) for name, rate in rates.items() if rate is not None}
    if price.per_request is not None:
        found["request"] = plain(price.per_request)
    return found
