"""The plan of a call: who is tried, in which order (`design.md` §4).

One concrete model is served by that model or fails in plain words. Several candidates come from
an alias with several models, from the caller's own fallback list, and from several keys at one
provider. Who is well goes before who rests; otherwise the order is as it was said.
"""

from __future__ import annotations

from dragoman.catalog.registry import Registry
from dragoman.catalog.resolve import ListingsNeeded, Target, resolve
from dragoman.core.errors import unsupported
from dragoman.core.provider import Candidate, Family, Operation, Plan, Provider
from dragoman.credentials.pool import Pools
from dragoman.health.health import Health
from dragoman.routing.wish import NONE, Wish

MOST = 32
"""Candidates of a plan."""
_ANYWHERE: frozenset[Operation] = frozenset({"count_tokens", "models"})
"""Operations that the house answers where a provider does not."""


def route(
    model: object,
    registry: Registry,
    health: Health,
    pools: Pools,
    now: float,
    *,
    operation: Operation = "chat",
    family: Family = "chat",
    wish: Wish = NONE,
    asked: bool = False,
    home: str | None = None,
) -> Plan | ListingsNeeded:
    """The plan for a model string, or the listings that must be fetched before one can be made.

    After fetching them, call again with ``asked``. ``family`` is the caller's: a provider that
    speaks it natively is called in it. ``home`` is the provider on whose router the call came.

    Raises:
        CallerError: a name resolves to nothing, or nothing of it serves the operation.
    """
    targets: list[Target] = []
    named = [(f"models[{place}]", name) for place, name in enumerate(wish.listed)]
    others = [(f"routing.fallback[{place}]", name) for place, name in enumerate(wish.fallback)]
    # OpenRouter's callers may name the model in `models` alone.
    names = [*([] if model is None and named else [("model", model)]), *named, *others]
    for param, name in names:
        if targets and param.startswith("models") and _walks_itself(targets[0]):
            continue
        found = resolve(name, registry, now, param=param, asked=asked, home=home)
        if isinstance(found, ListingsNeeded):
            return found
        targets += found
    serving = [item for item in targets if _serves(item, operation)]
    if not serving:
        provider = targets[0].provider.name
        raise unsupported(
            f"{provider} does not serve {operation.replace('_', ' ')} here; choose another model.",
            "model",
        )
    candidates = _candidates(serving, registry, pools, operation, family)
    if len(candidates) > 1:
        candidates.sort(key=lambda item: not health.is_well(item, now))
    requested = model if isinstance(model, str) else wish.listed[0]
    return Plan(requested, tuple(candidates[:MOST]), wish.max_attempts)


def _walks_itself(target: Target) -> bool:
    """OpenRouter falls back along ``models`` on its own; twice would be once too often."""
    return target.provider.quirks.flavour == "openrouter"


def _serves(target: Target, operation: Operation) -> bool:
    provider = target.provider
    ways = (provider, *provider.also)
    return operation in _ANYWHERE or any(operation in way.paths for way in ways)


def _spoken(provider: Provider, operation: Operation, family: Family) -> Provider:
    """The provider in the caller's family, if it serves the operation in it; else in one that it does."""
    ways = (provider.speaking(family), provider, *provider.also)
    return next((way for way in ways if operation in way.paths), provider)


def _candidates(
    targets: list[Target],
    registry: Registry,
    pools: Pools,
    operation: Operation,
    family: Family,
) -> list[Candidate]:
    """One candidate for each target and key, the keys of a target one after the other."""
    found: dict[tuple[str, str, str], Candidate] = {}
    for target in targets:
        provider = _spoken(target.provider, operation, family)
        capability = registry.capability(provider.name, target.model, provider)
        for credential in pools.turn(provider.name) or (None,):
            key = (provider.name, target.model, credential.id if credential else "")
            if key not in found:
                found[key] = Candidate(
                    provider, target.model, credential, capability, target.known
                )
    return list(found.values())
