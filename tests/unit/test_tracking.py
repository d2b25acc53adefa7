"""An answer of elsewhere is written down with a cost that an answer can have."""

from decimal import Decimal

import pytest

from dragoman.catalog.lookups import Looked
from dragoman.core.usage import Usage
from dragoman.tracking import entry_of


@pytest.mark.parametrize(
    ("told", "pico"), [("0.5", 500_000_000_000), ("100000000", None), ("10000.01", None)]
)
def test_a_cost_beyond_reason_is_unknown_and_fits_the_ledger(told, pico):
    looked = Looked(Usage(input=1, output=1, cost=Decimal(told)))
    entry = entry_of(looked, "openrouter", "gen-1", "me", "acme", 1_790_000_000.0)
    assert entry.request.consumed.cost_pico == entry.request.charged_pico == pico
    assert entry.request.consumed.cost_from == ("provider" if pico else "none")
