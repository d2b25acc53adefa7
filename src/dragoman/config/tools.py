"""What tools callers may offer: `[tools]` of ``dragoman.toml``, read strictly.

[tools]
max_tools = 128
allowlist = "enforce"
allowed_names = ["get_*", "search"]
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, get_args

from dragoman.admission.tool_limits import Heed, ToolLimits
from dragoman.config.settings import ConfigError

_LARGEST = 2**31
_KNOWN = tuple(ToolLimits.__struct_fields__)
_MOST_NAMES = 1000


def read_tool_limits(table: Mapping[str, Any]) -> ToolLimits | None:
    """The limits; None where nothing is limited.

    Raises:
        ConfigError: a member is unknown or wrong.
    """
    for name in table:
        if name not in _KNOWN:
            near = difflib.get_close_matches(name, _KNOWN, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_KNOWN)}"
            raise ConfigError(f"[tools]: unknown member {name!r}; {hint}")
    said = {name: _limit(name, table[name]) for name in table if name.startswith("max_")}
    names = _names(table.get("allowed_names", []))
    heed = table.get("allowlist", "enforce" if names else "off")
    if heed not in get_args(Heed):
        raise ConfigError(
            f"[tools] allowlist must be one of {', '.join(get_args(Heed))}, not {heed!r}."
        )
    if heed != "off" and not names:
        raise ConfigError(
            f'[tools] allowlist is "{heed}" without allowed_names: say them, or max_tools = 0 for no tool at all.'
        )
    limits = ToolLimits(**said, allowed_names=names, allowlist=heed)
    return limits if said or heed != "off" else None


def _limit(name: str, value: object) -> int:
    least = 0 if name in {"max_tools", "max_calls"} else 1
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= _LARGEST:
        return value
    raise ConfigError(
        f"[tools] {name} must be a whole number from {least}, not {value!r}; leave it out for no limit."
    )


def _names(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or len(found) > _MOST_NAMES:
        raise ConfigError(f"[tools] allowed_names must be a list of at most {_MOST_NAMES} names.")
    for name in found:
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(
                f'[tools] allowed_names holds {name!r}; each is a name or a pattern as "get_*".'
            )
    return tuple(found)
