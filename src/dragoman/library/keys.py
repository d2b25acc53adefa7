"""A provider's key for programs: one function, every look noted, never with the key (R-AUTH-011, R-ADD-001)."""

from __future__ import annotations

import logging

from msgspec.structs import replace

from dragoman.assembly.registry import operator_rows
from dragoman.catalog.files import GENERIC, definitions
from dragoman.catalog.schema import Definition, Env, KeyFormat
from dragoman.config.load import environment
from dragoman.credentials import lookup
from dragoman.credentials.lookup import Access, Lookup, in_environment, in_rows
from dragoman.library import own
from dragoman.library.engines import own_folder, settings_now, with_files

log = logging.getLogger("dragoman.library")


def get_api_key(provider: str = "openrouter") -> str:
    """The key of a provider: of ``dragoman.toml``, else the environment and ``.env``, else ``api_config.json``.

    Raises:
        GatewayError: there is no such provider, or no key of it; the text says where it is looked for.
    """
    settings = settings_now()
    folder = own_folder(settings)
    infra = own.read_infrastructure(folder)
    rows = operator_rows(settings)
    known = dict(definitions())
    for row in rows:
        known.setdefault(row.name, _of_the_operators(row.name))
    places = (in_rows(rows), in_environment(with_files(environment(), infra)))
    return lookup.get_api_key(provider, Lookup(known, places, _told)).reveal()


def _of_the_operators(name: str) -> Definition:
    """Of a provider of the operator's own nothing is known of its keys' form."""
    return replace(
        definitions()[GENERIC], name=name, env=Env(), key_format=KeyFormat(min_length=0)
    )


def _told(access: Access) -> None:
    if access.place is None:
        log.warning("key_access: provider=%s place=none", access.provider)
    else:
        log.info(
            "key_access: provider=%s place=%s form=%s",
            access.provider,
            access.place,
            access.fault or "as expected",
        )
