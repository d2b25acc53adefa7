"""What of a usage reaches the ledger: clean counts as they are, odd ones never."""

from __future__ import annotations

import pytest

from dragoman.accounting.counts import tokens_of
from dragoman.accounting.records import Tokens
from dragoman.core.usage import LARGEST, Usage, are_counts


def test_clean_counts_stand_as_they_are_and_what_is_unknown_stays_so():
    assert tokens_of(Usage(input=3, output=0, cache_read=2)) == Tokens(3, 0, 2)
    assert tokens_of(Usage()) == tokens_of(None) == Tokens()


@pytest.mark.parametrize("odd", [-1, LARGEST + 1, True, "7", float("nan")])
def test_one_odd_count_is_unknown_and_the_others_stay(odd):
    assert tokens_of(Usage(input=3, output=odd)) == Tokens(3, None)


def test_a_whole_float_is_a_count():
    assert tokens_of(Usage(input=3, output=4.0)) == Tokens(3, 4)


def test_reasoning_that_is_billed_beside_the_output_is_in_it():
    assert tokens_of(Usage(output=5, apart=2)).output == 7


@pytest.mark.parametrize(
    ("values", "sound"),
    [
        ((), True),
        ((None, 0, None), True),
        ((1, LARGEST, None), True),
        ((1, LARGEST + 1), False),
        ((1, -1), False),
        ((1, True), False),
        ((1, 2.0), False),
        ((1, "2"), False),
    ],
)
def test_counts_are_looked_at_all_together(values, sound):
    assert are_counts(values) is sound
