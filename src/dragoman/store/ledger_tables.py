"""The tables of the ledger: a row a call, a row an attempt, and sums by the hour.

Amounts are whole 10⁻¹² USD (D24), times whole Unix microseconds; NULL is unknown, which is not
zero (D25). ``call_id`` and ``attempt_id`` are the only unique keys (D23). ``batch`` names the
transaction that inserted a call's row: only those rows are added to the hour's sums, so that
what is written twice counts once.

Ids are UUIDv7, so a table clustered by them (``WITHOUT ROWID``) is only ever appended to, and the
attempts of a call lie together. Three indexes beside that, for what callers ask: a report reads its
own key's rows, and one call is found by what its request or its generation is called. Every further
one costs each call more than half a microsecond.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)

from dragoman.accounting.ports import MEDIA
from dragoman.store.tables import metadata


def _consumed() -> list[Column[int] | Column[str]]:
    counts = [
        Column(name, BigInteger, nullable=True)
        for name in (
            "input_tokens",
            "output_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "cache_write_1h_tokens",
            "reasoning_tokens",
            "audio_input_tokens",
            "audio_output_tokens",
            "web_searches",
        )
    ]
    return [
        *counts,
        Column("tokens_from", String(16), nullable=False),
        Column("cost_pico", BigInteger, nullable=True),
        Column("cost_from", String(16), nullable=False),
    ]


def _more_consumed() -> list[Column[int] | Column[str]]:
    return [
        Column("image_input_tokens", BigInteger, nullable=True),
        Column("image_output_tokens", BigInteger, nullable=True),
        Column("units", Text, nullable=False, server_default=""),
        Column("service_tier", Text, nullable=False, server_default=""),
    ]


requests = Table(
    "ledger_requests",
    metadata,
    Column("call_id", String(36), primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("trace_id", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("caller", Text, nullable=False),
    Column("dialect", String(16), nullable=False),
    Column("operation", String(16), nullable=False),
    Column("requested_model", Text, nullable=False),
    Column("provider", Text, nullable=True),
    Column("model", Text, nullable=True),
    Column("status", String(16), nullable=False),
    Column("http_status", Integer, nullable=True),
    Column("stream", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    *_consumed(),
    Column("upstream_id", Text, nullable=True),
    Column("first_event_s", Float, nullable=True),
    Column("duration_s", Float, nullable=True),
    Column("created_us", BigInteger, nullable=False),
    Column("error_code", Text, nullable=True),
    Column("losses", Text, nullable=False),
    Column("batch", BigInteger, nullable=False),
    Column("adjusted", Text, nullable=False, server_default=""),
    Column("choice", Text, nullable=False, server_default=""),
    Column("project", Text, nullable=False, server_default=""),
    Column("end_user", Text, nullable=False, server_default=""),
    Column("tags", Text, nullable=False, server_default=""),
    *_more_consumed(),
    Column("charged_pico", BigInteger, nullable=True),
    Column("other_cost_pico", BigInteger, nullable=False, server_default="0"),
    Index("ix_ledger_requests_key_id_created_us", "key_id", "created_us"),
    Index("ix_ledger_requests_request_id", "request_id"),
    Index("ix_ledger_requests_upstream_id", "upstream_id"),
    sqlite_with_rowid=False,
)
"""One row a call, as its caller is shown it: the attempt that served, or the last that tried."""

attempts = Table(
    "ledger_attempts",
    metadata,
    Column("call_id", String(36), primary_key=True),
    Column("attempt_id", String(36), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("credential", Text, nullable=True),
    Column("status", String(16), nullable=False),
    Column("upstream_status", Integer, nullable=True),
    Column("upstream_id", Text, nullable=True),
    Column("error_kind", Text, nullable=True),
    *_consumed(),
    Column("price_source", Text, nullable=False),
    Column("price_from", Text, nullable=False),
    Column("first_event_s", Float, nullable=True),
    Column("duration_s", Float, nullable=True),
    Column("created_us", BigInteger, nullable=False),
    Column("error_code", Text, nullable=True),
    *_more_consumed(),
    Column("served", Boolean, nullable=False, server_default=text("false")),
    Column("terms", Text, nullable=False, server_default=""),
    Column("charged_pico", BigInteger, nullable=True),
    Column("settled_us", BigInteger, nullable=True),
    Column("settled_from", Text, nullable=True),
    Column("former", Text, nullable=True),
    Column("reserved_pico", BigInteger, nullable=True),
    Column("payers", Text, nullable=True),
    sqlite_with_rowid=False,
)
"""One row a try: what each of them consumed, whether or not it served.

Where a later figure has taken the place of the first, ``former`` keeps that one. ``payers`` are the budgets
that have spent its cost, where they held nothing for it, and ``reserved_pico`` is what they had set aside.
"""

SETTLED = ("settled_us", "settled_from", "former")
"""Columns of ``attempts`` that are empty until then."""

SUMS = (
    "requests",
    "failed",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_pico",
    "estimated_requests",
    "estimated_input_tokens",
    "estimated_output_tokens",
    "estimated_cost_pico",
    "unknown_tokens",
    "unknown_cost",
    "charged_pico",
    "other_cost_pico",
    "estimated_charged_pico",
    *MEDIA,
)


def sum_columns(*later: str) -> list[Column[int]]:
    """The columns of a table of sums; rows from before there were media, or those of ``later``, have none."""
    unsaid = dict.fromkeys((*later, *MEDIA), "0")
    return [
        Column(name, BigInteger, nullable=False, server_default=unsaid.get(name)) for name in SUMS
    ]


hours = Table(
    "ledger_hours",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    *sum_columns("charged_pico", "other_cost_pico", "estimated_charged_pico"),
    Index("ix_ledger_hours_hour", "hour"),
    sqlite_with_rowid=False,
)
"""Sums of ``ledger_requests`` by hours since 1970, kept in the transaction that inserts them.

Provider and model are those that were tried; empty for a call that reached none, as what
callers write would make any number of rows.
"""
