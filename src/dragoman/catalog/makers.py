"""Who would serve a bare id if it were switched on: for the words of a 404 alone.

The bundled catalogue of *all* providers is read for it, once a process and only when a name was
not found; the names alone are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from dragoman.catalog.models import VERSION, read_shelves
from dragoman.catalog.schema import SERVED, Definition

__all__ = ["maker_of"]


def maker_of(model: str, definitions: Mapping[str, Definition]) -> Definition | None:
    """The first provider whose bundled catalogue has the id, with or without its date."""
    name = model.lower()
    spellings = {name, VERSION.sub("", name)}
    able = [
        each
        for each in definitions.values()
        if each.prices and each.family in SERVED and not each.listed_by
    ]
    known = _names(frozenset(each.prices for each in able))
    return next((each for each in able if spellings & known.get(each.prices, frozenset())), None)


@lru_cache(maxsize=4)
def _names(catalogues: frozenset[str]) -> dict[str, frozenset[str]]:
    return {name: frozenset(shelf.names) for name, shelf in read_shelves(catalogues, {}).items()}
