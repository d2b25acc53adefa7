"""Opens the database: SQLite by default, PostgreSQL by URL, both through SQLAlchemy's async engine.

SQLite runs in WAL mode with ``synchronous=FULL``, so that a committed row survives a crash of
the machine, and with one writer at a time: ``write`` takes the write lock at its beginning
(BEGIN IMMEDIATE), where waiting for it is safe; a reader that turns writer half-way would
fail instead. A file that loses its name while it is open takes rows that nobody will find, so
every transaction first looks whether the name still means the same file. Import this module
only where a database is needed: SQLAlchemy is heavy (D32).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from sqlalchemy import event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import create_async_engine

from dragoman.core.errors import GatewayError, HouseError
from dragoman.store.numbers import Numbers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sqlalchemy import Connection
    from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

Backend: TypeAlias = Literal["sqlite", "postgresql"]

POOL_TIMEOUT_S = 1.0
"""A drained pool fails fast (`reliability.md` D3)."""
QUERY_TIMEOUT_S = 2.0

_CODE = "database_error"
_BREATH = 500
"""Steps of SQLite's machine; a row of the ledger takes some hundred."""
_WAL_TRIES = 20
"""How often others may be just as quick."""
_WRITES = "dragoman_writes"
_FILE = "dragoman_file"
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_DRIVERS: dict[str, tuple[Backend, str]] = {
    "sqlite": ("sqlite", "sqlite+aiosqlite"),
    "sqlite+aiosqlite": ("sqlite", "sqlite+aiosqlite"),
    "postgres": ("postgresql", "postgresql+asyncpg"),
    "postgresql": ("postgresql", "postgresql+asyncpg"),
    "postgresql+asyncpg": ("postgresql", "postgresql+asyncpg"),
}


@dataclass(frozen=True, slots=True)
class Database:
    """An open database; whoever opened it closes it."""

    engine: AsyncEngine
    backend: Backend
    numbers: Numbers = field(default_factory=Numbers, compare=False)
    """The numbers that are watched, as they stood last."""

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that only reads."""
        with mapped():
            async with self.engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that writes; it commits at the end, or rolls back."""
        with mapped():
            async with self.engine.connect() as connection:
                await connection.execution_options(**{_WRITES: True})
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def write_behind(self) -> AsyncIterator[AsyncConnection]:
        """As ``write``, for many rows at once behind requests.

        SQLite works for milliseconds then, in a thread. Where the event loop has the same core, a request
        would wait for the end of the thread's slice: every few rows it lets others go first.
        """
        async with self.write() as connection:
            if self.backend != "sqlite" or not hasattr(os, "sched_yield"):
                yield connection
                return
            driver = await driver_of(connection)
            await driver.set_progress_handler(os.sched_yield, _BREATH)
            try:
                yield connection
            finally:
                await driver.set_progress_handler(None, 0)

    async def glance(self, query: str) -> list[Any]:
        """The rows of one query, of SQLite alone: a statement by itself needs no transaction, and one trip."""
        with mapped():
            async with self.engine.connect() as connection:
                return list(await (await driver_of(connection)).execute_fetchall(query))

    async def ping(self) -> None:
        """Asks the database for a sign of life; a ``HouseError`` if there is none."""
        # Of SQLite's file something has to be read: a bare number would come from no page of it.
        question = (
            "SELECT 1 FROM sqlite_master LIMIT 1" if self.backend == "sqlite" else "SELECT 1"
        )
        async with self.read() as connection:
            await connection.execute(text(question))

    async def close(self) -> None:
        """Closes every connection."""
        await self.engine.dispose()


async def driver_of(connection: AsyncConnection) -> Any:
    """The driver's own connection beneath this one, which is checked out."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None, "it was taken just now"
    return driver


@contextmanager
def mapped() -> Iterator[None]:
    """Turns the driver's failures into one ``HouseError`` that says nothing of the inside.

    A row that breaks a constraint is the store's own to judge and passes unchanged.
    """
    try:
        yield
    except IntegrityError:
        raise
    except PoolTimeoutError as error:
        raise _unavailable("has no free connection") from error
    except (DBAPIError, sqlite3.Error, OSError) as error:
        if _is_damage(error.orig if isinstance(error, DBAPIError) else error):
            raise _unusable(
                "is damaged: stop the gateway, restore a backup and start it again"
            ) from error
        raise _unavailable("cannot be reached or refused the query") from error


_REFUSALS = {
    "3D000": "the server has no database of that name",
    "28P01": "the server refuses the user or the password",
    "28000": "the server does not let this user in",
    "42501": "the user may not do that there",
    "53300": "the server has no connection to spare",
    "57P03": "the server is starting or stopping",
}
"""What PostgreSQL's states say, in words without any name."""


def told_reason(error: GatewayError) -> str:
    """The sentence of a failure for whoever runs the gateway, never for callers.

    One of the database has what lies beneath it, if that is known: nothing of a URL, a statement or a value.
    """
    said = error.message
    if error.code != _CODE:
        return said
    for found in _beneath(error):
        state = getattr(found, "sqlstate", None)
        reason = _REFUSALS.get(state, "") if isinstance(state, str) else ""
        if not reason and isinstance(found, OSError):
            # Several addresses that refuse are one error without a number.
            reason = (found.strerror or "") if found.errno else "no connection is made"
        if reason:
            return f"{said.partition(';')[0].rstrip('.')}: {reason}."
    return said


def _beneath(error: BaseException) -> Iterator[BaseException]:
    """What has led to a failure, the nearest first."""
    beneath = error.__cause__
    while beneath is not None:
        yield beneath
        driver = beneath.orig if isinstance(beneath, DBAPIError) else None
        beneath = driver or beneath.__cause__


def _unavailable(what: str) -> HouseError:
    return HouseError(
        "overloaded",
        f"The database {what}; try again, and look at the server's log.",
        code=_CODE,
        retryable=True,
    )


def _is_damage(error: BaseException | None) -> bool:
    # The lower byte is the failure, what is above it says where.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _unusable(what: str) -> HouseError:
    """What no second try mends. The reason goes to callers too, hence without the file's name."""
    return HouseError(
        "overloaded",
        f"The database file {what}; usage that it does not have yet is kept in the journals, "
        "and comes to it then.",
        code=_CODE,
    )


def parse_url(url: str) -> tuple[Backend, URL]:
    """The backend that ``url`` names, and the URL with the driver that we use for it."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _misconfigured("DATABASE_URL is not a database URL") from None
    known = _DRIVERS.get(parsed.drivername)
    if known is None:
        raise _misconfigured(f"DATABASE_URL names {parsed.drivername!r}, which is not supported")
    backend, driver = known
    if backend == "sqlite" and (not parsed.database or parsed.database == ":memory:"):
        raise _misconfigured("DATABASE_URL names no file, and keys must outlive the process")
    if backend == "postgresql" and find_spec("asyncpg") is None:
        raise _misconfigured(
            "DATABASE_URL names PostgreSQL, whose driver is missing",
            "install it with `pip install 'dragoman[postgres]'`, or use sqlite:///…",
        )
    return backend, parsed.set(drivername=driver)


def is_there(url: str) -> bool:
    """Whether a SQLite URL's file is there already; whether a server is there nobody knows before it is asked."""
    backend, parsed = parse_url(url)
    return backend != "sqlite" or Path(parsed.database or "").is_file()


def _misconfigured(
    what: str, remedy: str = "say sqlite:///<file> or postgresql://…"
) -> HouseError:
    return HouseError("server", f"{what}: {remedy}.", code="configuration_error")


def open_database(url: str, *, query_timeout_s: float | None = QUERY_TIMEOUT_S) -> Database:
    """Opens the database at ``url``; nothing is connected until it is used.

    The file of a SQLite URL, and its folder, are made here where they are missing, readable
    by their owner alone; its ``-wal`` and ``-shm`` files inherit that.
    """
    backend, parsed = parse_url(url)
    if backend == "postgresql":
        engine = create_async_engine(
            parsed,
            pool_timeout=POOL_TIMEOUT_S,
            pool_pre_ping=True,
            connect_args={"command_timeout": query_timeout_s, "timeout": QUERY_TIMEOUT_S},
        )
        return Database(engine, backend)
    path = Path(parsed.database or "")
    _make_file(path)
    engine = create_async_engine(parsed, pool_timeout=POOL_TIMEOUT_S)
    _watch_file(engine, path)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return Database(engine, backend)


def _make_file(path: Path) -> None:
    """Makes the file where it is missing; one that is there is never opened here.

    A process that closes any descriptor of a file gives up all its POSIX locks on it, SQLite's
    too: another process would then take our write-ahead log for abandoned and delete it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise _misconfigured(
            f"The database file {path} cannot be opened ({error.strerror})",
            "check the folder's owner, or set DRAGOMAN_HOME or DATABASE_URL",
        ) from None


def _watch_file(engine: AsyncEngine, path: Path) -> None:
    """Has no transaction begin in a file that no longer bears its name.

    A connection to another file than the name now means is opened anew: a backup was restored.
    SQLite itself neither moves rows into a file without a name nor deletes what stands beside it.
    """
    made = path.stat()

    def identity() -> tuple[int, int]:
        try:
            now = path.stat()
        except OSError:
            now = None
        # An empty file in the place of another is no backup.
        if now is None or (now.st_size == 0 and not os.path.samestat(now, made)):
            raise _unusable("is gone: put it back, or restore a backup in its place")
        return now.st_dev, now.st_ino

    def before(*_: object) -> None:
        identity()  # SQLite would make a missing file

    def opened(_: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        entry.info[_FILE] = identity()

    def taken(_: DBAPIConnection, entry: ConnectionPoolEntry, __: PoolProxiedConnection) -> None:
        if entry.info[_FILE] != identity():
            raise DisconnectionError

    event.listen(engine.sync_engine, "do_connect", before)
    event.listen(engine.sync_engine, "connect", opened)
    event.listen(engine.sync_engine, "checkout", taken)


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Sets what SQLite keeps per connection; transactions begin only where we say so."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout = 5000")
    _keep_wal(cursor)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _keep_wal(cursor: DBAPICursor) -> None:
    """Has the file keep a write-ahead log; who makes it so at the same moment is waited for.

    SQLite refuses that at once where others are just opening the new file, however long it may wait.
    """
    for _ in range(_WAL_TRIES):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            # For a lock on it SQLite does wait.
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("ROLLBACK")
        else:
            return
    cursor.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
