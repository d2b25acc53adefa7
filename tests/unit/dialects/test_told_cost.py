"""What a provider says that a reply has cost is taken as an amount, or not at all (M11)."""

from decimal import Decimal

import pytest
from msgspec import Raw

from dragoman.core.money import plain
from dragoman.dialects.told_cost import ABSENT, told_cost

HOSTILE = [
    "1e10000000",
    "1e-10000000",
    "0e-10000000",
    "1e999999999999",
    "1e-999999999999",
    "1e10",
    "-0.5",
    '"NaN"',
    '"Infinity"',
    "true",
    "[]",
]


@pytest.mark.parametrize("said", HOSTILE)
def test_a_number_that_no_cost_can_be_is_unknown_before_its_digits_are_written(said):
    assert told_cost(Raw(said.encode())) is None
    assert told_cost(Raw(b'{"total_cost":%b}' % said.encode())) is None
    behind = Raw(b'{"upstream_inference_cost":%b}' % said.encode())
    told = told_cost(Raw(b"0.5"), byok=True, details=behind)
    assert told in {None, Decimal("0.5")}


@pytest.mark.parametrize("said", ["0", "0.00012345678901234567890123", "3e-7", "12.5", "1e3"])
def test_what_is_an_amount_keeps_its_digits(said):
    found = told_cost(Raw(said.encode()))
    assert found == Decimal(said)
    assert len(plain(found)) < 80


def test_ticks_are_an_amount_as_well():
    assert told_cost(ABSENT, 15_000_000_000) == Decimal("1.5")
    for ticks in (-1, 10**30, True, 1.5):
        assert told_cost(ABSENT, ticks) is None
