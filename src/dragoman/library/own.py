"""The library's own JSON files in ``api/api_json``: how it is set, what it has done, for whom (R-CFG-009, 010).

``openrouter_*`` is the infrastructure with counters and a log of operations; ``api_*`` has keys, usage and the log
of calls (C-06). All of one call is written under one lock, so counts of threads and processes add up.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec import Struct

from dragoman.library import templates
from dragoman.library.failures import CallError
from dragoman.library.json_file import change_json, create_json, locked, read_json

MOST_LOGGED = 1000
"""Entries of each log; the oldest go."""
SESSION_GAP = timedelta(minutes=30)
"""A session is over when nobody has called for so long."""


class Infrastructure(Struct, frozen=True):
    """What the library's own config files say."""

    base_url: str
    timeout_s: float
    enabled: bool
    disabled_in: str
    """The file that says so, where it is not enabled."""
    log_requests: bool
    log_responses: bool
    auto_provision: bool
    default_provider: str
    keys: dict[str, str]
    """Provider → key, of ``api_config.json``."""
    base_urls: dict[str, str]


class Told(Struct, frozen=True):
    """One call as the logs and totals are told of it (R-USE-005)."""

    caller: str
    model: str | None
    succeeded: bool
    generation_id: str | None = None
    tokens: int | None = None
    cost: Decimal | None = None
    latency_ms: float = 0.0
    error: str | None = None
    calls_upstream: bool = True
    """Whether it came so far as to be sent."""


def ensure(folder: Path) -> None:
    """Makes what is missing of the six files, in a folder of the user's alone: it may hold a key.

    Raises:
        CallError: the folder cannot be written to.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        told = f"{folder} cannot be made: {error.strerror}."
        raise CallError(told, code="file_error") from None
    for name, template in (
        (templates.OWN_CONFIG, templates.own_config),
        (templates.OWN_DATA, templates.own_data),
        (templates.OWN_LOG, templates.own_log),
        (templates.API_DATA, templates.api_data),
        (templates.API_LOG, templates.api_log),
    ):
        create_json(folder / name, template())
    # Keys may be written into it: it is its owner's alone, whoever may look into the folder.
    create_json(folder / templates.API_CONFIG, templates.api_config(), mode=0o600)


def read_infrastructure(folder: Path) -> Infrastructure:
    """How the library is set; members that are missing are as the templates say.

    Raises:
        CallError: a file cannot be read, or is no JSON.
    """
    own = _config(folder / templates.OWN_CONFIG, templates.own_config)
    api = _config(folder / templates.API_CONFIG, templates.api_config)
    providers = {
        name: each for name, each in (api.get("providers") or {}).items() if isinstance(each, dict)
    }
    off = [
        str(folder / name)
        for name, config in ((templates.OWN_CONFIG, own), (templates.API_CONFIG, api))
        if config.get("enabled") is not True
    ]
    timeout = own.get("timeout_seconds")
    if not isinstance(timeout, int | float) or isinstance(timeout, bool) or timeout <= 0:
        path = folder / templates.OWN_CONFIG
        raise CallError(f"{path}: timeout_seconds must be above 0.", code="file_error")
    return Infrastructure(
        base_url=str(own.get("base_url") or ""),
        timeout_s=float(timeout),
        enabled=not off,
        disabled_in=off[0] if off else "",
        log_requests=own.get("log_requests") is True,
        log_responses=own.get("log_responses") is True,
        auto_provision=own.get("auto_provision") is True,
        default_provider=str(api.get("default_provider") or ""),
        keys={
            name: str(each["api_key"]) for name, each in providers.items() if each.get("api_key")
        },
        base_urls={
            name: str(each["base_url"]) for name, each in providers.items() if each.get("base_url")
        },
    )


def note_operation(
    folder: Path, operation: str, caller: str, details: str, *, success: bool = True
) -> None:
    """Adds to the log of operations; of a provisioning it is kept when it was, too."""
    entry = {
        "timestamp": templates.moment(),
        "operation": operation,
        "caller": caller,
        "success": success,
        "details": details,
    }
    with locked(folder):
        change_json(folder / templates.OWN_LOG, templates.own_log, _added("logs", entry))
        if operation == "provision_config":
            change_json(folder / templates.OWN_DATA, templates.own_data, _provisioned(caller))


def note_call(folder: Path, told: Told) -> None:
    """Counts one call, and adds it to the log of calls."""
    entry = {
        "timestamp": templates.moment(),
        "caller": told.caller,
        "model": told.model,
        "generation_id": told.generation_id,
        "status": "success" if told.succeeded else "error",
        "tokens": told.tokens,
        "cost": _number(told.cost),
        "latency_ms": round(told.latency_ms, 3),
    }
    if told.error is not None:
        entry["error"] = told.error
    with locked(folder):
        change_json(folder / templates.OWN_DATA, templates.own_data, _counted(told))
        change_json(folder / templates.API_LOG, templates.api_log, _added("logs", entry))
        if told.calls_upstream:
            change_json(folder / templates.API_DATA, templates.api_data, _used(told))


def _config(path: Path, template: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The file's ``config`` over the template's, so that members may be left out."""
    file = read_json(path)
    config = {} if file is None else file.get("config")
    if not isinstance(config, dict):
        raise CallError(f"{path}: config must be an object.", code="file_error")
    return {**template()["config"], **config}


def _added(name: str, entry: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    def add(value: dict[str, Any]) -> None:
        value[name] = [*(value.get(name) or [])[1 - MOST_LOGGED :], entry]

    return add


def _provisioned(caller: str) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        data = value.setdefault("data", {})
        data.setdefault("provisioned_configs", {})[caller] = templates.moment()

    return change


def _counted(told: Told) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        data = value.setdefault("data", {})
        outcome = "successful_requests" if told.succeeded else "failed_requests"
        for name in ("total_requests", outcome):
            data[name] = data.get(name, 0) + 1
        callers = data.setdefault("callers_tracked", [])
        if told.caller not in callers:
            callers.append(told.caller)

    return change


def _used(told: Told) -> Callable[[dict[str, Any]], None]:
    def change(value: dict[str, Any]) -> None:
        session = value.get("current_session")
        now = datetime.now(UTC)
        if not isinstance(session, dict) or _is_over(session, now):
            session = {"start_time": now.isoformat(timespec="milliseconds"), "total_requests": 0}
        value["current_session"] = session
        session["last_request"] = now.isoformat(timespec="milliseconds")
        _sum(session, told, "total_requests", "total_cost", "total_tokens")
        callers = value.setdefault("usage_by_caller", {})
        _sum(callers.setdefault(told.caller, {}), told, "requests", "total_cost", "total_tokens")
        today = templates.day()
        for totals, key in (("daily_totals", today), ("monthly_totals", today[:7])):
            row = value.setdefault(totals, {}).setdefault(key, {})
            _sum(row, told, "requests", "total_cost", "total_tokens")

    return change


def _is_over(session: dict[str, Any], now: datetime) -> bool:
    try:
        last = datetime.fromisoformat(str(session.get("last_request") or session["start_time"]))
        return now - last > SESSION_GAP
    except (KeyError, ValueError, TypeError):
        return True


def _sum(row: dict[str, Any], told: Told, requests: str, cost: str, tokens: str) -> None:
    """Adds one call; a cost or number that nobody knows adds nothing and is counted as unknown."""
    row[requests] = row.get(requests, 0) + 1
    # Decimals on the way: sums of floats drift.
    row[cost] = float(Decimal(str(row.get(cost, 0))) + (told.cost or Decimal(0)))
    row[tokens] = row.get(tokens, 0) + (told.tokens or 0)
    if told.succeeded and (told.cost is None or told.tokens is None):
        row["unknown"] = row.get("unknown", 0) + 1


def _number(cost: Decimal | None) -> float | None:
    return None if cost is None else float(cost)
