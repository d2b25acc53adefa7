"""Lists of models in each family's own shape: what a client of theirs expects to find (D14).

What a shape asks for and nobody knows is null, or left out where its clients take no null.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import asdict

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
            if flavour == "openrouter":
                data = [_openrouter(card) for card in cards]
                return {"data": data, "links": {"next": None}, "total_count": len(data)}
            return {"object": "list", "data": [_openai(card) for card in cards]}


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
    """OpenAI's members, and beside them what Open WebUI and operators read (R-CAT-001)."""
    row = card.row
    found: Object = {
        "id": row.id,
        "object": row.object,
        "created": row.created,
        "owned_by": row.owned_by,
        "name": row.name,
        "providers": card.live.providers,
        "active_providers": card.live.active,
        "cooling_down_providers": card.live.cooling,
        "throughput": card.live.throughput,
        "capabilities": capabilities(card),
    }
    pricing = pricing_of(card)
    return found if pricing is None else {**found, "pricing": asdict(pricing)}


class Pricing(Struct, frozen=True):
    """USD, as plain decimal strings."""

    input: str
    output: str
    unit: str = "per_million_tokens"


def pricing_of(card: Card) -> Pricing | None:
    """What the model costs, if both sides of it are known."""
    price = card.price
    if price is None or price.input is None or price.output is None:
        return None
    return Pricing(plain(price.input), plain(price.output))


def capabilities(card: Card) -> list[str]:
    """In the words of R-CAT-002; of an operator's name for several models only that it answers."""
    if not _is_chat(card):
        return [word for use, word in _OUTPUTS.items() if use in card.use]
    able, found = card.capability, ["text"]
    if not card.operations:
        return found
    if able.sees:
        found.append("image_input")
    if able.hears:
        found.append("audio_input")
    if able.tools:
        found.append("tool_calling")
    return found


_OUTPUTS = {"pictures": "image_output", "speech": "audio_output"}
"""What a model that answers no chats is for, in those words."""


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
    if card.capability.context_tokens is not None:
        found["inputTokenLimit"] = card.capability.context_tokens
    if card.capability.max_output_tokens is not None:
        found["outputTokenLimit"] = card.capability.max_output_tokens
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
    if card.capability.context_tokens is not None:
        facts[f"{maker}.context_length"] = card.capability.context_tokens
    capabilities = []
    if "chat" in card.operations or not card.operations:
        capabilities += ["completion", "tools"] if card.capability.tools else ["completion"]
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
    """As OpenRouter's own client reads it: what it takes no null for is what can be told of any model."""
    row, able = card.row, card.capability
    return {
        "id": row.id,
        "canonical_slug": row.id,
        "name": row.name,
        "created": row.created,
        "description": "",
        "context_length": able.context_tokens,
        "architecture": _architecture(card),
        "pricing": _pricing(card.price),
        "top_provider": {
            "context_length": able.context_tokens,
            "max_completion_tokens": able.max_output_tokens,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": _parameters(card),
        "default_parameters": None,
        "supported_voices": None,
        "links": {"details": f"/v1/models/{quote(row.id)}"},
    }


def _is_chat(card: Card) -> bool:
    return not card.use and ("chat" in card.operations or not card.operations)


def _architecture(card: Card) -> Object:
    able = card.capability
    takes = ["text"]
    if _is_chat(card):
        kinds = (("image", able.sees), ("file", able.documents), ("audio", able.hears))
        takes += [kind for kind, taken in kinds if taken]
    gives = ["text"] if _is_chat(card) else ["embeddings"]
    return {
        "modality": f"{'+'.join(takes)}->{'+'.join(gives)}",
        "input_modalities": takes,
        "output_modalities": gives,
        "tokenizer": "Other",
        "instruct_type": None,
    }


def _parameters(card: Card) -> list[str]:
    """Of the parameters that OpenRouter has names for, those that the model is not known to refuse."""
    if not _is_chat(card):
        return []
    able = card.capability
    found = ["max_tokens", "stop"]
    if not able.rejects_sampling:
        found += ["temperature", "top_p"]
    if able.tools:
        found += ["tools", "tool_choice"]
    if able.structured_output != "none":
        found.append("response_format")
    if able.structured_output in {"native", "tool"}:
        found.append("structured_outputs")
    if able.thinking != "none" or able.reasons:
        found += ["reasoning", "include_reasoning"]
    return found


_UNTOLD = "-1"
"""A price that depends or is not known, in OpenRouter's own words."""


def _pricing(price: Price | None) -> Object:
    """USD per token, as plain decimal strings."""
    if price is None:
        return {"prompt": _UNTOLD, "completion": _UNTOLD}
    rates = {
        "prompt": price.input,
        "completion": price.output,
        "input_cache_read": price.cache_read,
        "input_cache_write": price.cache_write,
    }
    found = {name: plain(rate / _MILLION) for name, rate in rates.items() if rate is not None}
    if price.per_request is not None:
        found["request"] = plain(price.per_request)
    return {"prompt": _UNTOLD, "completion": _UNTOLD, **found}
