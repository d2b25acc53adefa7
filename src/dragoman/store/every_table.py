"""Every table of ours, whichever module says it: for what is done to all of them, such as a backup."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import TYPE_CHECKING

from dragoman import store
from dragoman.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Table


@cache
def every_table() -> Mapping[str, Table]:
    """The tables by their names; modules of tables are those of the store that end in ``table(s)``."""
    for module in pkgutil.iter_modules(store.__path__):
        if module.name.endswith(("_table", "_tables")):
            importlib.import_module(f"{store.__name__}.{module.name}")
    return dict(metadata.tables)
