"""The registry in force, and the one before it: what is said of providers while calls of both are under way."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dragoman.catalog.registry import Registry
from dragoman.core.provider import Price


@dataclass(slots=True)
class Current:
    """The registry in force, and the one before it, whose calls may still be under way."""

    registry: Registry
    former: Registry | None = None

    def price(self, provider: str, model: str) -> Price | None:
        """The price of a model now."""
        holder = self._holder(provider)
        return None if holder is None else holder.price(provider, model, time.time())

    def address(self, provider: str) -> str | None:
        """Where a provider is."""
        holder = self._holder(provider)
        return None if holder is None else holder.providers[provider].base_url

    def _holder(self, provider: str) -> Registry | None:
        both = (self.registry, self.former)
        return next((each for each in both if each and provider in each.providers), None)
