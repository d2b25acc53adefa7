"""What a route is: one row of the table, with its dialect, its operation and its permission."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from dragoman.core.ask import Streams
from dragoman.core.provider import Family, Operation
from dragoman.identity.permissions import Permission

Switch: TypeAlias = Literal[
    "enable_admin_routes",
    "enable_openai_routes",
    "enable_anthropic_routes",
    "enable_models_routes",
    "enable_gemini_routes",
    "enable_groq_routes",
    "enable_ollama_routes",
    "enable_openrouter_routes",
]
Page: TypeAlias = Literal[
    "models",
    "model",
    "show",
    "version",
    "loaded",
    "generation",
    "credits",
    "key",
    "usage",
    "calls",
    "all_calls",
    "recommend",
    "explain",
    "bodies",
    "bodies_delete",
    "health",
    "ready",
    "metrics",
    "openapi",
    "reload",
    "refresh",
    "response",
    "response_delete",
    "response_items",
    "response_cancel",
    "stream",
    "managed",
    "service",
    "services",
    "socket",
]


class Route(Struct, frozen=True):
    """One row: data routes have an operation, all others a page."""

    method: str
    path: str
    permission: Permission
    summary: str
    dialect: Family = "chat"
    operation: Operation | None = None
    page: Page | None = None
    switch: Switch | None = None
    streams: Streams = "if_said"
    home: str | None = None
    """The provider whose router this is: a whole model string is looked for there first (D12)."""
    flavour: str = ""
    """What its clients expect beyond the dialect: OpenRouter's errors and lists are its own."""
