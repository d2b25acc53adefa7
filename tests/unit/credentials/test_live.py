"""A token as a credential of the gateway's: one renewal for all who wait, whatever each of them waits for."""

import asyncio
import threading

import pytest

from dragoman.core.errors import HouseError
from dragoman.core.secret import Secret
from dragoman.credentials.live import LiveToken
from dragoman.credentials.token import Token

pytestmark = pytest.mark.req("R-CRED-011", "R-OB1-004")


class Shared:
    """What ``FreshToken`` is to it; each step waits until it is let go."""

    def __init__(self):
        self.token = Token(access=Secret("a0"))
        self.calls = []
        self.go = threading.Event()
        self.error = None

    def known(self):
        return self.token

    def is_due(self):
        return True

    def current(self):
        self.calls.append("current")
        self._step(None)

    def renewed(self, refused):
        self.calls.append(refused)
        self._step(Token(access=Secret(f"a{len(self.calls)}")))

    def _step(self, token):
        assert self.go.wait(5)
        if self.error is not None:
            raise self.error
        self.token = token or self.token


async def together(shared, *works):
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.sleep(0.05)
    shared.go.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


def test_all_who_wait_for_the_same_thing_wait_for_one_renewal():
    shared = Shared()
    live = LiveToken(shared, lambda: ":org")

    async def story():
        await together(shared, *(live.renewed("a0:org") for _ in range(100)))
        await together(shared, *(live.fresh() for _ in range(100)))

    asyncio.run(story())
    assert shared.calls == ["a0", "current"]
    assert live.credential("me").secret.reveal() == "a1:org"


def test_who_was_refused_is_not_content_with_a_look_after_the_token():
    shared = Shared()
    live = LiveToken(shared)
    asyncio.run(together(shared, live.fresh(), live.renewed("a0")))
    assert sorted(shared.calls) == ["a0", "current"]


def test_who_leaves_ends_nothing_that_others_wait_for():
    shared = Shared()
    live = LiveToken(shared)

    async def story():
        first = asyncio.create_task(live.fresh())
        second = asyncio.create_task(live.fresh())
        await asyncio.sleep(0.05)
        first.cancel()
        await asyncio.sleep(0)
        shared.go.set()
        await second
        assert first.cancelled()

    asyncio.run(story())
    assert shared.calls == ["current"]


def test_a_failure_is_everybodys_and_the_next_one_asks_again():
    shared = Shared()
    shared.error = HouseError("server", "gone")
    live = LiveToken(shared)

    async def story():
        found = await together(shared, *(live.fresh() for _ in range(3)))
        assert [str(each) for each in found] == ["gone"] * 3
        with pytest.raises(HouseError):
            await live.fresh()
        before = len(shared.calls)
        await live.tend()
        await live.tend()
        assert len(shared.calls) == before + 1, "ahead of its end, a failure is given a rest"

    asyncio.run(story())
    assert shared.calls == ["current"] * 3


def test_a_lost_token_shows_nothing():
    shared = Shared()
    secret = LiveToken(shared).credential("me").secret
    assert (secret.reveal(), bool(secret), str(secret)) == ("a0", True, "Secret(…)")
    shared.token = Token(access=Secret("a0"), lost="revoked")
    assert (secret.reveal(), bool(secret)) == ("", False)
    shared.token = None
    assert not secret
    assert secret == secret  # noqa: PLR0124
    assert secret != LiveToken(shared).credential("me").secret
