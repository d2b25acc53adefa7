"""Where clients get their tokens: a login by OAuth that is kept fresh, or whatever the program brings."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Protocol

from dragoman.assembly.logins import Logins, open_logins
from dragoman.config.load import environment, load_settings
from dragoman.config.settings import Settings
from dragoman.core.secret import Secret

log = logging.getLogger("dragoman.clients")


class Held(Protocol):
    """A token."""

    @property
    def access(self) -> Secret:
        """What is shown to the service."""
        ...

    @property
    def expires_at(self) -> float | None:
        """Unix seconds; None: it lasts until it is refused."""
        ...


class TokenSource(Protocol):
    """Gives a token that is good; ``credentials/fresh.py`` implements it over the files of logins."""

    def current(self) -> Held:
        """A token that is good for some time yet.

        Raises:
            GatewayError: there is none; the message says what to do.
        """
        ...

    def renewed(self, refused: str) -> Held:
        """Another token than this one, which the service has refused.

        Raises:
            GatewayError: as ``current``.
        """
        ...


def settings_here() -> Settings:
    """The settings as programs read them; only ``serve`` cares for the mode.

    Raises:
        ConfigError: a setting is wrong.
    """
    return load_settings({"mode": "local"})


def login_of(name: str) -> TokenSource:
    """The login of that name, as it lies in the secrets folder.

    Raises:
        GatewayError: there is no such login, or its client's file cannot be read.
    """
    settings = settings_here()
    return _logins(settings.model_dump_json(), settings.dragoman_secrets).token(name)


@lru_cache(maxsize=8)
def _logins(said: str, folder: object) -> Logins:
    del said, folder  # what is remembered by them: a process has one set of locks for each folder
    return open_logins(settings_here(), environment(), _told)


def _told(what: str, whom: str, why: str) -> None:
    level = logging.INFO if what == "login renewed" else logging.WARNING
    log.log(level, "%s: %s %s", what, whom, why)
