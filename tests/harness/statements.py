"""Hears of every statement before the database does: those by SQLAlchemy, and those given to SQLite's driver itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiosqlite
from sqlalchemy import event


@contextmanager
def heard(engine: Any, told: Callable[[str], None]) -> Iterator[None]:
    """As long as it lasts; ``told`` may raise, and the statement is not run then."""

    def execute(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        told(statement)

    names = ("executemany", "execute_fetchall")
    kept = {name: getattr(aiosqlite.Connection, name) for name in names}

    def hearing(ask: Callable[..., Any]) -> Callable[..., Any]:
        def asked(connection: Any, statement: str, *others: Any) -> Any:
            told(statement)
            return ask(connection, statement, *others)

        return asked

    event.listen(engine, "before_cursor_execute", execute)
    for name, ask in kept.items():
        setattr(aiosqlite.Connection, name, hearing(ask))
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", execute)
        for name, ask in kept.items():
            setattr(aiosqlite.Connection, name, ask)
