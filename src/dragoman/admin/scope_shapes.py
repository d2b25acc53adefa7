"""Scopes as the interface says and shows them: of tenants, of projects and of keys alike."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field, StringConstraints

from dragoman.admin.paging import Strict
from dragoman.core.scopes import NOTHING_SAID, Scopes
from dragoman.identity.tenancy import LONGEST_PATTERN, MOST_PATTERNS, scopes_of

Pattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LONGEST_PATTERN, pattern=r"^[^\x00-\x1f\x7f]+$"),
]
Surface: TypeAlias = Literal["chat", "completions", "responses", "anthropic", "gemini", "ollama"]
Grant: TypeAlias = Literal["completions", "models", "services", "usage", "tenant", "admin"]


class ScopeSaid(Strict):
    """What may be done; null or left out: whatever the role reaches."""

    models: list[Pattern] | None = Field(
        None,
        max_length=MOST_PATTERNS,
        description="Patterns of provider/model, * is anything; without a slash of the model's id alone",
        examples=[["openai/gpt-4o*", "anthropic/*"]],
    )
    surfaces: list[Surface] | None = Field(
        None, max_length=16, description="Dialects in which models may be asked"
    )
    permissions: list[Grant] | None = Field(
        None, max_length=16, description="Kinds of routes, of those that the role reaches"
    )


class ScopeShown(BaseModel):
    """What may be done; null: whatever the role reaches."""

    models: list[str] | None
    surfaces: list[str] | None
    permissions: list[str] | None


def scopes_said(said: ScopeSaid | None) -> Scopes:
    """The scopes as the store has them.

    Raises:
        CallerError: a pattern is none.
    """
    if said is None:
        return NOTHING_SAID
    return scopes_of(said.models, said.surfaces, said.permissions)


def scope_shown(scopes: Scopes) -> dict[str, Any]:
    """The members of ``ScopeShown``."""
    return {
        name: None if words is None else list(words)
        for name in scopes.__struct_fields__
        for words in (getattr(scopes, name),)
    }
