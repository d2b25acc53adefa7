"""What headers say of our limits, in every provider's spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.health.allowance import TOLD, UNSAID_S, exhausted_for_s, read_reset

WALL = 1_790_000_000.0
"""2026-09-21T14:13:20Z."""


@pytest.mark.req("R-PROV-003")
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("2m59.56s", 179.56),
        ("120ms", 0.12),
        ("1h2m3s", 3723.0),
        ("1d", 86_400.0),
        ("7.66", 7.66),
        ("59", 59.0),
        (str(int(WALL) + 30), 30.0),
        (str((int(WALL) + 30) * 1000), 30.0),
        ("2026-09-21T14:13:50Z", 30.0),
        ("2026-09-21T16:13:50+02:00", 30.0),
        ("2026-09-21T14:13:50", None),
        ("soon", None),
        ("1s later", None),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("9" * 50, None),
    ],
)
def test_when_a_limit_begins_anew(text, seconds) -> None:
    found = read_reset(text, WALL)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "12s"},
            12.0,
        ),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            360.0,
        ),
        (
            {
                "x-ratelimit-remaining-requests": "3",
                "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "2s",
            },
            2.0,
        ),
        (
            {
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-09-21T14:13:50Z",
            },
            30.0,
        ),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(WALL + 9) * 1000)}, 9.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "4"}, 4.0),
        ({"x-ratelimit-remaining-requests": "0"}, None),
        ({"x-ratelimit-remaining-tokens-minute": "0"}, UNSAID_S),
        (
            {"x-ratelimit-remaining-tokens-minute": "0", "x-ratelimit-reset-tokens-minute": "9"},
            9.0,
        ),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "-1s"}, None),
        ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "9s"}, None),
        ({"x-ratelimit-limit-requests": "0"}, None),
        ({}, None),
    ],
)
def test_a_key_rests_until_all_that_is_used_up_is_renewed(headers, seconds) -> None:
    found = exhausted_for_s(headers, WALL)
    assert found == (None if seconds is None else pytest.approx(seconds))


@given(st.text(max_size=60))
def test_any_text_is_read_or_is_none(text) -> None:
    found = read_reset(text, WALL)
    assert found is None or found == found  # noqa: PLR0124  no NaN
    for name in TOLD:
        exhausted_for_s({name: "0", name.replace("remaining", "reset"): text}, WALL)
