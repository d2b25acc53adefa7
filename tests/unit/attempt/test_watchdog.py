"""One timer for a whole stream."""

import asyncio

import pytest

from dragoman.attempt.watchdog import Watchdog
from dragoman.dialects.base import Facts


def test_a_silent_provider_wakes_the_reader():
    async def story():
        dog = Watchdog(0.05, 5)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(5)
        asyncio.current_task().uncancel()
        assert dog.fired == "upstream"

    asyncio.run(story())


def test_a_caller_that_does_not_read_is_noticed_too():
    async def story():
        dog = Watchdog(5, 0.05)
        dog.writing()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(5)
        asyncio.current_task().uncancel()
        assert dog.fired == "caller"

    asyncio.run(story())


def test_pieces_keep_it_quiet_and_a_finished_stream_has_less_time():
    async def story():
        dog = Watchdog(0.12, 5)
        for _ in range(5):
            await asyncio.sleep(0.05)
            dog.reading()
        dog.tighten(0.03)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0.1)
        asyncio.current_task().uncancel()
        assert dog.fired == "upstream"

    asyncio.run(story())


def test_a_stopped_one_never_fires():
    async def story():
        dog = Watchdog(0.02, 0.02)
        dog.stop()
        await asyncio.sleep(0.06)
        assert dog.fired is None

    asyncio.run(story())


@pytest.mark.parametrize("told", [{"content": True}, {"finished": True}, {}])
def test_pings_do_not_keep_a_stream_that_has_not_begun(told):
    async def story():
        facts = Facts()
        dog = Watchdog(1.0, 5, 0.5, facts)
        for _ in range(3):
            await asyncio.sleep(0.02)
            dog.reading()
        for name in told:
            setattr(facts, name, True)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(2)
        asyncio.current_task().uncancel()
        assert dog.fired == ("upstream" if told else "beginning")

    asyncio.run(story())


def test_a_stream_that_goes_on_has_its_time_again():
    async def story():
        dog = Watchdog(1, 5)
        dog.tighten(0.05)
        dog.loosen(1)
        await asyncio.sleep(0.15)
        assert dog.fired is None
        dog.stop()

    asyncio.run(story())


@pytest.mark.parametrize("told", [{"content": True}, {}])
def test_all_of_it_has_an_end_whoever_is_waited_for(told):
    async def story():
        facts = Facts()
        for name, value in told.items():
            setattr(facts, name, value)
        dog = Watchdog(5, 5, 5, facts, 0.12)
        with pytest.raises(asyncio.CancelledError):
            for _ in range(40):
                await asyncio.sleep(0.02)
                dog.reading()
                dog.tighten(1)
        asyncio.current_task().uncancel()
        assert dog.fired == "end"

    asyncio.run(story())
