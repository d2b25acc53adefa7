"""Rows for every table of a database, whatever tables there are: made from the columns alone.

The same row number gives the same value in every table, so rows that refer to one another do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Column, Float, Integer, LargeBinary, Table, insert

from dragoman.store.backup import own_tables
from dragoman.store.engine import Database
from dragoman.store.every_table import every_table

_CHOICES = re.compile(r"(\w+) IN \('(\w+)'")
BIG = 2**62
ODD = "ünï\n\"'%s\U0001f600"


def row(table: Table, number: int) -> dict[str, Any]:
    """A row with something in every column."""
    chosen = {
        column: value
        for each in every_table()[table.name].constraints
        if isinstance(each, CheckConstraint)
        for column, value in _CHOICES.findall(str(each.sqltext))
    }
    return {
        column.name: chosen.get(column.name, _value(column, number)) for column in table.columns
    }


def _value(column: Column[Any], number: int) -> Any:
    kind = column.type
    if column.nullable and number == 1 and not column.primary_key:
        return None
    match kind:
        case Boolean():
            return number % 2 == 1
        case LargeBinary():
            return bytes([0, 255]) + number.to_bytes(4, "big") * 5
        case Float():
            return number + 0.1
        case Integer():
            # SQLite tells no size of integers, and PostgreSQL's smaller ones take less.
            is_big = "BIG" in type(kind).__name__.upper()
            return BIG + number if is_big and not column.primary_key else number + 10
        case _:
            # Names and sizes differ; what is short in one table is what another one refers to.
            text = f"v{number}"
            most = getattr(kind, "length", None)
            return text if most is not None else text + ODD
    raise AssertionError(column)


async def fill(database: Database, rows: int = 3) -> int:
    """Puts so many rows into every table that the database has; how many it were in all."""
    number = 0
    async with database.write() as connection:
        for table in await own_tables(connection):
            if table.name == "meta":
                continue
            values = [row(table, each) for each in range(rows)]
            await connection.execute(insert(table), values)
            number += len(values)
    return number


async def contents(database: Database) -> Mapping[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    async with database.read() as connection:
        return {
            table.name: sorted(
                (tuple(row) for row in await connection.execute(table.select())), key=repr
            )
            for table in await own_tables(connection)
        }
