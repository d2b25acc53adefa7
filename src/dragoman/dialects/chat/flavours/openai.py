"""OpenAI itself, and Azure: the dialect as its owner speaks it."""

from __future__ import annotations

from dragoman.dialects.chat.flavours.flavour import Flavour

_TIERS = ("auto", "default", "flex", "scale", "priority", "fast")

OPENAI = Flavour(
    name="openai",
    limit="max_completion_tokens",
    extras=frozenset(
        {
            "user",
            "metadata",
            "store",
            "safety_identifier",
            "prompt_cache_key",
            "prompt_cache_retention",
            "prediction",
            "verbosity",
        }
    ),
    tiers={tier: tier for tier in _TIERS},
    marks="breakpoint",
    developer=True,
    refusals=True,
    custom_tools=True,
    allowed_tools=True,
    bare_tools=True,
    documents="file",
    audio="formats",
    media_out=True,
    min_output=16,
)
