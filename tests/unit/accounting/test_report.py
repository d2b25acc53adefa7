"""Sums and calls as they go out."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.accounting.ports import Line, Sums
from dragoman.accounting.report import (
    add,
    parse_moment,
    shown,
    totals,
    usd,
)
from dragoman.core import money

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


def report(sums):
    return msgspec.json.decode(msgspec.json.encode(totals(sums)))


@pytest.mark.req("R-USE-001")
def test_totals_say_what_is_estimated_and_what_is_unknown_apart():
    answer = report(
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


@pytest.mark.parametrize(
    ("tokens_from", "cost_from", "estimated"),
    [("reported", "priced", False), ("estimated", "none", True), ("reported", "estimated", True)],
)
def test_a_row_says_whether_a_number_was_estimated(tokens_from, cost_from, estimated):
    line = msgspec.structs.replace(LINE, tokens_from=tokens_from, cost_from=cost_from)
    assert shown(line).estimated is estimated


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
    answer = report(sums)
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
    assert report(sums)["estimated"]["cost_usd"] == cost


def test_adding_sums_adds_every_one_of_them():
    names = Sums.__struct_fields__
    into = Sums(*range(len(names)))
    add(into, Sums(*[100] * len(names)))
    assert [getattr(into, name) for name in names] == [100 + place for place in range(len(names))]


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
    assert parse_moment("since", text) == micros


@pytest.mark.req("M9")
@settings(deadline=None)
@given(st.integers(-(10**20), 10**20))
def test_an_amount_as_text_is_the_amount(pico):
    assert usd(pico) == money.plain(money.from_pico(pico))


def test_totals_carry_their_group():
    answer = totals(Sums(), provider="a", model="b", month="2025-01")
    assert (answer.provider, answer.model, answer.month) == ("a", "b", "2025-01")
    assert answer.day is msgspec.UNSET
