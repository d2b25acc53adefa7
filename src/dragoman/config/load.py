"""Where settings come from: flag > environment > ``.env`` > ``dragoman.toml`` > default (D37)."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
)

from dragoman.catalog.files import definitions
from dragoman.catalog.login import built_in
from dragoman.catalog.service import shipped
from dragoman.config.folders import default_secrets
from dragoman.config.moved import refuse_moved
from dragoman.config.settings import ConfigError, Settings
from dragoman.core.errors import HouseError
from dragoman.credentials.key_store import KeyStore, open_store, stored

CONFIG_FILE = "dragoman.toml"
CONFIG_NAMED = "DRAGOMAN_CONFIG"
"""Says where it is; unset: in this folder."""
TOP_LEVEL = (
    "format",
    "provider_order",
    "server",
    "providers",
    "services",
    "aliases",
    "routes",
    "quality",
    "prices",
    "tiers",
    "budgets",
    "charges",
    "tools",
    "oauth",
    "alerts",
)
SERVER = ("host", "port", "workers")
_OTHERS = (CONFIG_NAMED, "DRAGOMAN_BASE_URL", "DRAGOMAN_API_KEY")
WRONG = "The configuration is wrong: "
_NEAR = 0.85
"""How alike two names must be to take one for a slip of the other: API_KY and API_KEY are."""
_LENGTH = re.compile(r"Value should have (at least \d+|at most \d+) items? after validation.*")
"""What is said of a secret's length: its characters are no items of a list, and nobody has to know how many."""
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def load_settings(
    flags: Mapping[str, object] | None = None,
    env_file: Path | None = None,
    *,
    config_file: Path | None = None,
    text: str | None = None,
    table: dict[str, Any] | None = None,
) -> Settings:
    """The settings of this process; a flag of None says nothing.

    ``text`` stands for the file's, and ``table`` for what is read in it.

    Raises:
        ConfigError: a value is wrong; the message names the setting and where it came from.
    """
    said = {name: value for name, value in (flags or {}).items() if value is not None}
    if env_file is not None and not env_file.is_file():
        raise ConfigError(f"The file {env_file} given by --env-file does not exist.")
    path = env_file or Path(".env")
    _refuse_unreadable(path)
    file = config_file or config_path()
    text = read_text(file) if text is None else text
    said_there = parse_config(text, str(file)) if table is None else table

    class Sourced(Settings):
        """Settings with their sources in order."""

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  ours is made below
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (
                init_settings,
                _Environment(settings_cls, env_ignore_empty=True),
                _EnvFile(settings_cls, env_file=path, env_ignore_empty=True),
                _Table(settings_cls, said_there),
            )

    try:
        return Sourced(**cast("dict[str, Any]", said)).read_from(text)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def config_path() -> Path:
    """Where ``dragoman.toml`` is looked for."""
    return Path(os.environ.get(CONFIG_NAMED, CONFIG_FILE))


def _refuse_unreadable(path: Path) -> None:
    """Refuses a file of NAME=value lines with a line that is none; the line may hold a secret."""
    if not path.is_file():
        return
    try:
        with path.open(encoding="utf-8") as lines:
            wrong = [item.original.line for item in parse_stream(lines) if item.error]
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8.") from None
    if wrong:
        raise ConfigError(f"{path}, line {wrong[0]}, cannot be read: say NAME=value.")


def doubtful_names(env_file: Path | None = None) -> list[str]:
    """A sentence for each name in the ``.env`` file that is almost one of ours."""
    path = env_file or Path(".env")
    known = known_names()
    told = []
    for name in dotenv_values(path):
        if name in known or name != name.upper():
            continue
        near = difflib.get_close_matches(name, known, 1, _NEAR)
        if near:
            told.append(f"{path} says {name}, which means nothing here; did you mean {near[0]}?")
    return told


def _in_file(path: Path) -> dict[str, str]:
    """What a ``.env`` file says; empty values say nothing."""
    return {name: value for name, value in dotenv_values(path).items() if value}


def said_twice(env_file: Path | None = None) -> dict[str, str]:
    """Names of keys that are one thing at one place and another at the next, each with a sentence (C-07).

    Raises:
        ConfigError: what is stored cannot be read.
    """
    path = env_file or Path(".env")
    near = _in_file(path)
    exported = {**near, **os.environ}
    layers = (
        ("the environment", os.environ),
        (str(path), near),
        (key_store(exported).place, stored_keys(exported)),
    )
    told = {}
    for name in _stored_names():
        said = [(where, layer[name]) for where, layer in layers if layer.get(name)]
        other = next((where for where, value in said if value != said[0][1]), None)
        if other is not None:
            told[name] = f"{name} is one in {said[0][0]}, which is used, and another in {other}."
    return told


def known_names() -> set[str]:
    """Every environment variable that means something here."""
    reports = (each.report for each in definitions().values() if each.report is not None)
    return {
        *(name.upper() for name in Settings.model_fields),
        *_stored_names(),
        *(name for report in reports for name in report.env),
        *_OTHERS,
    }


def environment(env_file: Path | None = None) -> dict[str, str]:
    """The environment, for what is named by data, such as providers' keys.

    It lies over the ``.env`` file, and that over the keys that the user has stored.

    Raises:
        ConfigError: those cannot be read, or would be sent to an address of a folder's ``.env`` (``moved.py``).
    """
    kept, env = layers(env_file)
    return {**kept, **env}


def layers(env_file: Path | None = None) -> tuple[dict[str, str], dict[str, str]]:
    """What the user has stored, and the environment over the ``.env`` file.

    Raises:
        ConfigError: as ``environment``.
    """
    said = _in_file(env_file or Path(".env"))
    env = {**said, **os.environ}
    kept = stored_keys(env)
    if env_file is None:
        refuse_moved(kept, said, os.environ)
    return kept, env


def stored_keys(env: Mapping[str, str]) -> dict[str, str]:
    """What the user has stored by ``set-key``, by the names of environment variables.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return stored(key_store(env), _stored_names())
    except HouseError as error:
        raise ConfigError(error.message) from None


def key_store(env: Mapping[str, str]) -> KeyStore:
    """Where the user's keys are kept, as the environment says.

    Raises:
        HouseError: the keyring's extra is missing.
    """
    folder = env.get("DRAGOMAN_SECRETS", "").strip()
    path = Path(folder).expanduser() if folder else default_secrets()
    return open_store(env.get("CREDENTIAL_STORE", "").strip().lower(), path)


def _stored_names() -> list[str]:
    """What may be stored: keys and addresses of providers and services, and who we are where we log in."""
    providers = (each.env for each in definitions().values())
    logins = (each.get("variables", {}) for each in built_in().values())
    return [
        *(name for env in providers for name in (*env.key, *env.base_url)),
        *(name for env in logins for names in env.values() for name in names),
        *(name for table in shipped().values() for name in table.get("env", ())),
    ]


class _Environment(EnvSettingsSource):
    """The environment; BIND_HOST is another name of HOST, and goes before it."""

    def __call__(self) -> dict[str, Any]:
        return _bound(super().__call__())


class _EnvFile(DotEnvSettingsSource):
    """The ``.env`` file; the same."""

    def __call__(self) -> dict[str, Any]:
        return _bound(super().__call__())


def _bound(said: dict[str, Any]) -> dict[str, Any]:
    return {**said, "host": said["bind_host"]} if "bind_host" in said else said


class _Table(PydanticBaseSettingsSource):
    """The members of ``dragoman.toml``, already flat."""

    def __init__(self, settings_cls: type[BaseSettings], table: dict[str, Any]) -> None:
        super().__init__(settings_cls)
        self._table = table

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return self._table.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._table


def read_config_file(path: Path) -> dict[str, Any]:
    """The settings in a ``dragoman.toml``, flat and with ``${ENV}`` filled in; empty if there is none.

    Raises:
        ConfigError: as ``parse_config``.
    """
    return parse_config(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The file's text; empty if there is none.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None


def version_of(text: str) -> str:
    """What a configuration file's text is called in logs and at ``/ready``."""
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "none"


def parse_config(text: str, where: str) -> dict[str, Any]:
    """The settings that the text of a ``dragoman.toml`` says.

    Raises:
        ConfigError: it is no TOML, says an unknown member (the nearest name is told), or refers to a
            variable that is not set.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not valid TOML: {error}.") from None
    return read_table(table, where)


def read_table(table: dict[str, Any], where: str) -> dict[str, Any]:
    """The settings that a ``dragoman.toml`` says, once it is a table.

    Raises:
        ConfigError: as ``parse_config``.
    """
    table = dict(table)
    if table.pop("format", 1) != 1:
        raise ConfigError(f"{where}: format must be 1.")
    _known(table, TOP_LEVEL, where)
    server = table.pop("server", {})
    if not isinstance(server, dict):
        raise ConfigError(f"{where}: server must be a table: [server].")
    _known(server, SERVER, f"{where} [server]")
    return {**_filled(table, where), **server}


def _known(table: Mapping[str, object], names: tuple[str, ...], where: str) -> None:
    for name in table:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"
            raise ConfigError(f"{where}: unknown member {name!r}{hint}")


def _filled(value: Any, where: str) -> Any:
    """The same value with every ``${ENV}`` replaced."""
    if isinstance(value, dict):
        return {name: _filled(item, where) for name, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, where) for item in value]
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in os.environ:
            raise ConfigError(f"{where} refers to ${{{name}}}, which is not set.")
        return os.environ[name]

    return _REFERENCE.sub(fill, value)


def _explain(error: ValidationError) -> str:
    """A validation error in plain words; values are never shown, they may be secrets."""
    lines = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(step) for step in item["loc"])
        shown = name.upper() if "." not in name else name
        wrong = _LENGTH.sub(r"it has to have \1 characters", item["msg"])
        lines.append(f"{shown}: {wrong}")
    return WRONG + "; ".join(lines)
