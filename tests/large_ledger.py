"""A ledger of any number of calls, made by the database itself: ten million take minutes, not an hour.

All of them are of one month, of fifty tenants with four keys each, ten models and five callers a key. The calls and
the sums of their hours are made at the version before days and labels were kept, which the migration then
makes from them.
"""

from __future__ import annotations

from contextlib import asynccontextmanager

from sqlalchemy import text

from databases import database_url
from dragoman.accounting.ports import MEDIA
from dragoman.store.engine import open_database
from dragoman.store.ledger_tables import SUMS
from dragoman.store.schema import downgrade, upgrade

MONTH_US = 1_767_225_600_000_000
"""The first moment of January 2026."""
MONTH_END_US = MONTH_US + 31 * 86_400_000_000
BEFORE = "0014"
_AT_ONCE = 1_000_000

_COLUMNS = (
    "call_id, request_id, trace_id, tenant, key_id, caller, dialect, operation, requested_model, provider,"
    " model, status, http_status, stream, attempts, input_tokens, output_tokens, cache_read_tokens,"
    " cache_write_tokens, reasoning_tokens, tokens_from, cost_pico, cost_from, created_us, losses, batch,"
    " charged_pico, first_event_s, duration_s, upstream_id"
)


def _row(step_us: int, *, postgres: bool) -> str:
    at = f"({MONTH_US} + n * {step_us})"
    stamp = f"({at} / 1000)"
    if postgres:
        high = (
            f"lpad(to_hex({stamp} >> 16), 8, '0') || '-' || lpad(to_hex({stamp} & 65535), 4, '0')"
        )
        low = "lpad(to_hex(n), 12, '0')"
        false = "false"
    else:
        high = f"printf('%08x-%04x', {stamp} >> 16, {stamp} & 65535)"
        low, false = "printf('%012x', n)", "0"
    key = "(n * 7919 % 200)"
    return (
        f"{high} || '-7000-8000-' || {low}, 'req-' || n, 'trace', 'tenant-' || ({key} % 50), 'key-' || {key},"
        f" 'caller-' || (n / 3 % 5), 'chat', 'chat', 'fast', 'provider-' || (n / 7 % 4), 'model-' || (n / 7 % 10),"
        f" CASE WHEN n % 50 = 0 THEN 'upstream_error' ELSE 'complete' END, 200, {false}, 1, 100 + n % 900,"
        " 20 + n % 77, n % 13, 0, n % 5, 'reported', 1000003 * (1 + n % 101), 'priced',"
        f" {at}, '', 1, 1000003 * (1 + n % 101), 0.5, 1.5, 'gen-' || n"
    )


_OLD = [name for name in SUMS if name not in MEDIA]
"""The sums that there were then."""
_HOURS = (
    f"INSERT INTO ledger_hours (tenant, key_id, hour, provider, model, {', '.join(_OLD)}) "
    "SELECT tenant, key_id, created_us / 3600000000, provider, model, COUNT(*),"
    " SUM(CASE WHEN status = 'complete' THEN 0 ELSE 1 END), SUM(input_tokens), SUM(output_tokens),"
    " SUM(cache_read_tokens), SUM(cache_write_tokens), SUM(reasoning_tokens), SUM(cost_pico),"
    " 0, 0, 0, 0, 0, 0, SUM(charged_pico), 0, 0 FROM ledger_requests"
    " GROUP BY tenant, key_id, created_us / 3600000000, provider, model"
)


@asynccontextmanager
async def large_ledger(kind, folder, calls: int):
    """An open database of that kind with so many calls."""
    async with database_url(kind, folder) as url:
        await downgrade(url, BEFORE)
        database = open_database(url, query_timeout_s=None)
        postgres = kind == "postgresql"
        # A little less, so that the last call is of the month as well.
        step_us = (MONTH_END_US - MONTH_US) // (calls + 1)
        for first in range(0, calls, _AT_ONCE):
            last = min(calls, first + _AT_ONCE) - 1
            numbers = (
                f"generate_series({first}::bigint, {last}::bigint) AS numbers(n)"
                if postgres
                else f"(WITH RECURSIVE c(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM c"
                f" WHERE n < {last}) SELECT n FROM c)"
            )
            insert = f"INSERT INTO ledger_requests ({_COLUMNS}) SELECT {_row(step_us, postgres=postgres)} FROM {numbers}"
            async with database.write() as connection:
                await connection.execute(text(insert))
        async with database.write() as connection:
            await connection.execute(text(_HOURS))
        await database.close()
        await upgrade(url)
        if postgres:
            await _analyze(url)
        database = open_database(url)
        try:
            yield database
        finally:
            await database.close()


async def _analyze(url: str) -> None:
    """As the server does by itself a minute later; it may take longer than a query of ours may."""
    database = open_database(url, query_timeout_s=None)
    try:
        async with database.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            for table in ("ledger_requests", "ledger_days", "ledger_hours", "ledger_labels"):
                await connection.execute(text(f"ANALYZE {table}"))
    finally:
        await database.close()
