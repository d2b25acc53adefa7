"""Statements given to the driver itself: the same rows, numbers and failures as by way of SQLAlchemy."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from databases import KINDS, database_url
from dragoman.store.engine import open_database
from dragoman.store.sql.direct import Step, ask, run_all, run_each

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=KINDS)
async def place(request, tmp_path):
    async with database_url(request.param, tmp_path) as url:
        database = open_database(url)
        sign = "$1" if database.backend == "postgresql" else "?"
        async with database.write() as connection:
            await connection.exec_driver_sql("CREATE TABLE spot (n BIGINT PRIMARY KEY)")
        yield database, f"INSERT INTO spot VALUES ({sign})"
        async with database.write() as connection:
            await connection.exec_driver_sql("DROP TABLE spot")
        await database.close()


async def all_of(database):
    async with database.read() as connection:
        return await ask(connection, "SELECT n FROM spot ORDER BY n", ())


async def test_what_is_run_is_there_when_its_transaction_is_over_and_not_before(place):
    database, insert = place
    async with database.write() as connection:
        counted = await run_each(connection, insert, [(1,), (2,)])
        assert counted == (2 if database.backend == "sqlite" else -1)
        assert await all_of(database) == []
    assert [tuple(row) for row in await all_of(database)] == [(1,), (2,)]


async def test_a_failure_is_sqlalchemys_names_no_value_and_takes_all_back(place):
    database, insert = place
    with pytest.raises(IntegrityError) as caught:
        async with database.write() as connection:
            await run_each(connection, insert, [(704_215,), (704_215,)])
    if database.backend == "sqlite":
        assert "704215" not in str(caught.value)
    assert await all_of(database) == []


async def test_what_is_no_statement_is_a_failure_of_the_database(place):
    database, _ = place
    async with database.engine.connect() as connection:
        with pytest.raises(DBAPIError):
            await ask(connection, "SELECT nothing FROM nowhere", ())


async def test_several_are_run_in_their_order_and_a_question_before_what_follows_it(place):
    database, insert = place
    more = insert.replace("INSERT INTO spot VALUES (", "UPDATE spot SET n = n + 10 WHERE n = (")
    async with database.write() as connection:
        changed = await run_all(connection, [Step(insert, [(1,), (2,)]), Step(more, [(2,), (7,)])])
        assert changed == ([2, 1] if database.backend == "sqlite" else [-1, -1])
        assert await run_all(connection, []) == []
        found = await ask(connection, "SELECT n FROM spot ORDER BY n", (), [Step(more, [(1,)])])
        assert [tuple(row) for row in found] == [(1,), (12,)]
    assert [tuple(row) for row in await all_of(database)] == [(11,), (12,)]


async def test_what_fails_in_the_midst_of_several_takes_all_back(place):
    database, insert = place
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await run_all(connection, [Step(insert, [(1,)]), Step(insert, [(2,), (1,)])])
    assert await all_of(database) == []
