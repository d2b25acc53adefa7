"""By when a call has to be answered, and what that bounds (U16)."""

import asyncio
import time
from math import inf

import pytest

from dragoman.attempt.deadline import LONGEST_MS, deadline_of
from dragoman.attempt.policy import Policy
from dragoman.core.errors import CallerError, UpstreamError
from scripted import DONE, EVER, ROLE, Scripted, answered, call_of, candidate, means_of, words

HEADER = "x-dragoman-timeout-ms"


def call_with(received=None, **headers):
    call = call_of()
    call.received = time.monotonic() if received is None else received
    call.headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return call


def test_the_house_has_the_time_unless_the_caller_has_less():
    bound = deadline_of(call_with(5.0), 10.0, 600.0)
    assert (bound.begin, bound.end, bound.own) == (610.0, inf, False)
    bound = deadline_of(call_with(5.0, x_dragoman_timeout_ms="2000"), 6.0, 600.0)
    assert (bound.begin, bound.end, bound.own) == (7.0, 7.0, True)
    bound = deadline_of(call_with(5.0, x_dragoman_timeout_ms="900000"), 6.0, 600.0)
    assert (bound.begin, bound.end, bound.own) == (606.0, 905.0, False)


@pytest.mark.parametrize("name", ["x_stainless_read_timeout", "x_stainless_timeout"])
def test_the_patience_of_an_official_sdk_bounds_the_beginning_alone(name):
    bound = deadline_of(call_with(5.0, **{name: "12.5"}), 6.0, 600.0)
    assert (bound.begin, bound.end, bound.own) == (18.5, inf, True)
    for odd in ("NOT_GIVEN", "", "nan", "-1", "0"):
        assert deadline_of(call_with(5.0, **{name: odd}), 6.0, 600.0).begin == 606.0


@pytest.mark.parametrize(
    "odd", ["", "0", "-5", "1.5", "soon", "1e3", "٣", str(LONGEST_MS + 1), "9" * 99]
)
def test_a_time_that_is_none_is_refused(odd):
    with pytest.raises(CallerError) as caught:
        deadline_of(call_with(x_dragoman_timeout_ms=odd), 0.0, 600.0)
    assert caught.value.status == 400
    assert caught.value.param == HEADER


def late(means, call, **more):
    start = time.monotonic()
    with pytest.raises(UpstreamError) as caught:
        asyncio.run(answered(means, call, **more))
    return caught.value, time.monotonic() - start


@pytest.mark.parametrize("stream", [True, False])
def test_a_request_whose_time_is_over_is_not_sent(stream):
    reply = Scripted([(0, words("a"))])
    call = call_with(time.monotonic() - 1, x_dragoman_timeout_ms="500")
    error, _ = late(means_of(reply), call, stream=stream)
    assert (error.status, error.code) == (504, "deadline_exceeded")
    assert not reply.asked


@pytest.mark.req("R-ADD-025")
def test_pauses_that_do_not_fit_lead_to_the_next_candidate():
    reply = Scripted([], status=429, headers={"retry-after": "5"})
    call = call_with(x_dragoman_timeout_ms="300")
    error, took = late(means_of(reply), call, candidates=[candidate("p"), candidate("q")])
    assert error.upstream_status == 429
    assert took < 0.3
    assert [request.url[7] for request in reply.asked] == ["p", "q"]


def test_three_candidates_that_hang_end_at_the_deadline_and_are_not_held_to_blame():
    reply = Scripted()
    means = means_of(reply)
    for _ in range(6):
        reply.pieces = [(EVER, b"")]
        call = call_with(x_dragoman_timeout_ms="60")
        error, took = late(means, call, candidates=[candidate(name) for name in "pqr"])
        assert error.code == "deadline_exceeded"
        assert 0.05 < took < 0.3
    assert means.health.states(time.monotonic()) == {}


def test_a_hanging_provider_is_to_blame_for_the_houses_time():
    reply = Scripted()
    means = means_of(reply, Policy(first_event_s=0.02))
    for _ in range(5):
        reply.pieces = [(EVER, b"")]
        error, _ = late(means, call_with())
        assert error.code == "read_timeout"
    assert means.health.states(time.monotonic())


@pytest.mark.req("R-REL-008")
def test_a_stream_under_way_ends_at_the_deadline_with_one_error():
    async def go():
        pieces = [(0, ROLE), *[(0.03, words("a"))] * 40, (0, DONE)]
        means = means_of(Scripted(pieces))
        start = time.monotonic()
        answer = await answered(means, call_with(x_dragoman_timeout_ms="250"))
        body = b"".join([piece async for piece in answer.pieces])
        assert 0.2 < time.monotonic() - start < 0.5
        assert body.count(b'"deadline_exceeded"') == 1
        assert body.endswith(DONE)
        assert b'"stop"' not in body
        assert means.health.states(time.monotonic()) == {}

    asyncio.run(go())
