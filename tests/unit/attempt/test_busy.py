"""A request counts as under way from its first byte to its last, whichever way it ends."""

import asyncio

import pytest

from dragoman.attempt.policy import Policy
from dragoman.core.errors import UpstreamError
from dragoman.health.health import Health
from scripted import DONE, EVER, Scripted, answered, call_of, finish, means_of, streamed, words

WHOLE = b'{"id":"c","choices":[{"index":0,"message":{"content":"a"}}]}'


def health_of(reply, policy=None):
    health = Health()
    return health, means_of(reply, policy, health)


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_is_over_leaves_nothing_under_way(stream):
    pieces = [(0, words("a") + finish() + DONE)] if stream else [(0, WHOLE)]
    health, means = health_of(Scripted(pieces))

    async def ask():
        answer = await answered(means, stream=stream)
        if stream:
            assert health.busy.of("p", "m") == 1
            async for _ in answer.pieces:
                pass

    asyncio.run(ask())
    assert health.busy.of("p", "m") == 0
    pace = health.paces.of("p", "m", whole=not stream)
    assert pace is not None
    assert health.paces.of("p", "m", whole=stream) is None


@pytest.mark.parametrize("stream", [True, False])
def test_failures_and_retries_leave_nothing_under_way(stream):
    health, means = health_of(Scripted([(0, b"{}")], status=500))
    with pytest.raises(UpstreamError):
        asyncio.run(answered(means, stream=stream))
    assert health.busy.of("p", "m") == 0
    pace = health.paces.of("p", "m", whole=not stream)
    assert pace is not None
    assert pace.errors > 0


def test_a_silent_stream_and_a_caller_that_leaves_are_over_too():
    health, means = health_of(Scripted([(0, words("a")), (EVER, b"")]), Policy(idle_s=0.1))
    asyncio.run(streamed(means))
    assert health.busy.of("p", "m") == 0

    async def leave():
        call = call_of()
        answer = await answered(means, call)
        await anext(answer.pieces)
        assert health.busy.of("p", "m") == 1
        call.gone = True
        await answer.pieces.aclose()

    health, means = health_of(Scripted([(0, words("a")), (EVER, b"")]))
    asyncio.run(leave())
    assert health.busy.of("p", "m") == 0
