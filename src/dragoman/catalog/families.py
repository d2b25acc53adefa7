"""A provider's rule for Claude's models that are asked for by another spelling than its own (R-ROUTE-003/004).

Some services list `anthropic/claude-sonnet-4.6` and are asked for `claude-sonnet-4-5-20250929`, or for
`claude-3-haiku`. Only a provider whose file says `resolve = "claude-family"` answers for what is near: for
everybody else a name that nobody has is told to be one.
"""

from __future__ import annotations

import re
from collections.abc import Collection

MAKER = "anthropic/"
FAMILIES = ("haiku", "sonnet", "opus")
PREFERRED = ("anthropic/claude-sonnet-4.6", "anthropic/claude-opus-4.6")
"""For a Claude of no family that is known."""
_NUMBER = re.compile(r"\d+")
_DATE = 8
"""Digits from which on a number is a day, and no version."""


def claude_family(name: str, ids: Collection[str]) -> str | None:
    """The id that is meant by a name that is none; None: the rule does not speak of it.

    The maker's own spelling first, then the newest of the family, then one of those preferred, then
    the last of the maker's.
    """
    if MAKER + name in ids:
        return MAKER + name
    lower = name.lower().removeprefix(MAKER)
    if not lower.startswith("claude-"):
        return None
    own = [each for each in ids if each.startswith(MAKER)]
    for family in FAMILIES:
        if family in lower:
            start = f"{MAKER}claude-{family}"
            found = [each for each in own if each.startswith(start)]
            if found:
                return max(found, key=newness)
            break
    available = [each for each in PREFERRED if each in ids]
    return available[0] if available else max(own, default=None)


def newness(model: str) -> tuple[tuple[int, ...], bool, tuple[int, ...], str]:
    """What orders the ids of a family: the version, then the plain form before variants, then the day."""
    numbers: list[str] = _NUMBER.findall(model)
    version = tuple(int(digits) for digits in numbers if len(digits) < _DATE)
    days = tuple(int(digits) for digits in numbers if len(digits) >= _DATE)
    return version, model[-1:].isdigit(), days, model
