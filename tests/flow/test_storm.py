"""A storm: every provider fails, and what their load then is."""

import threading
import time

import pytest

from servers import gateway_server, mock_server, providers_at

SECONDS = 5.0
CALLERS = 8
NAMES = ("openai", "groq", "mistral")


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    with mock_server(tmp_path_factory.mktemp("failing")) as server:
        yield server


def asked(mock):
    return len(mock.ask("GET", "/mock/truth", key=None).json()["requests"])


def storm(seconds, call):
    """How many requests so many callers have made in that time, one after the other each."""
    made = [0] * CALLERS
    end = time.monotonic() + seconds

    def go(number):
        while time.monotonic() < end:
            call(made[number] % 2 == 1)
            made[number] += 1

    threads = [threading.Thread(target=go, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(made)


@pytest.mark.req("R-REL-001", "R-REL-003")
@pytest.mark.parametrize(
    "fault",
    # No breaker opens at rate limits: it is the allowance alone that bounds their load.
    [
        pytest.param("status-503", marks=pytest.mark.gate),
        "status-429--mock-retry-after-0",
        pytest.param("drop-reset", marks=pytest.mark.gate),
    ],
)
def test_a_storm_over_all_candidates_costs_a_fifth_more_and_three_a_second(
    failing, tmp_path, fault
):
    with gateway_server(tmp_path, **providers_at(failing.port)) as gateway:
        models = [f"{name}/m--mock-{fault}" for name in NAMES]
        before = asked(failing)

        def call(stream):
            reply = gateway.chat(models[0], stream=stream, routing={"fallback": models[1:]})
            assert reply.status in {429, 502, 503}, reply.body

        start = time.monotonic()
        requests = storm(SECONDS, call)
        took = time.monotonic() - start
        attempts = asked(failing) - before
        # What an idle second had saved is spent at its start.
        assert attempts <= 1.2 * requests + 3 * (took + 1), (requests, attempts)
        assert requests > 100
        if "429" in fault:
            assert attempts > 1.1 * requests, "the allowance is there to be used"


@pytest.mark.req("R-REL-001")
@pytest.mark.gate
def test_a_storm_that_begins_in_full_traffic_is_bounded_with_hedges_and_all(failing, tmp_path):
    """All have been answering until now, and all may be hedged: even so the law holds over the whole."""
    models = [f"{name}/m--mock-length-40" for name in NAMES]

    def call(stream):
        reply = gateway.chat(models[0], stream=stream, routing={"fallback": models[1:]})
        assert reply.status in {200, 400, 429, 500, 502, 503}, reply.body

    with gateway_server(tmp_path, HEDGE="always", **providers_at(failing.port)) as gateway:
        before, start = asked(failing), time.monotonic()
        requests = storm(1.5, call)
        failing.ask("POST", "/mock/config", {"errorRate": 1, "baseDelay": 40})
        requests += storm(SECONDS, call)
        failing.ask("POST", "/mock/reset")
        took, attempts = time.monotonic() - start, asked(failing) - before
    # At the moment in which it begins, who is under way may try somebody who was well until then.
    assert attempts <= 1.2 * requests + 3 * (took + 1) + CALLERS, (requests, attempts)
    assert attempts > requests


@pytest.mark.req("R-REL-001")
def test_everybody_falls_back_at_once_to_a_standby_that_was_never_used(failing, tmp_path):
    """A provider dies under many callers; another one has never been asked for anything."""
    with gateway_server(tmp_path, **providers_at(failing.port)) as gateway:
        replies = []

        def go(number):
            replies.append(
                gateway.chat(
                    "openai/m--mock-drop-reset--mock-delay-100",
                    routing={"fallback": ["groq/m--mock-delay-50"]},
                    stream=number % 2 == 0,
                )
            )

        threads = [threading.Thread(target=go, args=(number,)) for number in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [reply.status for reply in replies] == [200] * 60
        assert {reply.headers["x-dragoman-provider"] for reply in replies} == {"groq"}


@pytest.mark.req("R-REL-001")
def test_a_candidate_that_always_refuses_keeps_nobody_from_the_next_one(failing, tmp_path):
    """No breaker opens at a model that is not there: each request has to fall back."""
    with gateway_server(tmp_path, **providers_at(failing.port)) as gateway:

        def call(stream):
            reply = gateway.chat(
                "openai/m--mock-status-404", stream=stream, routing={"fallback": ["groq/m"]}
            )
            assert reply.status == 200, reply.body

        assert storm(2.0, call) > 100
