"""A provider's key for our own code, from where this process is configured (R-AUTH-011)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from msgspec.structs import replace

from dragoman.assembly.registry import operator_rows
from dragoman.catalog.files import GENERIC, definitions
from dragoman.catalog.schema import Definition, Env, KeyFormat
from dragoman.config.settings import Settings
from dragoman.core.secret import Secret
from dragoman.credentials.lookup import Access, Lookup, get_api_key, in_environment, in_rows
from dragoman.telemetry.log import Log

_ANY = KeyFormat(min_length=0)


def key_getter(settings: Settings, env: Mapping[str, str], log: Log) -> Callable[[str], Secret]:
    """``get_api_key`` of this process: the configuration file, then the environment and ``.env``.

    Raises:
        ConfigError: a provider's row is wrong.
    """
    rows = operator_rows(settings)
    known: dict[str, Definition] = dict(definitions())
    for row in rows:
        # Of a provider of the operator's own nothing is known of its keys' form.
        own = replace(known[GENERIC], name=row.name, env=Env(), key_format=_ANY)
        known.setdefault(row.name, own)
    lookup = Lookup(known, (in_rows(rows), in_environment(env)), partial(_told, log))
    return partial(get_api_key, lookup=lookup)


def _told(log: Log, access: Access) -> None:
    level = "info" if access.place is not None and access.fault is None else "warn"
    log.event(
        level,
        "provider key looked up",
        provider=access.provider,
        place=access.place,
        form=access.fault or "as expected" if access.place is not None else None,
    )
