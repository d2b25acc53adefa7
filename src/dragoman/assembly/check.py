"""The whole check of a configuration file: every complaint that can be had at once, each with its line.

What is wrong is taken out and the rest is read again, until nothing is; so one wrong row does not hide
the next. The reading is the one that a start and a reload do.
"""

from __future__ import annotations

import copy
import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from dragoman.assembly.registry import open_registry
from dragoman.catalog.files import definitions
from dragoman.catalog.keys import diagnose_key
from dragoman.catalog.load import key_source
from dragoman.catalog.registry import Registry
from dragoman.config.lines import Place, line_of, place_of, without_place
from dragoman.config.load import WRONG, doubtful_names, load_settings, parse_config, read_table
from dragoman.config.settings import ConfigError

_MOST = 50
_UNSET = "http://not-set.invalid"
"""Stands for a variable that is not set, so that the rest of its row is checked as well."""


class Problem(Struct, frozen=True):
    """One complaint; the line is None where it is about no single one."""

    message: str
    line: int | None = None


class Checked(Struct, frozen=True):
    """What a check has found: errors keep the file from being used, warnings do not."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()


def check_file(
    text: str, where: str, env: Mapping[str, str], env_file: Path | None = None
) -> Checked:
    """Everything that is wrong with the text of a file."""
    try:
        parse_config(text, where)
        raw = tomllib.loads(text)
    except ConfigError as error:
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            return Checked((_problem(error.message, text, where),))
    found: list[Problem] = []
    registry: Registry | None = None
    while registry is None and len(found) < _MOST:
        try:
            table = read_table(copy.deepcopy(raw), where)
            settings = load_settings({"mode": "local"}, env_file, table=table, text=text)
            registry = open_registry(settings, env, where)
        except ConfigError as error:
            told = error.message.removeprefix(WRONG).split("; ") if _many(error) else None
            fresh = [
                problem
                for message in told or [error.message]
                if (problem := _problem(message, text, where)) not in found
            ]
            found += fresh
            gone = [_without(raw, problem.message) for problem in fresh]
            if not any(gone):
                break
    # The order in which a person reads the file.
    found.sort(key=lambda problem: problem.line or 0)
    warnings = () if registry is None else tuple(_warnings(registry, raw, text, env, env_file))
    return Checked(tuple(found), warnings)


def _many(error: ConfigError) -> bool:
    return error.message.startswith(WRONG)


def _problem(message: str, text: str, where: str) -> Problem:
    return Problem(without_place(message, where), line_of(message, text, where))


def _without(raw: dict[str, Any], message: str) -> bool:
    """Takes out what a complaint is about; whether it was there."""
    if "refers to ${" in message:
        name = message.partition("${")[2].partition("}")[0]
        return _set(raw, "${" + name + "}")
    place = place_of(message)
    return any(_removed(raw, place[:length]) for length in range(len(place), 0, -1))


def _removed(raw: dict[str, Any], place: Place) -> bool:
    inside: Any = raw
    for name in place[:-1]:
        inside = _entry(inside, name)
    last = place[-1]
    if isinstance(inside, dict) and last in inside:
        del inside[last]
        return True
    if isinstance(inside, list):
        kept = [row for row in inside if not (isinstance(row, dict) and row.get("name") == last)]
        gone = len(kept) < len(inside)
        inside[:] = kept
        return gone
    return False


def _entry(inside: object, name: str) -> object:
    if isinstance(inside, dict):
        return inside.get(name)
    if isinstance(inside, list):
        rows = (row for row in inside if isinstance(row, dict))
        return next((row for row in rows if row.get("name") == name), None)
    return None


def _set(inside: Any, mark: str) -> bool:
    """Puts a value in the place of every reference to a variable; whether there was one."""
    pairs = list(inside.items() if isinstance(inside, dict) else enumerate(inside))
    done = False
    for name, value in pairs:
        if isinstance(value, str) and mark in value:
            inside[name] = value.replace(mark, _UNSET)
            done = True
        elif isinstance(value, dict | list):
            done = _set(value, mark) or done
    return done


def _warnings(
    registry: Registry,
    raw: Mapping[str, Any],
    text: str,
    env: Mapping[str, str],
    env_file: Path | None,
) -> Iterator[Problem]:
    """What is not wrong and hardly meant."""
    for name in raw.get("prices", {}):
        provider = name.partition("/")[0]
        if provider not in registry.definitions:
            near = difflib.get_close_matches(provider, registry.definitions, 1)
            hint = f"; did you mean {near[0]}?" if near else "."
            message = f"[prices.{name!r}]: there is no provider {provider!r}{hint}"
            yield Problem(message, line_of(message, text))
    for definition in definitions().values():
        if key_source(definition, env) and (trouble := diagnose_key(definition, env)):
            yield Problem(trouble)
    for name, family in registry.unserved.items():
        yield Problem(f"{name} has a key, but its dialect ({family}) is not served yet.")
    for sentence in doubtful_names(env_file):
        yield Problem(sentence)
