"""Who is left over of those who could be asked, why the others are not, and the words where nobody is."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dragoman.catalog.ranks import other_use
from dragoman.catalog.resolve import Target
from dragoman.core.errors import CallerError
from dragoman.core.provider import Operation, Skipped
from dragoman.routing.able import lacking
from dragoman.routing.preferences import Preferences
from dragoman.routing.sight import Sight, whose
from dragoman.routing.window import told as told_window
from dragoman.routing.window import within
from dragoman.routing.wish import Wish

MOST_TOLD = 64
"""Skipped candidates that a plan remembers, of the hundreds that `auto` may have."""
_SHOWN = 3
"""Names that an error gives for each reason."""
_ANYWHERE: frozenset[Operation] = frozenset({"count_tokens", "models"})
"""Operations that the house answers where a provider does not."""


def is_openrouter(target: Target) -> bool:
    """OpenRouter reads ``models`` and ``provider`` itself; twice would be once too often."""
    return target.provider.quirks.flavour == "openrouter"


def cannot_serve(target: Target, sight: Sight) -> str | None:
    """Why the target's provider has nothing for the operation."""
    provider, operation = target.provider, sight.operation
    ways = (provider, *provider.also)
    if operation not in _ANYWHERE and not any(operation in way.paths for way in ways):
        return f"does not serve {operation.replace('_', ' ')} here"
    return None


def unfitting(target: Target, operation: Operation) -> str | None:
    """Why `auto` does not choose a model for the operation; whoever names it may."""
    use = other_use(target.model)
    if operation == "embeddings":
        return None if use == "embeddings" else "is no model for embeddings"
    return f"is for {use}" if use else None


def unwanted(target: Target, sight: Sight, wish: Wish, preferences: Preferences) -> str | None:
    """Why the caller's own words exclude the target."""
    provider = target.provider.name
    if not is_openrouter(target):
        if (reason := preferences.excludes(provider)) is not None:
            return reason
        bounded = preferences.max_price is not None
        if bounded and (reason := preferences.too_dear(sight.price(target))) is not None:
            return reason
    if wish.max_cost is not None:
        cost = sight.cost(target)
        if cost is None:
            return "has no known price, and routing.max_cost is set"
        if cost > wish.max_cost:
            return f"would cost about {cost:.6f} USD, and routing.max_cost is {wish.max_cost}"
    return None


def incapable(target: Target, sight: Sight, preferences: Preferences) -> str | None:
    """What the model is known not to do of the request."""
    return lacking(
        sight.capability(target),
        sight.needs,
        every_parameter=bool(preferences.require_parameters),
    )


def disabled(target: Target, sight: Sight) -> str | None:
    """That the target was disabled, and from when on it will be tried again."""
    provider, model = whose(target.provider), target.model
    what = sight.health.is_off(provider, model, sight.now)
    if what is None:
        return None
    back_s = math.ceil(sight.health.disabling.back_in_s(provider, model, sight.now))
    who = f"its provider {target.provider.name} is" if what == "provider" else "is"
    return f"{who} disabled, after requests that failed; it will be tried again in {back_s} s"


def outside(target: Target, sight: Sight) -> str | None:
    """That the target's score is not one that the caller's key prefers."""
    figures = sight.health.statistics
    if sight.window.is_open or figures.of(whose(target.provider), target.model) is None:
        return None
    found = sight.score(target)
    if within(sight.window, found):
        return None
    prefers = "requires" if sight.window.required else "prefers"
    return f"has a score of {found:.0f}, and the key {prefers} {told_window(sight.window)}"


def target_key(target: Target) -> tuple[str, str]:
    """Provider and model."""
    return target.provider.name, target.model


def nobody_within(skipped: Iterable[Skipped]) -> CallerError:
    """The refusal where the tier requires scores that nobody has now: they change with the hour."""
    told = "; ".join(f"{item.name} {item.reason}" for item in list(skipped)[:_SHOWN])
    return CallerError(
        "overloaded",
        f"Nobody who could serve this request has a score that this API key requires: {told}.",
        code="no_candidate_in_score_window",
        param="model",
        retryable=True,
    )


def nobody(skipped: Iterable[Skipped], *, by_wish: bool) -> CallerError:
    """The refusal where no candidate is left: who was there, and what each lacks."""
    grouped: dict[str, list[str]] = {}
    for item in skipped:
        grouped.setdefault(item.reason, []).append(item.name)
    told = []
    for reason, names in grouped.items():
        shown = ", ".join(names[:_SHOWN])
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        told.append(f"{shown}{more}: {reason}")
    message = f"No candidate can serve this request. {'; '.join(told)}."
    if by_wish:
        return CallerError(
            "invalid_request", message, code="routing_not_satisfiable", param="routing"
        )
    return CallerError(
        "unsupported_feature", message, code="model_capability_mismatch", param="model"
    )
