"""Who answers a library call: a running gateway where one is named, else a house in this process.

The house is opened with the first call and again when what it is configured by has changed: a program may set
its keys when it likes, and ``api_config.json`` and ``openrouter_config.json`` may be edited while it runs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dragoman.catalog.files import definitions
from dragoman.config.load import environment, known_names, load_settings
from dragoman.config.settings import Settings
from dragoman.library.answer import Came
from dragoman.library.failures import CallError
from dragoman.library.outside import Outside
from dragoman.library.own import Infrastructure

if TYPE_CHECKING:
    from dragoman.library.inside import Inside

GATEWAY_KEY = "drg_test"
"""Shown to a gateway where no key was said; one in local mode accepts it."""


class Engine(Protocol):
    """What answers."""

    def ask(self, body: bytes, caller: str, timeout_s: float) -> Came:
        """Has a chat request answered, in one try.

        Raises:
            GatewayError: it was refused or failed.
        """
        ...

    def is_known(self, model: str) -> bool:
        """Whether the model string is its business as it stands."""
        ...


@dataclass(slots=True)
class _Open:
    """What this process has opened."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    said: Mapping[str, str] | None = None
    inside: Inside | None = None
    outside: dict[tuple[str, str], Outside] = field(default_factory=dict)


_open = _Open()
_left: list[object] = []
"""What a child of ``fork`` has of its parent's: not used, and not closed either, for it is the parent's."""


def _begin_anew() -> None:
    _left.append((_open.inside, _open.outside))
    _open.lock = threading.Lock()
    _open.said, _open.inside, _open.outside = None, None, {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def settings_now() -> Settings:
    """The settings of this process as the library reads them; read again when the environment has changed.

    Raises:
        ConfigError: a setting is wrong.
    """
    with _open.lock:
        return _settings(_said(environment()))


def own_folder(settings: Settings) -> Path:
    """Where the library's own JSON files are."""
    return settings.library_folder or settings.dragoman_home / "api" / "api_json"


def callers_folder(settings: Settings) -> Path:
    """Where the files of callers are that have no file of their own."""
    return settings.dragoman_home / "callers"


def engine_of(infra: Infrastructure, gateway: str | None, key: str | None) -> Engine:
    """Who answers now.

    Raises:
        GatewayError: the house cannot be opened, or the gateway's address is none.
    """
    address = gateway or os.environ.get("DRAGOMAN_BASE_URL")
    with _open.lock:
        if address:
            secret = key or os.environ.get("DRAGOMAN_API_KEY") or GATEWAY_KEY
            found = _open.outside.get((address, secret))
            if found is None:
                settings = _settings(_said(environment()))
                found = Outside(address, secret, settings.upstream_ca_file)
                _open.outside[address, secret] = found
            return found
        return _inside(with_files(environment(), infra))


def provider_key_name(provider: str) -> str:
    """The environment variable of a provider's key."""
    known = definitions().get(provider)
    return (
        known.env.key[0] if known is not None and known.env.key else f"{provider.upper()}_API_KEY"
    )


def model_for(engine: Engine, model: str, infra: Infrastructure) -> str:
    """The model string as the engine understands it: what nobody here knows is the default provider's.

    Raises:
        CallError: nobody can be asked at all.
    """
    providers = getattr(engine, "providers", None)
    if providers is None:
        return model
    names = providers()
    default = infra.default_provider
    if not names:
        # Who names a provider has its key in mind; any model may be had from the default one.
        named = [each for each in (model.partition("/")[0], default) if each in definitions()]
        ways = " or ".join(dict.fromkeys(provider_key_name(each) for each in named or [default]))
        raise CallError(
            f"There is no key of a provider: set {ways}, or say api_key of {default!r} in api_config.json.",
            code="missing_provider_key",
            kind="server",
        )
    if engine.is_known(model) or default not in names:
        return model
    return f"{default}/{model}"


def _inside(env: Mapping[str, str]) -> Inside:
    said = _said(env)
    if _open.inside is None or _open.said != said:
        # SQL and what serving needs, only where somebody calls without a server (D32).
        from dragoman.library.inside import Inside  # noqa: PLC0415

        house = Inside(_settings(_said(environment())), env)
        house.open()
        _open.inside, _open.said = house, said
    return _open.inside


def _settings(said: Mapping[str, str]) -> Settings:
    return _settings_of(tuple(sorted(said.items())), Path.cwd())


@cache
def _settings_of(said: tuple[tuple[str, str], ...], folder: Path) -> Settings:
    del said, folder  # what is remembered by them
    found = load_settings({"mode": "local"})
    quiet = {"log_level": "error"} if found.log_level is None else {}
    # A stub answers where somebody asked for one, never because a key is missing.
    stub = {} if found.use_stub_adapters is not None else {"use_stub_adapters": False}
    return found.model_copy(update={**quiet, **stub})


@cache
def _names() -> frozenset[str]:
    return frozenset(known_names())


def _said(env: Mapping[str, str]) -> dict[str, str]:
    names = _names()
    return {name: value for name, value in env.items() if name in names}


def with_files(env: dict[str, str], infra: Infrastructure) -> dict[str, str]:
    """The environment, and under it what the library's own files say."""
    found = dict(env)
    bases = {
        **infra.base_urls,
        "openrouter": infra.base_url or infra.base_urls.get("openrouter", ""),
    }
    for name, known in definitions().items():
        if name in infra.keys and not any(found.get(each) for each in known.env.key):
            found[provider_key_name(name)] = infra.keys[name]
        base = bases.get(name)
        has_key = any(found.get(each) for each in known.env.key)
        if base and has_key and known.env.base_url and not found.get(known.env.base_url[0]):
            found[known.env.base_url[0]] = base
    return found
