"""The flavours of the chat dialect by name; an unknown name is a compatible server."""

from __future__ import annotations

from dragoman.dialects.chat.flavours.deepseek import DEEPSEEK
from dragoman.dialects.chat.flavours.flavour import Flavour
from dragoman.dialects.chat.flavours.groq import GROQ
from dragoman.dialects.chat.flavours.mistral import MISTRAL
from dragoman.dialects.chat.flavours.openai import OPENAI
from dragoman.dialects.chat.flavours.openrouter import OPENROUTER
from dragoman.dialects.chat.flavours.plain import PLAIN

__all__ = ["FLAVOURS", "Flavour", "flavour_of"]

FLAVOURS: dict[str, Flavour] = {
    flavour.name: flavour for flavour in (OPENAI, PLAIN, GROQ, OPENROUTER, MISTRAL, DEEPSEEK)
}


def flavour_of(name: str) -> Flavour:
    """The flavour that a provider's quirks name."""
    return FLAVOURS.get(name, PLAIN)
