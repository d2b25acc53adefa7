"""What the ledger shows of a call is made of its journal records alone."""

from __future__ import annotations

import msgspec
import pytest

from dragoman.accounting.entry import Calls, entry_of, is_over
from dragoman.accounting.fitting import fit
from dragoman.accounting.records import Tokens


def test_a_regular_call_shows_what_its_attempt_consumed(opened, closed):
    entry = entry_of([opened(), closed()])
    request = entry.request
    assert (request.call_id, request.request_id) == ("call-1", "r-call-1")
    assert (request.tenant, request.key_id, request.caller) == ("t1", "k1", "me")
    assert (request.requested_model, request.provider, request.model) == (
        "fast",
        "openai",
        "gpt-5-mini",
    )
    assert (request.status, request.http_status, request.stream) == ("complete", 200, True)
    assert request.attempts == 1
    assert request.consumed.input_tokens == 100
    assert request.consumed.output_tokens == 20
    assert request.consumed.cache_read_tokens == 10
    assert request.consumed.cache_write_tokens is None
    assert (request.consumed.cost_pico, request.consumed.cost_from) == (27_000_000, "priced")
    assert request.first_event_s == 0.75
    assert request.duration_s == 2.0
    assert request.created_us == 1_750_000_000_000_000
    assert request.losses == "n;action=dropped;reason=none"
    assert request.upstream_id == "chatcmpl-1"
    (attempt,) = entry.attempts
    assert (attempt.attempt_id, attempt.number, attempt.credential) == ("attempt-1", 1, "c1")
    assert (attempt.price_source, attempt.price_from) == ("genai-prices", "2025-01-01")
    assert attempt.created_us == 1_750_000_000_250_000
    assert attempt.consumed == request.consumed


@pytest.mark.req("M1", "R-USE-001")
def test_what_a_crash_left_open_is_unknown_and_nothing_of_it_is_guessed(opened):
    entry = entry_of([opened()])
    assert entry.request.status == entry.attempts[0].status == "unknown"
    assert entry.request.http_status is None
    assert entry.request.consumed.input_tokens is None
    assert entry.request.consumed.tokens_from == "none"
    assert entry.request.consumed.cost_pico is None
    assert entry.request.duration_s is None


def test_a_refused_call_has_a_row_and_no_attempt(finished):
    entry = entry_of([finished()])
    assert entry.attempts == ()
    assert (entry.request.status, entry.request.http_status) == ("refused", 429)
    assert entry.request.error_code == "rate_limited"
    assert entry.request.provider is None
    assert entry.request.attempts == 0


def test_the_attempt_that_served_is_the_calls_and_every_other_has_its_row(opened, closed):
    entry = entry_of(
        [
            opened(),
            closed(status="upstream_error"),
            opened(attempt_id="attempt-2", number=2),
            closed(attempt_id="attempt-2"),
        ]
    )
    assert entry.request.status == "complete"
    assert entry.request.attempts == 2
    assert [row.status for row in entry.attempts] == ["upstream_error", "complete"]


@pytest.mark.parametrize("lost", ["hedge_lost", "upstream_error"])
@pytest.mark.parametrize("winner", [1, 2])
@pytest.mark.parametrize("end", ["complete", "upstream_cut"])
def test_of_two_at_once_the_call_shows_the_one_that_went_on(
    opened, closed, finished, lost, winner, end
):
    """Who loses, or fails, is closed before the other is; which of them began first says nothing."""
    loser = 3 - winner
    records = [
        opened(attempt_id="attempt-1", number=1),
        opened(attempt_id="attempt-2", number=2),
        closed(attempt_id=f"attempt-{loser}", status=lost),
    ]
    under_way = entry_of(records)
    assert under_way.request.status == "unknown"
    over = closed(attempt_id=f"attempt-{winner}", status=end)
    over = msgspec.structs.replace(over, upstream_id="the winner's")
    entry = entry_of([*records, over, *([finished("call-1", end)] if end != "complete" else [])])
    assert entry.request.upstream_id == "the winner's"
    assert (entry.request.status, entry.request.attempts) == (end, 2)
    assert [row.status for row in entry.attempts][loser - 1] == lost
    assert [row.number for row in entry.attempts] == [1, 2]


def test_the_end_of_the_call_stands_above_the_end_of_its_attempt(opened, closed, finished):
    entry = entry_of(
        [
            opened(),
            closed(status="upstream_error"),
            finished(status="upstream_error", http_status=502),
        ]
    )
    assert (entry.request.status, entry.request.http_status) == ("upstream_error", 502)
    assert entry.request.provider == "openai"
    assert entry.attempts[0].status == "upstream_error"


@pytest.mark.parametrize(
    ("http_status", "status", "shown"),
    [(0, "complete", 200), (0, "client_cut", None), (503, "timeout", 503)],
)
def test_the_status_that_nobody_wrote_is_200_only_for_a_regular_end(
    opened, closed, http_status, status, shown
):
    end = msgspec.structs.replace(closed(), http_status=http_status, status=status)
    assert entry_of([opened(), end]).request.http_status == shown


def test_a_record_that_comes_twice_counts_once(opened, closed, finished):
    once = entry_of([opened(), closed(status="timeout"), finished()])
    twice = entry_of(
        [
            opened(),
            opened(),
            closed(status="timeout"),
            closed(),
            finished(),
            finished("call-1", "unknown"),
        ]
    )
    assert twice == once


@pytest.mark.parametrize("text", ["plain", "a\0b", "é", "x" * 600])
@pytest.mark.parametrize("number", [None, 0, 7, -1, 2**63])
def test_the_usual_pair_of_records_makes_the_row_that_any_others_make(
    opened, closed, text, number
):
    begin = msgspec.structs.replace(opened(), model=text, credential=None)
    end = msgspec.structs.replace(closed(), upstream_id=None, losses=text, cost_pico=number)
    assert entry_of([begin, end]) == entry_of([begin, end, end])
    assert entry_of([begin, end]).request.losses == fit(text, 4096)


def test_an_end_of_another_attempt_is_not_this_ones(opened, closed):
    entry = entry_of([opened(), closed(attempt_id="attempt-2")])
    assert entry.request.status == entry.attempts[0].status == "unknown"


def test_an_end_without_a_beginning_makes_no_entry(closed):
    assert entry_of([closed()]) is None
    assert entry_of([]) is None


@pytest.mark.req("M11")
def test_hostile_text_and_numbers_are_made_fit_for_any_database(opened, closed):
    begin = msgspec.structs.replace(opened(), model="a\0b", requested_model="x" * 9999)
    end = msgspec.structs.replace(
        closed(),
        tokens=Tokens(-1, 2**63, 5),
        cost_pico=2**63,
        upstream_id="\0",
        first_event_s=None,
    )
    entry = entry_of([begin, end])
    assert entry.request.model == "a\ufffdb"
    assert len(entry.request.requested_model) == 512
    assert entry.request.upstream_id == "\ufffd"
    assert entry.request.consumed.input_tokens is None
    assert entry.request.consumed.output_tokens is None
    assert entry.request.consumed.cache_read_tokens == 5
    assert entry.request.consumed.cost_pico is None
    assert entry.request.first_event_s is None


def test_text_is_fit_without_surrogates_and_whole_otherwise():
    assert fit("déjà") == "déjà"
    assert fit("a\ud800b") == "a?b"
    assert fit("abc", 2) == "ab"


def test_a_call_is_over_with_its_regular_end_or_its_last_word(opened, closed, finished):
    assert is_over(closed())
    assert is_over(finished())
    assert not is_over(closed(status="upstream_error"))
    assert not is_over(opened())


def test_calls_come_out_as_they_end_and_the_rest_at_the_end(opened, closed, finished):
    calls = Calls()
    assert calls.feed(opened("call-1", "a-1")) is None
    assert calls.feed(opened("call-2", "a-2")) is None
    assert calls.feed(closed("call-2", "a-2", "upstream_error")) is None
    assert calls.feed(closed("call-1", "a-1")).request.call_id == "call-1"
    assert calls.feed(finished("call-3")).request.call_id == "call-3"
    assert calls.feed(closed("lost-1", "a-9")) is None
    assert calls.feed(closed("lost-2", "a-8", "timeout")) is None
    (left,) = calls.rest()
    assert (left.request.call_id, left.request.status) == ("call-2", "upstream_error")
    assert calls.orphans == 2
    assert list(calls.rest()) == []
