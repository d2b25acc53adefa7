"""What commands tell of sums: estimates stand apart, and what nobody knows is not zero (D25)."""

import pytest

from dragoman.accounting.ports import Sums
from dragoman.cli.commands.stats import few, sentence
from dragoman.cli.views import COLUMNS, cells

pytestmark = pytest.mark.req("R-CLI-012", "R-CLI-014", "R-ADD-010")

REAL = Sums(
    requests=2, input_tokens=10, output_tokens=5, cost_pico=1_500_000, charged_pico=3_000_000
)
GUESSED = Sums(
    requests=1,
    estimated_requests=1,
    estimated_input_tokens=70,
    estimated_output_tokens=30,
    estimated_cost_pico=2_000_000_000_000,
    estimated_charged_pico=2_000_000_000_000,
)
UNTOLD = Sums(requests=3, unknown_cost=3, unknown_tokens=3)


def test_estimates_are_in_no_sum_of_what_was_told():
    told = few([REAL, GUESSED])
    assert (told["requests"], told["cost"], told["tokens"]) == (3, "0.0000015", 15)
    assert told["estimated"] == {"requests": 1, "cost": "2.000000", "tokens": 100}
    assert sentence(told) == (
        "3 requests, $0.0000015, 15 tokens, estimated of 1: $2.000000 and 100 tokens"
    )


def test_a_cost_that_nobody_knows_is_unknown():
    told = few([UNTOLD])
    assert (told["cost"], told["tokens"]) == (None, None)
    assert (told["unknown_cost"], told["unknown_usage"]) == (3, 3)
    assert sentence(told) == "3 requests, unknown cost, unknown tokens, cost of 3 unknown"
    assert sentence(few([REAL])) == "2 requests, $0.0000015, 15 tokens"
    assert sentence(few([])) == "0 requests, $0.000000, 0 tokens"


def test_a_table_says_unknown_where_nobody_knows_and_estimates_by_themselves():
    def row(sums):
        return dict(zip(COLUMNS, cells(sums), strict=True))

    assert (row(UNTOLD)["cost USD"], row(UNTOLD)["charged USD"]) == ("unknown", "unknown")
    assert (row(REAL)["charged USD"], row(REAL)["estimated USD"]) == ("0.000003", "-")
    assert (row(GUESSED)["cost USD"], row(GUESSED)["estimated USD"]) == ("0", "2")
