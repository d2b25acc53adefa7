"""How many examples a law is tried with: a fifth of all at each change, all of them before a release.

``make gate`` says ``DRAGOMAN_TEST_EXAMPLES=all``. Which ones are tried differs from run to run, so that the fifths
add up; what once failed is tried again where ``.hypothesis`` is kept.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

ALL = os.environ.get("DRAGOMAN_TEST_EXAMPLES") == "all"
USUAL = 100
"""Where a law says no number."""
_LEAST = 10


def examples(number: int) -> int:
    """Of a law for which so many are worth trying, how many are tried now."""
    return number if ALL else min(number, max(_LEAST, number // 5))


def choose() -> None:
    """Has laws that say no number keep to it, too, and judges no times: a neighbour can take them."""
    settings.register_profile(
        "dragoman",
        max_examples=examples(USUAL),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("dragoman")
