"""How the services that speak the chat dialect differ on the wire, chosen by the path's prefix.

Sources: `dialects.md` §1.6 to §1.9 and recordings of these services.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["OPENAI", "Persona", "persona"]


class Persona(Struct, frozen=True):
    """One service's habits."""

    name: str = "openai"
    thinking: Literal["reasoning_content", "reasoning", "details", "parts"] = "reasoning_content"
    """The member that carries thinking: a text member, text and details, or parts of the content."""
    usage: Literal["asked", "finish", "last", "groq"] = "asked"
    """Usage in a stream: a chunk of its own if asked for; always on the finish chunk; always in a
    chunk after it; in ``x_groq`` of the finish chunk, and beside it if asked for."""
    comment: bytes = b": keep-alive\n\n"
    role_with_every_chunk: bool = False
    whole_calls: bool = False
    """A tool call comes in one delta."""


OPENAI = Persona()
_PERSONAS = {
    each.name: each
    for each in (
        OPENAI,
        Persona("groq", thinking="reasoning", usage="groq", whole_calls=True),
        Persona(
            "openrouter",
            thinking="details",
            usage="last",
            comment=b": OPENROUTER PROCESSING\n\n",
            role_with_every_chunk=True,
        ),
        Persona("mistral", thinking="parts", usage="finish", whole_calls=True),
        Persona("deepseek", usage="finish"),
    )
}


def persona(path: str) -> Persona:
    """The service that the path speaks to: ``/groq/openai/v1/…`` is Groq, OpenAI by default."""
    return _PERSONAS.get(path.lstrip("/").partition("/")[0], OPENAI)
