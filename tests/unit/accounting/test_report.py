"""What GET /v1/usage answers, and what it refuses."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.accounting.ports import Line, Scope, Sums
from dragoman.accounting.report import (
    MOST_LINES,
    Query,
    add,
    parse_query,
    shown,
    totals,
    usage_report,
    usd,
)
from dragoman.core import money
from dragoman.core.call import Caller
from dragoman.core.errors import CallerError

CALLER = Caller("k1", "t1")
LINE = Line(
    call_id="call-1",
    request_id="r-1",
    created_us=1_750_000_000_000_042,
    status="complete",
    http_status=200,
    stream=True,
    dialect="chat",
    operation="chat",
    caller="me",
    requested_model="fast",
    provider="openai",
    model="gpt-5-mini",
    attempts=1,
    input_tokens=10,
    output_tokens=None,
    cache_read_tokens=0,
    cache_write_tokens=None,
    reasoning_tokens=None,
    tokens_from="reported",
    cost_pico=1_500_000,
    cost_from="priced",
    upstream_id="chatcmpl-1",
    first_event_s=0.12345678,
    duration_s=None,
    error_code=None,
)


@dataclass
class Canned:
    """Answers with what it was given, and remembers the scope."""

    total: Sums = field(default_factory=Sums)
    days: dict[int, Sums] = field(default_factory=dict)
    models: dict[tuple[str, str], Sums] = field(default_factory=dict)
    pages: list[list[Line]] = field(default_factory=list)
    asked: list[object] = field(default_factory=list)

    async def sums(self, scope):
        self.asked.append(scope)
        return self.total

    async def by_hour(self, scope):
        raise AssertionError("a report asks for days")

    async def by_day(self, scope):
        return self.days

    async def by_model(self, scope):
        return self.models

    async def lines(self, scope, limit):
        self.asked.append((scope, limit))
        for page in self.pages:
            yield page


def report(ledger, **query):
    return msgspec.json.decode(asyncio.run(usage_report(ledger, CALLER, Query(**query))))


@pytest.mark.req("R-USE-001")
def test_totals_say_what_is_estimated_and_what_is_unknown_apart():
    ledger = Canned(
        Sums(
            requests=7,
            failed=1,
            input_tokens=100,
            output_tokens=20,
            cost_pico=27_000_000,
            estimated_requests=2,
            estimated_input_tokens=5,
            estimated_output_tokens=6,
            estimated_cost_pico=10**12,
            unknown_tokens=3,
            unknown_cost=4,
        )
    )
    answer = report(ledger)
    assert answer["requests"] == 7
    assert answer["failed_requests"] == 1
    assert (answer["input_tokens"], answer["output_tokens"], answer["total_tokens"]) == (
        100,
        20,
        120,
    )
    assert answer["cost_usd"] == "0.000027"
    assert answer["estimated"] == {
        "requests": 2,
        "input_tokens": 5,
        "output_tokens": 6,
        "cost_usd": "1",
    }
    assert (answer["unknown_usage"], answer["unknown_cost"]) == (3, 4)
    assert "day" not in answer
    assert ledger.asked == [Scope("t1", "k1", None, None)]


def test_a_row_a_request_comes_in_pieces_and_reads_as_one_list():
    second = msgspec.structs.replace(LINE, call_id="call-2", cost_pico=None, duration_s=2.0)
    ledger = Canned(pages=[[LINE, LINE], [second]])
    answer = report(ledger, group="request", limit=3)
    assert [row["call_id"] for row in answer["data"]] == ["call-1", "call-1", "call-2"]
    assert answer["object"] == "list"
    row = answer["data"][0]
    assert (row["request_id"], row["status"], row["http_status"]) == ("r-1", "complete", 200)
    assert (row["input_tokens"], row["output_tokens"]) == (10, None)
    assert row["cost_usd"] == "0.0000015"
    assert row["created_at"] == "2025-06-15T15:06:40.000042Z"
    assert (row["first_event_ms"], row["latency_ms"]) == (123.457, None)
    assert row["generation_id"] == "chatcmpl-1"
    assert answer["data"][2]["cost_usd"] is None
    assert answer["data"][2]["latency_ms"] == 2000.0
    assert ledger.asked == [(Scope("t1", "k1"), 3)]


def test_no_request_is_an_empty_list():
    assert report(Canned(), group="request") == {"object": "list", "data": []}


@pytest.mark.parametrize(
    ("tokens_from", "cost_from", "estimated"),
    [("reported", "priced", False), ("estimated", "none", True), ("reported", "estimated", True)],
)
def test_a_row_says_whether_a_number_was_estimated(tokens_from, cost_from, estimated):
    line = msgspec.structs.replace(LINE, tokens_from=tokens_from, cost_from=cost_from)
    assert shown(line).estimated is estimated


def test_days_and_months_come_newest_first():
    ledger = Canned(days={0: Sums(requests=1), 30: Sums(requests=2), 31: Sums(requests=4)})
    days = report(ledger, group="day")["data"]
    assert [(row["day"], row["requests"]) for row in days] == [
        ("1970-02-01", 4),
        ("1970-01-31", 2),
        ("1970-01-01", 1),
    ]
    months = report(ledger, group="month")["data"]
    assert [(row["month"], row["requests"]) for row in months] == [("1970-02", 4), ("1970-01", 3)]
    assert len(report(ledger, group="day", limit=1)["data"]) == 1


def test_models_come_dearest_first():
    ledger = Canned(
        models={("a", "x"): Sums(cost_pico=1), ("b", "y"): Sums(cost_pico=9), ("", ""): Sums()}
    )
    data = report(ledger, group="model")["data"]
    named = [(row["provider"], row["model"]) for row in data]
    assert named == [("b", "y"), ("a", "x"), (None, None)]
    assert "day" not in data[0]


@pytest.mark.req("R-USE-001")
@pytest.mark.parametrize(
    ("sums", "cost"),
    [
        (Sums(), "0"),
        (Sums(requests=3, failed=3), "0"),
        (Sums(requests=24, unknown_cost=24), None),
        (Sums(requests=27, failed=3, unknown_cost=24), None),
        (Sums(requests=3, failed=3, unknown_cost=2), None),
        (Sums(requests=25, unknown_cost=24), "0"),  # one call is known to be free
        (Sums(requests=25, unknown_cost=24, cost_pico=10**12), "1"),
        (Sums(requests=9, estimated_requests=4, unknown_cost=5, estimated_cost_pico=7), None),
    ],
)
def test_a_sum_of_which_no_part_is_known_is_unknown(sums, cost):
    answer = report(Canned(sums))
    assert answer["cost_usd"] == cost
    assert answer["unknown_cost"] == sums.unknown_cost


@pytest.mark.parametrize(
    ("sums", "cost"),
    [
        (Sums(requests=2, estimated_requests=2, unknown_cost=2), None),
        (Sums(requests=2, unknown_cost=2), "0"),
        (Sums(requests=4, estimated_requests=2, unknown_cost=2, cost_pico=1), "0"),
        (
            Sums(requests=2, estimated_requests=1, unknown_cost=1, estimated_cost_pico=10**12),
            "1",
        ),
    ],
)
def test_an_estimated_sum_without_any_price_is_unknown_too(sums, cost):
    assert report(Canned(sums))["estimated"]["cost_usd"] == cost


def test_adding_sums_adds_every_one_of_them():
    names = Sums.__struct_fields__
    into = Sums(*range(len(names)))
    add(into, Sums(*[100] * len(names)))
    assert [getattr(into, name) for name in names] == [100 + place for place in range(len(names))]


@pytest.mark.req("R-USE-008")
def test_a_plain_query_is_read():
    assert parse_query({}) == Query(None, 100, None, None)
    assert parse_query({"group": ""}) == Query()
    assert parse_query({"group": "request", "limit": "100000"}) == Query("request", MOST_LINES)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("1750000000", 1_750_000_000_000_000),
        ("2025-06-15", 1_749_945_600_000_000),
        ("2025-06-15T15:06:40Z", 1_750_000_000_000_000),
        ("2025-06-15T17:06:40.5+02:00", 1_750_000_000_500_000),
        ("2025-06-15T17:06:40 02:00", 1_750_000_000_000_000),
    ],
)
def test_times_are_read_in_the_forms_that_people_write(text, micros):
    assert parse_query({"since": text}).since_us == micros
    assert parse_query({"until": text}).until_us == micros


@pytest.mark.parametrize(
    ("query", "param", "says"),
    [
        ({"group": "hour"}, "group", "request, day, month, model"),
        ({"limit": "0"}, "limit", "from 1 to 100000"),
        ({"limit": "100001"}, "limit", "from 1 to 100000"),
        ({"limit": "-1"}, "limit", "from 1"),
        ({"limit": "x"}, "limit", "'x'"),
        ({"limit": ""}, "limit", "''"),
        ({"limit": "9999999999"}, "limit", "from 1"),
        ({"limit": "٣"}, "limit", "from 1"),
        ({"since": "yesterday"}, "since", "ISO 8601"),
        ({"until": "99999999999999999999"}, "until", "ISO 8601"),
        ({"since": "2", "until": "1"}, "since", "later than until"),
    ],
)
def test_a_bad_query_is_refused_with_what_is_wrong(query, param, says):
    with pytest.raises(CallerError) as caught:
        parse_query(query)
    assert (caught.value.status, caught.value.param) == (400, param)
    assert says in caught.value.message


@pytest.mark.req("M9")
@settings(deadline=None)
@given(st.integers(-(10**20), 10**20))
def test_an_amount_as_text_is_the_amount(pico):
    assert usd(pico) == money.plain(money.from_pico(pico))


def test_totals_carry_their_group():
    answer = totals(Sums(), provider="a", model="b", month="2025-01")
    assert (answer.provider, answer.model, answer.month) == ("a", "b", "2025-01")
    assert answer.day is msgspec.UNSET
