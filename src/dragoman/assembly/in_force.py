"""The registry in force, and those that calls may still be made by: all are asked for prices and addresses."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from dragoman.catalog.registry import Registry
from dragoman.core.provider import Price


@dataclass(slots=True)
class InForce:
    """The registry in force, and the one before it, whose calls may still be under way."""

    registry: Registry
    former: Registry | None = None
    wide: Registry | None = None
    """One with the providers that tenants alone have keys for; None while nobody has asked for it."""
    _wide_of: Registry | None = None
    _widening: asyncio.Lock = field(default_factory=asyncio.Lock)

    def price(self, provider: str, model: str) -> Price | None:
        """The price of a model now."""
        return self.price_at(provider, model, time.time())

    def price_at(self, provider: str, model: str, wall: float) -> Price | None:
        """The price of a model at a Unix time."""
        holder = self._holder(provider)
        return None if holder is None else holder.price(provider, model, wall)

    def now(self) -> Registry:
        """The registry in force."""
        return self.registry

    def address(self, provider: str) -> str | None:
        """Where a provider is."""
        holder = self._holder(provider)
        return None if holder is None else holder.providers[provider].base_url

    async def widened(self, registry: Registry) -> Registry:
        """The registry with its dormant providers; made once, beside the calls."""
        async with self._widening:
            if self.wide is None or self._wide_of is not registry:
                self.wide = await asyncio.to_thread(registry.widened)
                self._wide_of = registry
            return self.wide

    def _holder(self, provider: str) -> Registry | None:
        every = (self.registry, self.former, self.wide)
        return next((each for each in every if each and provider in each.providers), None)
