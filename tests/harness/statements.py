"""Hears of every statement before the database does: those by SQLAlchemy, and those given to SQLite's driver itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiosqlite
from sqlalchemy import event

from dragoman.store.sql import direct


@contextmanager
def heard(engine: Any, told: Callable[[str], None]) -> Iterator[None]:
    """As long as it lasts; ``told`` may raise, and the statement is not run then."""

    def execute(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        told(statement)

    def hearing(ask: Callable[..., Any], of: Callable[..., str]) -> Callable[..., Any]:
        def asked(database: Any, *others: Any) -> Any:
            told(of(*others))
            return ask(database, *others)

        return asked

    def said(statement: str, *_: Any) -> str:
        return statement

    fetch, answer, run = aiosqlite.Connection.execute_fetchall, direct.answer, direct.run
    event.listen(engine, "before_cursor_execute", execute)
    aiosqlite.Connection.execute_fetchall = hearing(fetch, said)
    direct.answer, direct.run = hearing(answer, said), hearing(run, lambda step: step.statement)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", execute)
        aiosqlite.Connection.execute_fetchall = fetch
        direct.answer, direct.run = answer, run
