"""What administrators have added while serving: aliases, routes, providers, tiers, and tenants' policies.

It lies over what the configuration file says, and goes before it: a name that is stored hides
the file's, a stored provider's members take the place of the file's or the built-in ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from dragoman.core.call import Limits
from dragoman.core.provider import Rotation

Kind: TypeAlias = Literal["alias", "route", "policy"]
HOUSE = ""
"""The tenant of names that are everybody's."""


class Named(Struct, frozen=True):
    """A name for one model or for several, and how one of them is chosen."""

    kind: Kind
    name: str
    targets: tuple[str, ...]
    weights: tuple[int, ...] = ()
    """As many as targets; empty: all alike."""
    strategy: str | None = None
    tenant: str = HOUSE
    created_ms: int = 0
    changed_ms: int = 0


class StoredProvider(Struct, frozen=True):
    """A provider as an administrator wrote it; what is None is left as the file has it."""

    name: str
    base_url: str | None = None
    dialect: str | None = None
    models: tuple[str, ...] = ()
    disabled: bool = False
    key_preview: str = ""
    """Of the stored key; empty: none is stored."""
    rotation: Rotation | None = None
    """Whose turn it is among its accounts."""
    created_ms: int = 0
    changed_ms: int = 0

    @property
    def is_stored(self) -> bool:
        """Whether anything of the provider itself is, rather than a turn among its accounts alone."""
        own = self.base_url or self.dialect or self.models or self.key_preview or self.disabled
        return bool(own or self.rotation is None)


class StoredTier(Struct, frozen=True):
    """A tier as an administrator wrote it; it takes the place of the file's of its name."""

    name: str
    limits: Limits
    created_ms: int = 0
    changed_ms: int = 0


class Submission(Struct, frozen=True):
    """A key of a provider that somebody handed in; the key itself is sealed elsewhere."""

    id: str
    provider: str
    preview: str
    tier: int | None = None
    submitted_by: str = ""
    """The address that it came from."""
    created_ms: int = 0
    adopted_ms: int | None = None


class Overlay(Struct, frozen=True):
    """All that is stored, with its keys open; it is never shown."""

    generation: int = 0
    named: tuple[Named, ...] = ()
    providers: tuple[StoredProvider, ...] = ()
    keys: Mapping[str, tuple[str, ...]] = {}
    """Provider → its stored keys."""
    adopted: Mapping[str, tuple[str, ...]] = {}
    """Provider → keys that were handed in and adopted: used beside those that it has."""
    tiers: tuple[StoredTier, ...] = ()

    def __repr__(self) -> str:
        return f"Overlay(generation={self.generation})"

    def __bool__(self) -> bool:
        return bool(self.named or self.providers or self.adopted or self.tiers)


def alias_value(named: Named) -> str | list[str]:
    """The alias as ``dragoman.toml`` would say it."""
    return named.targets[0] if len(named.targets) == 1 else list(named.targets)


def route_table(named: Named) -> dict[str, Any]:
    """The route as ``dragoman.toml`` would say it."""
    candidates: list[Any] = list(named.targets)
    if named.weights:
        candidates = [
            {"model": model, "weight": weight}
            for model, weight in zip(named.targets, named.weights, strict=True)
        ]
    table: dict[str, Any] = {"candidates": candidates}
    if named.strategy is not None:
        table["strategy"] = named.strategy
    return table
