"""What a caller is told of its limits."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.admission.headers import duration, limit_text
from dragoman.core.call import Allowed, Denied, Gauge


def headers_of(*told):
    """The lines as the client that reads them has them."""
    text, number = limit_text(*told)
    lines = text.split("\r\n")[:-1]
    assert len(lines) == number
    return dict(line.split(": ", 1) for line in lines)


@pytest.mark.req("R-ADD-030")
def test_what_is_left_is_told_in_both_namings():
    assert headers_of(Allowed(Gauge(60, 59, 1.2))) == {
        "x-ratelimit-limit": "60",
        "x-ratelimit-remaining": "59",
        "x-ratelimit-reset": "2",
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1.2s",
    }


def test_tokens_are_told_beside_the_requests():
    headers = headers_of(Allowed(Gauge(60, 59, 1.2), Gauge(9000, 8000, 90)))
    assert headers["x-ratelimit-limit-tokens"] == "9000"
    assert headers["x-ratelimit-remaining-tokens"] == "8000"
    assert headers["x-ratelimit-reset-tokens"] == "1m30s"
    assert headers["x-ratelimit-limit"] == "60"


def test_anthropics_clients_are_told_in_their_names_and_moments():
    headers = headers_of(
        Allowed(Gauge(60, 59, 1.2), Gauge(9000, 8000, 90)), "anthropic", 1_760_000_000.0
    )
    assert headers["anthropic-ratelimit-requests-limit"] == "60"
    assert headers["anthropic-ratelimit-requests-remaining"] == "59"
    assert headers["anthropic-ratelimit-requests-reset"] == "2025-10-09T08:53:22Z"
    assert headers["anthropic-ratelimit-tokens-limit"] == "9000"
    assert headers["anthropic-ratelimit-tokens-reset"] == "2025-10-09T08:54:50Z"
    assert not any(name.endswith(("-requests", "-tokens")) for name in headers)


def test_a_refusal_tells_that_nothing_is_left_and_when_something_is():
    headers = headers_of(Denied("rpm", 60, 30.0))
    assert headers["x-ratelimit-remaining"] == "0"
    assert headers["x-ratelimit-reset"] == "30"


def test_a_refusal_of_tokens_tells_how_the_requests_stand():
    headers = headers_of(Denied("tpm", 600, 30.0, 50, 20, Gauge(60, 59, 1.2)))
    assert headers["x-ratelimit-remaining-tokens"] == "20"
    assert headers["x-ratelimit-reset-tokens"] == "30s"
    assert headers["x-ratelimit-remaining-requests"] == "59"


def test_who_has_no_limit_is_told_nothing():
    assert headers_of(Allowed()) == {}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.0001, "1ms"),
        (0.12, "120ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (59.9995, "1m0s"),
        (360, "6m0s"),
        (86_340, "23h59m0s"),
    ],
)
def test_durations_are_written_as_openai_does(seconds, text):
    assert duration(seconds) == text


@given(st.floats(0, 1e6))
def test_a_duration_is_never_shorter_than_the_wait_by_a_second(seconds):
    text = duration(seconds)
    units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
    parts = re.findall(r"([\d.]+)(ms|h|m|s)", text)
    assert "".join(number + unit for number, unit in parts) == text
    total = sum(float(number) * units[unit] for number, unit in parts)
    assert total == pytest.approx(seconds, abs=1.0)


@pytest.mark.parametrize("family", ["chat", "anthropic"])
def test_of_requests_and_tokens_is_told_what_is_told_of_each(family):
    requests, tokens = Gauge(10, 9, 1.5), Gauge(1000, 1, 86_399.2)
    both = limit_text(Allowed(requests, tokens), family, 1.0)
    parts = [
        limit_text(Allowed(*each), family, 1.0) for each in ((requests, None), (None, tokens))
    ]
    assert both == (parts[0][0] + parts[1][0], parts[0][1] + parts[1][1])
