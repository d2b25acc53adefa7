"""The operator's tiers: ``tiers.json``, which ``data_files.py`` places, and over it ``[tiers.*]`` of the file.

    {"team": {"rps": 20, "rpm": 600, "rpd": 50000, "max_tokens": null, "min_provider_score": 50,
              "max_provider_score": null}}

A tier of the same name in ``dragoman.toml`` replaces that of ``tiers.json``. Where stored tiers are mirrored
there, what is read are the operator's own rows: ``data_tiers.py`` says which. No tier is
anybody's until a key says it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dragoman.config.data_files import data_file, write_data_file
from dragoman.config.json_file import read_json
from dragoman.config.settings import ConfigError, Settings
from dragoman.core.call import Limits

SAMPLE = Path(__file__).with_name("tiers.json")
"""R-TIER-002's reference; where the data files are kept, it is put there to begin with (R-STOR-004)."""
LONGEST_NAME = 64
LARGEST = 2**53
STORED_MS, HIDES = "stored_ms", "hides"
"""Members of a row that mirrors a stored tier: when that was stored, and the operator's row of its name."""
_SCORES = ("min_provider_score", "max_provider_score")
MEMBERS = tuple(Limits.__struct_fields__)


def read_tiers(settings: Settings) -> dict[str, Limits]:
    """All tiers by their names.

    Raises:
        ConfigError: a file or a member cannot be used; the message says which and what to do.
    """
    path = data_file(settings, "tiers.json")
    found = {
        name: limits_of(name, row, f"{path}: tier {name!r}") for name, row in _own(tier_rows(path))
    }
    rows = settings.tiers.items()
    return found | {name: limits_of(name, row, f"[tiers.{name}]") for name, row in rows}


def ensure_file(settings: Settings) -> None:
    """Puts the sample where the data files are kept and there is no file of tiers yet."""
    path = data_file(settings, "tiers.json")
    if settings.data_source_preference != "filesystem" or path.exists():
        return
    try:
        write_data_file(path, SAMPLE.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None


def unknown_tier(name: str, tiers: Mapping[str, Limits]) -> str:
    """The sentence for a tier that there is not."""
    near = difflib.get_close_matches(name, tiers, 1)
    if near:
        return f"There is no tier {name!r}; did you mean {near[0]!r}?"
    known = f"known: {', '.join(sorted(tiers))}" if tiers else "there is none yet"
    makes = f"`dragoman tiers set {name}` or [tiers.{name}] in dragoman.toml makes it"
    return f"There is no tier {name!r} ({known}): {makes}."


def tier_rows(path: Path) -> dict[str, Any]:
    """What the file says, as it says it.

    Raises:
        ConfigError: it cannot be read, or is no object.
    """
    found = read_json(path, {})
    if not isinstance(found, dict):
        raise ConfigError(f"{path} must be an object of tiers by their names.")
    return found


def is_mirrored(row: Any) -> bool:
    """Whether the row tells a stored tier, and is not the operator's own."""
    return isinstance(row, dict) and STORED_MS in row


def _own(rows: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, row in rows.items():
        if not is_mirrored(row):
            yield name, row
        elif HIDES in row:
            yield name, row[HIDES]


def limits_of(name: str, row: Any, where: str) -> Limits:
    """The limits of one tier.

    Raises:
        ConfigError: its name or a member cannot be used; the message begins with ``where``.
    """
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ConfigError(f"{where}: a tier's name is 1 to {LONGEST_NAME} printable characters.")
    if not isinstance(row, dict):
        raise ConfigError(f"{where} must hold limits, such as rpm = 600.")
    for member in row:
        if member not in MEMBERS:
            near = difflib.get_close_matches(member, MEMBERS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(MEMBERS)}"
            raise ConfigError(f"{where}: unknown member {member!r}; {hint}")
    made = Limits(**{member: _value(member, value, where) for member, value in row.items()})
    least, most = made.min_provider_score, made.max_provider_score
    if least is not None and most is not None and least > most:
        raise ConfigError(
            f"{where}: min_provider_score {least:g} is above max_provider_score {most:g}."
        )
    return made


def _value(member: str, value: Any, where: str) -> Any:
    if value is None:
        return None
    if member == "require_score":
        if isinstance(value, bool):
            return value
        raise ConfigError(f"{where}: require_score must be true or false.")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if member in _SCORES:
        if is_number and math.isfinite(value) and 0 <= value <= 100:
            return float(value)
        raise ConfigError(f"{where}: {member} must be a number from 0 to 100.")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST:
        return value
    raise ConfigError(f"{where}: {member} must be a whole number, 0 for no limit.")
