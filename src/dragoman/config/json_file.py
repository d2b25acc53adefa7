"""A JSON file of the operator's beside the configuration, read at a start or a reload."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from dragoman.config.settings import ConfigError


def read_json(path: Path, missing: Any) -> Any:
    """What the file holds; ``missing`` where it is not there.

    Raises:
        ConfigError: it cannot be read, or is no JSON.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return missing
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON: {error}.") from None
