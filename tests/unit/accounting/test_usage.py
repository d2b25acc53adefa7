"""Reports of what was used: what may be asked, in which order and form it comes, and that no page loses a row."""

from __future__ import annotations

import asyncio
import csv
import io
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.accounting.asked import DIMENSIONS, MOST_LINES, Asked, parse_asked
from dragoman.accounting.ports import Line, Only, Scope, Sums
from dragoman.accounting.question import root_of
from dragoman.accounting.search import Hit
from dragoman.accounting.sheet import sheet
from dragoman.accounting.usage import all_calls, own_usage, page_of_sums
from dragoman.core.caller_name import caller_named
from dragoman.core.errors import CallerError

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
MINE = Scope("t1", "k1")
FORMULAS = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://x","y")',
    "\uff1d1",
    "\n=1",
)


@dataclass
class Canned:
    """Answers with what it was given, and remembers what it was asked."""

    found: dict[tuple[str, ...], Sums] = field(default_factory=dict)
    pages: list[list[Line]] = field(default_factory=list)
    asked: list[object] = field(default_factory=list)

    async def ask(self, question, most):
        self.asked.append(question)
        if question.group:
            return self.found
        total = Sums(requests=sum(each.requests for each in self.found.values()))
        return {(): total} if self.found else {}

    async def lines(self, scope, limit, *, before=None, only=None):
        self.asked.append((scope, limit, before, only))
        left = limit
        for page in self.pages:
            yield page[:left]
            left = None if left is None else left - len(page)

    async def calls(self, scope, only):
        for page in self.pages:
            yield [Hit("t9", "k9", line) for line in page]


def document(ledger, **query):
    return asyncio.run(own_usage(ledger, ledger, MINE, parse_asked(query)))


def answer(ledger, **query):
    return msgspec.json.decode(document(ledger, **query).body)


def drained(found) -> bytes:
    async def read() -> bytes:
        return b"".join([piece async for piece in found.pieces])

    return asyncio.run(read())


def test_without_a_group_there_are_totals_alone():
    ledger = Canned({(): Sums(requests=7)})
    assert answer(ledger)["requests"] == 7
    assert answer(Canned())["requests"] == 0
    assert ledger.asked[0].scope == MINE


def test_groups_come_with_the_totals_of_all_of_them():
    days = {("2026-01-31",): Sums(requests=2), ("2026-02-01",): Sums(requests=4)}
    found = answer(Canned(days), group="day", limit="1")
    assert [(row["day"], row["requests"]) for row in found["data"]] == [("2026-02-01", 4)]
    assert found["totals"]["requests"] == 6
    assert found["has_more"] is True
    rest = answer(Canned(days), group="day", limit="1", cursor=found["next_cursor"])
    assert [row["day"] for row in rest["data"]] == ["2026-01-31"]
    assert (rest["has_more"], rest["next_cursor"]) == (False, None)


def test_models_come_dearest_first():
    models = {("a", "x"): Sums(cost_pico=1), ("b", "y"): Sums(cost_pico=9), ("", ""): Sums()}
    data = answer(Canned(models), group="model")["data"]
    named = [(row["provider"], row["model"]) for row in data]
    assert named == [("b", "y"), ("a", "x"), (None, None)]
    assert "day" not in data[0]
    by_name = answer(Canned(models), group="provider,model", sort="name")["data"]
    assert [row["model"] for row in by_name] == [None, "x", "y"]


names = st.text("abc", max_size=2)


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["2026-01-01", "2026-01-02"]), names), st.integers(0, 3)
    ),
    st.integers(1, 4),
    st.sampled_from(["name", "cost"]),
)
def test_pages_have_every_group_once_and_in_one_order(costs, limit, sort):
    found = {key: Sums(cost_pico=cost) for key, cost in costs.items()}
    asked = Asked(group=("day", "caller"), sort=sort)
    whole, _ = page_of_sums(found, asked, 10_000)
    seen, after = [], None
    while True:
        rows, after = page_of_sums(found, msgspec.structs.replace(asked, cursor=after), limit)
        seen += rows
        if after is None:
            break
    assert seen == whole
    assert len(seen) == len(found)


@pytest.mark.parametrize("cursor", ["!", "e30", "WyJhIl0", "WyJhIiwiMSIsIjIiXQ", "bnVsbA"])
def test_a_cursor_of_another_list_is_refused(cursor):
    with pytest.raises(CallerError) as caught:
        document(Canned({("2026-01-31",): Sums()}), group="day", cursor=cursor)
    assert caught.value.param == "cursor"


def test_calls_come_in_pieces_and_read_as_one_list():
    second = msgspec.structs.replace(LINE, call_id="call-2", cost_pico=None, duration_s=2.0)
    ledger = Canned(pages=[[LINE, LINE], [second, second]])
    found = answer(ledger, group="request", limit="3")
    assert [row["call_id"] for row in found["data"]] == ["call-1", "call-1", "call-2"]
    row = found["data"][0]
    assert (row["request_id"], row["status"], row["http_status"]) == ("r-1", "complete", 200)
    assert (row["input_tokens"], row["output_tokens"]) == (10, None)
    assert row["cost_usd"] == "0.0000015"
    assert row["created_at"] == "2025-06-15T15:06:40.000042Z"
    assert (row["first_event_ms"], row["latency_ms"]) == (123.457, None)
    assert row["generation_id"] == "chatcmpl-1"
    assert found["data"][2]["cost_usd"] is None
    assert ledger.asked == [(MINE, 4, None, Only())]
    assert found["has_more"] is True
    answer(ledger, group="request", cursor=found["next_cursor"])
    assert ledger.asked[1] == (MINE, 101, (LINE.created_us, "call-2"), Only())


def test_no_call_is_an_empty_list():
    empty = {"object": "list", "data": [], "has_more": False, "next_cursor": None}
    assert answer(Canned(), group="request") == empty


@pytest.mark.req("R-USE-005")
def test_calls_as_csv_and_as_lines_of_json_say_the_same():
    ledger = Canned(pages=[[LINE], [msgspec.structs.replace(LINE, call_id="call-2")]])
    found = document(ledger, group="request", format="csv")
    rows = list(csv.DictReader(io.StringIO(drained(found).decode())))
    assert [row["call_id"] for row in rows] == ["call-1", "call-2"]
    lines = [
        msgspec.json.decode(line)
        for line in drained(document(ledger, group="request", format="jsonl")).splitlines()
    ]
    for row, line in zip(rows, lines, strict=True):
        told = {True: "true", False: "false", None: ""}
        assert row == {
            name: told[value] if value is None or isinstance(value, bool) else str(value)
            for name, value in line.items()
            if not isinstance(value, list)
        } | {name: row[name] for name, value in line.items() if isinstance(value, list)}
    assert ledger.asked[0][1] is None, "a file has all of them unless a limit is said"


def test_a_file_of_no_calls_has_a_head_all_the_same():
    assert drained(document(Canned(), group="request", format="csv")).startswith(b'"request_id"')
    assert drained(document(Canned(), group="request", format="jsonl")) == b""


def test_a_file_of_all_calls_says_whose_they_are():
    found = all_calls(Canned(pages=[[LINE]]), Scope(None), Asked(calls=True, form="csv"))
    (row,) = csv.DictReader(io.StringIO(drained(found).decode()))
    assert (row["tenant"], row["key_id"], row["call_id"]) == ("t9", "k9", "call-1")


def test_sums_as_csv_have_a_column_for_each_number():
    spent = {"cost_pico": 15, "estimated_cost_pico": 10**12, "other_cost_pico": 3 * 10**12}
    models = {("openai", "=x"): Sums(requests=2, **spent)}
    body = document(Canned(models), group="model", format="csv").body
    (row,) = csv.DictReader(io.StringIO(body.decode()))
    assert row["other_cost_usd"] == "3"
    assert (row["provider"], row["model"], row["requests"]) == ("openai", "'=x", "2")
    assert (row["cost_usd"], row["estimated_cost_usd"]) == ("0.000000000015", "1")


@pytest.mark.req("W10")
@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_of_a_callers_is_a_formula(text):
    body = sheet(("caller", "cost_usd"), [(text, "-1")])
    _, (cell, cost) = csv.reader(io.StringIO(body.decode(), newline=""))
    assert cell == f"'{text}"
    assert cost == "-1"
    assert b"\n\"'" in body


@pytest.mark.req("R-USE-007")
def test_a_plain_query_is_read():
    assert parse_asked({}) == Asked(sort="cost")
    assert parse_asked({"group": ""}) == Asked(sort="cost")
    assert parse_asked({"group": "request", "limit": "100000"}).limit == MOST_LINES
    assert parse_asked({"group": "month, caller"}).group == ("month", "caller")
    assert parse_asked({"group": "model"}).group == ("provider", "model")
    assert parse_asked({"since": "2025-06-15"}).since_us == 1_749_945_600_000_000
    assert parse_asked({"tenant": "t", "key_id": "k"}, wide=True).tenant == "t"
    assert "tenant" in DIMENSIONS


@pytest.mark.parametrize(
    ("query", "param", "says"),
    [
        ({"group": "hour"}, "group", "request, or of day, month"),
        ({"group": "request,day"}, "group", "'request'"),
        ({"group": "tenant"}, "group", "'tenant'"),
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
        ({"format": "xml"}, "format", "json or csv or jsonl"),
        ({"format": "jsonl"}, "format", "group=request"),
        ({"sort": "time"}, "sort", "name or cost"),
        ({"tenant": "t2"}, "tenant", "own calls"),
        ({"key_id": "k2"}, "key_id", "own calls"),
        ({"model": "a\nb"}, "model", "visible"),
        ({"caller": "c" * 257}, "caller", "256"),
        ({"cursor": "c" * 1025}, "cursor", "none that"),
    ],
)
def test_a_bad_query_is_refused_with_what_is_wrong(query, param, says):
    with pytest.raises(CallerError) as caught:
        parse_asked(query)
    assert (caught.value.status, caught.value.param) == (400, param)
    assert says in caught.value.message


@pytest.mark.req("R-USE-014")
def test_a_chain_of_callers_is_told_by_a_header_and_its_first_element_by_the_chain():
    chain = "multi_skill:orchestrator->skill1->skill2"
    assert caller_named({"x-dragoman-caller": f" {chain} "}, "key") == chain
    assert caller_named({}, "key") == "key"
    assert caller_named({"x-dragoman-caller": "  "}, "key") == "key"
    assert caller_named({"x-dragoman-caller": "é".encode().decode("latin-1")}, "key") == "é"
    assert len(caller_named({"x-dragoman-caller": "c" * 9999}, "key")) == 256
    assert root_of(chain) == "multi_skill:orchestrator"
    assert root_of("one") == "one"
