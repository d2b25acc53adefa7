"""The keys of providers of whoever runs a command: found, shown by their place, and tried at the provider.

Every look is written to ``logs/credentials.jsonl`` in the home, with the provider and the place and never the
key (R-AUTH-011): a command's own output is for people.
"""

from __future__ import annotations

import difflib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from dragoman.assembly.registry import operator_rows
from dragoman.catalog.base_url import clean_base
from dragoman.catalog.files import GENERIC, definitions
from dragoman.catalog.load import base_of, key_source
from dragoman.catalog.schema import CatalogError, Definition, Env, KeyFormat, OperatorRow
from dragoman.config.load import CONFIG_NAMED, key_store, layers
from dragoman.config.moved import refuse_moved_rows
from dragoman.config.settings import ConfigError, Settings
from dragoman.core.errors import UpstreamError
from dragoman.core.secret import Secret
from dragoman.credentials.key_store import KeyStore
from dragoman.credentials.lookup import (
    Access,
    Found,
    Lookup,
    get_api_key,
    in_environment,
    in_rows,
)
from dragoman.credentials.questions import Ask, Question
from dragoman.telemetry.turned_log import TurnedLog

_MOST_BYTES = 1024 * 1024
_ANY = KeyFormat(min_length=0)
_CHECK_S = 15.0


class Held(Struct, frozen=True):
    """A key, where it was found, and what is odd about it."""

    provider: str
    key: Secret
    place: str
    fault: str | None


class Checked(Struct, frozen=True):
    """What a provider says of a key."""

    state: Literal["good", "refused", "unclear"]
    text: str


@dataclass(frozen=True, slots=True)
class UserKeys:
    """Every provider that is known, and where its key may be."""

    known: Mapping[str, Definition]
    rows: Mapping[str, OperatorRow]
    lookup: Lookup
    store: KeyStore
    env: Mapping[str, str]
    """With what is stored."""
    exported: Mapping[str, str]
    """Without."""
    seen: list[Access]

    def find(self, provider: str) -> Held:
        """A provider's key.

        Raises:
            CallerError, HouseError, CatalogError: as ``get_api_key``.
        """
        self.seen.clear()
        key = get_api_key(provider, self.lookup)
        access = self.seen[-1]
        return Held(provider, key, access.place or "", access.fault)

    def places(self, definition: Definition) -> str | None:
        """Where the provider's key would be found, without a look at it; None: nowhere."""
        row = self.rows.get(definition.name)
        if row is not None and row.credentials:
            return "configuration file"
        if source := key_source(definition, self.exported):
            return source
        return self.store.place if key_source(definition, self.env) else None

    def variable(self, definition: Definition) -> str:
        """The name under which a key of the provider is stored.

        Raises:
            ConfigError: its file names none.
        """
        if definition.env.key:
            return definition.env.key[0]
        raise ConfigError(
            f"{definition.name} takes no key from the environment: say credentials in [[providers]]."
        )

    def check(self, definition: Definition, key: Secret, ask: Ask) -> Checked:
        """What the provider says of the key, by a call that costs nothing."""
        path = definition.key_check or definition.paths.get("models")
        if path is None:
            return Checked("unclear", "it has no way to try a key without paying")
        _, base = base_of(definition, self.rows.get(definition.name), self.env)
        base = clean_base(base, (*definition.paths.values(), path), f"{definition.name}'s address")
        headers = {
            "accept": "application/json",
            **definition.headers,
            definition.auth.header: definition.auth.prefix + key.reveal(),
        }
        try:
            answer = ask(Question(base + path, None, headers, _CHECK_S))
        except UpstreamError as error:
            return Checked("unclear", error.message)
        if answer.status == 200:
            return Checked("good", "it was accepted")
        if answer.status in {401, 403} or (
            answer.status == 400 and b"API_KEY_INVALID" in answer.body
        ):
            return Checked("refused", f"it was refused ({answer.status})")
        return Checked("unclear", f"{definition.name} answered {answer.status}")


def known_provider(keys: UserKeys, name: str) -> Definition:
    """The provider of that name.

    Raises:
        ConfigError: there is none; the nearest is told.
    """
    if name in keys.known:
        return keys.known[name]
    near = difflib.get_close_matches(name, keys.known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(keys.known)}."
    raise ConfigError(f"There is no provider {name[:64]!r}; {hint}")


def open_user_keys(settings: Settings, env_file: Path | None = None) -> UserKeys:
    """The keys as this user has them: the configuration file, the environment, then what is stored.

    Raises:
        ConfigError: a row of the file is wrong, or what is stored cannot be read.
    """
    kept, exported = layers(env_file)
    try:
        rows = operator_rows(settings)
    except CatalogError as error:
        raise ConfigError(error.message) from None
    if CONFIG_NAMED not in os.environ:
        refuse_moved_rows(rows, kept, exported)
    known: dict[str, Definition] = dict(definitions())
    for row in rows:
        own = replace(known[GENERIC], name=row.name, env=Env(), key_format=_ANY)
        known.setdefault(row.name, own)
    store = key_store(exported)
    log = credential_log(settings)
    seen: list[Access] = []

    def note(access: Access) -> None:
        seen.append(access)
        told = {"provider": access.provider, "place": access.place, "form": access.fault}
        log({"event": "provider key looked up", **told})

    def in_store(definition: Definition) -> Found | None:
        found = in_environment(kept)(definition)
        return None if found is None else Found(found.key, store.place)

    lookup = Lookup(known, (in_rows(rows), in_environment(exported), in_store), note)
    by_name = {row.name: row for row in rows}
    return UserKeys(known, by_name, lookup, store, {**kept, **exported}, exported, seen)


def credential_log(settings: Settings) -> Callable[[Mapping[str, object]], None]:
    """Takes a line on the use of a credential: whose, from where and by which process, never what."""
    log = TurnedLog(settings.dragoman_home / "logs" / "credentials.jsonl", _MOST_BYTES)

    def write(members: Mapping[str, object]) -> None:
        log.write({"process": os.getpid(), **members}, time.time())

    return write


def configured(keys: UserKeys) -> Iterator[str]:
    """The providers that have a key."""
    for name, definition in keys.known.items():
        if not definition.listed_by and keys.places(definition):
            yield name
