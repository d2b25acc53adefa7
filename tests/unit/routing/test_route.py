"""The plan: one model is served by that model; a choice is made only where one was asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.listing import Listed
from dragoman.catalog.load import load_providers
from dragoman.catalog.resolve import ListingsNeeded
from dragoman.catalog.schema import operator_row
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.provider import Plan
from dragoman.credentials.pool import Pools
from dragoman.health.health import Health
from dragoman.routing.route import MOST, route
from dragoman.routing.sight import Sight
from dragoman.routing.wish import NONE, Wish

ENV = {
    "OPENAI_API_KEY": "a,b",
    "ANTHROPIC_API_KEY": "c",
    "OPENROUTER_API_KEY": "d",
    "OLLAMA_HOST": "127.0.0.1",
}
REGISTRY = load_providers(
    ENV, aliases={"smart": ["anthropic/claude-sonnet-4-5", "openrouter/openai/gpt-4o"]}
)
SMART = ["anthropic/claude-sonnet-4-5 key-1", "openrouter/openai/gpt-4o key-1"]


def plan(model: object, health: Health | None = None, **more) -> Plan:
    said = {name: more.pop(name) for name in ("wish", "home") if name in more}
    registry = more.pop("registry", REGISTRY)
    pools = more.pop("pools", Pools(registry.credentials))
    sight = Sight(registry, health or Health(), pools, 0.0, **more)
    found = route(model, sight, asked=True, **said)
    assert isinstance(found, Plan)
    return found


def shown(found: Plan) -> list[str]:
    return [
        f"{item.name} {item.credential.id if item.credential else '-'}"
        for item in found.candidates
    ]


def test_one_model_with_one_key_is_one_candidate() -> None:
    found = plan("anthropic/claude-opus-4-8--x1")
    assert shown(found) == ["anthropic/claude-opus-4-8--x1 key-1"]
    assert found.requested == "anthropic/claude-opus-4-8--x1"
    assert found.max_attempts is None
    assert found.candidates[0].capability.rejects_sampling
    assert not found.candidates[0].known
    assert plan("anthropic/claude-opus-4-8").candidates[0].known


def test_a_provider_without_a_key_is_a_candidate_without_one() -> None:
    assert shown(plan("ollama/llama3")) == ["ollama/llama3 -"]


def test_several_keys_serve_the_same_model_in_turn() -> None:
    pools = Pools(REGISTRY.credentials)
    assert shown(plan("openai/gpt-4o", pools=pools)) == [
        "openai/gpt-4o key-1",
        "openai/gpt-4o key-2",
    ]
    assert shown(plan("openai/gpt-4o", pools=pools)) == [
        "openai/gpt-4o key-2",
        "openai/gpt-4o key-1",
    ]


def test_an_alias_gives_its_models_in_its_order() -> None:
    assert shown(plan("smart")) == SMART


def test_the_callers_own_list_follows_the_model_without_repeating_it() -> None:
    wish = Wish(max_attempts=2, fallback=("smart", "ollama/llama3", "anthropic/claude-sonnet-4-5"))
    found = plan("ollama/llama3", wish=wish)
    assert shown(found) == ["ollama/llama3 -", *SMART]
    assert found.max_attempts == 2


def test_a_list_alone_names_the_model_too() -> None:
    found = plan(None, wish=Wish(listed=("smart", "ollama/x")))
    assert shown(found) == [*SMART, "ollama/x -"]
    assert found.requested == "smart"


def test_openrouter_walks_its_own_list_and_nobody_else_does() -> None:
    wish = Wish(listed=("anthropic/claude-sonnet-4-5", "nothing-known"))
    assert shown(plan("openrouter/openai/gpt-4o", wish=wish)) == ["openrouter/openai/gpt-4o key-1"]
    with pytest.raises(CallerError, match="nothing-known"):
        plan("ollama/x", wish=wish)


def test_who_rests_goes_last_and_is_still_there() -> None:
    health = Health()
    anthropic = plan("smart").candidates[0]
    for _ in range(5):
        health.failed(anthropic, UpstreamError("server", "x", upstream_status=500), 0.0)
    assert shown(plan("smart", health)) == list(reversed(SMART))
    assert shown(plan("anthropic/claude-sonnet-4-5", health)) == SMART[:1]


def test_a_refused_key_goes_behind_the_one_that_works() -> None:
    health = Health()
    first = plan("openai/gpt-4o").candidates[0]
    health.failed(first, UpstreamError("authentication", "x", upstream_status=401), 0.0)
    found = plan("openai/gpt-4o", health, pools=Pools(REGISTRY.credentials))
    assert shown(found) == ["openai/gpt-4o key-2", "openai/gpt-4o key-1"]


def test_only_who_serves_the_operation_is_planned() -> None:
    wish = Wish(fallback=("openai/text-embedding-3-small",))
    found = plan("anthropic/claude-sonnet-4-5", operation="embeddings", wish=wish)
    assert [item.provider.name for item in found.candidates] == ["openai", "openai"]
    with pytest.raises(CallerError) as caught:
        plan("anthropic/claude-sonnet-4-5", operation="embeddings")
    assert caught.value.status == 400
    assert "anthropic does not serve embeddings here" in caught.value.message


def test_counting_tokens_is_planned_for_everyone() -> None:
    assert shown(plan("ollama/llama3", operation="count_tokens")) == ["ollama/llama3 -"]


@pytest.mark.parametrize(
    ("model", "wish", "param"),
    [
        ("nothing", NONE, "model"),
        (None, NONE, "model"),
        (7, NONE, "model"),
        ("ollama/x", Wish(listed=("ollama/y", "nothing")), "models[1]"),
        ("ollama/x", Wish(fallback=("openai/",)), "routing.fallback[0]"),
    ],
)
def test_a_name_that_means_nothing_is_refused_by_its_place(model, wish, param) -> None:
    with pytest.raises(CallerError) as caught:
        plan(model, wish=wish)
    assert caught.value.param == param


def test_unknown_names_ask_for_listings_first() -> None:
    registry = load_providers({"OPENAI_API_KEY": "k"})
    pools = Pools(registry.credentials)
    found = route("brand-new", Sight(registry, Health(), pools, 0.0))
    assert isinstance(found, ListingsNeeded)
    registry.note_listing("openai", (Listed("brand-new"),), 0.0)
    assert shown(plan("brand-new", registry=registry, pools=pools)) == ["openai/brand-new key-1"]


def test_a_plan_has_an_end() -> None:
    row = operator_row(
        {
            "name": "many",
            "base_url": "http://h",
            "credentials": [{"key": f"k{number}"} for number in range(MOST + 9)],
        }
    )
    registry = load_providers({}, [row])
    found = plan("many/m", registry=registry, pools=Pools(registry.credentials))
    assert len(found.candidates) == MOST


@given(
    st.none() | st.text(max_size=30) | st.sampled_from(["smart", "openai/gpt-4o", "ollama/x"]),
    st.lists(st.text(max_size=10) | st.just("smart"), max_size=3),
)
def test_anything_is_a_plan_without_repetitions_or_the_callers_error(model, fallback) -> None:
    try:
        found = plan(model, wish=Wish(fallback=tuple(fallback)))
    except CallerError:
        return
    assert found.candidates
    assert len(set(shown(found))) == len(found.candidates)
