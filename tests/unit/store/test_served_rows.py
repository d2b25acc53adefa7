"""Calls that were served at once add to the sums what the entries of the same calls add."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from dragoman.accounting.served import ATTEMPT, CALL, Served, served_of
from dragoman.store.ledger_tables import attempts, requests
from dragoman.store.sql.ledger_rows import Added, inserted
from dragoman.store.sql.served_rows import (
    ServedRows,
    add_served,
    count_served,
    served_statements,
)
from served_calls import served_calls


def served(calls) -> list[Served]:
    return [found for records in calls if (found := served_of(records)) is not None]


@settings(deadline=None)
@given(st.lists(served_calls(), min_size=1, max_size=6), st.lists(served_calls(), max_size=3))
def test_they_add_to_the_sums_what_their_entries_add(first, second):
    ours, theirs = Added(), Added()
    # Some calls twice, so that several are of one kind.
    for calls in (served(first), served(second), served(first)):
        count_served(ours, calls)
        theirs.count([each.entry().request for each in calls])
    assert ours.rows() == theirs.rows()


@settings(deadline=None)
@given(served_calls())
def test_what_a_driver_is_slow_with_is_spelt_otherwise_and_nothing_else(records):
    made = served_statements(sqlite.dialect())
    plain, spelt = ServedRows([], [], []), ServedRows([], [], [])
    add_served(plain, served([records]), 7, {})
    add_served(spelt, served([records]), 7, made.spelt)
    assert len(plain.tries) + len(plain.paid) == 1
    for kept, told in zip(
        plain.calls + plain.tries + plain.paid, spelt.calls + spelt.tries + spelt.paid, strict=True
    ):
        assert not {type(None), bool} & set(map(type, told))
        for value, driven in zip(kept, told, strict=True):
            assert driven == (-1 if value is None else value)
    assert plain.calls[0][-1] == 7


def test_each_statement_has_a_place_for_each_parameter_and_names_every_column():
    for dialect in (sqlite.dialect(), postgresql.asyncpg.dialect()):
        made = served_statements(dialect)
        sign = "$" if dialect.name == "postgresql" else "?"
        assert made.call.count(sign) == len(CALL) + 1
        assert made.attempt.count(sign) == len(ATTEMPT)
        assert made.paid.count(sign) == len(ATTEMPT) + 2
        for statement, table in (
            (made.call, requests), (made.attempt, attempts), (made.paid, attempts),
        ):  # fmt: skip
            named = statement.partition("(")[2].partition(")")[0].split(", ")
            assert sorted(named) == sorted(column.name for column in inserted(table))
            assert statement.endswith("ON CONFLICT DO NOTHING")
