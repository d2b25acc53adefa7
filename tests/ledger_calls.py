"""Calls as the ledger keeps them, for tests that write many."""

from __future__ import annotations

from itertools import count

import msgspec

from dragoman.accounting.entry import Consumed, RequestRow
from dragoman.core.ids import uuid7_of

FIRST = 1_738_000_000_000_000 // 86_400_000_000 * 86_400_000_000
"""Some days before the end of a month."""
numbers = count(1)


def row(**changes) -> RequestRow:
    at = changes.get("created_us", FIRST)
    made = RequestRow(
        call_id=uuid7_of(at / 1_000_000, next(numbers)),
        request_id="r",
        trace_id="f" * 32,
        tenant="t1",
        key_id="k1",
        caller="me",
        dialect="chat",
        operation="chat",
        requested_model="fast",
        provider="openai",
        model="m1",
        status="complete",
        http_status=200,
        stream=False,
        attempts=1,
        consumed=used(),
        upstream_id=None,
        first_event_s=None,
        duration_s=None,
        created_us=at,
        error_code=None,
        losses="",
        adjusted="",
        choice="",
        project="",
        end_user="",
        tags="",
        charged_pico=None,
        other_cost_pico=0,
    )
    return msgspec.structs.replace(made, **changes)


def used(tokens_from="reported", cost_from="priced", cost: int | None = 7) -> Consumed:
    return Consumed(100, 20, 30, 5, 0, 9, None, None, None, tokens_from, cost, cost_from)
