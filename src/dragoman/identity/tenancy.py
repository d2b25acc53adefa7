"""Tenants and projects as plain data, what they may be called, and scopes as somebody says them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from dragoman.core.call import DEFAULT_TENANT
from dragoman.core.errors import invalid
from dragoman.core.scopes import NOTHING_SAID, Scopes
from dragoman.identity.permissions import GRANTS, SURFACES

MOST_PATTERNS = 200
LONGEST_PATTERN = 256
LONGEST_NAME = 128
_NO_NAMES = frozenset({"*", "-", ".", ".."})
"""What stands for the house and for strangers in the audit log, and what a path reads as its own."""
LASTING_TENANTS = frozenset({DEFAULT_TENANT, "local"})
"""Whose keys are made where nobody is named, and who is let in locally without one: both are always there."""


class Tenant(Struct, frozen=True):
    """Whose keys, usage and names are nobody else's; times are Unix seconds."""

    id: str
    name: str
    created: float = 0.0
    scopes: Scopes = NOTHING_SAID
    suspended: float | None = None
    deleted: float | None = None
    """Since when it is there by its id alone, so that nobody else is ever called so."""


class Project(Struct, frozen=True):
    """A part of a tenant, with keys and budgets of its own."""

    tenant: str
    id: str
    name: str
    created: float = 0.0
    scopes: Scopes = NOTHING_SAID
    suspended: float | None = None


class PlaceChange(Struct, frozen=True):
    """What is to be another of a tenant or a project; None leaves it."""

    name: str | None = None
    scopes: Scopes | None = None
    """In the place of all that was said."""
    suspended: bool | None = None


def check_name(name: str, what: str) -> None:
    """Refuses what a new tenant or project cannot be called: it stands in paths, logs and budgets.

    Raises:
        CallerError: the message says what it has to be.
    """
    if (
        not 0 < len(name) <= LONGEST_NAME
        or not name.isprintable()
        or name != name.strip()
        or "/" in name
        or name in _NO_NAMES
    ):
        raise invalid(
            f"A {what}'s id is 1 to {LONGEST_NAME} printable characters without a slash, and none of "
            f"{' '.join(sorted(_NO_NAMES))}.",
            what,
            "invalid_field_value",
        )


def scopes_of(
    models: Sequence[str] | None,
    surfaces: Sequence[str] | None,
    permissions: Sequence[str] | None,
) -> Scopes:
    """The scopes that somebody says, each word once.

    Raises:
        CallerError: a pattern is none, or a word is unknown; the message names those that there are.
    """
    found = Scopes(
        None if models is None else _patterns(models),
        _words(surfaces, SURFACES, "surfaces"),
        _words(permissions, GRANTS, "permissions"),
    )
    return NOTHING_SAID if found == NOTHING_SAID else found


def _patterns(said: Sequence[str]) -> tuple[str, ...]:
    if len(said) > MOST_PATTERNS:
        raise invalid(
            f"models has {len(said)} patterns; at most {MOST_PATTERNS} are accepted.",
            "models",
            "invalid_field_value",
        )
    for pattern in said:
        if not 0 < len(pattern) <= LONGEST_PATTERN or not pattern.isprintable():
            raise invalid(
                f"A pattern of models is 1 to {LONGEST_PATTERN} printable characters, such as openai/gpt-4o* "
                "or anthropic/*.",
                "models",
                "invalid_field_value",
            )
    return tuple(dict.fromkeys(said))


def _words(
    said: Iterable[str] | None, known: tuple[str, ...], member: str
) -> tuple[str, ...] | None:
    if said is None:
        return None
    words = tuple(dict.fromkeys(said))
    for word in words:
        if word not in known:
            raise invalid(
                f"{word[:64]!a} is none of the {member} that a scope may name: {', '.join(known)}.",
                member,
                "invalid_field_value",
            )
    return words
