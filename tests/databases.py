"""The databases that tests run over: SQLite always, PostgreSQL where a server is found.

``DRAGOMAN_TEST_POSTGRES`` is the URL of a server on which databases may be made; without it, one on this
machine is tried as the user who runs the tests. Each test gets a database of its own. After it, one whose tables
are still as they were is emptied and kept for the next test, for to make one costs more than most tests; any other
is gone. Where there is no server the test says so and is skipped; under ``CI`` that is a failure.
"""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import shutil
import tempfile
import time
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
_FREE: list[str] = []
"""Databases with our tables and nothing in them."""
_BEGUN: dict[str, list[asyncpg.Record]] = {}
"""The rows that a database begins with, by table."""
_FORMS: list[str] = []
_LARGE_BYTES = 16 * 2**20
"""Of more than that what was deleted would still be in the way."""
_GONE_S = 2.0
_FORM = """
SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
    SELECT concat_ws(' ', c.relname, c.relkind, c.reloptions, a.attnum, a.attname, a.attnotnull,
                     format_type(a.atttypid, a.atttypmod)) AS line
    FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE c.relnamespace = 'public'::regnamespace
    UNION ALL SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef
    UNION ALL SELECT concat_ws(' ', conname, pg_get_constraintdef(oid)) FROM pg_constraint
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT setconfig::text FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
    WHERE d.datname = current_database()
) AS lines
"""
"""What a database is like but for its rows."""
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
    try:
        name = await _made(server, tables=tables)
        try:
            yield url_of(name)
        finally:
            if not (tables and await _emptied(server, name)):
                await server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        await server.close()


async def _made(server: asyncpg.Connection, *, tables: bool) -> str:
    if tables and _FREE:
        return _FREE.pop()
    name = f"{_TEMPLATE}_{next(_numbers)}"
    template = await _template(server) if tables else "template0"
    await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return name


async def _emptied(server: asyncpg.Connection, name: str) -> bool:
    """Has it begin anew for the next test; whether it is as it was."""
    there = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1"
    until = time.monotonic() + _GONE_S
    while await server.fetchval(there, name):
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.01)
    try:
        if await server.fetchval("SELECT pg_database_size($1::text)", name) > _LARGE_BYTES:
            return False
        database = await asyncpg.connect(url_of(name), timeout=3)
    except (OSError, asyncpg.PostgresError):
        return False
    try:
        if await database.fetchval(_FORM) != _FORMS[0]:
            return False
        async with database.transaction():
            await database.execute("SET LOCAL session_replication_role = replica")
            await database.execute(";".join(f'DELETE FROM "{table}"' for table in _BEGUN))
            await _fill(database)
    finally:
        await database.close()
    _FREE.append(name)
    return True


async def _fill(database: asyncpg.Connection) -> None:
    for table, rows in _BEGUN.items():
        for row in rows:
            places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
            await database.execute(f'INSERT INTO "{table}" VALUES ({places})', *row.values())


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
        for name in (*_FREE, _TEMPLATE):
            await server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        _FREE.clear()
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
        await upgrade(url_of(_TEMPLATE))
    if not _FORMS:
        await _look(url_of(_TEMPLATE))
    return _TEMPLATE


async def _look(url: str) -> None:
    """Notes what a database of ours is like before anybody has used it."""
    database = await asyncpg.connect(url, timeout=3)
    try:
        _FORMS[:] = [await database.fetchval(_FORM)]
        found = await database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in found:
            _BEGUN[table] = await database.fetch(f'SELECT * FROM "{table}"')
    finally:
        await database.close()


def url_of(name: str) -> str:
    """The URL of a database of that name on the tests' server, whether or not it is there."""
    url = make_url(SERVER).set(database=name)
    if url.username is None:
        url = url.set(username=os.environ.get("PGUSER") or _user())
    return url.render_as_string(hide_password=False)


def _user() -> str:
    import getpass

    return getpass.getuser()
