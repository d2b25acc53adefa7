"""One look at the numbers that processes watch serves all who ask."""

from __future__ import annotations

import pytest

from dragoman.core.clock import ManualClock
from dragoman.core.errors import HouseError
from dragoman.store.numbers import Numbers
from dragoman.store.schema import open_upgraded
from dragoman.store.sql.budgets import SqlBudgets
from dragoman.store.sql.counters import NAMES, lately, look, move_on
from dragoman.store.sql.tenancy import GENERATION

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def database(tmp_path):
    database = await open_upgraded(f"sqlite:///{tmp_path}/home/dragoman.db")
    yield database
    await database.close()


def test_whoever_listens_hears_of_every_look_and_of_none_that_was_overtaken():
    numbers, heard = Numbers(), []
    numbers.told.append(lambda known, at: heard.append((known["a"], at)))
    assert numbers.lately("a", 0.0) is None
    numbers.take({"a": 2}, 5.0)
    numbers.take({"a": 1}, 4.0)
    assert heard == [(2, 5.0)]
    assert numbers.lately("a", 5.0) == 2
    assert numbers.lately("a", 5.1) is None


async def test_one_look_answers_all_who_ask_soon_after(database, monkeypatch):
    first = await look(database, GENERATION)
    database.numbers.at += 60.0  # however slow the machine is
    asked = []
    monkeypatch.setattr(type(database), "glance", lambda *given: asked.append(given))
    assert await lately(database, GENERATION) == first
    assert await lately(database, NAMES) == database.numbers.known[NAMES]
    budgets = SqlBudgets(database, ManualClock())
    assert await budgets.lately() == database.numbers.known["budgets_generation"]
    assert not asked


async def test_a_look_that_is_too_old_is_made_anew(database):
    before = await look(database, NAMES)
    database.numbers.at += 60.0
    async with database.write() as connection:
        await move_on(connection, NAMES)
    assert await lately(database, NAMES) == before
    database.numbers.at -= 120.0
    assert await lately(database, NAMES) == before + 1


async def test_a_database_that_cannot_be_asked_is_told_as_such(database, tmp_path):
    (tmp_path / "home" / "dragoman.db").unlink()
    with pytest.raises(HouseError, match="database"):
        await look(database, NAMES)
