"""Who would serve a bare id if it were switched on: for the words of a 404 alone.

The bundled catalogue of *all* providers is read for it, once a process and only when a name was
not found; the names alone are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from dragoman.catalog.files import definitions as built_in
from dragoman.catalog.models import VERSION, read_shelves
from dragoman.catalog.schema import SERVED, Definition

__all__ = ["maker_of"]


def maker_of(model: str, definitions: Mapping[str, Definition]) -> Definition | None:
    """The first provider whose bundled catalogue has the id, with or without its date."""
    name = model.lower()
    spellings = {name, VERSION.sub("", name)}
    known = _names()
    return next(
        (
            each
            for each in definitions.values()
            if each.family in SERVED
            and not each.listed_by
            and spellings & known.get(each.prices, frozenset())
        ),
        None,
    )


@cache
def _names() -> dict[str, frozenset[str]]:
    shelves = read_shelves(built_in().values())
    return {name: frozenset(shelf.names) for name, shelf in shelves.items()}
