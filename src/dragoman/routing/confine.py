"""Keeps a plan within the models that a key may ask for; whatever name was said, what it stands for is judged.

An alias, a route, `auto`, a fallback and the caller's own list resolve to a provider's models first, so that no
name opens what the model itself does not. Of keys without a scope nothing here is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dragoman.catalog.resolve import Target
from dragoman.catalog.scope import may_ask
from dragoman.core.errors import CallerError
from dragoman.core.provider import Candidate, Plan, Skipped
from dragoman.core.scopes import Bounds, allows_model

BEYOND = "is not among the models that this API key may ask for"
_SHOWN = 3


def confine(targets: Iterable[Target], bounds: Bounds) -> tuple[list[Target], list[Skipped]]:
    """Who of the targets is within, and who is not."""
    kept, left_out = [], []
    for target in targets:
        if may_ask(bounds, target.provider, target.model):
            kept.append(target)
        else:
            left_out.append(Skipped(f"{target.provider.name}/{target.model}", BEYOND))
    return kept, left_out


def is_within(plan: Plan, bounds: Bounds) -> bool:
    """Whether all candidates of a plan that was made for another caller are within."""
    return all(may_ask(bounds, item.provider, item.model) for item in plan.candidates)


def refuse_listed(listed: Sequence[str], candidates: Iterable[Candidate], bounds: Bounds) -> None:
    """Refuses a list of models that OpenRouter would walk itself, beyond what the key may ask of it.

    Raises:
        CallerError: 403.
    """
    readers = {c.provider.name for c in candidates if c.provider.quirks.flavour == "openrouter"}
    for place, name in enumerate(listed):
        for reader in readers:
            # It goes there as it was written.
            if not all(allows_model(bounds, reader, each) for each in {name, name.strip()}):
                raise _refusal(f"{reader}/{name[:200]} {BEYOND}", f"models[{place}]")


def beyond_scope(skipped: Sequence[Skipped]) -> CallerError:
    """The refusal where nobody is within."""
    names = dict.fromkeys(item.name for item in skipped if item.reason == BEYOND)
    shown = ", ".join(list(names)[:_SHOWN])
    if not shown:
        return _refusal(
            "No model that could serve this request is one that this API key may ask for"
        )
    return _refusal(f"{shown} {'is' if len(names) == 1 else 'are'}{BEYOND.removeprefix('is')}")


def unknown_here(error: CallerError) -> CallerError:
    """A name that nobody has, told without names that the key may not ask for."""
    if error.code != "model_not_found":
        return error
    return CallerError(
        "not_found",
        "There is no such model, or none of it that this API key may ask for; GET /v1/models lists them.",
        code="model_not_found",
        param=error.param,
    )


def _refusal(what: str, param: str = "model") -> CallerError:
    return CallerError(
        "permission",
        f"{what}; GET /v1/models lists those that it may.",
        code="insufficient_permissions",
        param=param,
    )
