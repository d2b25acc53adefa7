"""How migrations are locked; what they do is in ``tests/migrations``."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from dragoman.store import schema

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Recorder:
    """A database that writes down what a migration does to it."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.done: list[str] = []

    @asynccontextmanager
    async def write(self):
        self.done.append("begin")
        yield self
        self.done.append("commit")

    async def execute(self, statement: object) -> None:
        self.done.append(str(statement))

    async def run_sync(self, function: object, *arguments: object) -> None:
        assert function is schema._run_alembic
        self.done.append(" ".join(map(str, arguments)))


async def test_on_postgresql_a_migration_holds_a_lock_as_long_as_its_transaction():
    database = Recorder("postgresql")
    await schema._migrate(database, "upgrade", "head")
    begin, lock, run, commit = database.done
    assert (begin, run, commit) == ("begin", "upgrade head", "commit")
    assert lock.startswith("SELECT pg_advisory_xact_lock(")


async def test_on_sqlite_the_transaction_is_the_lock():
    database = Recorder("sqlite")
    await schema._migrate(database, "downgrade", "0001")
    assert database.done == ["begin", "downgrade 0001", "commit"]
