"""The settings of fetching, as the fetcher's policy."""

import pytest
from pydantic import ValidationError

from dragoman import __version__
from dragoman.config.fetching import fetch_policy
from dragoman.config.settings import Settings
from dragoman.transport.fetch import FetchPolicy
from dragoman.transport.fetch_url import Rules

pytestmark = pytest.mark.req("R-IMG-002", "R-ENV-008")


def test_unset_they_are_the_required_defaults():
    policy = fetch_policy(Settings())
    assert policy == FetchPolicy(user_agent=f"dragoman/{__version__}")
    assert (policy.total_s, policy.max_bytes, policy.max_redirects) == (15, 8388608, 3)
    assert not policy.allow_private
    assert not policy.forward_auth
    assert policy.rules == Rules(("http", "https"))


def test_each_reaches_the_policy(monkeypatch):
    said = {
        "TIMEOUT_MS": "2500",
        "MAX_BYTES": "2048",
        "MAX_REDIRECTS": "0",
        "ALLOW_PRIVATE": "true",
        "FORWARD_AUTH": "true",
        "ALLOWED_PROTOCOLS": "https",
        "ALLOWED_HOSTS": "a.example, .b.example",
        "USER_AGENT": "pictures/1",
        "REFERER": "https://ours.example/",
    }
    for name, value in said.items():
        monkeypatch.setenv(f"IMAGE_FETCH_{name}", value)
    assert fetch_policy(Settings()) == FetchPolicy(
        rules=Rules(("https",), ("a.example", ".b.example"), any_port=True),
        allow_private=True,
        forward_auth=True,
        total_s=2.5,
        max_bytes=2048,
        most_bytes=8192,
        max_redirects=0,
        user_agent="pictures/1",
        referer="https://ours.example/",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOWED_PROTOCOLS", "file"),
        ("ALLOWED_PROTOCOLS", "http,gopher"),
        ("MAX_REDIRECTS", "-1"),
        ("TIMEOUT_MS", "0"),
        ("USER_AGENT", "a\r\nx: y"),
        ("REFERER", "a\nb"),
    ],
)
def test_what_nobody_means_stops_the_start(monkeypatch, name, value):
    monkeypatch.setenv(f"IMAGE_FETCH_{name}", value)
    with pytest.raises(ValidationError):
        Settings()
