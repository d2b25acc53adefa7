"""The data files read at the start: what is newer in them than in the database counts, but for ``keys.json``.

Somebody may have said in ``providers.json`` how a provider has been doing, or who is disabled; and a process
that was killed may have written there what it had not yet told the database. Which models a provider lists
is kept in ``models.json`` alone: it is known from there until the provider is asked anew.

What is not of the form that the schemas tell is told and not taken over. The files are written anew soon
after, so one of which not all was taken over is kept beside them, as ``NAME.before``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from dragoman.catalog.listing import Listed
from dragoman.catalog.registry import Registry
from dragoman.config.data_files import data_file
from dragoman.config.running import is_first, write_whole
from dragoman.core.errors import GatewayError, HouseError
from dragoman.data_files import provider_rows
from dragoman.data_tiers import take_tiers
from dragoman.file_shapes import ModelsFile, ModelState, ProviderFile, read_shape
from dragoman.health.sharing import ALL, LONGEST_NAME, Entry, FiguresTold, Spot, SwitchTold
from dragoman.services import Services

T = TypeVar("T")
_PROVIDERS = "providers.json"
_UNKNOWN = ModelState(id="-", token_generation_speed=None, response_times=[], errors=0)


async def read_back(services: Services, folder: Path | None) -> bool:
    """Takes over what the files say; ``folder`` is that of the gateway, of whose processes one reads.

    Returns:
        Whether other tiers are stored now.
    """
    settings = services.settings
    models = _read(services, data_file(settings, "models.json"), ModelsFile)
    found = _read(services, data_file(settings, "providers.json"), list[ProviderFile])
    if found is not None and models is not None:
        _remember_lists(services.house.registry, found[0], models[0])
    if folder is not None and not is_first(folder):
        return False
    if found is not None:
        try:
            await _take(services, *found)
        except HouseError as error:
            _tell(services, _PROVIDERS, error.message)
    try:
        return await take_tiers(services)
    except GatewayError as error:
        _tell(services, "tiers.json", error.message)
        return False


async def _take(services: Services, states: list[ProviderFile], at_ms: int) -> None:
    record = services.record
    if at_ms <= await record.newest_ms():
        return
    mine = provider_rows(services.house.registry, services.house.health, {})
    known = {state.id: state for state in mine}
    probe_ms = at_ms + round(services.house.health.disabling.policy.probe_s * 1000)
    entries = list(_changes(states, known, at_ms, probe_ms))
    if entries:
        await record.take(entries)
        services.log.event(
            "info", f"{_PROVIDERS} was newer than the database", entries=len(entries)
        )


def _changes(
    states: list[ProviderFile], known: Mapping[str, ProviderFile], at_ms: int, probe_ms: int
) -> Iterator[Entry]:
    """What of the file is other than what is known."""
    for state in states:
        mine = known.get(state.id)
        if mine is None:
            continue
        rows: dict[str, tuple[ModelState | ProviderFile, ModelState | ProviderFile]] = {
            ALL: (state, mine)
        }
        for name, model in state.models.items():
            if 0 < len(name) <= LONGEST_NAME and "\x00" not in name and name != ALL:
                rows[name] = (model, mine.models.get(name) or _UNKNOWN)
        for name, (said, was) in rows.items():
            is_there = state.provider_url in {"", mine.provider_url}
            if is_there and _figures(said, at_ms) != _figures(was, at_ms):
                yield Entry(Spot("figures", state.id, name, ALL), _figures(said, at_ms))
            if said.disabled != was.disabled:
                told = SwitchTold(said.disabled, at_ms, probe_ms)
                yield Entry(Spot("switch", state.id, name, ALL), told)


def _figures(state: ModelState | ProviderFile, at_ms: int) -> FiguresTold:
    return FiguresTold(
        requests=max(state.requests, state.errors),
        failures=state.errors,
        errors=state.error_rate,
        at_ms=at_ms,
        first_event_s=_seconds(state.avg_provider_latency),
        reply_s=_seconds(state.avg_response_time),
        tokens_per_s=state.token_generation_speed,
    )


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _remember_lists(registry: Registry, states: list[ProviderFile], models: ModelsFile) -> None:
    """Has what providers listed known, of those that are where they were."""
    for state in states:
        provider = registry.providers.get(state.id)
        is_same = provider is not None and provider.base_url == state.provider_url
        if is_same and state.models_listed:
            listed = (
                Listed(model.id.removeprefix(f"{state.id}/"), created=model.created)
                for model in models.data
                if model.owned_by == state.id
            )
            registry.listings.remember(state.id, listed)


def _read(services: Services, file: Path, kind: type[T]) -> tuple[T, int] | None:
    """What the file says, and when it was written, in Unix milliseconds; None: nothing that can be used."""
    try:
        data = file.read_bytes()
        at_ms = file.stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return None
    except OSError as error:
        _tell(services, file.name, f"it cannot be read: {error.strerror}")
        return None
    try:
        found = read_shape(data, kind, str(file))
    except GatewayError as error:
        _keep(services, file, data, error.message)
        return None
    left = list(_left_out(services, found))
    if left:
        _keep(services, file, data, "; ".join(left))
    return found, at_ms


def _left_out(services: Services, found: object) -> Iterator[str]:
    """What of the file cannot be taken over, in words."""
    if not isinstance(found, list):
        return
    providers = services.house.registry.providers
    for state in found:
        if state.id not in providers:
            yield f"no provider {state.id[:LONGEST_NAME]!r} is configured"
        if state.holds_key:
            yield (
                f"{state.id[:LONGEST_NAME]!r}: apiKey is not read: a provider's key belongs in the environment "
                "or in dragoman.toml"
            )


def _keep(services: Services, file: Path, data: bytes, why: str) -> None:
    """Tells what was not taken over, and keeps the file as it was."""
    _tell(services, file.name, why)
    try:
        write_whole(file.with_name(f"{file.name}.before"), data)
    except OSError as error:
        _tell(services, file.name, f"it cannot be kept: {error.strerror}")


def _tell(services: Services, name: str, why: str) -> None:
    services.log.event("warn", "data file not taken over", file=name, error=why)
