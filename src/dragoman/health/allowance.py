"""What a provider's headers say of our own limits there, read before they are exceeded (D9).

Every answer tells how much is left. Where it is nothing, the next request with that key would be a 429: the
key rests until the limit begins anew. Only what stands at zero is read further.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime

_KINDS = (
    # OpenAI, Groq, and most of those who are compatible with them
    "requests",
    "tokens",
    # Cerebras, Mistral, DigitalOcean
    "requests-day",
    "req-minute",
    "tokens-minute",
    "tokens-per-minute",
    "tokens-per-day",
)
_ANTHROPIC = ("requests", "tokens", "input-tokens", "output-tokens")
_PAIRS: dict[str, str] = {
    **{f"x-ratelimit-remaining-{kind}": f"x-ratelimit-reset-{kind}" for kind in _KINDS},
    **{
        f"anthropic-ratelimit-{kind}-remaining": f"anthropic-ratelimit-{kind}-reset"
        for kind in _ANTHROPIC
    },
    # OpenRouter, and others without a kind of limit in the name; the IETF's draft
    "x-ratelimit-remaining": "x-ratelimit-reset",
    "ratelimit-remaining": "ratelimit-reset",
}
TOLD = frozenset(_PAIRS)
"""Headers that tell what is left."""
UNSAID_S = 5.0
"""For a limit of each minute where nobody says when it begins anew, as Mistral does not."""
_NOTHING = frozenset({"0", "0.0"})
_SPANS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_ERA_S = 1_000_000_000.0
"""A plain number beyond this is a Unix time, beyond a thousandfold of it one in milliseconds."""


def exhausted_for_s(headers: Mapping[str, str], wall: float) -> float | None:
    """For how long from now at least one limit stands at zero; None: none does, or nobody says."""
    longest: float | None = None
    for left in TOLD.intersection(headers):
        if headers[left].strip() not in _NOTHING:
            continue
        unsaid = str(UNSAID_S) if left.endswith("minute") else ""
        until = read_reset(headers.get(_PAIRS[left], unsaid), wall)
        if until is not None and until > 0 and (longest is None or until > longest):
            longest = until
    return longest


def read_reset(text: str, wall: float) -> float | None:
    """Seconds from now of ``6m0s``, ``59.7``, a Unix time or an ISO time; None: it is none of these."""
    text = text.strip()
    if not text or len(text) > 40:
        return None
    try:
        number = float(text)
    except ValueError:
        return _span(text) if text[-1] in "smhd" else _moment(text, wall)
    if not math.isfinite(number):
        return None
    if number >= _ERA_S * 1000:
        return number / 1000 - wall
    return number - wall if number >= _ERA_S else number


def _span(text: str) -> float | None:
    parts = _SPAN.findall(text)
    if "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SPANS[unit] for number, unit in parts)


def _moment(text: str, wall: float) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.timestamp() - wall
