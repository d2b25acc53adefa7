"""Where the four JSON files of data are: under ``data`` in the home, or where a setting says (R-ADD-040)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from dragoman.config.settings import Settings

FileName: TypeAlias = Literal["keys.json", "tiers.json", "providers.json", "models.json"]


def data_file(settings: Settings, name: FileName) -> Path:
    """The file of that name, as an absolute path."""
    said = {
        "keys.json": settings.api_keys_file,
        "tiers.json": settings.api_tiers_file,
        "providers.json": settings.api_providers_file,
        "models.json": settings.api_models_file,
    }[name]
    if said is None:
        return (settings.dragoman_home / "data" / name).absolute()
    return said.expanduser().absolute()


def write_data_file(path: Path, data: bytes) -> None:
    """Writes it whole or not at all, for its owner alone, and makes its folder where there is none.

    Raises:
        OSError: the folder or the disk does not take it.
    """
    from dragoman.config.running import write_whole  # noqa: PLC0415  only where files are kept

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, data)
