"""What an attempt cost: the provider's word, else the catalogue's price, else unknown."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.accounting import price as module
from dragoman.accounting.counts import sound_tokens
from dragoman.accounting.price import MOST_USD, pinned, settle, settle_at, tariff_of
from dragoman.catalog.price import cost_of
from dragoman.core.money import from_pico, to_pico
from dragoman.core.provider import Price
from dragoman.core.usage import LARGEST, Usage, count
from sampling import examples

PRICE = Price(
    input=Decimal(3),
    output=Decimal(15),
    cache_read=Decimal("0.30"),
    cache_write=Decimal("3.75"),
    cache_write_1h=Decimal(6),
)


def test_the_providers_own_cost_comes_first():
    assert settle(Usage(input=10, output=10, cost=Decimal("0.5")), PRICE) == (
        Decimal("0.5"),
        "provider",
    )


def test_every_kind_of_token_has_its_price():
    usage = Usage(input=1000, cache_read=300, cache_write=200, cache_write_1h=50, output=100)
    cost, source = settle(usage, PRICE)
    expected = 500 * 3 + 300 * Decimal("0.3") + 150 * Decimal("3.75") + 50 * 6 + 100 * 15
    assert (cost, source) == (expected / 1_000_000, "priced")


def test_a_price_on_guessed_tokens_is_an_estimate():
    assert settle(Usage(input=1, output=1), PRICE, estimated=True)[1] == "estimated"


@pytest.mark.req("R-USE-001")
@pytest.mark.parametrize(
    ("usage", "price"),
    [
        (None, PRICE),
        (Usage(), PRICE),
        (Usage(input=1, output=1), None),
        (Usage(input=1, output=1), Price(input=Decimal(1))),
        (Usage(output=5), PRICE),
    ],
)
def test_a_missing_part_makes_the_whole_cost_unknown(usage, price):
    assert settle(usage, price) == (None, "none")


@pytest.mark.req("M11")
@pytest.mark.parametrize("cost", ["-0.01", "NaN", "Infinity", "-Infinity", "10000.01", "1e40"])
def test_an_absurd_cost_of_the_providers_is_not_believed(cost):
    assert settle(Usage(input=1, output=1, cost=Decimal(cost)), None) == (None, "none")
    assert settle(Usage(input=1, output=1, cost=Decimal(cost)), PRICE)[1] == "priced"


@pytest.mark.req("M11")
def test_an_absurd_count_is_never_charged():
    assert settle(Usage(input=10**12, output=10**12), PRICE) == (None, "none")


HOSTILE = [
    -1, -(10**18), 10**18, 10**40, float("nan"), float("inf"), float("-inf"), 1.5, -0.5, "12",
    "", b"1", None, True, False, [], {}, [5], {"n": 5}, object(),
]  # fmt: skip


@pytest.mark.req("M11")
@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_count_is_unknown(value):
    assert count(value) is None


@pytest.mark.req("M11")
def test_a_sound_count_is_kept():
    assert [count(value) for value in (0, 7, 7.0, 10**12)] == [0, 7, 7, 10**12]


_USD = st.decimals("0", "10000", places=9, allow_nan=False)
_TOKENS = st.integers(0, 10**7)
_USAGES = st.builds(
    Usage, input=_TOKENS, cache_read=_TOKENS, cache_write=_TOKENS, cache_write_1h=_TOKENS,
    output=_TOKENS,
)  # fmt: skip


@pytest.mark.req("M9")
@settings(deadline=None)
@given(st.lists(_USAGES, max_size=30), st.data())
def test_sums_are_the_same_in_any_order_and_any_partition(usages, data):
    costs = [settle(usage, PRICE)[0] for usage in usages]
    at_rest = [to_pico(cost) for cost in costs if cost is not None]
    shuffled = data.draw(st.permutations(at_rest))
    cut = data.draw(st.integers(0, len(shuffled)))
    assert sum(shuffled[:cut]) + sum(shuffled[cut:]) == sum(at_rest)
    assert from_pico(sum(at_rest)) == sum((from_pico(pico) for pico in at_rest), Decimal(0))


@pytest.mark.req("M9")
@settings(deadline=None)
@given(_USAGES)
def test_a_cost_is_the_exact_fraction(usage):
    plain = max(0, usage.input - usage.cache_read - usage.cache_write)
    hour = min(usage.cache_write_1h, usage.cache_write)
    exact = (
        Fraction(3) * plain
        + Fraction("0.3") * usage.cache_read
        + Fraction("3.75") * (usage.cache_write - hour)
        + Fraction(6) * hour
        + Fraction(15) * usage.output
    ) / 1_000_000
    cost, _ = settle(usage, PRICE)
    assert cost is not None
    assert Fraction(cost) == exact
    assert cost <= MOST_USD


@pytest.mark.req("M9")
@settings(deadline=None)
@given(_USD, st.integers(0, 10**6))
def test_rounding_happens_once_and_half_to_even(usd, odd):
    assert from_pico(to_pico(usd)) == usd
    half = usd + Decimal(2 * odd + 1) / 2 / Decimal(10) ** 12
    whole = (half * 10**12).quantize(Decimal(1), ROUND_HALF_EVEN)
    assert to_pico(half) == int(whole)
    assert to_pico(half) % 2 == 0


_KIND = st.none() | st.decimals("0", "100", places=7, allow_nan=False)
_FEW = st.none() | st.integers(-3, 50) | st.sampled_from([True, 10**7, 10**12 + 1])


@pytest.mark.req("M9")
@settings(deadline=None, max_examples=examples(500))
@given(
    price=st.builds(
        Price,
        **dict.fromkeys(("input", "output", "cache_read", "cache_write", "cache_write_1h"), _KIND),
        audio_input=_KIND,
        per_request=_KIND,
        above=st.sampled_from([(), ((20, PRICE),)]),
    ),
    usage=st.builds(
        Usage,
        **dict.fromkeys(("input", "output", "cache_read", "cache_write", "cache_write_1h"), _FEW),
        **dict.fromkeys(("audio_input", "web_searches", "apart"), st.sampled_from([None, 0, 3])),
    ),
)
def test_a_sum_of_whole_numbers_is_the_catalogues_own_cost(price, usage):
    expected = cost_of(usage, price)
    if expected is not None and not 0 <= expected <= MOST_USD:
        expected = None
    assert settle(usage, price)[0] == expected
    cost, source, pico = settle_at(usage, sound_tokens(usage), pinned(price), estimated=False)
    assert (cost, source) == settle(usage, price)
    assert pico == (None if cost is None else to_pico(cost))


@pytest.mark.parametrize(
    "price",
    [
        msgspec.structs.replace(PRICE, output=None),
        msgspec.structs.replace(PRICE, input=Decimal("0.0000001")),
        msgspec.structs.replace(PRICE, input=Decimal("NaN")),
        msgspec.structs.replace(PRICE, per_request=Decimal(-1)),
    ],
)
def test_a_price_that_whole_numbers_cannot_tell_has_no_tariff(price):
    assert tariff_of(price) is None
    assert tariff_of(PRICE) == (3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000, 0, LARGEST)


def test_a_tariff_holds_up_to_where_the_price_rises():
    dear = msgspec.structs.replace(PRICE, input=Decimal(6))
    stepped = msgspec.structs.replace(PRICE, above=((1000, dear),))
    tariff = tariff_of(stepped)
    assert tariff is not None
    assert tariff.most == 1000
    for tokens in (999, 1000, 1001):
        usage = Usage(input=tokens, output=0)
        assert settle(usage, stepped)[0] == cost_of(usage, stepped)


def test_tariffs_are_remembered_within_bounds(monkeypatch):
    monkeypatch.setattr(module, "_MOST_TARIFFS", 2)
    monkeypatch.setattr(module, "_tariffs", {})
    usage = Usage(input=1_000_000, output=0)
    prices = [Price(input=Decimal(number), output=Decimal(1)) for number in range(1, 5)]
    for _ in range(2):
        assert [settle(usage, price)[0] for price in prices] == [1, 2, 3, 4]
        assert len(module._tariffs) <= 2
