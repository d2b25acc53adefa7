"""What a key may be used for where that is less than its role reaches: models, dialects, kinds of routes. Pure.

A scope may be said of a tenant, of a project and of a key; what is done has to be within each of them, at every
use and not only when the key was made (`reliability.md` A8).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

from msgspec import Struct

STAR = "*"
"""In a pattern it stands for anything, slashes too."""

Word: TypeAlias = Literal["models", "surfaces", "permissions"]


class Scopes(Struct, frozen=True, gc=False):
    """What is allowed, as it was said in one place; None: nothing is said, so everything is."""

    models: tuple[str, ...] | None = None
    """Patterns of ``provider/model``; one without a slash is of the model's id alone, whoever has it."""
    surfaces: tuple[str, ...] | None = None
    """Dialects in which models may be asked (``identity.permissions.SURFACES``)."""
    permissions: tuple[str, ...] | None = None
    """Kinds of routes (``identity.permissions.GRANTS``)."""


NOTHING_SAID = Scopes()


class Bounds(Struct, frozen=True, gc=False):
    """The scopes of a key, its project and its tenant together."""

    models: tuple[tuple[str, ...], ...] = ()
    """Lists of patterns: a model has to be in every one of them."""
    surfaces: frozenset[str] | None = None
    permissions: frozenset[str] | None = None


def together(*said: Scopes) -> Bounds | None:
    """What all of them allow; None where none of them says anything, so that it costs a request one look."""
    bounds = Bounds(
        tuple(each.models for each in said if each.models is not None),
        _common(each.surfaces for each in said),
        _common(each.permissions for each in said),
    )
    return None if bounds == Bounds() else bounds


def _common(said: Iterable[tuple[str, ...] | None]) -> frozenset[str] | None:
    found: frozenset[str] | None = None
    for words in said:
        if words is not None:
            found = frozenset(words) if found is None else found & frozenset(words)
    return found


def allows_model(bounds: Bounds, provider: str, model: str) -> bool:
    """Whether a model may be asked; ``model`` is the provider's own id, and names resolve before this."""
    return all(_listed(patterns, provider, model) for patterns in bounds.models)


def _listed(patterns: tuple[str, ...], provider: str, model: str) -> bool:
    full = f"{provider}/{model}"
    return any(matches(each, full if "/" in each else model) for each in patterns)


def matches(pattern: str, text: str) -> bool:
    """Whether all of ``text`` fits; in time proportional to both, whatever the pattern (I13)."""
    first, *others = pattern.split(STAR)
    if not others:
        return pattern == text
    last = others.pop()
    if not text.startswith(first) or len(text) < len(first) + len(last):
        return False
    if not text.endswith(last):
        return False
    # What lies between two stars is found where it is first: what comes later loses nothing by it.
    at, end = len(first), len(text) - len(last)
    for piece in others:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def covers(outer: str, inner: str) -> bool:
    """Whether every model that ``inner`` matches is matched by ``outer``; in doubt not.

    A star of the inner pattern is taken for a sign that only a star of the outer one matches.
    """
    if "/" in outer or "/" not in inner:
        return matches(outer, inner)
    provider, _, model = inner.partition("/")
    return outer == STAR or (STAR not in provider and matches(outer, model))


def beyond(wanted: Scopes, bounds: Bounds | None) -> Word | None:
    """Which part of what is wanted the bounds do not allow; None: they allow all of it."""
    if bounds is None:
        return None
    for patterns in bounds.models:
        if wanted.models is None:
            return "models"
        if not all(any(covers(outer, inner) for outer in patterns) for inner in wanted.models):
            return "models"
    if bounds.surfaces is not None and not _is_part(wanted.surfaces, bounds.surfaces):
        return "surfaces"
    if bounds.permissions is not None and not _is_part(wanted.permissions, bounds.permissions):
        return "permissions"
    return None


def _is_part(words: tuple[str, ...] | None, of: frozenset[str]) -> bool:
    return words is not None and of.issuperset(words)
