"""Scopes as they stand in a row: JSON of what was said, NULL where nothing was."""

from __future__ import annotations

from typing import Any

import msgspec

from dragoman.core.errors import invalid
from dragoman.core.scopes import NOTHING_SAID, Scopes
from dragoman.identity.tenancy import scopes_of

_NOTHING_ALLOWED = Scopes((), (), ())


def write_scopes(scopes: Scopes) -> str | None:
    """The text of a row."""
    told = members_of(scopes)
    return None if told is None else msgspec.json.encode(told).decode()


def members_of(scopes: Scopes) -> dict[str, list[str]] | None:
    """What was said, for programs; None where nothing was."""
    said = {name: getattr(scopes, name) for name in scopes.__struct_fields__}
    return {name: list(words) for name, words in said.items() if words is not None} or None


def told_scopes(text: str | None) -> dict[str, list[str]] | None:
    """What a row says, for files."""
    return members_of(read_scopes(text))


def scopes_in(members: Any) -> str | None:
    """The text of a row for what a file says.

    Raises:
        CallerError: it is no object of lists of words, or a word is unknown.
    """
    if members is None:
        return None
    try:
        said = msgspec.convert(members, Scopes)
    except msgspec.ValidationError as error:
        raise invalid(f"scopes: {error}.", "scopes") from None
    strange = members.keys() - set(Scopes.__struct_fields__)
    if strange:
        # What it bounds nobody here knows: without it, the key would open more.
        raise invalid(f"scopes: {', '.join(sorted(strange))} are not known here.", "scopes")
    return write_scopes(scopes_of(said.models, said.surfaces, said.permissions))


def read_scopes(text: str | None) -> Scopes:
    """What a row says; a text that cannot be read allows nothing, as nobody knows what it bounded."""
    if text is None:
        return NOTHING_SAID
    try:
        return msgspec.json.decode(text, type=Scopes)
    except (msgspec.DecodeError, UnicodeError):
        return _NOTHING_ALLOWED
