"""Idle connections: the last used first, none for too long, none that is closed."""

import asyncio

import pytest

from dragoman.transport import direct_idle
from dragoman.transport.direct_idle import Idle
from dragoman.transport.direct_request import Origin

HERE, THERE = Origin("a", 80, secure=False), Origin("a", 443, secure=True)


class Connection:
    def __init__(self, origin=HERE):
        self.origin = origin
        self.open = True

    def abort(self):
        self.open = False


def test_the_connection_used_last_is_taken_first_and_each_once():
    async def story():
        idle = Idle(asyncio.get_running_loop())
        one, two, other = Connection(), Connection(), Connection(THERE)
        for each in (one, two, other):
            idle.keep(each)
        assert idle.take(HERE) is two
        idle.keep(two)
        assert [idle.take(HERE) for _ in range(3)] == [two, one, None]
        assert idle.take(THERE) is other
        idle.close()

    asyncio.run(story())


def test_a_closed_one_is_not_taken():
    async def story():
        idle = Idle(asyncio.get_running_loop())
        one, two = Connection(), Connection()
        idle.keep(one)
        idle.keep(two)
        idle.forget(two)
        idle.forget(two)
        idle.forget(Connection(THERE))
        assert [idle.take(HERE) for _ in range(2)] == [one, None]
        idle.close()

    asyncio.run(story())


def test_closing_closes_all_and_what_comes_later():
    async def story():
        idle = Idle(asyncio.get_running_loop())
        one, late = Connection(), Connection()
        idle.keep(one)
        idle.close()
        idle.keep(late)
        assert not one.open
        assert not late.open
        assert idle.take(HERE) is None

    asyncio.run(story())


@pytest.mark.parametrize("loop_of", [asyncio.new_event_loop, "uvloop"])
def test_none_waits_for_longer_than_its_time(monkeypatch, loop_of):
    if loop_of == "uvloop":
        loop_of = pytest.importorskip("uvloop").new_event_loop
    monkeypatch.setattr(direct_idle, "IDLE_S", 1.0)

    async def story():
        idle = Idle(asyncio.get_running_loop())
        old, used, young = Connection(), Connection(), Connection(THERE)
        idle.keep(old)
        idle.keep(used)
        await asyncio.sleep(0.6)
        assert idle.take(HERE) is used
        idle.keep(used)
        idle.keep(young)
        await asyncio.sleep(0.6)
        assert (old.open, used.open, young.open) == (False, True, True)
        await asyncio.sleep(1.0)
        assert (used.open, young.open) == (False, False)
        assert idle._kept == {}
        assert idle._sweeper is None, "nothing ticks where nothing waits"

    with asyncio.Runner(loop_factory=loop_of) as runner:
        runner.run(story())
