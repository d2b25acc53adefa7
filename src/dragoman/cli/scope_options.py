"""Scopes as the command line says and tells them: comma lists, of which an empty one is no bound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from dragoman.core.scopes import Scopes

__all__ = ["ModelsOption", "PermissionsOption", "SurfacesOption", "scoped", "told_scope"]

ModelsOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERNS",
        help="Only these models, as openai/gpt-4o*,anthropic/*; empty: all.",
    ),
]
SurfacesOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Only these dialects: chat, completions, responses, anthropic, gemini, ollama.",
    ),
]
PermissionsOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Only these routes: completions, models, services, usage, tenant, admin.",
    ),
]


def scoped(
    before: Scopes, models: str | None, surfaces: str | None, permissions: str | None
) -> Scopes | None:
    """The scopes with what is said in the place of what they had; None where nothing is said.

    Raises:
        CallerError: a word is unknown.
    """
    from dragoman.identity.tenancy import scopes_of

    if models is None and surfaces is None and permissions is None:
        return None
    return scopes_of(
        _words(models, before.models),
        _words(surfaces, before.surfaces),
        _words(permissions, before.permissions),
    )


def _words(said: str | None, before: Sequence[str] | None) -> Sequence[str] | None:
    if said is None:
        return before
    return [word for each in said.split(",") if (word := each.strip())] or None


def told_scope(scopes: Scopes) -> str:
    """The scopes in one cell of a table."""
    told = [
        f"{name} {', '.join(words)}"
        for name in scopes.__struct_fields__
        for words in (getattr(scopes, name),)
        if words is not None
    ]
    return "; ".join(told) or "all"
