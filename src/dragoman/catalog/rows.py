"""What ``GET /v1/models`` tells: every row is a string that this instance routes (R-SURF-016, R-SURF-018)."""

from __future__ import annotations

from msgspec import Struct

from dragoman.catalog.registry import Registry
from dragoman.catalog.resolve import AUTO


class ModelRow(Struct, frozen=True):
    """One model in OpenAI's shape; ``created`` is 0 where nobody says it."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = ""
    name: str = ""


def models_list(registry: Registry) -> list[ModelRow]:
    """Every model by the name under which it is asked for, in order; the operator's names and ``auto`` first."""
    names = dict.fromkeys(registry.aliases)
    if registry.providers:
        names[AUTO] = None
    rows = {name: _row(name, owner=_owner(name)) for name in names}
    for provider in registry.providers.values():
        if provider.stub:
            continue  # its models are listed as the aliases that they are asked for by
        for model in registry.models(provider.name):
            name = f"{provider.name}/{model.id}"
            if name not in rows:
                rows[name] = _row(name, provider.name, model.created, model.name)
    return list(rows.values())


def _owner(name: str) -> str:
    head, slash, _ = name.partition("/")
    return head if slash else "dragoman"


def _row(name: str, owner: str, created: int = 0, title: str | None = None) -> ModelRow:
    return ModelRow(id=name, created=created, owned_by=owner, name=title or name)
