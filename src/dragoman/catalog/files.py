"""Reads the catalogue's own files, once: providers, the table of capabilities and the one of ranks."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from dragoman.catalog.schema import CatalogError, Definition, read_strictly

GENERIC = "openai-compatible"
"""The file that providers of an operator's own start from."""


@cache
def definitions() -> dict[str, Definition]:
    """Every built-in provider by name, in order of their names.

    Raises:
        CatalogError: a file is no TOML, or not of the schema.
    """
    folder = files("dragoman.catalog.providers")
    found: dict[str, Definition] = {}
    for item in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if item.name.endswith(".toml"):
            table = _toml(item.name, item.read_text(encoding="utf-8"))
            found[item.name.removesuffix(".toml")] = read_strictly(Definition, table, item.name)
    return found


@cache
def capability_rules() -> list[dict[str, Any]]:
    """The rules of ``capabilities.toml``, in order."""
    rules: list[dict[str, Any]] = _own("capabilities.toml")["rules"]
    return rules


@cache
def rank_rules() -> dict[str, list[dict[str, Any]]]:
    """The tables of ``ranks.toml``, each in order."""
    return _own("ranks.toml")


def _own(name: str) -> dict[str, Any]:
    return _toml(name, files("dragoman.catalog").joinpath(name).read_text(encoding="utf-8"))


def _toml(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(f"{name} is not valid TOML: {error}.") from None
