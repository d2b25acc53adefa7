"""The plan of a call: who is tried, in which order (`design.md` §4).

One concrete model is served by that model or fails in plain words. Several candidates come from
`auto`, from an alias or a route with several models, from the caller's own list, and from several
keys at one provider. Where there is a choice, who is known not to be able to serve the request is left
out (R-ROUTE-007), and a strategy orders the rest if one was asked for; else they stand as they were
said. Who is well goes before who rests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from dragoman.catalog.registry import Registry
from dragoman.catalog.resolve import AUTO, ListingsNeeded, Target, is_auto, resolve
from dragoman.catalog.routes import Leg, NamedRoute
from dragoman.core.errors import CallerError, unsupported
from dragoman.core.provider import Candidate, Credential, Plan, Provider, Skipped, Strategy
from dragoman.routing.confine import BEYOND, beyond_scope, confine, refuse_listed, unknown_here
from dragoman.routing.order import Weights, ordered, slow_last
from dragoman.routing.preferences import NO_PREFERENCES, Preferences, read_preferences
from dragoman.routing.sieve import (
    MOST_TOLD,
    cannot_serve,
    disabled,
    incapable,
    is_openrouter,
    nobody,
    nobody_within,
    outside,
    target_key,
    unfitting,
    unwanted,
)
from dragoman.routing.sight import Sight, whose
from dragoman.routing.strategies import Option, by_conversation
from dragoman.routing.wish import NONE, Wish

MOST = 32
"""Candidates of a plan."""
MOST_CHOSEN = 4
"""Models of `auto` in a plan: an outage is not carried to everybody in turn."""


class _Group(Struct):
    """What one name stands for."""

    name: str
    targets: list[Target]
    strategy: Strategy | None = None
    legs: tuple[Leg, ...] = ()
    """Of the route, if it is one."""
    auto: bool = False


def route(
    model: object,
    sight: Sight,
    *,
    wish: Wish = NONE,
    asked: bool = False,
    home: str | None = None,
) -> Plan | ListingsNeeded:
    """The plan for a model string, or the listings that must be fetched before one can be made.

    After fetching them, call again with ``asked``. The family of ``sight`` is the caller's: a provider that
    speaks it natively is called in it. ``home`` is the provider on whose router the call came.

    Raises:
        CallerError: a name resolves to nothing, or nothing of it can serve the request.
    """
    try:
        groups = _groups(model, sight, wish, asked=asked, home=home)
    except CallerError as error:
        raise error if sight.bounds is None else unknown_here(error) from None
    if isinstance(groups, ListingsNeeded):
        return groups
    targets = [item for group in groups for item in group.targets]
    foreign = wish.provider is not None and not all(is_openrouter(item) for item in targets)
    preferences = read_preferences(wish.provider) if foreign else NO_PREFERENCES
    skipped = _sift(groups, sight, wish, preferences)
    strategy = wish.strategy or preferences.strategy
    weights = _weights(groups, sight.registry, home)
    auto = any(group.auto for group in groups)
    if strategy is not None:
        # The caller's own strategy chooses among all that the caller has named.
        together = [item for group in groups for item in group.targets]
        groups = [_Group(groups[0].name, together, strategy, auto=auto)]
    found = _unrepeated(
        item for group in groups for item in _in_order(group, sight, wish, preferences, weights)
    )
    if wish.max_latency_s is not None:
        found = slow_last(found, wish.max_latency_s, sight)
    if preferences.allow_fallbacks is False and not preferences.order:
        found = found[:1]
    sticky = groups[0].strategy == "sticky"
    candidates = _candidates(found[:MOST], sight, sticky=sticky)
    resting: tuple[str, ...] = ()
    if len(candidates) > 1:
        # Who is well first, then who is back soonest.
        back = {id(item): sight.health.back_at(item, sight.now) for item in candidates}
        candidates.sort(key=lambda item: back[id(item)])
        well = {item.name for item in candidates if back[id(item)] <= sight.now}
        resting = tuple(dict.fromkeys(item.name for item in candidates if item.name not in well))
    if sight.bounds is not None:
        refuse_listed(wish.listed, candidates, sight.bounds)
    requested = model if isinstance(model, str) else wish.listed[0]
    return Plan(
        requested,
        tuple(candidates[:MOST]),
        wish.max_attempts,
        strategy=groups[0].strategy if len(found) > 1 else None,
        skipped=tuple(skipped[:MOST_TOLD]),
        resting=resting,
        hedge=wish.hedge,
    )


def _in_order(
    group: _Group, sight: Sight, wish: Wish, preferences: Preferences, weights: Weights
) -> list[Target]:
    """The targets of one name; of `auto` the first few, by everything that was said of their order."""
    found = ordered(group.targets, group.strategy, sight, weights=weights, name=group.name)
    if preferences.order:
        found.sort(key=lambda item: preferences.place(item.provider.name))
    if not group.auto:
        return found
    if wish.max_latency_s is not None:
        found = slow_last(found, wish.max_latency_s, sight)
    return found[:MOST_CHOSEN]


def _groups(
    model: object, sight: Sight, wish: Wish, *, asked: bool, home: str | None
) -> list[_Group] | ListingsNeeded:
    """What each of the names stands for, in their order."""
    named = [(f"models[{place}]", name) for place, name in enumerate(wish.listed)]
    others = [(f"routing.fallback[{place}]", name) for place, name in enumerate(wish.fallback)]
    groups: list[_Group] = []
    # OpenRouter's callers may name the model in `models` alone.
    for param, name in [*([] if model is None and named else [("model", model)]), *named, *others]:
        if groups and param.startswith("models") and is_openrouter(groups[0].targets[0]):
            continue
        found = resolve(name, sight.registry, sight.now, param=param, asked=asked, home=home)
        if isinstance(found, ListingsNeeded):
            return found
        said = name.strip() if isinstance(name, str) else ""
        group = _Group(said, list(found))
        if is_auto(said, sight.registry, home):
            group.auto, group.strategy = True, sight.default
        elif (meant := _route_of(said, sight.registry)) is not None:
            group.strategy, group.legs = meant.strategy, meant.legs
        groups.append(group)
    return groups


def _route_of(name: str, registry: Registry) -> NamedRoute | None:
    """The route of that name, also under an alias that means it alone."""
    aliased: Sequence[str] = (name,)
    while len(aliased) == 1 and aliased[0] in registry.aliases:
        name = aliased[0]
        if name in registry.routes:
            return registry.routes[name]
        aliased = registry.aliases[name]
    return None


def _sift(
    groups: list[_Group], sight: Sight, wish: Wish, preferences: Preferences
) -> list[Skipped]:
    """Takes out of the groups who cannot serve, and tells why.

    Raises:
        CallerError: nobody is left.
    """
    skipped = sight.skipped
    by_wish = False
    for group in groups:
        if group.auto:
            skipped += _keep_fitting(group, sight)
        if sight.bounds is not None:
            group.targets, left_out = confine(group.targets, sight.bounds)
            # Of what `auto` stands for there may be hundreds, and nobody has named them.
            skipped += () if group.auto else left_out
    if sight.bounds is not None and not any(group.targets for group in groups):
        raise beyond_scope(skipped)

    def skip(target: Target, reason: str) -> None:
        skipped.append(Skipped(f"{target.provider.name}/{target.model}", reason))

    bound = wish.max_cost is not None or preferences is not NO_PREFERENCES
    served = 0
    for group in groups:
        kept = []
        for target in group.targets:
            reason = None if group.auto else cannot_serve(target, sight)
            served += reason is None
            if reason is None and bound:
                reason = unwanted(target, sight, wish, preferences)
                by_wish = by_wish or reason is not None
            if reason is None:
                kept.append(target)
            else:
                skip(target, reason)
        group.targets = kept
    left = _unrepeated(item for group in groups for item in group.targets)
    is_choice = len(left) + len(skipped) > 1 or any(group.auto for group in groups)
    if left and is_choice:
        for group in groups:
            able = []
            for target in group.targets:
                lacks = incapable(target, sight, preferences)
                if lacks is None:
                    able.append(target)
                else:
                    skip(target, lacks)
            group.targets = able
    if any(group.targets for group in groups):
        # In front: of the models that `auto` leaves out there may be more than are told.
        return [*_spare(groups, sight), *skipped]
    if not served and not any(group.auto for group in groups):
        first = next(item for item in skipped if item.reason != BEYOND)
        whose = first.name.partition("/")[0]
        raise unsupported(f"{whose} {first.reason}; choose another model.", "model")
    raise nobody(skipped, by_wish=by_wish)


def _spare(groups: list[_Group], sight: Sight) -> list[Skipped]:
    """Takes out who could serve and had better not, as long as somebody else is left (R-ROUTE-009)."""
    skipped: list[Skipped] = []
    if not sight.health.disabling.switches and sight.window.is_open:
        return skipped
    for why in (disabled, outside):
        found = {
            target_key(target): why(target, sight) for group in groups for target in group.targets
        }
        if None not in found.values():
            if why is outside and sight.window.required and found:
                outsiders = [Skipped("/".join(key), reason or "") for key, reason in found.items()]
                sight.skipped.extend(outsiders)
                raise nobody_within(outsiders)
            continue  # all of them: the request itself is the probe
        for group in groups:
            group.targets = [item for item in group.targets if found[target_key(item)] is None]
        skipped += [
            Skipped("/".join(key), reason) for key, reason in found.items() if reason is not None
        ]
    return skipped


def _keep_fitting(group: _Group, sight: Sight) -> tuple[Skipped, ...]:
    """Leaves of `auto` the models that are made for the operation; worked out once, not by each call."""
    memory = sight.registry.memory
    key = f"{AUTO} {sight.operation}"
    if key not in memory:
        fitting, others = [], []
        for target in group.targets:
            reason = cannot_serve(target, sight) or unfitting(target, sight.operation)
            if reason is None:
                fitting.append(target)
            else:
                others.append(Skipped(f"{target.provider.name}/{target.model}", reason))
        memory[key] = (tuple(fitting), tuple(others))
    kept: tuple[tuple[Target, ...], tuple[Skipped, ...]] = memory[key]
    group.targets = list(kept[0])
    return kept[1]


def _weights(groups: list[_Group], registry: Registry, home: str | None) -> Weights:
    """The weights that routes give, by what their legs stand for."""
    found: dict[tuple[str, str], int] = {}
    for group in groups:
        if all(leg.weight == 1 for leg in group.legs):
            continue
        for leg in group.legs:
            try:
                meant = resolve(leg.model, registry, 0.0, asked=True, home=home)
            except CallerError:
                continue  # its provider is closed, and another leg's is not
            assert not isinstance(meant, ListingsNeeded), "they have been asked"
            for target in meant:
                found.setdefault((target.provider.name, target.model), leg.weight)
    return found


def _unrepeated(targets: Iterable[Target]) -> list[Target]:
    found: dict[tuple[str, str], Target] = {}
    for item in targets:
        found.setdefault((item.provider.name, item.model), item)
    return list(found.values())


def _candidates(targets: list[Target], sight: Sight, *, sticky: bool) -> list[Candidate]:
    """One candidate for each target and key, the keys of a target one after the other."""
    found: list[Candidate] = []
    keys: dict[str, tuple[Credential, ...]] = {}
    for target in targets:
        provider = sight.spoken(target.provider)
        capability = sight.capability(target)
        if provider.name not in keys:
            keys[provider.name] = _keys(provider, target.model, sight, sticky=sticky)
        found += [
            Candidate(provider, target.model, credential, capability, target.known)
            for credential in keys[provider.name] or (None,)
        ]
    return found


def _keys(provider: Provider, model: str, sight: Sight, *, sticky: bool) -> tuple[Credential, ...]:
    """The provider's keys, the next one's first; a conversation that stays, stays with its key.

    Providers keep prompts in the cache of an account.
    """
    name = whose(provider)

    def is_well(key: Credential) -> bool:
        return sight.health.knows_well((name, model, key.id), sight.now)

    keys = sight.pools.turn(provider.name, is_well)
    if not sticky or len(keys) < 2:
        return keys
    keys = tuple(sorted(keys, key=lambda key: key.id))
    places = by_conversation(
        [Option(f"{provider.name} {key.id}") for key in keys], sight.conversation
    )
    return tuple(keys[at] for at in places)
