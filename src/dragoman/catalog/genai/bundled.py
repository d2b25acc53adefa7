"""Executes the data module of ``genai-prices`` with our records; see the package's docstring."""

from __future__ import annotations

import gc
import importlib
import importlib.util
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_NAME = f"{__package__}.data"
_OURS = f"{__package__}.types"


def bundled_version() -> str:
    """What a price's source is called: the package and its version."""
    try:
        return f"genai-prices {version('genai-prices')}"
    except PackageNotFoundError:
        return "genai-prices"


def read_bundled() -> list[Any]:
    """The providers of the installed package, as our records or, failing that, as its own."""
    try:
        return _execute()
    except Exception:  # noqa: BLE001 - a release in another form may fail in any way; its own import is right then
        providers: list[Any] = importlib.import_module("genai_prices.data").providers
        return providers


def _execute() -> list[Any]:
    package = importlib.util.find_spec("genai_prices")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("genai_prices")
    path = Path(package.submodule_search_locations[0]) / "data.py"
    spec = importlib.util.spec_from_file_location(_NAME, path)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(_NAME)
    module = importlib.util.module_from_spec(spec)
    importlib.import_module(_OURS)
    # Some 20,000 small objects are made at once; collecting in between finds nothing.
    collecting = gc.isenabled()
    gc.disable()
    try:
        spec.loader.exec_module(module)
    finally:
        if collecting:
            gc.enable()
    providers: list[Any] = module.providers
    return providers
