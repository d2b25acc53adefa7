"""How tenants and projects are told on the command line."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dragoman.cli.output import say, say_json, table
from dragoman.cli.scope_options import told_scope

if TYPE_CHECKING:
    from dragoman.core.scopes import Scopes
    from dragoman.identity.tenancy import Project, Tenant

__all__ = ["day", "described", "scope_of", "tell", "tell_all"]


def day(seconds: float) -> str:
    """A moment as people read it."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def scope_of(scopes: Scopes) -> dict[str, list[str] | None]:
    """Scopes, for programs."""
    return {
        name: None if words is None else list(words)
        for name in scopes.__struct_fields__
        for words in (getattr(scopes, name),)
    }


def described(place: Tenant | Project) -> dict[str, object]:
    """One of them, for programs."""
    whose = getattr(place, "tenant", None)
    return {
        "id": place.id,
        **({} if whose is None else {"tenant": whose}),
        "name": place.name,
        "scope": scope_of(place.scopes),
        "created": place.created,
        "suspended": place.suspended,
        **({"deleted": getattr(place, "deleted", None)} if whose is None else {}),
    }


def _state(place: Tenant | Project) -> str:
    deleted = getattr(place, "deleted", None)
    if deleted is not None:
        return f"deleted {day(deleted)}"
    return "active" if place.suspended is None else f"suspended {day(place.suspended)}"


def tell(place: Tenant | Project, kind: str, done: str, *, as_json: bool) -> None:
    """One tenant or project, and what was done to it."""
    if as_json:
        say_json(described(place))
        return
    whose = getattr(place, "tenant", None)
    of = "" if whose is None else f" of the tenant {whose!r}"
    say(f"{kind.capitalize()} {place.id!r}{of} ({place.name}){done}: {_state(place)}.")
    say(f"Its keys may use: {told_scope(place.scopes)}.")


def tell_all(places: Sequence[Tenant | Project], kind: str, hint: str, *, as_json: bool) -> None:
    """All of a kind."""
    if as_json:
        say_json({f"{kind}s": [described(place) for place in places]})
    elif not places:
        say(f"There are no {kind}s. Make one: {hint}")
    else:
        of = ["tenant"] if kind == "project" else []
        table(
            f"{kind.capitalize()}s",
            (*of, "id", "name", "scope", "created", "state"),
            [
                (
                    *(str(getattr(place, word)) for word in of),
                    place.id,
                    place.name,
                    told_scope(place.scopes),
                    day(place.created),
                    _state(place),
                )
                for place in places
            ],
        )
