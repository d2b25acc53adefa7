"""What a usage costs: exact, by the tier reached, and unknown as soon as a part of it is."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dragoman.catalog.files import definitions
from dragoman.catalog.genai.types import Tier, TieredPrices
from dragoman.catalog.models import read_shelves
from dragoman.catalog.price import cost_of
from dragoman.catalog.tariff import price_of
from dragoman.core.provider import Price
from dragoman.core.usage import Usage

D = Decimal
PRICE = Price(input=D("3"), output=D("15"), cache_read=D("0.3"), cache_write=D("3.75"))


def test_input_and_output_are_charged_per_million() -> None:
    assert cost_of(Usage(input=1_000_000, output=2), PRICE) == D("3.00003")


_RATES = st.sampled_from([None, D(0), D("0.3"), D(3), D("1e-20")])
_COUNTS = st.sampled_from([None, 0, 1, 7, 1000, 10**12])


@given(
    usage=st.builds(
        Usage,
        **dict.fromkeys(("input", "cache_read", "cache_write", "cache_write_1h"), _COUNTS),
        **dict.fromkeys(("output", "reasoning", "total"), _COUNTS),
    ),
    price=st.builds(
        Price,
        **dict.fromkeys(("input", "output", "cache_read", "cache_write"), _RATES),
        **dict.fromkeys(("cache_write_1h", "per_request", "audio_input"), _RATES),
        above=st.sampled_from([(), ((5, PRICE),)]),
    ),
)
def test_words_alone_cost_what_the_sum_of_every_kind_is(usage: Usage, price: Price) -> None:
    short = cost_of(usage, price)
    with patch("dragoman.catalog.price._rare", lambda _: (1,)):
        assert short == cost_of(usage, price)


def test_cached_tokens_are_part_of_the_input_and_have_their_own_price() -> None:
    usage = Usage(input=1000, cache_read=600, cache_write=300, output=0)
    assert cost_of(usage, PRICE) == (100 * D(3) + 600 * D("0.3") + 300 * D("3.75")) / 10**6


def test_an_hour_of_cache_is_a_part_of_what_was_written() -> None:
    price = Price(input=D(3), output=D(15), cache_write=D("3.75"), cache_write_1h=D(6))
    usage = Usage(input=1000, cache_write=300, cache_write_1h=200, output=0)
    assert cost_of(usage, price) == (700 * D(3) + 100 * D("3.75") + 200 * D(6)) / 10**6
    without = Price(input=D(3), output=D(15), cache_write=D("3.75"))
    assert cost_of(usage, without) == (700 * D(3) + 300 * D("3.75")) / 10**6


def test_what_has_no_price_of_its_own_costs_what_the_wider_kind_does() -> None:
    price = Price(input=D(2), output=D(4))
    usage = Usage(
        input=100, cache_read=10, cache_write=10, audio_input=10, output=10, audio_output=5
    )
    assert cost_of(usage, price) == (100 * D(2) + 10 * D(4)) / 10**6


def test_audio_has_its_own_price_both_ways() -> None:
    price = Price(input=D(2), output=D(4), audio_input=D(40), audio_output=D(80))
    usage = Usage(input=100, audio_input=30, output=10, audio_output=4)
    assert cost_of(usage, price) == (70 * D(2) + 30 * D(40) + 6 * D(4) + 4 * D(80)) / 10**6


def test_audio_beside_a_cache_cannot_be_told_apart_and_is_unknown() -> None:
    price = Price(input=D(2), output=D(4), audio_input=D(40))
    assert cost_of(Usage(input=100, audio_input=30, cache_read=10, output=1), price) is None


@pytest.mark.parametrize(
    ("usage", "price"),
    [
        (Usage(output=5), PRICE),
        (Usage(input=5), PRICE),
        (Usage(), PRICE),
        (Usage(input=5, output=5), Price(input=D(1))),
        (Usage(input=5, output=5), Price(output=D(1))),
        (Usage(input=5, output=5, web_searches=1), PRICE),
        (Usage(cost=D(1)), PRICE),
    ],
)
def test_what_is_not_reported_or_has_no_price_is_unknown_and_not_zero(usage, price) -> None:
    assert cost_of(usage, price) is None


def test_an_embedding_has_no_output_to_charge() -> None:
    assert cost_of(Usage(input=1_000_000), Price(input=D("0.02"))) == D("0.02")


def test_requests_and_searches_are_charged_by_number() -> None:
    price = Price(input=D(1), output=D(1), per_request=D("0.005"), per_search=D("0.01"))
    assert cost_of(Usage(input=0, output=0, web_searches=3), price) == D("0.035")


def test_a_provider_that_counts_more_in_the_cache_than_in_all_is_not_paid_less_than_nothing() -> (
    None
):
    assert cost_of(Usage(input=5, cache_read=10, output=0), PRICE) == 10 * D("0.3") / 10**6


def test_the_tier_reached_holds_for_all_tokens() -> None:
    price = Price(
        input=D(1),
        output=D(2),
        above=((100, Price(input=D(3), output=D(4))), (200, Price(input=D(5), output=D(6)))),
    )
    assert cost_of(Usage(input=100, output=0), price) == 100 * D(1) / 10**6
    assert cost_of(Usage(input=101, output=1), price) == (101 * D(3) + 4) / 10**6
    assert cost_of(Usage(input=201, output=1), price) == (201 * D(5) + 6) / 10**6


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_no_number_is_rounded(tokens, answer) -> None:
    price = Price(input=D("0.123456789"), output=D("9.87654321"))
    cost = cost_of(Usage(input=tokens, output=answer), price)
    assert cost is not None
    assert Fraction(cost) * 10**15 == tokens * 123456789 + answer * 9876543210


# --- from units to prices


def test_units_become_members_and_thousands_become_ones() -> None:
    units = {
        "input_mtok": D(1),
        "output_mtok": D(2),
        "cache_read_mtok": D(3),
        "cache_write_mtok": D(4),
        "cache_write_1h_mtok": D(5),
        "input_audio_mtok": D(6),
        "output_audio_mtok": D(7),
        "requests_kcount": D(5),
        "web_searches_kcount": D(10),
        "storage_searches_kcount": D(2),
    }
    assert price_of(units, "s", "2026-01-01") == Price(
        input=D(1),
        output=D(2),
        cache_read=D(3),
        cache_write=D(4),
        cache_write_1h=D(5),
        audio_input=D(6),
        audio_output=D(7),
        per_request=D("0.005"),
        per_search=D("0.01"),
        source="s",
        effective_from="2026-01-01",
    )


def test_tiers_of_all_units_are_brought_together() -> None:
    units = {
        "input_mtok": TieredPrices(base=D(1), tiers=[Tier(start=200, price=D(3)), Tier(start=100, price=D(2))]),
        "output_mtok": TieredPrices(base=D(4), tiers=[Tier(start=200, price=D(5))]),
        "storage_searches_kcount": D(2),
    }  # fmt: skip
    assert price_of(units, "s", "") == Price(
        input=D(1),
        output=D(4),
        source="s",
        above=(
            (100, Price(input=D(2), output=D(4), source="s")),
            (200, Price(input=D(3), output=D(5), source="s")),
        ),
    )


@pytest.mark.parametrize(
    "units",
    [
        {},
        {"input_mtok": D(1), "output_video_mtok": D(1)},
        {"audio_hours": D(1)},
        {"new_unit": D(1)},
    ],
)
def test_a_unit_that_no_reply_counts_makes_the_price_unknown(units) -> None:
    assert price_of(units, "s", "") is None


# --- the whole catalogue against the package's own reckoning

WALL = datetime(2026, 11, 20, 12, tzinfo=UTC)
USAGES = [
    Usage(input=1000, output=100),
    Usage(input=300_000, output=50_000, cache_read=100_000),
    Usage(input=150_000, output=1, cache_read=10, cache_write=1000),
]
NAMES = ("openai", "anthropic", "groq", "openrouter", "deepseek", "x-ai", "mistral", "together")
SHELVES = read_shelves(each for each in definitions().values() if each.prices in NAMES)


@pytest.mark.parametrize("provider", NAMES)
def test_every_price_is_what_the_package_reckons_itself(provider) -> None:
    from genai_prices import Usage as Theirs
    from genai_prices import calc_price

    compared = 0
    for name, model in list(SHELVES[provider].ids.items())[:100]:
        price = model.price(WALL.timestamp())
        if price is None or price.output is None:
            continue
        for usage in USAGES:
            counts = Theirs(
                input_tokens=usage.input,
                output_tokens=usage.output,
                cache_read_tokens=usage.cache_read or 0,
                cache_write_tokens=usage.cache_write or 0,
            )
            try:
                theirs = calc_price(
                    counts, name, provider_id=provider, genai_request_timestamp=WALL
                )
            except LookupError:
                continue  # the package does not find some of its own ids, such as codestral
            if theirs.model.id != model.id:
                continue  # one of its patterns is wider than our rule
            if price.image_output is not None:
                # The package takes all of it for text, unless it is told of pictures.
                usage = replace(usage, image_output=0)  # noqa: PLW2901
            assert cost_of(usage, price) == theirs.total_price, name
            compared += 1
    assert compared > 5
