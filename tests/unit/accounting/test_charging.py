"""What tenants are charged: rules in their order, terms as text, exact amounts."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.accounting.charging import OWN_UNSAID, Charging, Rule, charge_of, terms_text
from dragoman.accounting.entry import charged
from dragoman.config.charges import read_charges
from dragoman.config.settings import ConfigError

D = Decimal
RULES = read_charges(
    [
        {"tenant": "acme", "model": "openai/*", "factor": "1.5"},
        {"tenant": "acme", "credentials": "own", "factor": 0, "per_request_usd": "0.001"},
        {"tier": "pro", "factor": "1.1"},
        {"credentials": "ours", "factor": "1.25"},
    ]
)


@pytest.mark.parametrize(
    ("asked", "own", "terms"),
    [
        (("acme", "pro", "openai", "gpt-5"), False, "1.5"),
        (("acme", "pro", "groq", "llama"), True, "own 0 0.001"),
        (("acme", "pro", "groq", "llama"), False, "1.1"),
        (("other", None, "groq", "llama"), False, "1.25"),
        (("other", None, "groq", "llama"), True, OWN_UNSAID),
    ],
)
def test_the_first_rule_that_fits_counts(asked, own, terms):
    charging = Charging(RULES)
    assert charging.terms(*asked, own=own) == terms
    assert charging.terms(*asked, own=own) == terms


@pytest.mark.parametrize(
    ("terms", "cost", "amount"),
    [
        ("", 1000, 1000),
        ("", None, None),
        ("1.5", 1001, 1502),  # half to even
        ("1.5", None, None),
        ("own 0", None, 0),
        ("own 0", 77, 0),
        ("own 0 0.001", None, 1_000_000_000),
        ("1.2 0.000000000001", 10, 13),
    ],
)
def test_a_charge_is_exact_and_unknown_where_its_cost_is(terms, cost, amount):
    assert charge_of(cost, terms) == amount


@given(
    st.integers(0, 10**16),
    st.decimals(0, 1000, places=4),
    st.decimals(0, 1000, places=6),
    st.booleans(),
)
def test_terms_survive_being_written_down(cost, factor, fee, own):
    text = terms_text(factor, fee, own=own)
    assert charge_of(cost, text) == int(
        (cost * factor).to_integral_value("ROUND_HALF_EVEN")
    ) + int(fee * 10**12)
    assert text.startswith("own") == own


@pytest.mark.req("M7")
@pytest.mark.parametrize(
    ("status", "http", "served", "amount"),
    [
        ("complete", 200, True, 50),
        ("client_cut", 499, True, 50),
        ("upstream_cut", 200, True, 50),
        ("upstream_cut", 502, True, 0),
        ("timeout", 504, True, 0),
        ("upstream_error", 200, True, 0),
        ("complete", 200, False, 0),
        ("hedge_lost", None, False, 0),
    ],
)
def test_who_got_an_answer_is_charged_for_that_one(status, http, served, amount):
    assert charged(status, http, 50, "", served=served) == amount


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"facter": "1"}, "did you mean 'factor'"),
        ({"factor": 1.2}, "as text"),
        ({"factor": "-1"}, "from 0"),
        ({"factor": "x"}, "from 0"),
        ({"tenant": "a"}, "neither"),
        ({"factor": "1", "credentials": "mine"}, "one of any, own, ours"),
        ({"factor": "1", "tenant": 7}, "must be text"),
    ],
)
def test_a_rule_that_cannot_be_read_is_told(table, said):
    with pytest.raises(ConfigError, match=said):
        read_charges([table])


def test_a_rule_says_only_what_it_says():
    assert read_charges([{"factor": 2}]) == (Rule(factor=D(2)),)
