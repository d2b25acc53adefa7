"""Large bodies are written in a thread: nothing holds the event loop for long."""

import asyncio
import json
import threading
from types import SimpleNamespace

import pytest

from dragoman.attempt import estimate as estimating
from dragoman.attempt import trial
from dragoman.attempt.estimate import estimate
from dragoman.attempt.policy import LARGE
from dragoman.core.ask import read_ask
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.health.breaker import BreakerPolicy
from dragoman.health.health import Health
from scripted import DONE, Scripted, answered, call_of, candidate, finish, means_of, words


def body_of(size, **members):
    messages = [{"role": "user", "content": "x" * size}]
    return json.dumps({"model": "p/m", "max_tokens": 9, "messages": messages, **members}).encode()


def heard():
    return Scripted([(0, words("a") + finish() + DONE)])


@pytest.fixture
def threads(monkeypatch):
    """The threads in which requests have been written."""
    seen = []
    real = trial.prepare, estimating._count

    def noting(function):
        def noted(*arguments):
            seen.append(threading.current_thread())
            return function(*arguments)

        return noted

    monkeypatch.setattr(trial, "prepare", noting(real[0]))
    monkeypatch.setattr(estimating, "_count", noting(real[1]))
    return seen


@pytest.mark.parametrize("large", [True, False])
def test_only_a_large_body_is_translated_in_a_thread(threads, large):
    async def story():
        reply = heard()
        answer = await answered(
            means_of(reply),
            call_of("anthropic"),
            body=body_of(LARGE if large else 1000, stream=True),
        )
        said = b"".join([piece async for piece in answer.pieces])
        assert b"message_stop" in said
        assert (len(reply.asked[0].body) > LARGE) == large

    asyncio.run(story())
    assert [thread is threading.main_thread() for thread in threads] == [not large]


def test_a_large_body_of_the_same_dialect_stays_where_it_is(threads):
    async def story():
        answer = await answered(means_of(heard()), body=body_of(LARGE, stream=True))
        assert [piece async for piece in answer.pieces]

    asyncio.run(story())
    assert threads == [threading.main_thread()]


@pytest.mark.parametrize("large", [True, False])
def test_only_a_large_body_is_counted_in_a_thread(threads, large):
    ask = read_ask(body_of(LARGE if large else 1000))
    head = asyncio.run(estimate(ask, candidate(), "anthropic"))
    assert json.loads(head.body)["input_tokens"] > (LARGE // 4 if large else 200)
    assert [thread is threading.main_thread() for thread in threads] == [not large]


def test_a_refusal_comes_out_of_the_thread_as_it_went_in():
    body = body_of(LARGE, tools="none")
    with pytest.raises(CallerError):
        asyncio.run(answered(means_of(heard()), call_of("anthropic"), body=body))


def test_a_caller_that_leaves_while_its_request_is_written_makes_room_for_the_next_probe(
    monkeypatch,
):
    health = Health(BreakerPolicy(failures=1))
    health.failed(candidate(), UpstreamError("server", "x"), 0.0)
    begun, go_on = threading.Event(), threading.Event()

    def slow(*_):
        begun.set()
        go_on.wait(5)
        return SimpleNamespace()

    monkeypatch.setattr(trial, "prepare", slow)

    async def story():
        means = means_of(heard(), health=health)
        means.monotonic = lambda: 50.0
        asking = asyncio.create_task(
            answered(means, call_of("anthropic"), body=body_of(LARGE, stream=True))
        )
        await asyncio.to_thread(begun.wait, 5)
        assert not health.admits(candidate(), 50)
        asking.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert health.admits(candidate(), 50)

    asyncio.run(story())
