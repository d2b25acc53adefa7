"""The databases that tests run over: SQLite always, PostgreSQL where a server is found.

``DRAGOMAN_TEST_POSTGRES`` is the URL of a server on which databases may be made; without it, one on this
machine is tried as the user who runs the tests. Each test gets a database of its own, which is gone
after it. Where there is no server the test says so and is skipped; under ``CI`` that is a failure.
"""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from dragoman.store.schema import upgrade
from lacking import lacking

SERVER = os.environ.get("DRAGOMAN_TEST_POSTGRES") or "postgresql://127.0.0.1:5432/postgres"
KINDS = ("sqlite", "postgresql")
_TEMPLATE = f"dragoman_test_{os.getpid()}"
_SQLITE: list[Path] = []
_numbers = itertools.count()


@asynccontextmanager
async def database_url(kind: str, folder: Path, *, tables: bool = True) -> AsyncIterator[str]:
    """The URL of a new database of that kind, with our tables or empty."""
    if kind == "sqlite":
        url = f"sqlite:///{folder}/dragoman.db"
        if tables:
            copy_tables(folder / "dragoman.db")
        yield url
        return
    server = await _server()
    name = f"{_TEMPLATE}_{next(_numbers)}"
    try:
        template = await _template(server) if tables else "template0"
        await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield _url_of(name)
        finally:
            await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await server.close()


@contextmanager
def a_database(kind: str, folder: Path, *, tables: bool = True) -> Iterator[str]:
    """The same for a test that runs no loop of its own."""
    with asyncio.Runner() as runner:
        made = database_url(kind, folder, tables=tables)
        url = runner.run(made.__aenter__())
        try:
            yield url
        finally:
            runner.run(made.__aexit__(None, None, None))


def copy_tables(file: Path) -> None:
    """A new SQLite database with our tables, copied from one that is made once: in a tenth of the time."""
    if not _SQLITE:
        folder = Path(tempfile.mkdtemp(prefix="dragoman-tables-"))
        atexit.register(shutil.rmtree, folder)
        with ThreadPoolExecutor(1) as pool:  # for a loop may run here already
            pool.submit(asyncio.run, upgrade(f"sqlite:///{folder}/dragoman.db")).result()
        _SQLITE.append(folder / "dragoman.db")
    shutil.copyfile(_SQLITE[0], file)


async def rows_as_text(url: str) -> dict[str, bytes]:
    """Every row of every table of a PostgreSQL database; bytes are hexadecimal there."""
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        )
        return {
            name: "\n".join(
                row[0] for row in await connection.fetch(f'SELECT t::text FROM "{name}" t')
            ).encode()
            for (name,) in names
        }
    finally:
        await connection.close()


async def drop_template() -> None:
    """Removes what the tests of this process have left on the server; nothing where there is none."""
    try:
        server = await asyncpg.connect(SERVER, timeout=3)
    except (OSError, asyncpg.PostgresError):
        return
    try:
        await server.execute(f'DROP DATABASE IF EXISTS "{_TEMPLATE}" WITH (FORCE)')
    finally:
        await server.close()


async def _server() -> asyncpg.Connection:
    try:
        return await asyncpg.connect(SERVER, timeout=3)
    except (OSError, asyncpg.PostgresError) as error:
        told = (
            "There is no PostgreSQL server for the tests "
            f"({type(error).__name__}); DRAGOMAN_TEST_POSTGRES=postgresql://… names one."
        )
        lacking(told)


async def _template(server: asyncpg.Connection) -> str:
    """A database that has our tables, made once: to copy it takes a tenth of the time."""
    there = await server.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", _TEMPLATE)
    if not there:
        await server.execute(f'CREATE DATABASE "{_TEMPLATE}" TEMPLATE template0')
        await upgrade(_url_of(_TEMPLATE))
    return _TEMPLATE


def _url_of(name: str) -> str:
    url = make_url(SERVER).set(database=name)
    if url.username is None:
        url = url.set(username=os.environ.get("PGUSER") or _user())
    return url.render_as_string(hide_password=False)


def _user() -> str:
    import getpass

    return getpass.getuser()
