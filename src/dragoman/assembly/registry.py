"""From settings to the catalogue, and to which keys are accepted: no database, no server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from dragoman.assembly.live_accounts import ACCOUNTS
from dragoman.catalog.load import load_providers
from dragoman.catalog.registry import Registry, with_stub
from dragoman.catalog.routes import read_ranks, read_routes
from dragoman.catalog.schema import SERVED, CatalogError, OperatorRow, read_strictly
from dragoman.config.load import CONFIG_NAMED, config_path, stored_keys
from dragoman.config.moved import refuse_moved_rows
from dragoman.config.prices import read_prices
from dragoman.config.settings import ConfigError, Settings
from dragoman.core.provider import Family
from dragoman.dialects.registry import DIALECTS
from dragoman.identity.authenticate import IdentityMode


def open_registry(settings: Settings, env: Mapping[str, str], where: str = "") -> Registry:
    """The providers that are switched on, with the stub where it serves (D20).

    ``where`` names the file that the settings are from, if it is not the usual one.

    Raises:
        ConfigError: a provider's row, key, address, alias or price is wrong.
    """
    try:
        rows = operator_rows(settings)
        if not where and any(row.base_url is not None for row in rows):
            _refuse_moved(rows, env)
        registry = load_providers(
            env,
            rows,
            provider_order=settings.provider_order,
            aliases=settings.aliases,
            routes=read_routes(settings.routes),
            ranks=read_ranks(settings.quality),
            prices=read_prices(settings.prices),
            accounts=ACCOUNTS.of(settings, env),
            steps={family: dialect.steps for family, dialect in DIALECTS.items()},
        )
    except CatalogError as error:
        # Rows, aliases and the order stand in the file alone; keys and addresses do not.
        inside = error.message.startswith(
            ("[[providers]]", "[routes", "[quality]", "The alias", "Aliases", "provider_order")
        )
        message = f"{where or config_path()}: {error.message}" if inside else error.message
        raise ConfigError(message) from None
    wanted = settings.use_stub_adapters
    lonely = not registry.providers and settings.mode in {"local", "test"}
    return with_stub(registry) if wanted or (wanted is None and lonely) else registry


def _refuse_moved(rows: list[OperatorRow], env: Mapping[str, str]) -> None:
    if CONFIG_NAMED in os.environ:
        return
    kept = stored_keys(env)
    said = {
        name: value for name, value in env.items() if name in os.environ or kept.get(name) != value
    }
    refuse_moved_rows(rows, kept, said)


def operator_rows(settings: Settings) -> list[OperatorRow]:
    """The ``[[providers]]`` of the configuration file, with their keys.

    Raises:
        CatalogError, ConfigError: one of them is wrong; the message names it.
    """
    return [_operator_row(row) for row in settings.providers]


def _operator_row(row: dict[str, Any]) -> OperatorRow:
    name, dialect = row.get("name"), row.get("dialect")
    where = f"[[providers]] {name}" if isinstance(name, str) else "[[providers]]"
    if dialect is not None and dialect not in get_args(Family):
        raise CatalogError(
            f"{where}: there is no dialect {dialect!r}; say one of {', '.join(sorted(SERVED))}."
        )
    return read_strictly(OperatorRow, with_files(row), where)


def with_files(row: dict[str, Any]) -> dict[str, Any]:
    """The row with every ``key_file`` read: secrets stand in files, never in the configuration."""
    credentials = row.get("credentials")
    if not isinstance(credentials, list):
        return row
    filled = []
    for item in credentials:
        if isinstance(item, dict) and "key_file" in item:
            path = Path(str(item["key_file"])).expanduser()
            try:
                key = path.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"key_file {path} cannot be read: {error.strerror}.") from None
            filled.append({**{k: v for k, v in item.items() if k != "key_file"}, "key": key})
        else:
            filled.append(item)
    return {**row, "credentials": filled}


def identity_mode(settings: Settings, registry: Registry) -> IdentityMode:
    """Which keys are accepted (D20)."""
    if settings.mode != "local":
        return IdentityMode(settings.key_prefix)
    loopback = settings.host in {"127.0.0.1", "localhost", "::1"} or settings.host.startswith(
        "127."
    )
    paid = any(not provider.stub for provider in registry.providers.values())
    listed = frozenset(settings.local_keys)
    accepts: Any = "listed" if paid and not loopback else "wellformed"
    home = str(settings.dragoman_home) if loopback else ""
    return IdentityMode(settings.key_prefix, accepts, listed, home)
