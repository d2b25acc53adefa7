"""The one way in which our own code comes by a provider's key (R-AUTH-011).

Places are asked in their order, and the first that has a key is believed: the configuration file before
the environment. Every look is noted, with the place and never with the key. A key that does not look like
its provider's is given out all the same, and noted as such: providers change their keys' form (D15).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from msgspec import Struct

from dragoman.catalog.keys import wrong_form
from dragoman.catalog.load import key_source, secret_of
from dragoman.catalog.schema import Definition, OperatorRow
from dragoman.core.errors import CallerError, HouseError
from dragoman.core.secret import Secret

CONFIGURATION = "configuration file"


class Found(Struct, frozen=True):
    """A key, and what the place is called that had it."""

    key: Secret
    place: str


Place: TypeAlias = Callable[[Definition], Found | None]
"""Where keys may be: what it has for a provider, None if nothing."""


class Access(Struct, frozen=True):
    """One look for a key, as it is logged."""

    provider: str
    place: str | None
    """None: no place had one."""
    fault: str | None = None
    """What makes the key no key of the provider's, in words; None: it looks like one."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """Where keys are looked for, and who is told of it."""

    known: Mapping[str, Definition]
    """Every provider by name."""
    places: Sequence[Place]
    """The first goes before the second."""
    note: Callable[[Access], object]


def get_api_key(provider: str, lookup: Lookup) -> Secret:
    """The key of a provider; of several at one place the first.

    Raises:
        CallerError: there is no provider of that name; the nearest is told.
        HouseError: no place has a key, with the places that were looked in; code ``missing_provider_key``.
        CatalogError: what stands there cannot be sent in a header.
    """
    definition = lookup.known.get(provider)
    if definition is None:
        near = difflib.get_close_matches(provider, lookup.known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(lookup.known)}."
        raise CallerError(
            "not_found",
            f"There is no provider {provider[:64]!r}; {hint}",
            code="not_found",
            param="provider",
        )
    for place in lookup.places:
        found = place(definition)
        if found is not None:
            fault = wrong_form(definition, found.key.reveal())
            lookup.note(Access(provider, found.place, fault))
            return found.key
    lookup.note(Access(provider, None))
    raise HouseError(
        "server",
        f"There is no key of {provider}: {_where(definition)}.",
        code="missing_provider_key",
    )


def in_rows(rows: Sequence[OperatorRow]) -> Place:
    """The operator's rows, ``[[providers]]`` of the configuration file."""
    held = {row.name: row.credentials for row in rows if row.credentials}

    def find(definition: Definition) -> Found | None:
        keys = held.get(definition.name)
        if keys is None:
            return None
        said = f"[[providers]] {definition.name}: a credential"
        return Found(secret_of(keys[0].key, said), CONFIGURATION)

    return find


def in_environment(env: Mapping[str, str]) -> Place:
    """The variables that the provider's file names, as the environment or a ``.env`` file has them."""

    def find(definition: Definition) -> Found | None:
        source = key_source(definition, env)
        if source is None:
            return None
        keys = [item.strip() for item in env[source].split(",")]
        first = next((item for item in keys if item), None)
        return None if first is None else Found(secret_of(first, source), source)

    return find


def _where(definition: Definition) -> str:
    in_file = f'say credentials in [[providers]] with name = "{definition.name}"'
    if not definition.env.key:
        return in_file
    stored = f"store one by `dragoman set-key {definition.name}`"
    return f"set {' or '.join(definition.env.key)}, {stored}, or {in_file}"
