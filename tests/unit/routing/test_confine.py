"""No way of naming a model opens more than a key's scope: its own name, an alias, a route, `auto`, a list."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.cards import cards_within, find_card, model_cards
from dragoman.catalog.load import load_providers
from dragoman.catalog.registry import STUB, STUB_MODELS, Registry
from dragoman.catalog.routes import Leg, NamedRoute
from dragoman.core.errors import CallerError
from dragoman.core.provider import Plan
from dragoman.core.scopes import Bounds, allows_model
from dragoman.credentials.pool import Pools
from dragoman.health.health import Health
from dragoman.routing.confine import is_within
from dragoman.routing.route import route
from dragoman.routing.sight import Sight
from dragoman.routing.wish import NONE, Wish, parse_wish

pytestmark = pytest.mark.req("R-AUTH-008")

ENV = {"OPENAI_API_KEY": "a", "ANTHROPIC_API_KEY": "b", "OPENROUTER_API_KEY": "c"}
REGISTRY = load_providers(
    ENV,
    aliases={
        "smart": ["anthropic/claude-sonnet-4-5", "openai/gpt-4o-mini"],
        "dear": ["anthropic/claude-opus-4-5"],
        "over": ["dear"],
    },
    routes={
        "cheap": NamedRoute(
            "cost",
            (Leg("openai/gpt-4o-mini"), Leg("openrouter/openai/gpt-4o"), Leg("openai/gpt-4o")),
        )
    },
)
MINI = Bounds(models=(("openai/gpt-4o-mini",),))


def plan(model, bounds, *, wish=NONE, home=None, registry=REGISTRY):
    sight = Sight(registry, Health(), Pools(registry.credentials), 0.0, bounds=bounds)
    found = route(model, sight, asked=True, wish=wish, home=home)
    assert isinstance(found, Plan)
    return found


def names(found):
    return [each.name for each in found.candidates]


@pytest.mark.parametrize(
    "name", ["openai/gpt-4o-mini", "openai:gpt-4o-mini", "gpt-4o-mini", "smart", "cheap", "auto"]
)
def test_what_is_within_is_served_under_every_name(name):
    assert names(plan(name, MINI)) == ["openai/gpt-4o-mini"]


@pytest.mark.parametrize(
    "name",
    [
        "openai/gpt-4o",
        "gpt-4o",
        "dear",
        "over",
        "openrouter/openai/gpt-4o-mini",
        "openai/gpt-4o-mini-x",
    ],
)
def test_what_is_beyond_is_refused_under_every_name(name):
    with pytest.raises(CallerError) as error:
        plan(name, MINI)
    assert (error.value.status, error.value.code, error.value.param) == (
        403,
        "insufficient_permissions",
        "model",
    )
    assert "GET /v1/models" in error.value.message


def test_a_router_of_a_provider_opens_nothing_more():
    with pytest.raises(CallerError, match="openrouter/openai/gpt-4o-mini is not among"):
        plan("openai/gpt-4o-mini", MINI, home="openrouter")


def test_a_key_without_any_model_gets_nothing_of_auto_either():
    with pytest.raises(CallerError, match="No model that could serve"):
        plan("auto", Bounds(models=((),)))


def test_who_is_left_out_of_a_choice_is_told_and_who_is_left_serves():
    found = plan("openai/gpt-4o", MINI, wish=Wish(fallback=("openai/gpt-4o-mini", "dear")))
    assert names(found) == ["openai/gpt-4o-mini"]
    assert [(each.name, each.reason[:12]) for each in found.skipped] == [
        ("openai/gpt-4o", "is not among"),
        ("anthropic/claude-opus-4-5", "is not among"),
    ]


ROUTER = Bounds(models=(("openrouter/openai/*", "openai/*"),))


@pytest.mark.parametrize(
    ("model", "listed", "fallback"),
    [
        ("openrouter/openai/gpt-4o", ["anthropic/claude-opus-4.5"], ()),
        (None, ["openrouter/openai/gpt-4o", "anthropic/claude-opus-4.5"], ()),
        ("openrouter/openai/gpt-4o", ["openrouter/auto"], ()),
        ("openrouter/openai/gpt-4o", ["openai/gpt-4o", " anthropic/claude-opus-4.5"], ()),
        ("openai/gpt-4o", ["openrouter/anthropic/claude-opus-4.5"], ("openrouter/openai/gpt-4o",)),
    ],
)
def test_a_list_that_openrouter_would_walk_itself_stays_within(model, listed, fallback):
    asked = parse_wish(
        msgspec.json.encode({"fallback": list(fallback)}), msgspec.json.encode(listed)
    )
    with pytest.raises(CallerError) as error:
        plan(model, ROUTER, wish=asked)
    assert error.value.status == 403
    assert error.value.param.startswith("models[")


def test_a_list_for_openrouter_that_is_within_goes_there():
    asked = parse_wish(None, b'["openai/gpt-4o-mini","openai/o3"]')
    assert names(plan("openrouter/openai/gpt-4o", ROUTER, wish=asked)) == [
        "openrouter/openai/gpt-4o"
    ]


def test_a_name_that_nobody_has_is_told_without_names_beyond_the_scope():
    with pytest.raises(CallerError) as error:
        plan("claude-opus-4-9-nobody", MINI)
    assert (error.value.status, error.value.code) == (404, "model_not_found")
    assert "claude" not in error.value.message
    assert error.value.details is None


WORDS = st.sampled_from(
    [
        "openai/gpt-4o",
        "openai/gpt-4o-mini",
        "gpt-4o",
        "smart",
        "dear",
        "over",
        "cheap",
        "auto",
        "anthropic/claude-opus-4-5",
        "openrouter/openai/gpt-4o",
        "claude-sonnet-4-5",
        "openai/ft:x/y",
    ]
)
PATTERNS = st.lists(
    st.sampled_from(
        ["openai/*", "openai/gpt-4o", "*mini", "anthropic/*", "gpt-4o", "openrouter/*"]
    ),
    max_size=3,
)


@given(
    WORDS,
    st.lists(WORDS, max_size=2),
    st.lists(WORDS, max_size=2),
    st.lists(PATTERNS, min_size=1, max_size=2),
    st.sampled_from([None, "openrouter", "anthropic"]),
    st.sampled_from([None, "cost", "weighted", "quality"]),
)
def test_no_plan_of_a_scoped_key_has_a_candidate_beyond_it(
    model, listed, fallback, patterns, home, strategy
):
    bounds = Bounds(models=tuple(map(tuple, patterns)))
    wish = Wish(fallback=tuple(fallback), listed=tuple(listed), strategy=strategy)
    try:
        found = plan(model, bounds, wish=wish, home=home)
    except CallerError:
        return
    assert found.candidates
    assert is_within(found, bounds)
    assert all(allows_model(bounds, each.provider.name, each.model) for each in found.candidates)


def test_the_stub_is_judged_by_the_names_that_it_answers_for():
    registry = Registry(
        {"stub": STUB}, {}, aliases={name: (f"stub/{name}",) for name in STUB_MODELS}
    )
    assert names(plan("openai/gpt-4o-mini", MINI, registry=registry)) == [
        "stub/openai/gpt-4o-mini"
    ]
    with pytest.raises(CallerError, match="is not among"):
        plan("openai/text-embedding-3-small", MINI, registry=registry)


# --------------------------------------------------------------------------- lists


def listed(bounds, home=None):
    cards = model_cards(REGISTRY, 0.0, home)
    return cards_within(cards, bounds, REGISTRY, home)


def test_lists_have_what_can_be_asked_for_and_the_names_that_stand_for_it():
    assert [card.id for card in listed(MINI)] == ["cheap", "smart", "auto", "openai/gpt-4o-mini"]
    assert "over" in [card.id for card in listed(Bounds(models=(("anthropic/*",),)))]
    assert listed(Bounds(models=((),))) == []
    home = [card.id for card in listed(Bounds(models=(("openrouter/openai/*",),)), "openrouter")]
    assert "openai/gpt-4o" in home
    assert not any(name.startswith(("anthropic", "openrouter/")) for name in home)


def test_a_model_beyond_the_scope_is_not_found_by_any_of_its_names():
    cards = listed(MINI)
    assert find_card(cards, "gpt-4o-mini", REGISTRY).id == "openai/gpt-4o-mini"
    for name in ("openai/gpt-4o", "gpt-4o", "dear", "anthropic/claude-opus-4-5"):
        assert find_card(cards, name, REGISTRY) is None
