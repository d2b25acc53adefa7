"""The configuration file, read again while serving: all of it comes into force, or nothing does.

Whoever is asked, by SIGHUP or over HTTP, reads the file, builds everything that follows from it and only
then swaps, in one step. It puts the text down for its sibling workers, which do the same from that text, so
that all of them serve by one file; a worker that is started later begins with it.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from dragoman.assembly.assemble import (
    Assembly,
    assemble,
    assemble_stored,
    changed_names,
    only_hot,
)
from dragoman.catalog.stored import Overlay
from dragoman.config import running
from dragoman.config.data_files import data_file
from dragoman.config.lines import located
from dragoman.config.load import (
    config_path,
    environment,
    load_settings,
    parse_config,
    read_text,
    version_of,
)
from dragoman.config.running import Outcome, Taken
from dragoman.config.settings import ConfigError, Settings
from dragoman.core.errors import GatewayError
from dragoman.services import Services, tell_refused

_LOOK_S = 0.2
"""How often a worker looks whether another has accepted a configuration."""
_NAMES_S = 0.5
"""How often a process looks whether another has stored a name or a provider."""
_PATIENCE_S = 10.0
"""How long the others are waited for."""
_STILL_S = 0.05
_STILL_TRIES = 40
_SERVER = ("host", "port", "workers")


class Reloader:
    """One worker's way to another configuration."""

    def __init__(self, services: Services, env_file: Path | None, folder: Path | None) -> None:
        self.version = version_of(services.settings.file_text)
        self._services = services
        self._env_file = env_file
        self._folder = folder
        self._overlay = services.overlay
        self._stamp = 0 if folder is None else running.stamp_of(folder)
        self._one_at_a_time = asyncio.Lock()
        self._tell_taken("")

    async def reload(self) -> Outcome:
        """Reads the file again; what is wrong with it changes nothing."""
        async with self._one_at_a_time:
            outcome = await self._reload()
        if self._folder is not None:
            try:
                running.tell_outcome(self._folder, outcome)
            except OSError as error:
                self._log("warn", "reload cannot be told", error=error.strerror or "")
        return outcome

    async def _reload(self) -> Outcome:
        path = config_path()
        text = ""
        stored = self._services.stored
        try:
            if stored is not None:
                # What did not fit the file before may fit this one.
                self._overlay = await stored.names.overlay()
            text = await _settled_text(path, self._services.settings.file_text)
            built, changed, restart = await asyncio.to_thread(self._build, text, str(path))
            stamp = 0 if self._folder is None else running.put_in_force(self._folder, text)
        except (GatewayError, OSError) as error:
            said = error.message if isinstance(error, GatewayError) else str(error)
            said = located(said, text, str(path))
            self._log("error", "configuration refused", error=said, version=self.version)
            return Outcome(time.time_ns(), ok=False, version=self.version, error=said)
        self._take(built, stamp)
        self._log("info", "configuration in force", version=self.version, changed=changed)
        if restart:
            self._log("warn", "only a restart takes over what else has changed", names=restart)
        workers, behind = await self._wait_for_others()
        return Outcome(
            time.time_ns(),
            ok=not behind,
            version=self.version,
            error="; ".join(behind),
            changed=tuple(changed),
            restart=tuple(restart),
            workers=workers,
            behind=behind,
        )

    async def follow(self) -> None:
        """Takes over what another worker has accepted, until cancelled."""
        assert self._folder is not None, "alone, there is nobody to follow"
        while True:
            await asyncio.sleep(_LOOK_S)
            if running.stamp_of(self._folder) > self._stamp:
                async with self._one_at_a_time:
                    await self._catch_up(self._folder)

    async def _catch_up(self, folder: Path) -> None:
        stamp = running.stamp_of(folder)
        if stamp <= self._stamp:
            return
        try:
            text = running.in_force(folder) or ""
            built, changed, _ = await asyncio.to_thread(self._build, text, str(config_path()))
        except Exception as error:  # noqa: BLE001  a worker that fails here must go on serving
            said = error.message if isinstance(error, GatewayError) else type(error).__name__
            self._stamp = stamp
            self._tell_taken(said)
            self._log("error", "configuration refused", error=said, version=self.version)
            return
        self._take(built, stamp)
        self._log("info", "configuration in force", version=self.version, changed=changed)

    # --- what administrators have stored

    async def try_out(self, overlay: Overlay) -> None:
        """Refuses what could not be served by; nothing is changed.

        Raises:
            ConfigError: the message says what is wrong with it.
        """
        await asyncio.to_thread(self._assembled, overlay, assemble)

    async def renew(self) -> None:
        """Puts in force what is stored now."""
        async with self._one_at_a_time:
            stored = self._services.stored
            assert stored is not None, "it was opened"
            overlay = await stored.names.overlay()
            built = await asyncio.to_thread(self._assembled, overlay, assemble_stored)
            self._overlay = overlay
            self._services.install(built)
            tell_refused(self._services.log, built)
        self._log("info", "names and providers in force", generation=overlay.generation)

    def _assembled(self, overlay: Overlay, way: Callable[..., Assembly]) -> Assembly:
        return way(
            self._services.settings,
            environment(self._env_file),
            overlay=overlay,
            before=self._services.house.registry,
            where="With this",
        )

    async def follow_names(self) -> None:
        """Takes over what other processes have stored, until cancelled."""
        stored = self._services.stored
        assert stored is not None, "it was opened"
        while True:
            await asyncio.sleep(_NAMES_S)
            try:
                if await stored.names.lately() != self._overlay.generation:
                    await self.renew()
            except GatewayError as error:
                self._log("warn", "stored names cannot be read", error=error.message)

    def _build(self, text: str, where: str) -> tuple[Assembly, list[str], list[str]]:
        """Everything that follows from the text, and what differs from what is in force."""
        current = self._services.settings
        wanted = self._wanted(text, where)
        hot, restart = changed_names(current, wanted)
        said, before = _server_of(text, where), _server_of(current.file_text, where)
        restart = [
            *(f"[server] {name}" for name in _SERVER if said.get(name) != before.get(name)),
            *restart,
        ]
        registry = self._services.house.registry
        built = assemble_stored(
            only_hot(current, wanted), environment(self._env_file), self._overlay, registry
        )
        others = [f"provider {name}" for name in sorted(built.registry.changed_since(registry))]
        if "tiers" not in hot and built.tiers != self._services.house.gate.tiers.tiers:
            tiers, home = data_file(current, "tiers.json"), current.dragoman_home.absolute()
            others.append(str(tiers.relative_to(home) if tiers.is_relative_to(home) else tiers))
        return built, [*hot, *others], restart

    def _wanted(self, text: str, where: str) -> Settings:
        """The settings as a start would have them; what flags say now, they would say again."""
        current = self._services.settings
        table = parse_config(text, where)
        flags = {name: getattr(current, name) for name in ("mode", *_SERVER, "dragoman_home")}
        # What stands under [server] is checked, though it does not count.
        load_settings({"mode": current.mode}, self._env_file, text=text, table=dict(table))
        return load_settings(flags, self._env_file, text=text, table=table)

    def _take(self, built: Assembly, stamp: int) -> None:
        self._services.install(built)
        tell_refused(self._services.log, built)
        self.version = version_of(built.settings.file_text)
        self._stamp = max(self._stamp, stamp)
        self._tell_taken("")

    def _tell_taken(self, error: str) -> None:
        if self._folder is None:
            return
        try:
            running.tell_taken(self._folder, Taken(self._stamp, error))
        except OSError as trouble:
            self._log("warn", "reload cannot be told", error=trouble.strerror or "")

    async def _wait_for_others(self) -> tuple[int, tuple[str, ...]]:
        """How many workers serve by the new file, and what keeps the others from it."""
        if self._folder is None:
            return 1, ()
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            found = dict(running.taken_by(self._folder))
            late = [pid for pid, taken in found.items() if taken.stamp < self._stamp]
            if not late or time.monotonic() > deadline:
                break
            await asyncio.sleep(_LOOK_S / 4)
        failed = {pid: taken.error for pid, taken in found.items() if taken.error}
        behind = (
            *(f"worker {pid} has not answered" for pid in late),
            *(f"worker {pid}: {error}" for pid, error in failed.items() if pid not in late),
        )
        return len(found) - len(behind), behind

    def _log(self, level: str, what: str, **more: object) -> None:
        self._services.log.event(level, what, worker=os.getpid(), **more)


def _server_of(text: str, where: str) -> Mapping[str, object]:
    table = parse_config(text, where)
    return {name: table[name] for name in _SERVER if name in table}


def _read_present(path: Path, before: str) -> str:
    if not path.is_file():
        if not before:
            return ""  # as it was at the start; the files beside it may have changed
        raise ConfigError(f"{path} does not exist; nothing was changed.")
    return read_text(path)


async def _settled_text(path: Path, before: str) -> str:
    """The file's text, once it is no longer being written.

    Raises:
        ConfigError: it is not there, empty, or does not come to rest.
    """
    text = _read_present(path, before)
    for _ in range(_STILL_TRIES):
        await asyncio.sleep(_STILL_S)
        again = _read_present(path, before)
        if again == text:
            break
        text = again
    else:
        raise ConfigError(f"{path} is being written; ask again when it is whole.")
    if not text.strip() and before.strip():
        raise ConfigError(f"{path} is empty; say format = 1 to mean a file that says nothing.")
    return text
