"""From ``[[services]]`` to services that can be called: keys read and bound, logins opened where one is said."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from msgspec.structs import replace

from dragoman.assembly.registry import with_files
from dragoman.catalog.load import secret_of
from dragoman.catalog.schema import CatalogError
from dragoman.catalog.service import Service, read_services
from dragoman.config.load import config_path
from dragoman.config.settings import ConfigError, Settings
from dragoman.credentials.reached import Held, Login, Reached

log = logging.getLogger("dragoman.services")


def reached_of(settings: Settings, env: Mapping[str, str], where: str = "") -> dict[str, Reached]:
    """The services that callers may reach through the gateway, by name; none unless the file names some.

    Raises:
        ConfigError: a row is wrong, or a login cannot be opened.
    """
    if not settings.services:
        return {}
    logins: list[Callable[[str], Login]] = []

    def login(name: str) -> Login:
        if not logins:
            # What renews tokens is there for whoever has some (D32).
            from dragoman.assembly.logins import open_logins  # noqa: PLC0415

            logins.append(open_logins(settings, env, _told).token)
        return logins[0](name)

    try:
        found = read_services([with_files(row) for row in settings.services])
        return {name: _reached(service, login) for name, service in found.items()}
    except CatalogError as error:
        raise ConfigError(f"{where or config_path()}: {error.message}") from None


def _reached(service: Service, login: Callable[[str], Login]) -> Reached:
    said = f"[[services]] {service.name}: a credential"
    held: dict[str, Held] = {
        each.tenant: secret_of(each.key, said) if each.key else login(each.login)
        for each in service.credentials
    }
    # The values are where they are shown from, and nowhere else.
    return Reached(replace(service, credentials=()), held)


def _told(what: str, whom: str, why: str) -> None:
    level = logging.INFO if what == "login renewed" else logging.WARNING
    log.log(level, "%s: %s %s", what, whom, why)
