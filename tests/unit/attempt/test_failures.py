"""What a provider's odd answers and open breakers are told as, and how often they are tried."""

import asyncio

import pytest

from dragoman.attempt.policy import Policy
from dragoman.core.errors import UpstreamError
from dragoman.health.breaker import BreakerPolicy
from dragoman.health.health import Health
from scripted import Scripted, answered, candidate, means_of


def refused(means, **more):
    with pytest.raises(UpstreamError) as caught:
        asyncio.run(answered(means, **more))
    return caught.value


@pytest.mark.parametrize("family", ["chat", "anthropic"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("https://user:hunter2@new.example:8443/v1?api_key=hunter2#x", "to new.example:8443"),
        ("https://New.Example/v1", "to new.example"),
        ("/elsewhere?key=hunter2", "to another path of the same host"),
        ("https://[bad", "to an address that cannot be read"),
        ("https://h:port/", "to an address that cannot be read"),
        ("https://sp ace'><b/", "to an address that cannot be read"),
        ("https:///", "to another path of the same host"),
        (None, "without saying where to"),
    ],
)
def test_a_redirect_is_named_with_its_host_and_made_once(family, stream, location, says):
    headers = {} if location is None else {"location": location}
    reply = Scripted([(0, b"<html>Moved</html>")], status=308, headers=headers)
    health = Health()
    means = means_of(reply, health=health)
    for _ in range(9):
        error = refused(means, stream=stream, candidates=[candidate(family=family)])
        assert error.status == 502
        assert error.upstream_status == 308
        assert "308" in error.message
        assert says in error.message
        assert "base URL" in error.message
        assert "hunter2" not in error.message
        assert error.code == "upstream_redirect"
        assert not error.retryable
    assert len(reply.asked) == 9, "neither retried nor held back by a breaker"


def test_a_redirect_goes_to_the_next_candidate():
    reply = Scripted([], status=301)
    refused(means_of(reply), candidates=[candidate("p"), candidate("q")])
    assert len(reply.asked) == 2


def test_an_open_breaker_says_when_to_come_back():
    reply = Scripted([(0, b"{}")], status=500)
    health = Health(BreakerPolicy(failures=1, open_s=30))
    means = means_of(reply, Policy(max_retries=0), health)
    now = 100.0
    means.monotonic = lambda: now
    assert refused(means).upstream_status == 500
    now = 112.0
    error = refused(means)
    assert error.code == "provider_down"
    assert error.retry_after_s == pytest.approx(18)
    now = 130.0
    assert health.admits(candidate(), now), "the probe is under way"
    assert refused(means).retry_after_s == 1.0
    assert len(reply.asked) == 1


def test_a_plan_is_walked_past_an_open_breaker():
    health = Health(BreakerPolicy(failures=1))
    health.failed(candidate("p"), UpstreamError("server", "x"), 0.0)
    reply = Scripted([(0, b'{"id":"c","choices":[{"index":0,"message":{"content":"a"}}]}')])
    means = means_of(reply, health=health)
    means.monotonic = lambda: 1.0
    answer = asyncio.run(
        answered(means, stream=False, candidates=[candidate("p"), candidate("q")])
    )
    assert answer.head.status == 200
    assert [request.url for request in reply.asked] == ["http://q.test/chat/completions"]
