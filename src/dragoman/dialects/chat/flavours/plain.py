"""Any service that calls itself OpenAI-compatible: the least common denominator, and xAI."""

from __future__ import annotations

from dragoman.dialects.chat.flavours.flavour import Flavour

PLAIN = Flavour(
    name="plain",
    extras=frozenset({"user", "metadata"}),
    lists=False,
    prefill=True,
    documents="file",
    audio="formats",
)
