"""What the fetcher has once for all: nobody holds more than is free, and whoever comes next finds some."""

import asyncio

import pytest

from dragoman.transport.fetch_shares import Shares

pytestmark = [pytest.mark.anyio, pytest.mark.req("R-IMG-001")]


@pytest.fixture
def anyio_backend():
    return "asyncio"


def holds(shares, tenant):
    count = 0
    while shares.take(tenant):
        count += 1
    return count


def test_one_alone_gets_half_and_the_next_still_find_some():
    shares = Shares(32)
    assert [holds(shares, name) for name in ("a", "b", "c", "d")] == [16, 8, 4, 2]


def test_what_comes_back_may_be_taken_again():
    shares = Shares(4)
    assert holds(shares, "a") == 2
    shares.give("a", 2)
    assert shares.take("b", 2)
    assert not shares.take("b")


def test_of_one_there_is_one():
    shares = Shares(1)
    assert shares.take("a")
    assert not shares.take("b")


def test_more_than_there_is_nobody_gets():
    assert not Shares(10).take("a", 11)


async def test_a_place_that_is_given_back_goes_to_whoever_holds_least():
    shares = Shares(4)
    assert holds(shares, "a") == 2
    assert holds(shares, "b") == 1
    assert shares.take("c")
    order = []

    async def waits(tenant):
        await shares.wait(tenant, 5)
        order.append(tenant)

    tasks = [asyncio.create_task(waits(name)) for name in ("a", "d")]
    await asyncio.sleep(0)
    assert order == []
    shares.give("b")
    await asyncio.wait(tasks, timeout=0.01)
    assert order == ["d"]
    shares.give("a", 2)
    await asyncio.wait(tasks)
    assert order == ["d", "a"]


async def test_waiting_ends_after_its_time_and_leaves_nothing_behind():
    shares = Shares(1)
    await shares.wait("a", 5)
    with pytest.raises(TimeoutError):
        await shares.wait("b", 0.001)
    shares.give("a")
    assert shares.take("c")


async def test_who_leaves_with_a_place_just_given_gives_it_back():
    shares = Shares(1)
    assert shares.take("a")
    task = asyncio.create_task(shares.wait("b", 5))
    await asyncio.sleep(0)
    shares.give("a")
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert shares.take("c")


async def test_a_place_passes_over_whoever_is_leaving():
    shares = Shares(1)
    assert shares.take("a")
    task = asyncio.create_task(shares.wait("b", 5))
    await asyncio.sleep(0)
    task.cancel()
    shares.give("a")
    await asyncio.wait([task])
    assert shares.take("c")
