"""A call that was served at once is told the same in one tuple as in the entry of any call."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from msgspec.structs import asdict, replace

from dragoman.accounting.entry import Entry, entry_of
from dragoman.accounting.records import Tokens
from dragoman.accounting.served import (
    ATTEMPT,
    ATTEMPT_ALWAYS,
    CALL,
    CALL_ALWAYS,
    COST,
    OWN,
    SURE,
    Served,
    served_of,
)
from dragoman.core.budget import Charge
from dragoman.store.ledger_tables import SETTLED
from sampling import examples
from served_calls import any_calls, served_calls


def flat(row: msgspec.Struct) -> dict[str, Any]:
    members = asdict(row)
    members.pop("charge", None)  # it has a table of its own
    for name in SETTLED:
        assert members.pop(name, None) is None
    return members | asdict(members.pop("consumed"))


def assert_same(served: Served, entry: Entry) -> None:
    facts = served.facts
    (attempt,) = entry.attempts
    assert dict(zip(CALL, facts, strict=False)) | CALL_ALWAYS == flat(entry.request)
    if served.stake is None:
        assert attempt.charge is None
    else:
        assert attempt.charge == Charge(served.stake, served.wall, facts[COST], 0)
    tried = facts[SURE + OWN :]
    assert dict(zip(ATTEMPT, tried, strict=True)) | ATTEMPT_ALWAYS == flat(attempt)


@settings(deadline=None, max_examples=examples(300))
@given(any_calls() | served_calls())
def test_it_tells_what_the_entry_tells(records):
    served = served_of(records)
    if served is not None:
        assert_same(served, entry_of(records))
        assert served.entry() == entry_of(records)


@settings(deadline=None)
@given(served_calls())
def test_a_call_that_is_served_at_once_is_such_a_one(records):
    assert served_of(records) is not None


@pytest.fixture
def regular(opened, closed):
    return opened(), replace(closed(), losses="")


def test_what_is_sure_is_never_unknown(regular):
    served = served_of(regular)
    assert None not in served.facts[:SURE]
    assert served.records == regular


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "client_cut"},
        {"http_status": 206},
        {"error_kind": "timeout"},
        {"losses": "n;action=dropped;reason=none"},
        {"adjusted": "max_tokens=4096"},
        {"choice": "{}"},
        {"error_code": "odd"},
        {"tokens": Tokens(1, 2, image_output=3)},
        {"tokens": Tokens(1, 2, audio_seconds=3)},
        {"attempt_id": "another"},
        {"upstream_id": "a\0b"},
        {"upstream_id": "x" * 600},
    ],
)
def test_an_end_out_of_the_ordinary_goes_the_way_of_all(regular, changes):
    begin, end = regular
    assert served_of([begin, replace(end, **changes)]) is None


@pytest.mark.parametrize(
    "changes", [{"model": "é"}, {"credential": "a\0b"}, {"provider": "x" * 600}]
)
def test_a_beginning_out_of_the_ordinary_goes_the_way_of_all(regular, changes):
    begin, end = regular
    assert served_of([replace(begin, **changes), end]) is None


def test_other_records_are_no_such_call(regular, opened, closed, finished):
    begin, end = regular
    for records in ([], [begin], [end, begin], [begin, opened("call-1", "b")], [*regular, end]):
        assert served_of(records) is None
    assert served_of([begin, finished()]) is None
    assert served_of([finished(), end]) is None


@pytest.mark.parametrize("name", ["request_id", "tenant", "caller", "project", "end_user", "tags"])
def test_text_that_has_to_be_made_fit_goes_the_way_of_all(regular, name):
    begin, end = regular
    for text in ("\ud800", "é", "a\0b", "x" * 600):
        about = replace(begin.about, **{name: text})
        assert served_of([replace(begin, about=about), end]) is None
