"""An id has a price only if the catalogue says so; never a guess."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.files import definitions
from dragoman.catalog.genai import types
from dragoman.catalog.models import Dated, Model, Shelf, When, _seconds, _shelf, read_shelves
from dragoman.catalog.price import at_tier

OPENAI = definitions()["openai"]
SHELVES = read_shelves(
    definitions()[name]
    for name in ("openai", "anthropic", "openrouter", "fireworks", "mistral", "google")
)
WALL = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()


def price(provider: str, model: str):
    found = SHELVES[provider].find(model)
    return found.price(WALL) if found is not None else None


@pytest.mark.parametrize(
    ("provider", "model", "means"),
    [
        ("openai", "gpt-4o", "gpt-4o"),
        ("openai", "GPT-4o", "gpt-4o"),
        ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("openai", "gpt-4o-2031-01-01", "gpt-4o"),
        ("openai", "gpt-4-1106-preview", "gpt-4-turbo"),
        ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("anthropic", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("anthropic", "claude-3-5-haiku-latest", "claude-3-5-haiku-latest"),
        ("anthropic", "claude-opus-5-20260724", "claude-opus-5"),
        ("openrouter", "openai/gpt-4o", "openai/gpt-4o"),
        ("mistral", "magistral-medium-2506", "magistral-medium"),
    ],
)
def test_an_id_is_the_catalogues_own_or_one_with_a_version_behind_it(
    provider, model, means
) -> None:
    found = SHELVES[provider].find(model)
    assert found is not None
    assert found.id == means
    assert found.price(WALL) is not None


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o--x12"),
        ("openai", "gpt-4o-latest-latest"),
        ("openai", "gpt-4o-mini-audio-preview-x"),
        ("openai", "ft:gpt-4o-2024-08-06:org::abc"),
        ("openai", "ft:gpt-4o"),
        ("openai", "gpt-4o-2506"),
        ("openai", "my-gpt-4o"),
        ("openai", ""),
        ("anthropic", "claude-haiku-4-5--x1"),
        ("anthropic", "claude-haiku-4-5-"),
        ("anthropic", "claude"),
        ("openrouter", "openai/gpt-4o:nitro"),
        ("openrouter", "gpt-4o"),
    ],
)
def test_anything_further_behind_an_id_is_an_unknown_model(provider, model) -> None:
    assert SHELVES[provider].find(model) is None


@given(st.sampled_from(sorted(SHELVES["openai"].ids)), st.from_regex(r"--x\d+", fullmatch=True))
def test_a_case_suffix_always_makes_a_price_unknown(model, suffix) -> None:
    assert SHELVES["openai"].find(model + suffix) is None


def test_only_the_providers_own_spellings_are_listed() -> None:
    assert all("/" in name for name in SHELVES["openrouter"].ids)
    assert all(name.startswith("accounts/") for name in SHELVES["fireworks"].ids)
    assert "gpt-4o" in SHELVES["openai"].ids
    assert not any(name.startswith("ft:") for name in SHELVES["openai"].ids)
    assert "whisper-1" not in SHELVES["openai"].ids


def test_nothing_wanted_reads_nothing() -> None:
    assert read_shelves([]) == {}


@pytest.mark.req("R-SURF-018")
def test_what_google_sells_elsewhere_is_not_offered_at_its_address() -> None:
    assert "gemini-2.5-flash" in SHELVES["google"].ids
    assert not any(name.startswith("claude") for name in SHELVES["google"].ids)
    assert SHELVES["google"].find("claude-sonnet-4-5") is None


def test_a_price_says_where_it_is_from_and_since_when() -> None:
    found = price("openai", "gpt-4o")
    assert found is not None
    assert found.source.startswith("genai-prices ")
    assert isinstance(found.input, Decimal)


# --- when a price holds


ALWAYS = When()


def dated(amount: str, when: When = ALWAYS) -> Dated:
    return Dated({"input_mtok": Decimal(amount), "output_mtok": Decimal(0)}, when)


DAY = datetime(2026, 8, 17, tzinfo=UTC).timestamp()
MODEL = Model(
    id="m",
    name=None,
    context_tokens=None,
    dated=(
        dated("1"),
        dated("2", When("2026-08-17", DAY)),
        dated("3", When(hours=(3600.0, 4 * 3600.0))),
        dated("4", When(hours=(23 * 3600.0, 600.0))),
    ),
    variants=(
        Dated({"input_mtok": Decimal(9)}, When("2026-08-17", DAY), "flex"),
        Dated({"input_mtok": Decimal(8)}, tier="priority"),
    ),
    source="test",
)


@pytest.mark.parametrize(
    ("wall", "amount", "since"),
    [
        (DAY - 12 * 3600, "1", ""),
        (DAY + 12 * 3600, "2", "2026-08-17"),
        (DAY + 3600, "3", ""),
        (DAY + 4 * 3600, "2", "2026-08-17"),
        (DAY - 1, "4", ""),
        (DAY + 599, "4", ""),
    ],
)
def test_of_several_prices_the_last_that_holds_counts(wall, amount, since) -> None:
    found = MODEL.price(wall)
    assert found is not None
    assert found.input == Decimal(amount)
    assert found.effective_from == since
    assert MODEL.price(wall) is found


def test_where_no_price_holds_yet_the_first_counts() -> None:
    model = Model("m", None, None, (dated("2", When("2026-08-17", DAY)),))
    found = model.price(DAY - 1)
    assert found is not None
    assert found.input == 2


def in_tier(wall, tier):
    price = MODEL.price(wall)
    assert price is not None
    return at_tier(price, tier)


def test_a_service_tier_has_its_own_price_or_none_that_is_known() -> None:
    noon = DAY + 12 * 3600
    assert in_tier(noon, "flex").input == 9
    assert in_tier(noon, "flex").output == 0
    assert in_tier(noon, "priority").input == 8
    assert in_tier(DAY - 12 * 3600, "flex") is None
    assert in_tier(noon, "scale") is None
    assert MODEL.price(noon).input == 2


def test_a_tier_that_costs_what_the_usual_one_does_has_its_price() -> None:
    model = replace(MODEL, tiers_alike=("flex", "calm"), _made={})
    price = model.price(DAY + 12 * 3600)
    assert at_tier(price, "calm").input == 2
    assert at_tier(price, "flex").input == 9, "what is said of it counts more"


def test_a_model_without_prices_has_none() -> None:
    assert Model("m", None, None, ()).price(WALL) is None


def test_a_time_of_day_in_another_zone_is_told_in_utc() -> None:
    assert _seconds(time(0, 30, tzinfo=timezone(timedelta(hours=2)))) == 22.5 * 3600
    assert _seconds(time(1, 0)) == 3600


# --- how clauses are read


def info(identity: str, match: types.Clause, **more) -> types.ModelInfo:
    prices = types.ModelPrice(input_mtok=Decimal(1), output_mtok=None)
    return types.ModelInfo(id=identity, match=match, prices=more.pop("prices", prices), **more)


def test_only_what_names_an_id_is_read_from_a_clause() -> None:
    clause = types.ClauseOr(
        or_=[
            types.ClauseEquals(equals="Other"),
            types.ClauseStartsWith(starts_with="begin-"),
            types.ClauseContains(contains="middle"),
            types.ClauseEndsWith(ends_with="end"),
            types.ClauseRegex(regex=r"^r-\d$"),
            types.ClauseRegex(regex="loose"),
            types.ClauseAnd(and_=[]),
        ]
    )
    shelf = _shelf([info("one", clause)], OPENAI, "test")
    assert set(shelf.names) == {"one", "other", "begin-"}
    assert set(shelf.prefixes) == {"begin"}
    assert [rule.pattern for rule, _ in shelf.patterns] == [r"^r-\d$"]
    assert shelf.find("r-7").id == "one"
    assert shelf.find("begin-2506").id == "one"
    assert shelf.find("loose") is None


def test_a_deprecated_model_is_known_and_not_listed() -> None:
    shelf = _shelf(
        [info("old", types.ClauseEquals(equals="old"), deprecated=True)], OPENAI, "test"
    )
    assert shelf.find("old") is not None
    assert shelf.ids == {}


def test_a_models_own_id_wins_over_anothers_spelling() -> None:
    first = info("a", types.ClauseEquals(equals="b"))
    second = info("b", types.ClauseEquals(equals="b"))
    shelf = _shelf([first, second], OPENAI, "test")
    assert shelf.find("b").id == "b"


def test_the_packages_own_records_are_read_like_ours(monkeypatch) -> None:
    import genai_prices.data

    from dragoman.catalog import models

    monkeypatch.setattr(models, "read_bundled", lambda: genai_prices.data.providers)
    theirs = read_shelves(definitions()[name] for name in ("openai", "anthropic"))
    for name, shelf in theirs.items():
        assert list(shelf.ids) == list(SHELVES[name].ids)
        for identity, model in shelf.ids.items():
            assert model.price(WALL) == SHELVES[name].ids[identity].price(WALL)


def test_an_empty_shelf_finds_nothing() -> None:
    assert Shelf().find("x") is None


def test_variants_by_what_an_answer_tells_are_read_and_no_others() -> None:
    def said(**when: str) -> types.PriceVariant:
        return types.PriceVariant(when=when, prices=types.ModelPrice(input_mtok=Decimal("0.5")))

    variants = [
        said(processing="batch"),
        said(service_tier="flex"),
        said(service_tier="default"),
        said(speed="fast"),
        said(route="mistral/eu"),
        said(service_tier="flex", processing="batch"),
    ]
    model = _shelf(
        [info("m", types.ClauseEquals(equals="m"), price_variants=variants)], OPENAI, "test"
    ).find("m")
    assert [item.tier for item in model.variants] == ["batch", "flex", "fast"]
    assert model.price(WALL).tiers["flex"].input == Decimal("0.5")


def test_groqs_flexible_tier_costs_what_the_usual_one_does() -> None:
    shelf = read_shelves([definitions()["groq"]])["groq"]
    usual = shelf.find("llama-3.3-70b-versatile").price(WALL)
    assert at_tier(usual, "flex").input == usual.input
    assert at_tier(usual, "performance") is None
