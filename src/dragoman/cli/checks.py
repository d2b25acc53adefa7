"""What ``doctor`` looks at; each check answers with a finding and, where it can, with a remedy."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from dragoman.cli import footprint

if TYPE_CHECKING:
    from dragoman.config.settings import Settings

__all__ = [
    "Finding",
    "check_database",
    "check_extras",
    "check_mode",
    "check_node",
    "check_packages",
    "check_port",
    "check_providers",
    "check_python",
    "check_redis",
]

MOST_PACKAGES = 45
MOST_MEGABYTES = 120
_PYTHONS = ((3, 11), (3, 13))


class Finding(Struct, frozen=True):
    """One thing looked at: ``fail`` keeps Dragoman from serving, ``warn`` does not."""

    name: str
    state: Literal["ok", "warn", "fail"]
    text: str


def check_python(version: tuple[int, int] | None = None) -> Finding:
    """Python 3.11 to 3.13."""
    here = version or (sys.version_info.major, sys.version_info.minor)
    lowest, highest = _PYTHONS
    told = f"Python {here[0]}.{here[1]}"
    if lowest <= here <= highest:
        return Finding("python", "ok", told)
    return Finding("python", "fail", f"{told}; 3.11 to 3.13 are supported: install one of them.")


def check_packages(find: footprint.Find = distribution) -> Finding:
    """Count and size of what the base installs (D31)."""
    try:
        found = footprint.measure(find=find)
    except PackageNotFoundError:
        return Finding("packages", "warn", "Dragoman is not installed as a package here.")
    if found.missing:
        return Finding("packages", "fail", f"Not installed: {', '.join(found.missing)}.")
    megabytes = found.size / 1e6
    told = (
        f"{len(found.packages)} packages (at most {MOST_PACKAGES}), "
        f"{megabytes:.1f} MB (at most {MOST_MEGABYTES})"
    )
    fits = len(found.packages) <= MOST_PACKAGES and megabytes <= MOST_MEGABYTES
    return Finding("packages", "ok" if fits else "fail", told)


def check_extras(find: footprint.Find = distribution) -> Iterator[Finding]:
    """Optional parts; a missing one is no fault."""
    try:
        found = footprint.extras(find=find)
    except PackageNotFoundError:
        return
    for extra in found:
        missing = f"not installed; pip install 'dragoman[{extra.name}]' adds it"
        yield Finding(f"extra {extra.name}", "ok", missing if extra.missing else "installed")


def check_port(host: str, port: int) -> Finding:
    """Whether the address can be listened on, or a gateway of ours listens there already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if version := _running(host, port):
                text = f"{host}:{port} is held by a running Dragoman {version}"
                return Finding("port", "ok", text)
            text = f"{host}:{port}: {error.strerror or error}; say another with --port."
            return Finding("port", "fail", text)
    return Finding("port", "ok", f"{host}:{port} is free")


_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - it is asked, not bound


def _running(host: str, port: int) -> str:
    """The version of the gateway that listens there, empty if it is something else."""
    import http.client
    import json

    connection = http.client.HTTPConnection(_EVERYWHERE.get(host, host), port, timeout=2)
    try:
        connection.request("GET", "/health")
        reply = connection.getresponse()
        told = json.loads(reply.read(1 << 16))
        ours = reply.getheader("x-dragoman-call-id") and isinstance(told["mode"], str)
        return str(told["version"])[:40] if ours else ""
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def check_mode(settings: Settings) -> Finding:
    """What the mode demands, judged as ``serve`` does: a mode that nobody has said is prod."""
    from dragoman.config.settings import ConfigError, check_serving

    try:
        check_serving(settings)
    except ConfigError as error:
        if "mode" in settings.model_fields_set:
            return Finding("mode", "fail", error.message)
        text = "MODE is not set, which means prod. For this machine alone say --local or MODE=local.\n"
        return Finding("mode", "fail", text + error.message)
    return Finding("mode", "ok", settings.mode)


def check_providers(settings: Settings, env: Mapping[str, str]) -> Iterator[Finding]:
    """Which providers are switched on, and keys that do not look like theirs (D15)."""
    from dragoman.assembly.registry import open_registry
    from dragoman.catalog.files import definitions
    from dragoman.catalog.keys import diagnose_key
    from dragoman.catalog.load import key_source
    from dragoman.config.settings import ConfigError

    try:
        registry = open_registry(settings, env)
    except ConfigError as error:
        yield Finding("providers", "fail", error.message)
        return
    names = registry.spoken_of()
    if names:
        yield Finding("providers", "ok", ", ".join(names))
    else:
        text = "none is configured; export a key, such as OPENAI_API_KEY"
        yield Finding("providers", "warn", f"{text} (in local mode a stub answers)")
    for definition in definitions().values():
        if key_source(definition, env) and (trouble := diagnose_key(definition, env)):
            yield Finding("key", "warn", trouble)
    for name, family in registry.unserved.items():
        text = f"{name} has a key, but its dialect ({family}) is not served yet."
        yield Finding("key", "warn", text)


async def check_database(settings: Settings) -> Finding:
    """Whether the database answers, or could be made; nothing is written."""
    url = settings.database
    file = Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None
    if file is not None and not file.exists():
        folder = next(parent for parent in file.absolute().parents if parent.exists())
        if _is_writable(folder):
            return Finding("database", "ok", f"{file} will be made at the first start")
        text = f"{folder} cannot be written to; set DRAGOMAN_HOME or DATABASE_URL."
        return Finding("database", "fail", text)
    from dragoman.core.errors import GatewayError
    from dragoman.store.engine import open_database, told_reason

    try:
        database = open_database(url)
        try:
            await database.ping()
        finally:
            await database.close()
    except GatewayError as error:
        return Finding("database", "fail", told_reason(error))
    # A URL may hold a password: only its kind is shown.
    return Finding("database", "ok", str(file) if file else f"{url.partition(':')[0]} answers")


async def check_redis(settings: Settings) -> Iterable[Finding]:
    """Whether the Redis of ``REDIS_URL`` answers; nothing is told where none is configured, for none is needed."""
    from contextlib import AsyncExitStack

    from dragoman.config.shared_state import redis_of
    from dragoman.core.errors import GatewayError

    async with AsyncExitStack() as stack:
        try:
            client = redis_of(settings, stack)
        except GatewayError as error:  # with this, it does not start
            return [Finding("redis", "fail", error.message)]
        if client is None:
            return []
        from dragoman.store.redis.connection import mapped

        try:
            with mapped():
                await client.get(b"")  # any question: whether it answers
        except GatewayError as error:
            text = f"{error.message} It is served all the same; each gateway then counts limits alone."
            return [Finding("redis", "warn", text)]
    return [Finding("redis", "ok", "answers")]


def _is_writable(folder: Path) -> bool:
    import os

    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def check_node() -> Finding:
    """Node and npm, which only the TypeScript SDK's development needs."""
    found = [name for name in ("node", "npm") if shutil.which(name)]
    text = f"{' and '.join(found)} found" if found else "not found"
    return Finding("node", "ok", f"{text} (only needed to develop the TypeScript SDK)")
