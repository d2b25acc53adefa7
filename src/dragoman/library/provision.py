"""A caller's three JSON files: made once, never overwritten, read before each call (R-CFG-004 … 008)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from dragoman.library.failures import CallError
from dragoman.library.json_file import create_json, read_json
from dragoman.library.templates import CONFIG, DATA, LOG, caller_config, caller_data, caller_log

LATER = "openrouter_config.json"
"""What the file was called elsewhere (C-05): read, never written."""


class CallerConfig(Struct, frozen=True):
    """What a caller's ``openrouter_skill_config.json`` says; None: nothing of it."""

    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    enabled: bool = True


def provision(folder: Path) -> list[str]:
    """Makes what is missing of the caller's files; the names of those that were made.

    Raises:
        CallError: the folder cannot be written to.
    """
    wanted = ((CONFIG, caller_config), (DATA, caller_data), (LOG, caller_log))
    return [name for name, template in wanted if create_json(folder / name, template())]


def read_caller_config(folder: Path) -> CallerConfig | None:
    """The caller's config, under ``skill_name`` or ``module_name`` alike (R-CFG-017); None where there is no file.

    ``openrouter_config.json`` of a caller's folder counts where the other is not there.

    Raises:
        CallError: it cannot be read, or a member is of the wrong type; it is not made anew then.
    """
    path = folder / CONFIG
    file = read_json(path)
    if file is None:
        path = folder / LATER
        file = read_json(path)
    if file is None:
        return None
    config = file.get("config")
    if not isinstance(config, dict):
        raise _wrong(path, "config", "an object")
    return CallerConfig(
        model=_taken(config, "ai_model", str, path, "a string"),
        temperature=_number(config, "ai_temperature", path),
        max_tokens=_taken(config, "ai_max_tokens", int, path, "a whole number"),
        enabled=_switch(config, "enabled", path, missing=True),
    )


def _taken(config: dict[str, Any], name: str, kind: type[Any], path: Path, said: str) -> Any:
    value = config.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _wrong(path, name, said)
    return value


def _number(config: dict[str, Any], name: str, path: Path) -> float | None:
    value = config.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _wrong(path, name, "a number")
    return value


def _switch(config: dict[str, Any], name: str, path: Path, *, missing: bool) -> bool:
    value = config.get(name, missing)
    if not isinstance(value, bool):
        raise _wrong(path, name, "true or false")
    return value


def _wrong(path: Path, name: str, said: str) -> CallError:
    return CallError(f"{path}: {name} must be {said}.", code="file_error")
