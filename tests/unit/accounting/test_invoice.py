"""Invoices: their lines add up to the ledger's sums, to the last digit."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.accounting.invoice import invoice_of, invoices_as_csv, invoices_as_text, month_of
from dragoman.accounting.ports import Sums
from dragoman.core.errors import CallerError
from dragoman.core.money import from_pico

amounts = st.integers(0, 10**18)
lines = st.dictionaries(
    st.tuples(st.sampled_from("kl"), st.sampled_from(["openai", ""]), st.sampled_from("mn")),
    st.builds(
        Sums,
        requests=st.integers(1, 9),
        charged_pico=amounts,
        estimated_charged_pico=amounts,
        unknown_cost=st.integers(0, 1),
    ),
)


@pytest.mark.req("D24", "M9")
@given(lines, st.booleans())
def test_the_total_is_the_sum_of_the_lines_and_of_the_ledger(found, over):
    made = invoice_of("acme", "2026-01", found, over=over)
    ledger = sum(each.charged_pico + each.estimated_charged_pico for each in found.values())
    assert Decimal(made.total_usd) == from_pico(ledger)
    assert sum(Decimal(line.total_usd) for line in made.lines) == from_pico(ledger)
    assert made.final is (over and not any(each.unknown_cost for each in found.values()))
    rows = list(csv.DictReader(io.StringIO(invoices_as_csv([made]).decode())))
    assert sum(Decimal(row["total_usd"]) for row in rows) == from_pico(ledger)
    assert f"Total: {made.total_usd} USD" in invoices_as_text([made])


def test_a_month_ends_where_the_next_begins():
    assert month_of("2026-12")[1] == month_of("2027-01")[0]
    assert month_of("1970-01")[0] == 0


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "26-01", "2026-01-01", "x", "٢٠٢٦-01"])
def test_what_is_no_month_is_not_there(text):
    with pytest.raises(CallerError) as caught:
        month_of(text)
    assert caught.value.kind == "not_found"


def test_a_models_name_forges_no_line_of_another_invoice():
    """A caller chooses it, and the operator reads the invoices of all tenants in one text."""
    name = "x\n\nInvoice for globex, 2026-01 (UTC)\nTotal: 0 USD"
    made = invoice_of("acme", "2026-01", {("k", "openai", name): Sums(requests=1)}, over=True)
    lines = invoices_as_text([made]).splitlines()
    assert [line for line in lines if line.startswith("Invoice for")] == [
        "Invoice for acme, 2026-01 (UTC)"
    ]
    assert len([line for line in lines if line.startswith("Total:")]) == 1


@pytest.mark.req("D25")
def test_each_line_of_the_text_says_what_of_it_is_estimated_where_something_is():
    told, guessed = Sums(requests=2, charged_pico=3 * 10**12), Sums(requests=1)
    guessed.estimated_charged_pico = 10**11
    lines = {("k", "openai", "a"): told, ("k", "openai", "b"): guessed}
    text = invoices_as_text([invoice_of("acme", "2026-01", lines, over=True)]).splitlines()
    head = next(line for line in text if line.startswith("key"))
    assert head.endswith("USD  estimated USD")
    first, second = (next(line for line in text if f"openai/{name}" in line) for name in "ab")
    assert first.split()[-2:] == ["3", "0"]
    assert second.split()[-2:] == ["0.1", "0.1"]
    assert "of which for estimated usage: 0.1 USD" in text
    text = invoices_as_text([invoice_of("acme", "2026-01", {("k", "x", "a"): told}, over=True)])
    assert "estimated" not in text
