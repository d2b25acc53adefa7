"""The providers that are switched on, with everything that is known of their models.

Made once by ``load.load_providers`` (and anew when the configuration changes); what it holds
beside live listings never changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import Struct, structs

from dragoman.catalog.capability import capability_of
from dragoman.catalog.listing import Listed, ListingRequest, Listings
from dragoman.catalog.models import Model, Shelf, read_shelves
from dragoman.catalog.ranks import rank_of
from dragoman.catalog.routes import NamedRoute
from dragoman.catalog.schema import Definition, Keyed
from dragoman.core.capability import Capability
from dragoman.core.provider import Price, Provider, Quirks

STUB = Provider(
    name="stub",
    family="chat",
    base_url="stub://local",
    paths={"chat": "/chat/completions", "embeddings": "/embeddings"},
    # Whether the caller asked for usage is left as the caller said it.
    quirks=Quirks(usage_in_stream="always"),
    stub=True,
)
STUB_MODELS = ("openai/gpt-4o-mini", "openai/text-embedding-3-small")
"""What the stub answers for (R-ADD-036)."""


class Known(Struct, frozen=True):
    """One model that may be listed: the provider's own id and what is known of it."""

    id: str
    name: str | None = None
    created: int = 0


@dataclass(slots=True)
class Registry:
    """Configured providers, in the order in which a bare id is looked for."""

    providers: dict[str, Provider]
    definitions: Mapping[str, Definition]
    credentials: Mapping[str, tuple[Keyed, ...]] = field(default_factory=dict)
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    routes: Mapping[str, NamedRoute] = field(default_factory=dict)
    """Those of the aliases that are chosen from by a strategy or by weight."""
    ranks: Mapping[str, int] = field(default_factory=dict)
    """The operator's own ranks by ``provider/model`` or by the id alone."""
    overrides: Mapping[str, Price] = field(default_factory=dict)
    """The operator's own prices by ``provider/model``."""
    declared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Models that the operator named in a provider's row."""
    unserved: Mapping[str, str] = field(default_factory=dict)
    """Providers that have a key but speak a family that is not served, with that family."""
    dormant: Mapping[str, Provider] = field(default_factory=dict)
    """Providers that lack a key alone: whoever brings one of its own is served by them."""
    order: tuple[str, ...] = ()
    """All of both, in the order in which a bare id is looked for."""
    barred: Mapping[str, str] = field(default_factory=dict)
    """Providers that serve one tenant nothing, as it has no credential of its own there; with why."""
    shut: frozenset[str] = frozenset()
    """Providers that an administrator has disabled: who names one is told so, and gets nobody else."""
    listings: Listings = field(default_factory=Listings)
    memory: dict[str, Any] = field(default_factory=dict, repr=False)
    """What was worked out of all models, until more of them are known of."""
    _shelves: dict[str, Shelf] | None = field(default=None, repr=False)

    def reachable(self, name: str) -> Provider | None:
        """A provider that calls may be made to: configured, or lacking a key alone, which a tenant may bring."""
        return self.providers.get(name) or self.dormant.get(name)

    def spoken_of(self) -> list[str]:
        """Who is configured: the stub is nobody, and another surface of a provider is that provider."""
        return [
            name
            for name, provider in self.providers.items()
            if not (provider.stub or self._lists_for(name) in self.providers)
        ]

    def addresses(self) -> dict[str, str]:
        """Where each provider is."""
        return {name: provider.base_url for name, provider in self.providers.items()}

    def _lists_for(self, provider: str) -> str:
        """The provider that lists the same models; empty: there is none."""
        definition = self.definitions.get(provider)
        return "" if definition is None else definition.listed_by

    def changed_since(self, before: Registry) -> set[str]:
        """Providers of either that are not the same in both: another address, other keys, or not there."""
        names = {*self.providers, *before.providers}
        return {name for name in names if self._shape(name) != before._shape(name)}

    def _shape(self, name: str) -> tuple[Provider | None, tuple[Keyed, ...]]:
        return self.providers.get(name), tuple(self.credentials.get(name, ()))

    def inherit(self, before: Registry) -> None:
        """Takes over what was learned of the providers that are still the same."""
        changed = self.changed_since(before)
        self.listings = before.listings.only(
            name for name in self.providers if name not in changed
        )
        mine = {name: self.definitions.get(name) for name in self.providers}
        if mine == {name: before.definitions.get(name) for name in before.providers}:
            self._shelves = before._shelves

    # --- what tenants see

    def widened(self) -> Registry:
        """The registry with the dormant providers as well, and what is known of their models.

        Their own lists of models are not asked for: nobody has a key but tenants.
        """
        awake = {
            **self.providers,
            **{name: _unlisted(each) for name, each in self.dormant.items()},
        }
        names = dict.fromkeys((*self.order, *awake))
        found = replace(
            self,
            providers={name: awake[name] for name in names if name in awake},
            dormant={},
            memory={},
            _shelves=None,
        )
        found.load_models()
        return found

    # --- facts

    def load_models(self) -> None:
        """Reads the bundled facts of the configured providers, if that has not been done yet."""
        if self._shelves is None:
            self._shelves = read_shelves(
                each for name, each in self.definitions.items() if name in self.providers
            )

    def facts(self, provider: str, model: str) -> Model | None:
        """The bundled facts of a model; None: it is not in the bundled catalogue."""
        shelf = self._shelf(provider)
        return shelf.find(model) if shelf is not None else None

    def knows(self, provider: str, model: str) -> bool:
        """Whether the catalogue knows the model: listed, declared, or bundled."""
        if model in (self.listings.of(provider) or ()):
            return True
        if model in self.declared.get(provider, ()):
            return True
        return self.facts(provider, model) is not None

    def price(self, provider: str, model: str, wall: float) -> Price | None:
        """The price of a model at a Unix time; None: unknown, and never guessed."""
        own = self.overrides.get(f"{provider}/{model}")
        if own is not None:
            return own
        facts = self.facts(provider, model)
        price = facts.price(wall) if facts is not None else None
        return self._estimate(provider) if price is None else price

    def _estimate(self, provider: str) -> Price | None:
        """What the provider's file takes for the price of any model."""
        definition = self.definitions.get(provider)
        if definition is None or not definition.estimate:
            return None
        known = self.memory.get(f"estimate {provider}")
        if known is None:
            said = definition.estimate
            known = self.memory[f"estimate {provider}"] = Price(
                input=said.get("input"),
                output=said.get("output"),
                source="estimate",
                estimate=True,
            )
        found: Price = known
        return found

    def rank(self, provider: str, model: str) -> int | None:
        """How capable the model is held to be, 0 to 100; None: nobody has said it."""
        own = self.ranks.get(f"{provider}/{model}", self.ranks.get(model))
        return rank_of(model) if own is None else own

    def capability(self, provider: str, model: str, spoken: Provider | None = None) -> Capability:
        """What the model accepts, in the family in which the provider is called."""
        target = spoken or self.providers[provider]
        facts = self.facts(provider, model)
        context = facts.context_tokens if facts is not None else None
        if context is None:
            listed = (self.listings.of(provider) or {}).get(model)
            context = listed.context_tokens if listed is not None else None
        return capability_of(target.family, target.quirks.flavour, model, context)

    def models(self, provider: str) -> Iterator[Known]:
        """What the provider offers: its own list where it was had, else the bundled one."""
        if self._lists_for(provider) in self.providers:
            yield from (Known(model) for model in self.declared.get(provider, ()))
            return
        listed = self.listings.of(provider)
        seen = set(self.declared.get(provider, ()))
        for model in self.declared.get(provider, ()):
            yield Known(model)
        if listed is not None:
            for item in listed.values():
                if item.id not in seen:
                    yield self._named(provider, item)
            return
        shelf = self._shelf(provider)
        for model, facts in shelf.ids.items() if shelf is not None else ():
            if model not in seen:
                yield Known(model, facts.name)

    def _named(self, provider: str, item: Listed) -> Known:
        name = item.name
        if name is None:
            facts = self.facts(provider, item.id)
            name = facts.name if facts is not None else None
        return Known(item.id, name, item.created)

    def _shelf(self, provider: str) -> Shelf | None:
        self.load_models()
        assert self._shelves is not None
        definition = self.definitions.get(provider)
        return self._shelves.get(definition.prices) if definition is not None else None

    # --- live listings

    def listings_due(self, now: float) -> list[ListingRequest]:
        """The listings to fetch now: never had, an hour old, or failed a minute ago."""
        return self.listings.due(self.providers.values(), self._listing_query, now)

    def note_listing(self, provider: str, models: tuple[Listed, ...], now: float) -> None:
        """A listing has come; an empty one counts as not had."""
        if models:
            self.listings.note(provider, models, now)
            self.memory.clear()
        else:
            self.listings.fail(provider, now)

    def fail_listing(self, provider: str, now: float) -> None:
        """A listing could not be had."""
        self.listings.fail(provider, now)

    def _listing_query(self, provider: str) -> str:
        definition = self.definitions.get(provider)
        return definition.listing.query if definition is not None else ""


def _unlisted(provider: Provider) -> Provider:
    paths = {
        operation: path for operation, path in provider.paths.items() if operation != "models"
    }
    return structs.replace(provider, paths=paths)


def with_stub(registry: Registry) -> Registry:
    """The same registry with the stub, which gets its models' names before any provider (D20)."""
    stubs = {model: (f"{STUB.name}/{model}",) for model in STUB_MODELS}
    return replace(
        registry,
        providers={**registry.providers, STUB.name: STUB},
        aliases={**stubs, **registry.aliases},
        declared={**registry.declared, STUB.name: STUB_MODELS},
        memory={},
        _shelves=None,
    )
