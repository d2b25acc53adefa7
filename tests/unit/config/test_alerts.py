"""`[alerts]` is read strictly, and its secrets are never told."""

import pytest

from dragoman.alarms.judge import Policy
from dragoman.config.alerts import read_alerts
from dragoman.config.settings import ConfigError

SECRET = "a-secret-of-the-receivers-own"
HOOK = {"url": "https://hooks.example.com/x", "secret": SECRET}


def test_nothing_said_is_the_usual():
    assert read_alerts({}) == Policy()


def test_everything_that_may_be_said():
    policy = read_alerts(
        {
            "velocity": 3,
            "velocity_min_usd": "0.5",
            "error_rate": 0.25,
            "error_rate_min_calls": 5,
            "error_rate_window_s": 60,
            "drift": 0.02,
            "drift_min_usd": "1",
            "look_every_s": 5,
            "webhooks": [
                HOOK,
                {**HOOK, "url": "http://10.0.0.7:9000/y", "private": True, "kinds": ["drift"]},
            ],
        }
    )
    assert (policy.velocity, policy.velocity_min_pico) == (3.0, 5 * 10**11)
    assert (policy.drift_min_pico, policy.error_rate_min_calls) == (10**12, 5)
    first, second = policy.endpoints
    assert first.kinds == ("budget", "velocity", "errors", "drift")
    assert (second.kinds, second.private) == (("drift",), True)
    assert SECRET not in repr(policy)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"velocty": 3}, "did you mean 'velocity'"),
        ({"velocity": "3"}, "a number from 0"),
        ({"error_rate": 2}, "from 0 to 1"),
        ({"drift_min_usd": 0.5}, "as text"),
        ({"webhooks": {}}, "must be tables"),
        ({"webhooks": [HOOK, HOOK]}, "stands there twice"),
        ({"webhooks": [{"url": HOOK["url"]}]}, "needs url and secret"),
        ({"webhooks": [{**HOOK, "secret": "short"}]}, "16 characters"),
        ({"webhooks": [{**HOOK, "kinds": ["sms"]}]}, "some of budget"),
        ({"webhooks": [{**HOOK, "url": "http://hooks.example.com/"}]}, "https:// alone"),
        ({"webhooks": [{**HOOK, "url": "ftp://x/", "private": True}]}, "cannot be used"),
        ({"webhooks": [{**HOOK, "token": "x"}]}, "unknown member"),
    ],
)
def test_what_cannot_be_read_is_told(table, said):
    with pytest.raises(ConfigError, match=said) as caught:
        read_alerts(table)
    assert SECRET not in caught.value.message
