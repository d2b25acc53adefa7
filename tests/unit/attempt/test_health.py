"""What attempts tell of a candidate's health: once a request, at its end, and from the head's headers."""

import asyncio

import pytest
from msgspec import structs

from dragoman.attempt.policy import Policy
from dragoman.core.errors import UpstreamError
from dragoman.health.disabling import DisablingPolicy
from dragoman.health.health import Health
from scripted import (
    DONE,
    Scripted,
    answered,
    call_of,
    candidate,
    finish,
    means_of,
    streamed,
    words,
)

WHOLE = (
    b'{"id":"c","choices":[{"index":0,"message":{"content":"a"}}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":20}}'
)
KNOWN = structs.replace(candidate(), known=True)
CUT = b'data: {"error":{"message":"broken","type":"server_error"}}\n\n'


def house(reply, failures=3):
    health = Health(disabling=DisablingPolicy(failures=failures, over_s=0))
    return health, means_of(reply, Policy(backoff_s=0.0), health)


def ask(means, *, stream):
    async def one():
        if stream:
            return await streamed(means, candidates=[KNOWN])
        return await answered(means, stream=False, candidates=[KNOWN])

    return asyncio.run(one())


@pytest.mark.req("R-PROV-004")
@pytest.mark.parametrize("stream", [True, False])
def test_a_request_that_is_tried_three_times_has_failed_once(stream):
    transport = Scripted([(0, b"{}")], status=500)
    health, means = house(transport)
    for number in range(3):
        assert not health.disabling.is_disabled("p", "m"), number
        with pytest.raises(UpstreamError):
            ask(means, stream=stream)
        health.breakers._cells.clear()
    assert len(transport.asked) > 3
    assert health.disabling.is_disabled("p", "m")
    assert health.statistics.of("p").failures == len(transport.asked)


@pytest.mark.req("R-PROV-004")
def test_streams_that_always_break_off_in_the_middle_disable_too():
    health, means = house(None)
    for number in range(3):
        assert not health.disabling.is_disabled("p", "m"), number
        means.transport = Scripted([(0, words("a")), (0, CUT)])
        pieces = ask(means, stream=True)
        assert b'"error"' in b"".join(piece for _, piece in pieces)
    assert health.disabling.is_disabled("p", "m")
    # One that begins well is no recovery; one that ends well is.
    means.transport = Scripted([(0, words("a")), (0, CUT)])
    ask(means, stream=True)
    assert health.disabling.is_disabled("p", "m")
    means.transport = Scripted([(0, words("a") + finish() + DONE)])
    ask(means, stream=True)
    assert not health.disabling.is_disabled("p", "m")


@pytest.mark.req("R-PROV-004")
def test_a_retry_that_is_answered_makes_the_request_no_failure():
    class Moody(Scripted):
        async def send(self, request, again=None):
            self.status = 500 if len(self.asked) % 2 == 0 else 200
            return await super().send(request)

    health, means = house(Moody([(0, WHOLE)]), failures=2)
    for _ in range(3):
        ask(means, stream=False)
    assert not health.disabling.is_disabled("p", "m")
    found = health.statistics.of("p", "m", "")
    assert (found.requests, found.failures) == (6, 3)


@pytest.mark.req("R-PROV-003")
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_is_measured_when_it_is_over(stream):
    usage = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":20}}\n\n'
    pieces = [(0, words("a")), (0.05, finish() + usage + DONE)] if stream else [(0, WHOLE)]
    health, means = house(Scripted(pieces))
    ask(means, stream=stream)
    found = health.statistics.of("p", "m", "")
    assert (found.requests, found.failures) == (1, 0)
    assert found.tokens_per_s is not None
    assert (found.first_event_s is None) is not stream
    assert (found.reply_s is None) is stream
    if stream:
        assert found.first_event_s < 0.05
        assert found.tokens_per_s < 20 / 0.05


def test_a_caller_that_leaves_has_said_nothing_of_the_provider():
    health, means = house(Scripted([(0, words("a")), (9, b"")]))

    async def leave():
        call = call_of()
        answer = await answered(means, call, candidates=[KNOWN])
        await anext(answer.pieces)
        call.gone = True
        await answer.pieces.aclose()

    asyncio.run(leave())
    assert health.statistics.of("p") is None


@pytest.mark.req("R-PROV-003")
@pytest.mark.parametrize("status", [200, 429])
def test_what_is_left_of_our_allowance_is_read_of_answers_and_refusals_alike(status):
    headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "50s"}
    health, means = house(Scripted([(0, WHOLE)], status=status, headers=headers))
    if status == 200:
        ask(means, stream=False)
    else:
        with pytest.raises(UpstreamError):
            ask(means, stream=False)
    now = means.monotonic()
    assert health.back_at(KNOWN, now) == pytest.approx(now + 50, abs=1)
