"""Calls of days that are past, in the database of a gateway that is not there yet."""

from __future__ import annotations

import asyncio
import sqlite3
import time

import msgspec

from databases import copy_tables
from dragoman.core.ids import uuid7_of
from dragoman.store.engine import open_database
from dragoman.store.sql.ledger import SqlLedger
from ledger_entries import NOTHING, attempt, entry

DAY_S = 86_400


def home_with(folder, *ages, cost_pico=7):
    """A home whose ledger has a call of each of these ages in days, numbered from 1."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    (home / "dragoman.db").touch(mode=0o600)
    copy_tables(home / "dragoman.db")
    asyncio.run(_write(home, [_call(*each, cost_pico) for each in enumerate(ages, 1)]))
    return home


async def _write(home, entries):
    database = open_database(f"sqlite:///{home}/dragoman.db")
    try:
        await SqlLedger(database).write(entries)
    finally:
        await database.close()


def _call(number, age, cost_pico):
    at = time.time() - age * DAY_S
    moment = int(at * 1e6)
    consumed = msgspec.structs.replace(
        NOTHING, input_tokens=100, output_tokens=20, tokens_from="reported", cost_pico=cost_pico,
        cost_from="priced",
    )  # fmt: skip
    tried = attempt(
        number, 0, call_id=uuid7_of(at, number), attempt_id=uuid7_of(at, number + 500),
        created_us=moment, provider="openai", model="gpt-4o-mini", consumed=consumed,
    )  # fmt: skip
    return entry(number, tried, created_us=moment, provider="openai", model="gpt-4o-mini")


def left(home, table="ledger_requests"):
    """How many rows a table has."""
    with sqlite3.connect(home / "dragoman.db") as connection:
        (number,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
    connection.close()
    return number
