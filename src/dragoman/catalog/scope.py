"""Whether a scope has a provider's model: one place for plans and for lists of models."""

from __future__ import annotations

from dragoman.core.provider import Provider
from dragoman.core.scopes import Bounds, allows_model


def may_ask(bounds: Bounds, provider: Provider, model: str) -> bool:
    """Whether the model is within; the stub answers in the name of others, and is judged by it (R-ADD-036)."""
    if provider.stub:
        maker, _, own = model.partition("/")
        return allows_model(bounds, maker, own)
    return allows_model(bounds, provider.name, model)
