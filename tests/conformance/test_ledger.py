"""The ledger's contract, against every database that is there: SQLite always, PostgreSQL by URL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from sqlalchemy import event, func, inspect, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DataError, OperationalError

from databases import KINDS, database_url
from dragoman.accounting.entry import AttemptRow, Consumed, Entry, RequestRow
from dragoman.accounting.ports import EntryRefused, Only, Scope, Sums
from dragoman.accounting.report import shown, totals
from dragoman.core.errors import HouseError
from dragoman.core.ids import uuid7_of
from dragoman.store.engine import Database
from dragoman.store.ledger_tables import SETTLED, SUMS, attempts, hours, requests
from dragoman.store.schema import downgrade, open_upgraded
from dragoman.store.sql import ledger as module
from dragoman.store.sql.exports import SqlExports
from dragoman.store.sql.ledger import SqlLedger
from dragoman.store.sql.ledger_rows import HOUR_US, entry_values, statements
from dragoman.store.sql.sums import split
from harness.statements import heard

HOUR = 1_750_000_000_000_000 // HOUR_US
START = HOUR * HOUR_US
NOTHING = Consumed(None, None, None, None, None, None, None, None, None, "none", None, "none")

Story = Callable[[SqlLedger, Database], Awaitable[None]]


def consumed(cost_pico: int | None = 1000, **changes) -> Consumed:
    full = Consumed(100, 20, 30, 5, 0, 7, None, None, None, "reported", cost_pico, "priced")
    return msgspec.structs.replace(full, **changes)


def entry(number: int, at: int = START, tries: int = 1, **changes) -> Entry:
    call = uuid7_of(at / 1_000_000, number)
    request = RequestRow(
        call_id=call,
        request_id=f"r-{number}",
        trace_id="f" * 32,
        tenant="t1",
        key_id="k1",
        caller="me",
        dialect="chat",
        operation="chat",
        requested_model="fast",
        provider="openai" if tries else None,
        model="gpt-5-mini" if tries else None,
        status="complete",
        http_status=200,
        stream=True,
        attempts=tries,
        consumed=consumed() if tries else NOTHING,
        upstream_id=f"chatcmpl-{number}",
        first_event_s=0.5,
        duration_s=1.5,
        created_us=at,
        error_code=None,
        losses="",
        adjusted="max_tokens=4096",
        choice='{"candidates":["a/m","b/m"]}',
    )
    request = msgspec.structs.replace(request, **changes)
    rows = tuple(
        AttemptRow(
            attempt_id=f"00000000-0000-7000-9000-{number * 100 + place:012}",
            call_id=call,
            number=place + 1,
            tenant=request.tenant,
            provider="openai",
            model="gpt-5-mini",
            credential="c1",
            status=request.status if place == tries - 1 else "upstream_error",
            upstream_status=200,
            upstream_id=f"chatcmpl-{number}",
            error_kind=None,
            error_code=None if place == tries - 1 else "provider_error",
            consumed=request.consumed,
            price_source="genai-prices",
            price_from="2025-01-01",
            first_event_s=0.5,
            duration_s=1.5,
            created_us=at,
        )
        for place in range(tries)
    )
    return Entry(request, rows)


@asynccontextmanager
async def opened(kind: str, folder: Path) -> AsyncIterator[tuple[SqlLedger, Database]]:
    async with database_url(kind, folder) as url:
        database = await open_upgraded(url)
        try:
            yield SqlLedger(database), database
        finally:
            await database.close()


@pytest.fixture(params=KINDS)
def play(request, tmp_path) -> Callable[[Story], None]:
    def run(story: Story) -> None:
        async def whole() -> None:
            async with opened(request.param, tmp_path) as (ledger, database):
                await story(ledger, database)

        asyncio.run(whole())

    return run


async def count(database: Database, table) -> int:
    async with database.read() as connection:
        return (await connection.execute(select(func.count()).select_from(table))).scalar_one()


async def lines(ledger, scope, limit=100):
    return [line async for page in ledger.lines(scope, limit) for line in page]


MINE = Scope("t1", "k1")


@pytest.mark.req("M2", "D4")
def test_what_is_written_twice_counts_once(play):
    async def story(ledger: SqlLedger, database: Database) -> None:
        batch = [entry(number, tries=2) for number in range(10)]
        assert await ledger.write(batch) == 10
        assert await ledger.write(batch) == 0
        assert await ledger.write([*batch, entry(10)]) == 1
        assert await count(database, requests) == 11
        assert await count(database, attempts) == 21
        sums = await ledger.sums(MINE)
        assert (sums.requests, sums.input_tokens, sums.cost_pico) == (11, 1100, 11_000)

    play(story)


def test_a_call_that_comes_twice_in_one_batch_counts_once(play):
    async def story(ledger: SqlLedger, database: Database) -> None:
        assert await ledger.write([entry(1), entry(1)]) == 1
        assert (await ledger.sums(MINE)).requests == 1

    play(story)


@pytest.mark.req("M2")
def test_two_writers_of_the_same_calls_count_them_once(play):
    async def story(ledger: SqlLedger, database: Database) -> None:
        batches = [[entry(number) for number in range(start, start + 20)] for start in (0, 0, 10)]
        new = await asyncio.gather(*(ledger.write(batch) for batch in batches))
        assert sum(new) == 30
        assert (await ledger.sums(MINE)).requests == 30
        assert await count(database, attempts) == 30

    play(story)


def test_a_batch_of_calls_that_were_never_tried_has_no_attempts(play):
    async def story(ledger: SqlLedger, database: Database) -> None:
        refused = [entry(number, tries=0, status="refused") for number in range(3)]
        assert await ledger.write(refused) == 3
        assert await count(database, attempts) == 0
        assert (await ledger.sums(MINE)).failed == 3

    play(story)


def test_an_empty_batch_writes_nothing(play):
    async def story(ledger: SqlLedger, database: Database) -> None:
        assert await ledger.write([]) == 0
        assert await ledger.sums(MINE) == Sums()
        assert await lines(ledger, MINE) == []

    play(story)


def test_a_line_shows_what_was_written(play):
    async def story(ledger: SqlLedger, database: Database) -> None:
        await ledger.write([entry(1, tries=2, error_code="x", http_status=None)])
        (line,) = await lines(ledger, MINE)
        assert line.call_id.endswith("000000000001")
        assert (line.request_id, line.upstream_id) == ("r-1", "chatcmpl-1")
        assert (line.status, line.http_status, line.stream) == ("complete", None, True)
        assert (line.input_tokens, line.output_tokens, line.cost_pico) == (100, 20, 1000)
        assert (line.tokens_from, line.cost_from) == ("reported", "priced")
        assert (line.attempts, line.created_us, line.error_code) == (2, START, "x")
        assert isinstance(line.stream, bool)
        assert isinstance(line.first_event_s, float)

    play(story)


def test_lines_come_newest_first_and_not_beyond_the_limit(play, monkeypatch):
    monkeypatch.setattr(module, "_PAGE", 3)

    async def story(ledger: SqlLedger, database: Database) -> None:
        await ledger.write([entry(number, START + number // 2) for number in range(11)])
        for limit in (1, 3, 4, 6, 11, 12, 100):
            found = await lines(ledger, MINE, limit)
            assert len(found) == min(limit, 11)
            keys = [(line.created_us, line.call_id) for line in found]
            assert all(later > earlier for later, earlier in pairwise(keys))
        assert found[0].request_id == "r-10"

    play(story)


def test_a_key_sees_its_own_calls_and_a_tenant_all_of_its_keys(play):
    async def story(ledger: SqlLedger, database: Database) -> None:
        await ledger.write(
            [entry(1), entry(2, key_id="k2"), entry(3, tenant="t2"), entry(4, tenant="t2")]
        )
        for scope, expected in (
            (Scope("t1", "k1"), 1),
            (Scope("t1", "k2"), 1),
            (Scope("t1"), 2),
            (Scope("t2"), 2),
            (Scope("t3"), 0),
        ):
            assert (await ledger.sums(scope)).requests == expected
            assert len(await lines(ledger, scope)) == expected
            edge = msgspec.structs.replace(scope, since_us=START, until_us=START + 1)
            assert (await ledger.sums(edge)).requests == expected

    play(story)


def test_estimated_and_unknown_numbers_stand_apart(play):
    rows = [
        entry(1),
        entry(2, consumed=consumed(500, tokens_from="estimated", cost_from="estimated")),
        entry(3, consumed=consumed(700, cost_from="estimated")),
        entry(4, consumed=NOTHING, status="unknown", http_status=None),
        entry(5, consumed=consumed(None, cost_from="none"), status="client_cut"),
        entry(6, consumed=NOTHING, status="upstream_error", http_status=502),
        entry(7, tries=0, status="refused", http_status=429),
        entry(8, consumed=NOTHING, operation="count_tokens"),
    ]

    async def story(ledger: SqlLedger, database: Database) -> None:
        await ledger.write(rows)
        from_hours = await ledger.sums(MINE)
        from_rows = await ledger.sums(Scope("t1", "k1", START, START + 1))
        assert from_hours == from_rows
        assert from_hours == Sums(
            requests=8,
            failed=3,
            input_tokens=300,
            output_tokens=60,
            cache_read_tokens=90,
            cache_write_tokens=15,
            reasoning_tokens=21,
            cost_pico=1000,
            estimated_requests=2,
            estimated_input_tokens=100,
            estimated_output_tokens=20,
            estimated_cost_pico=1200,
            unknown_tokens=1,
            unknown_cost=2,
        )

    play(story)


@pytest.mark.req("M7")
def test_what_is_charged_stands_beside_what_it_costs(play):
    guessed = consumed(500, tokens_from="estimated", cost_from="estimated")
    rows = [
        entry(1, charged_pico=1200, other_cost_pico=30),
        entry(2, consumed=guessed, charged_pico=600),
        entry(3, consumed=NOTHING, charged_pico=None, other_cost_pico=7),
    ]

    async def story(ledger: SqlLedger, database: Database) -> None:
        await ledger.write(rows)
        for scope in (MINE, Scope("t1", "k1", START, START + 1)):
            sums = await ledger.sums(scope)
            assert (sums.cost_pico, sums.other_cost_pico) == (1000, 37)
            assert (sums.charged_pico, sums.estimated_charged_pico) == (1200, 600)
            assert totals(sums).other_cost_usd == "0.000000000037"
        pages = [page async for page in SqlExports(database).calls(MINE, Only())]
        told = sorted(shown(hit.line).other_cost_usd for page in pages for hit in page)
        assert told == ["0", "0.000000000007", "0.00000000003"]

    play(story)


def test_any_span_of_time_is_exact(play):
    moments = [
        START - HOUR_US - 1, START - 1, START, START + 1, START + HOUR_US - 1, START + HOUR_US,
        START + 2 * HOUR_US, START + 2 * HOUR_US + 5, START + 30 * HOUR_US,
    ]  # fmt: skip

    async def story(ledger: SqlLedger, database: Database) -> None:
        await ledger.write([entry(number, at) for number, at in enumerate(moments)])
        bounds = [None, *moments, START + HOUR_US // 2]
        for since in bounds:
            for until in bounds:
                expected = sum(
                    (since is None or at >= since) and (until is None or at < until)
                    for at in moments
                )
                scope = Scope("t1", "k1", since, until)
                assert (await ledger.sums(scope)).requests == expected, (since, until)
                if since is None or since == moments[3]:
                    assert len(await lines(ledger, scope)) == expected
                    days = await ledger.by_day(scope)
                    assert sum(day.requests for day in days.values()) == expected

    play(story)


@pytest.mark.parametrize(
    ("since", "until", "whole", "edges"),
    [
        (None, None, (None, None), []),
        (0, HOUR_US, (0, 1), []),
        (1, None, (1, None), [(1, HOUR_US)]),
        (None, HOUR_US + 1, (None, 1), [(HOUR_US, HOUR_US + 1)]),
        (5, 6, None, [(5, 6)]),
        (0, 3 * HOUR_US + 7, (0, 3), [(3 * HOUR_US, 3 * HOUR_US + 7)]),
    ],
)
def test_a_span_is_whole_hours_and_what_is_left_at_its_ends(since, until, whole, edges):
    assert split(since, until) == (whole, edges)


def test_groups_by_day_and_model_add_up_to_the_total(play):
    day = 24 * HOUR_US
    first = START // day

    async def story(ledger: SqlLedger, database: Database) -> None:
        await ledger.write(
            [
                entry(1),
                entry(2, START + 5),
                entry(3, START + day, model="other", provider="groq"),
                entry(4, START + day, tries=0, status="refused"),
            ]
        )
        for scope in (MINE, Scope("t1", "k1", START, START + day + 1)):
            by_day = await ledger.by_day(scope)
            assert {key: sums.requests for key, sums in by_day.items()} == {first: 2, first + 1: 2}
            by_hour = await ledger.by_hour(scope)
            hours = {START // HOUR_US: 2, (START + day) // HOUR_US: 2}
            assert {key: sums.requests for key, sums in by_hour.items()} == hours
            by_model = await ledger.by_model(scope)
            assert {key: sums.requests for key, sums in by_model.items()} == {
                ("openai", "gpt-5-mini"): 2,
                ("groq", "other"): 1,
                ("", ""): 1,
            }
            total = await ledger.sums(scope)
            assert sum(sums.cost_pico for sums in by_model.values()) == total.cost_pico == 3000

    play(story)


@pytest.mark.req("M9", "M11")
def test_sums_of_money_are_exact_beyond_what_an_integer_column_sums(play):
    most = 10**16

    async def story(ledger: SqlLedger, database: Database) -> None:
        await ledger.write(
            [
                entry(number, START + number * HOUR_US, consumed=consumed(most + 1))
                for number in range(1000)
            ]
        )
        assert (await ledger.sums(MINE)).cost_pico == 1000 * (most + 1)

    play(story)


@pytest.mark.req("M2")
def test_the_hours_sums_are_the_sums_of_the_rows(play):
    async def story(ledger: SqlLedger, database: Database) -> None:
        for start in range(0, 60, 15):
            batch = [
                entry(
                    number,
                    START + number * HOUR_US // 7,
                    tries=number % 3,
                    tenant=f"t{number % 2}",
                )
                for number in range(start, start + 30)
            ]
            await ledger.write(batch)
        for tenant in ("t0", "t1"):
            whole = await ledger.sums(Scope(tenant, "k1"))
            found = await lines(ledger, Scope(tenant, "k1"), 1000)
            assert whole.requests == len(found)
            for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cost_pico"):
                assert getattr(whole, name) == sum(getattr(line, name) or 0 for line in found)

    play(story)


@pytest.mark.req("D4")
@pytest.mark.parametrize(
    ("nth", "known"), [(1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (3, 1), (4, 1)]
)
def test_a_batch_that_breaks_half_way_leaves_nothing_behind(play, nth, known):
    async def story(ledger: SqlLedger, database: Database) -> None:
        seen = 0

        def fail(statement):
            nonlocal seen
            if "ledger_" in statement:
                seen += 1
                if seen == nth:
                    raise OperationalError(statement, None, RuntimeError("gone"))

        await ledger.write([entry(number) for number in range(known)])
        before = await ledger.sums(MINE)
        engine = database.engine.sync_engine
        with heard(engine, fail), pytest.raises(HouseError):
            await ledger.write([entry(0), entry(1), entry(2)])
        for table in (requests, attempts, hours):
            assert await count(database, table) == known
        assert await ledger.sums(MINE) == before
        assert await ledger.write([entry(0), entry(1), entry(2)]) == 3 - known

    play(story)


def test_entries_that_the_database_does_not_take_are_refused_and_not_retried(play):
    async def story(ledger: SqlLedger, database: Database) -> None:
        with pytest.raises(EntryRefused):
            await ledger.write([entry(1), entry(2, provider="openai", losses=None)])
        with pytest.raises(EntryRefused):
            await ledger.write([entry(1), entry(2, created_us=2**70)])
        assert await count(database, requests) == 0
        assert await ledger.write([entry(1)]) == 1

    play(story)


def test_a_refusal_is_told_from_an_outage_by_its_sqlstate():
    def failure(state: str | None) -> OperationalError:
        return OperationalError("INSERT", None, SimpleNamespace(sqlstate=state))

    assert module._is_refusal(DataError("INSERT", None, RuntimeError()))
    assert module._is_refusal(failure("22021"))
    assert module._is_refusal(failure("23502"))
    assert not module._is_refusal(failure("57P01"))
    assert not module._is_refusal(failure(None))
    assert not module._is_refusal(OSError())
    assert not module._is_refusal(None)


def test_a_database_that_is_gone_is_an_outage(play):
    async def story(ledger: SqlLedger, database: Database) -> None:
        async with database.write() as connection:
            await connection.execute(text("ALTER TABLE ledger_requests RENAME TO elsewhere"))
        try:
            with pytest.raises(HouseError):
                await ledger.write([entry(1)])
        finally:
            async with database.write() as connection:
                await connection.execute(text("ALTER TABLE elsewhere RENAME TO ledger_requests"))

    play(story)


def test_the_migration_makes_the_tables_that_the_code_describes(tmp_path):
    async def story() -> None:
        async with opened("sqlite", tmp_path) as (_, database), database.read() as connection:
            for table in (requests, attempts, hours):
                made = await connection.run_sync(
                    lambda sync, name=table.name: (
                        {
                            column["name"]: (str(column["type"]), column["nullable"])
                            for column in inspect(sync).get_columns(name)
                        },
                        {
                            (index["name"], tuple(index["column_names"]))
                            for index in inspect(sync).get_indexes(name)
                        },
                        inspect(sync).get_pk_constraint(name)["constrained_columns"],
                    )
                )
                dialect = database.engine.dialect
                assert made == (
                    {
                        column.name: (str(column.type.compile(dialect)), column.nullable)
                        for column in table.columns
                    },
                    {
                        (index.name, tuple(column.name for column in index.columns))
                        for index in table.indexes
                    },
                    [column.name for column in table.primary_key],
                )
        await downgrade(f"sqlite:///{tmp_path}/dragoman.db", "0001")
        database = await open_upgraded(f"sqlite:///{tmp_path}/dragoman.db")
        assert await count(database, requests) == 0
        await database.close()

    asyncio.run(story())


def test_a_line_and_the_sums_name_columns_of_the_tables():
    assert Sums.__struct_fields__ == SUMS
    assert set(SUMS) <= set(hours.c.keys())


def test_every_member_of_a_row_stands_in_its_own_column(play):
    """Also at its extremes: what is unknown is NULL, and nothing else is."""
    numbers = iter(range(1000))

    def told(kind: type[msgspec.Struct], **given):
        """A row whose every member differs from all others."""
        members = {}
        for field in msgspec.structs.fields(kind):
            if field.name in given:
                members[field.name] = given[field.name]
            elif field.type in {"int", "int | None", int, int | None}:
                members[field.name] = next(numbers)
            elif field.type in {float | None, "float | None"}:
                members[field.name] = next(numbers) + 0.5
            else:
                members[field.name] = f"x{next(numbers)}"
        return kind(**members)

    def rows(number: int, *, empty: bool) -> Entry:
        used = NOTHING if empty else told(Consumed)
        answer = dict.fromkeys(("upstream_id", "first_event_s", "duration_s"))
        nothing = answer | dict.fromkeys(("provider", "model", "http_status", "error_code"))
        untold = answer | dict.fromkeys(("credential", "upstream_status", "error_kind"))
        call = f"call-{number}"
        return Entry(
            told(
                RequestRow, call_id=call, stream=not empty, consumed=used,
                **(nothing if empty else {}),
            ),
            (
                told(
                    AttemptRow, call_id=call, consumed=used, charge=None,
                    served=not empty, **dict.fromkeys(SETTLED), **(untold if empty else {}),
                ),
            ),
        )  # fmt: skip

    def flat(row: msgspec.Struct) -> dict[str, object]:
        members = msgspec.structs.asdict(row)
        if "charge" in members:
            # Who pays, and what was set aside for it; nobody does here.
            assert members.pop("charge") is None
            members |= dict.fromkeys(("payers", "reserved_pico"))
        return members | msgspec.structs.asdict(members.pop("consumed"))

    async def story(ledger: SqlLedger, database: Database) -> None:
        zeros = Consumed(*[0] * 9, "-1", 0, "")
        entries = [rows(1, empty=False), rows(2, empty=True), rows(3, empty=False)]
        odd = msgspec.structs.replace(
            entries[2].request, consumed=zeros, upstream_id="-1", error_code="", provider="",
            first_event_s=0.0, http_status=0,
        )  # fmt: skip
        entries[2] = Entry(odd, entries[2].attempts)
        assert await ledger.write(entries) == 3
        async with database.read() as connection:
            for table, written in (
                (requests, [one.request for one in entries]),
                (attempts, [one.attempts[0] for one in entries]),
            ):
                found = await connection.execute(select(table).order_by(table.c.call_id))
                shown = [dict(row) for row in found.mappings()]
                assert len({row.pop("batch", None) for row in shown}) == 1
                assert shown == [flat(row) for row in written]

    play(story)


def test_the_statements_are_postgresqls_own_where_that_is_the_database():
    made = statements(postgresql.asyncpg.dialect())
    assert made.request.count("$") == len(requests.columns)
    assert made.request.endswith("ON CONFLICT DO NOTHING")
    assert made.attempt.count("$") == len(attempts.columns) - len(SETTLED)
    assert "nullif" not in (made.request + made.attempt).lower()
    assert "ON CONFLICT (tenant, key_id, hour, provider, model) DO UPDATE SET" in made.hours
    assert "requests = (ledger_hours.requests + excluded.requests)" in made.hours
    values, _ = entry_values(entry(1, http_status=None), 7, made.spelling)
    assert values[:2] == (entry(1).request.call_id, "r-1")
    assert len(values) == len(requests.columns)
    assert values[requests.columns.keys().index("http_status")] is None
    assert values[requests.columns.keys().index("stream")] is True


@pytest.mark.req("R-SURF-044")
def test_a_call_is_found_by_its_id_and_the_newest_by_a_name_within_its_tenant(play):
    hour_s = START / 1_000_000

    def at(seconds: int, **changes) -> Entry:
        made = entry(1, at=START + seconds * 1_000_000, tries=0, **changes)
        call = uuid7_of(hour_s + seconds, seconds)
        return Entry(msgspec.structs.replace(made.request, call_id=call), ())

    async def story(ledger: SqlLedger, database: Database) -> None:
        del database
        first = at(0, request_id="mine", upstream_id="gen-1")
        later = at(10, request_id="mine", upstream_id="gen-2")
        other = at(20, request_id="mine", upstream_id="gen-1", tenant="t2")
        await ledger.write([first, later, other])
        tenant = Scope("t1")

        async def found(name: str, scope: Scope = tenant) -> str | None:
            line = await ledger.find(scope, name)
            return None if line is None else line.call_id

        assert await found(first.request.call_id) == first.request.call_id
        assert await found("mine") == later.request.call_id
        assert await found("gen-1") == first.request.call_id
        assert await found("mine", Scope("t2")) == other.request.call_id
        assert await found(other.request.call_id) is None
        assert await found("gen-3") is None
        since = Scope("t1", since_us=START + 5_000_000)
        assert await found("gen-1", since) is None
        assert await found("gen-2", since) == later.request.call_id
        # Its own id is found however old it is.
        assert await found(first.request.call_id, since) == first.request.call_id
        assert await found("mine", Scope("t1", "another key")) is None

    play(story)


def test_a_whole_entry_is_read_back_as_it_was_written_by_its_tenant_alone(play):
    async def story(ledger: SqlLedger, database: Database) -> None:
        del database
        written = [entry(1, tries=3), entry(2, tries=0, provider=None, model=None, attempts=0)]
        await ledger.write(written)
        for each in written:
            request = each.request
            for name in (request.call_id, request.request_id):
                assert await ledger.entry(Scope("t1"), name) == each
            assert await ledger.entry(Scope("t2"), request.call_id) is None
        assert await ledger.entry(Scope("t1"), "nothing") is None

    play(story)


@pytest.mark.req("R-SURF-044")
def test_a_call_is_looked_up_by_its_names_in_indexes(play):
    """SQLite plans without numbers of rows; what PostgreSQL does with so few says nothing."""

    async def story(ledger: SqlLedger, database: Database) -> None:
        asked = []

        def note(connection, cursor, statement, parameters, *_):
            asked.append((statement, tuple(parameters)))

        event.listen(database.engine.sync_engine, "before_cursor_execute", note)
        assert await ledger.find(Scope("t1", since_us=START), "nothing") is None
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
        queries = [one for one in asked if one[0].startswith("SELECT ledger")]
        assert len(queries) == 3
        if database.backend == "postgresql":
            return
        async with database.read() as connection:
            for (statement, values), column in zip(
                queries[1:], ("request_id", "upstream_id"), strict=True
            ):
                explained = await connection.exec_driver_sql(
                    f"EXPLAIN QUERY PLAN {statement}", values
                )
                plan = " ".join(str(row) for row in explained.all())
                assert f"INDEX ix_ledger_requests_{column}" in plan
                assert "SCAN" not in plan
                assert "TEMP B-TREE" not in plan

    play(story)
