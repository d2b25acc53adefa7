"""Reads ``excluded-errors.json``: errors that disable no model and no provider (R-PROV-005, R-ADD-023).

    {"patterns": ["rate limit", "quota", "maintenance"]}

Each pattern is a piece of text, found in an error's status, code or message whatever its case. A file that
cannot be used excludes nothing, and says why when the gateway starts.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from dragoman.config.json_file import read_json
from dragoman.config.settings import ConfigError

FILE = "excluded-errors.json"
LONGEST = 200
MOST = 1000


def read_exclusions(home: Path) -> tuple[str, ...]:
    """The patterns in lower case; none where there is no such file.

    Raises:
        ConfigError: the file cannot be used; the message says where and what to do.
    """
    path = home / FILE
    return _patterns(read_json(path, {"patterns": []}), path)


def _patterns(found: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(found, dict):
        raise ConfigError(f'{path} must be an object: {{"patterns": ["…"]}}.')
    for name in found:
        if name != "patterns":
            near = difflib.get_close_matches(name, ["patterns"], 1)
            hint = "; did you mean 'patterns'?" if near else "; it has patterns alone"
            raise ConfigError(f"{path}: unknown member {name!r}{hint}.")
    listed = found.get("patterns")
    if not isinstance(listed, list):
        raise ConfigError(f"{path}: patterns must be a list of texts.")
    if len(listed) > MOST:
        raise ConfigError(f"{path}: patterns has {len(listed)} entries, of {MOST} that it may.")
    for place, item in enumerate(listed):
        if not isinstance(item, str):
            raise ConfigError(f"{path}: patterns[{place}] must be a text.")
        if not item.strip():
            # It stands in every error.
            raise ConfigError(f"{path}: patterns[{place}] is empty; remove it.")
        if len(item) > LONGEST:
            raise ConfigError(
                f"{path}: patterns[{place}] has {len(item)} characters, of {LONGEST} that it may."
            )
    return tuple(item.lower() for item in listed)
