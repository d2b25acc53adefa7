"""Several who write at once share a transaction, and none suffers from another."""

from __future__ import annotations

import asyncio
from itertools import chain

import pytest

from dragoman.core.errors import HouseError
from dragoman.store.sql.together import MOST, Together


class Writer:
    """Remembers what was written together; refuses what is negative."""

    def __init__(self):
        self.batches = []

    async def write(self, things):
        await asyncio.sleep(0)
        if any(thing < 0 for thing in things):
            raise ValueError(min(things))
        self.batches.append(list(things))


def run(story):
    writer = Writer()
    asyncio.run(story(Together(writer.write)))
    return writer.batches


def test_one_alone_does_not_wait_for_company():
    async def story(together):
        await together.put(1)
        await together.put(2)

    assert run(story) == [[1], [2]]


def test_those_who_come_meanwhile_go_together():
    async def story(together):
        await asyncio.gather(*(together.put(number) for number in range(MOST + 5)))

    batches = run(story)
    assert [len(batch) for batch in batches] == [MOST, 5]
    assert list(chain(*batches)) == list(range(MOST + 5))


def test_who_cannot_be_written_is_told_alone():
    async def story(together):
        found = await asyncio.gather(
            *(together.put(number) for number in (1, -2, 3)), return_exceptions=True
        )
        assert [found[0], found[2]] == [None, None]
        assert isinstance(found[1], ValueError)
        with pytest.raises(ValueError, match="-4"):
            await together.put(-4)
        await together.put(5)

    assert run(story) == [[1], [3], [5]]


def test_a_database_that_is_away_is_asked_once_for_all_of_them():
    asked = []

    async def write(things):
        asked.append(list(things))
        await asyncio.sleep(0)
        raise HouseError("overloaded", "gone")

    async def story():
        together = Together(write)
        found = await asyncio.gather(
            *(together.put(number) for number in range(9)), return_exceptions=True
        )
        assert {type(error) for error in found} == {HouseError}

    asyncio.run(story())
    assert asked == [list(range(9))]


def test_who_leaves_is_written_all_the_same():
    async def story(together):
        leaver = asyncio.create_task(together.put(1))
        others = [asyncio.create_task(together.put(number)) for number in (2, -3)]
        await asyncio.sleep(0)
        leaver.cancel()
        await asyncio.wait([leaver, *others])
        assert leaver.cancelled()
        await asyncio.gather(*others, return_exceptions=True)

    assert sorted(chain(*run(story))) == [1, 2]


def test_what_has_lost_patience_is_not_written_later():
    written = []
    free = asyncio.Event()

    async def write(things):
        await free.wait()
        written.append(list(things))

    async def story():
        together = Together(write)
        first = asyncio.create_task(together.put(1))
        await asyncio.sleep(0.01)  # it is being written now
        with pytest.raises(TimeoutError):
            await together.put(2, 0.01)
        free.set()
        await first
        await together.put(3)

    asyncio.run(story())
    assert written == [[1], [3]]
