"""From a model string to who serves it: the order of D12, and plain words where nothing fits.

0. On a provider's router: the whole string, if it is an id in that provider's catalogue.
1. An alias or a route of the operator's (the stub's names are aliases, too); ``auto`` is every
   model that is known of, unless the operator gave that name to something.
2. ``provider/model``: split at the first slash, if the head is a configured provider. The tail
   goes to it, known or not, and its own 404 comes back.
3. ``provider:model``, the same way; ``llama3.2:3b`` stays whole.
4. The whole string as an exact id in the configured providers' catalogues, in their order, or
   one whose newest tag was not said (``llama3.2`` is ``llama3.2:latest``); where it is in none,
   stale listings are asked once (the caller fetches and asks again).
5. The rule of a provider that has one (``families.py``), for a name that is in none.
6. 404 ``model_not_found`` with the three nearest ids. There is no default model.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from dragoman.catalog.families import claude_family
from dragoman.catalog.listing import ListingRequest
from dragoman.catalog.makers import maker_of
from dragoman.catalog.nearest import nearest
from dragoman.catalog.registry import Registry
from dragoman.catalog.schema import SERVED, Definition
from dragoman.core.errors import CallerError, invalid
from dragoman.core.provider import Provider

LONGEST = 512
"""Characters of a model string; the longest real ones have a hundred."""


class Target(Struct, frozen=True):
    """One provider and its own id of a model."""

    provider: Provider
    model: str
    known: bool


class ListingsNeeded(Struct, frozen=True):
    """Nothing is known of the string yet: fetch these listings, note them, and resolve again."""

    requests: tuple[ListingRequest, ...]


AUTO = "auto"
"""The name under which the strategy chooses among all models (R-ROUTE-001)."""
Resolved: TypeAlias = tuple[Target, ...] | ListingsNeeded


def resolve(
    model: object,
    registry: Registry,
    now: float,
    *,
    param: str = "model",
    asked: bool = False,
    home: str | None = None,
) -> Resolved:
    """Who serves the model, in order; several only where an alias names several.

    ``asked``: stale listings have been asked; what is unknown now is not there. ``home`` is the
    provider on whose router the call came.

    Raises:
        CallerError: it is no model string (400), or names nothing that is configured (404).
    """
    name = _model_string(model, param)
    at_home = None if home is None else _at_home(name, registry, home)
    if at_home is not None:
        return (at_home,)
    if is_auto(name, registry):
        return every_model(registry, now, param, asked=asked)
    targets = _walk(name, registry, param, ruled=False)
    near = [item for item in targets if not item.known and _has_rule(item.provider.name, registry)]
    if near:
        own = _due_of({item.provider.name for item in near}, registry, now)
        if own and not asked:
            return ListingsNeeded(own)
        targets = _walk(name, registry, param, ruled=True)
    if targets and home is not None and not asked and targets[0].provider.name != home:
        # It means somebody else, unless its home has come to know it.
        own = _due_of({home}, registry, now)
        if own:
            return ListingsNeeded(own)
    if targets:
        return tuple({(item.provider.name, item.model): item for item in targets}.values())
    due = () if asked else tuple(registry.listings_due(now))
    if due:
        return ListingsNeeded(due)
    targets = _walk(name, registry, param, ruled=True)
    if targets:
        return tuple(targets)
    who = next((each for each in registry.barred if registry.knows(each, name)), None)
    if who is not None:
        raise _barred(who, registry, param)
    raise _not_found(name, registry, param, home)


def _due_of(names: set[str], registry: Registry, now: float) -> tuple[ListingRequest, ...]:
    """The lists of those providers, as far as they should be asked for."""
    return tuple(item for item in registry.listings_due(now) if item.provider.name in names)


def _has_rule(provider: str, registry: Registry) -> bool:
    definition = registry.definitions.get(provider)
    return definition is not None and definition.resolve is not None


def is_auto(name: str, registry: Registry, home: str | None = None) -> bool:
    """Whether the string is the built-in ``auto``, which no operator has given to something else."""
    if name != AUTO or AUTO in registry.aliases:
        return False
    return home is None or _at_home(name, registry, home) is None


def every_model(registry: Registry, now: float, param: str, *, asked: bool) -> Resolved:
    """Every model that the configured providers are known to have.

    Raises:
        CallerError: nobody is configured, or nobody's models are known (404).
    """
    if AUTO in registry.memory:
        kept: tuple[Target, ...] = registry.memory[AUTO]
        return kept
    names = registry.spoken_of() or list(registry.providers)
    found = {name: [model.id for model in registry.models(name)] for name in names}
    # A provider whose list was never had is asked for it: of the others enough is known.
    silent = [name for name, models in found.items() if not models]
    due = () if asked or not silent else tuple(registry.listings_due(now))
    missing = tuple(item for item in due if item.provider.name in silent)
    if missing:
        return ListingsNeeded(missing)
    targets = tuple(
        Target(registry.providers[name], model, known=True)
        for name, models in found.items()
        for model in models
    )
    if not targets:
        if registry.barred:
            raise _barred(next(iter(registry.barred)), registry, param)
        raise _not_found(AUTO, registry, param, None)
    if not silent:
        registry.memory[AUTO] = targets
    return targets


def _model_string(model: object, param: str) -> str:
    if model is None:
        raise CallerError(
            "invalid_request",
            "The request names no model; say one as provider/model, see GET /v1/models.",
            code="missing_required_field",
            param=param,
        )
    if not isinstance(model, str):
        kind = type(model).__name__
        raise invalid(f"{param} must be a string, not {kind}.", param, "invalid_field_type")
    name = model.strip()
    if not name:
        raise invalid(
            f"{param} is empty; say one as provider/model.", param, "invalid_field_value"
        )
    if len(name) > LONGEST:
        raise invalid(
            f"{param} has {len(name)} characters; at most {LONGEST} are accepted.",
            param,
            "invalid_field_value",
        )
    return name


NEWEST = ":latest"
"""A model's tag where none is said, in catalogues whose ids have one."""


def _at_home(name: str, registry: Registry, home: str) -> Target | None:
    provider = registry.providers.get(home)
    definition = registry.definitions.get(home)
    if provider is None or (definition is not None and definition.id_marker not in name):
        return None
    listed = registry.listings.of(home)
    if listed is not None and name not in listed and name.partition("/")[0] in registry.providers:
        return None  # its own list is newer than what is bundled, and does not have it
    return _known(provider, name, registry) or _newest(provider, name, registry)


def _known(provider: Provider, name: str, registry: Registry) -> Target | None:
    """An id in the provider's catalogue."""
    return Target(provider, name, known=True) if registry.knows(provider.name, name) else None


def _newest(provider: Provider, name: str, registry: Registry) -> Target | None:
    """An id whose tag was not said."""
    return None if ":" in name else _known(provider, name + NEWEST, registry)


def _walk(name: str, registry: Registry, param: str, *, ruled: bool) -> list[Target]:
    """What a name means; ``ruled`` also by the rules of providers that have one.

    Aliases have no circles: ``load`` refuses them.
    """
    aliased = registry.aliases.get(name)
    if aliased is None:
        found = _one(name, registry, param, ruled=ruled)
        return [found] if found is not None else []
    if registry.shut or registry.barred:
        aliased = _open(aliased, registry)
    return [target for item in aliased for target in _walk(item, registry, param, ruled=ruled)]


def _open(targets: tuple[str, ...], registry: Registry) -> tuple[str, ...]:
    """Those of several targets whose provider is not disabled or barred; all of them where each one's is."""
    closed = registry.shut | registry.barred.keys()
    kept = tuple(each for each in targets if each.partition("/")[0] not in closed)
    return kept or targets


def _barred(provider: str, registry: Registry, param: str) -> CallerError:
    return CallerError(
        "permission", registry.barred[provider], code="no_own_credential", param=param
    )


def _one(name: str, registry: Registry, param: str, *, ruled: bool) -> Target | None:
    signs: tuple[Literal["/", ":"], ...] = ("/", ":")
    for sign in signs:
        head, found, tail = name.partition(sign)
        if not found:
            continue
        if head in registry.unserved:
            raise CallerError(
                "not_found",
                f"{head} is configured, but it speaks {registry.unserved[head]}, which this version "
                "does not serve.",
                code="model_not_found",
                param=param,
            )
        if head in registry.barred:
            raise _barred(head, registry, param)
        if head in registry.shut:
            raise CallerError(
                "not_found",
                f"{head} is disabled by an administrator; until it is enabled, name another provider.",
                code="model_not_found",
                param=param,
            )
        provider = registry.providers.get(head)
        if provider is not None:
            if not tail.strip():
                raise invalid(
                    f"The model string names {head} but no model of it; "
                    f"say {head}/ and the model's id.",
                    param,
                    "invalid_field_value",
                )
            return (ruled and _meant(provider, tail, registry)) or Target(
                provider, tail, registry.knows(head, tail)
            )
    for find in (_known, _newest):
        for provider in registry.providers.values():
            if (target := find(provider, name, registry)) is not None:
                return target
    if ruled:
        meant = (_meant(provider, name, registry) for provider in registry.providers.values())
        return next(filter(None, meant), None)
    return None


def _meant(provider: Provider, name: str, registry: Registry) -> Target | None:
    """What a provider's rule makes of a name that it does not have (R-ROUTE-003)."""
    if not _has_rule(provider.name, registry) or registry.knows(provider.name, name):
        return None
    model = claude_family(name, {each.id for each in registry.models(provider.name)})
    return None if model is None else Target(provider, model, known=True)


def _not_found(name: str, registry: Registry, param: str, home: str | None) -> CallerError:
    near = nearest(name, _all_names(registry))
    shown = name if len(name) <= 80 else name[:80] + "…"
    hints = [hint] if (hint := _missing(name, registry, home)) else []
    if near:
        hints.append(f"nearest: {', '.join(near)}")
    if not registry.providers and not hints:
        hints.append("no provider is configured: set a provider's key such as OPENAI_API_KEY")
    told = "; ".join(hints) if hints else "see GET /v1/models"
    return CallerError(
        "not_found",
        f"No configured provider has a model {shown!r}; {told}.",
        code="model_not_found",
        param=param,
        details={"nearest": list(near)} if near else None,
    )


def _missing(name: str, registry: Registry, home: str | None) -> str:
    """What would have to be switched on: who is named, whose router it is, or who makes the model."""
    head = name.partition("/")[0]
    definition = registry.definitions.get(head)
    if definition is not None and definition.family not in SERVED:
        return f"{head} is known, but its dialect ({definition.family}) is not served yet"
    if definition is not None and head not in registry.providers:
        return f"{head} is not configured{_switch(definition)}"
    here = registry.definitions.get(home or "")
    if here is not None and here.name not in registry.providers:
        return f"{here.name}, whose router this is, is not configured{_switch(here)}"
    maker = maker_of(name, registry.definitions)
    if maker is not None and maker.name not in registry.providers:
        return f"{maker.name}, which has it, is not configured{_switch(maker)}"
    return ""


def _switch(definition: Definition) -> str:
    places = (*definition.env.key, *definition.env.base_url)
    return f" (set {places[0]})" if places else ""


def _all_names(registry: Registry) -> list[str]:
    names = [
        f"{provider}/{model.id}"
        for provider in registry.providers
        if not registry.providers[provider].stub
        for model in registry.models(provider)
    ]
    return [*registry.aliases, *names]
