"""Who could serve and is left out all the same: disabled, or of a score that the key does not prefer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.load import load_providers
from dragoman.catalog.routes import read_routes
from dragoman.core.ask import read_ask
from dragoman.core.call import Limits
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.provider import Plan
from dragoman.credentials.pool import Pools
from dragoman.health.disabling import DisablingPolicy
from dragoman.health.health import Health
from dragoman.routing.route import route
from dragoman.routing.sight import Sight
from dragoman.routing.strategies import Option, by_cost, by_quality
from dragoman.routing.window import NO_WINDOW, Window, told, window_of, within
from dragoman.routing.wish import parse_wish

LEGS = ["openai/gpt-4o", "anthropic/claude-sonnet-4-5", "groq/llama-3.3-70b-versatile"]
REGISTRY = load_providers(
    {"OPENAI_API_KEY": "a,b", "ANTHROPIC_API_KEY": "c", "GROQ_API_KEY": "d,e,f"},
    aliases={"all": LEGS, "pool": ["groq/llama-3.3-70b-versatile"]},
    routes=read_routes({"cheap": {"strategy": "cost", "candidates": LEGS}}),
)


def made() -> Health:
    return Health(disabling=DisablingPolicy(failures=1, over_s=0))


def plan(model, health, now=0.0, window=NO_WINDOW, pools=None, **members) -> Plan:
    said = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **members}
    ask = read_ask(json.dumps(said).encode())
    pools = pools or Pools(REGISTRY.credentials)
    sight = Sight(REGISTRY, health, pools, now, "chat", "chat", ask, window=window)
    found = route(
        ask.model, sight, wish=parse_wish(ask.members.get("routing"), None, None), asked=True
    )
    assert isinstance(found, Plan)
    return found


def names(found: Plan) -> list[str]:
    return list(dict.fromkeys(item.name for item in found.candidates))


@pytest.mark.req("R-ROUTE-009", "R-PROV-004")
def test_a_disabled_model_is_left_out_where_there_is_another_and_the_plan_says_why() -> None:
    health = made()
    health.disabling.failed("openai", "gpt-4o", 0)
    found = plan("all", health, 20)
    assert names(found) == LEGS[1:]
    assert [(item.name, item.reason) for item in found.skipped] == [
        (
            "openai/gpt-4o",
            "is disabled, after requests that failed; it will be tried again in 40 s",
        )
    ]
    assert names(plan("openai/gpt-4o", health, 20, routing={"fallback": LEGS[1:2]})) == LEGS[1:2]
    # Its probe is due: it stands where it stood.
    assert names(plan("all", health, 60)) == LEGS
    assert names(plan("all", health, 20, routing={"fallback": ["openai/gpt-4o"]})) == LEGS[1:]


@pytest.mark.req("R-ROUTE-009", "R-PROV-004")
def test_a_disabled_provider_is_left_out_with_all_its_models() -> None:
    health = made()
    for model in ("one", "two"):
        health.disabling.failed("openai", model, 0)
    found = plan("all", health, 1)
    assert names(found) == LEGS[1:]
    assert found.skipped[0].reason.startswith("its provider openai is disabled")
    auto = plan("auto", health, 1)
    assert not any(name.startswith("openai/") for name in names(auto))
    assert any(item.name.startswith("openai/gpt") for item in auto.skipped)


@pytest.mark.req("R-PROV-004")
def test_who_is_the_only_one_or_where_all_are_disabled_is_tried() -> None:
    health = made()
    for name in LEGS:
        health.disabling.failed(*name.split("/", 1), 0)
    assert names(plan("all", health, 1)) == LEGS
    assert names(plan("openai/gpt-4o", health, 1)) == ["openai/gpt-4o"]
    assert plan("all", health, 1).skipped == ()


def score(health, name, errors, requests=10) -> None:
    provider, model = name.split("/", 1)
    figures = health.statistics.made((provider, model))
    figures.requests, figures.errors = requests, errors


@pytest.mark.req("R-ROUTE-008")
def test_a_keys_window_leaves_out_whose_score_is_outside_of_it_and_nobody_unmeasured() -> None:
    health = made()
    score(health, LEGS[0], 0.9)
    score(health, LEGS[1], 0.0)
    assert names(plan("all", health)) == LEGS
    high = plan("all", health, window=Window(least=50))
    assert names(high) == LEGS[1:]
    assert high.skipped[0].reason == "has a score of 1, and the key prefers 50 or more"
    assert names(plan("all", health, window=Window(most=50))) == [LEGS[0], LEGS[2]]
    # A preference is no refusal.
    assert names(plan(LEGS[0], health, window=Window(least=50))) == [LEGS[0]]
    score(health, LEGS[2], 0.9)
    assert names(plan("all", health, window=Window(least=90))) == LEGS


@pytest.mark.req("R-ROUTE-008", "R-TIER-001")
def test_a_window_that_is_required_refuses_plainly_where_nobody_is_within_it() -> None:
    health = made()
    score(health, LEGS[0], 0.9)
    with pytest.raises(CallerError) as refused:
        plan(LEGS[0], health, window=Window(least=50, required=True))
    assert (refused.value.status, refused.value.code) == (503, "no_candidate_in_score_window")
    assert "openai/gpt-4o has a score of 1, and the key requires 50 or more" in str(refused.value)
    assert names(plan("all", health, window=Window(least=50, required=True))) == LEGS[1:]


def test_limits_say_the_window() -> None:
    assert window_of(Limits()) is NO_WINDOW
    assert window_of(Limits(min_provider_score=50)) == Window(50)
    said = window_of(Limits(max_provider_score=70, require_score=True))
    assert (said, told(said)) == (Window(None, 70, required=True), "70 or less")
    assert told(Window(10, 70)) == "10 to 70"


@given(st.none() | st.floats(0, 100), st.none() | st.floats(0, 100), st.floats(0, 100))
def test_a_window_has_its_limits_within(least, most, found):
    window = Window(least, most)
    assert within(window, found) is not (
        (least is not None and found < least) or (most is not None and found > most)
    )
    assert window.is_open is (least is None and most is None)


@pytest.mark.req("R-ROUTE-008")
def test_the_better_score_is_first_where_all_else_is_equal() -> None:
    options = [Option("a", score=40), Option("b", score=90), Option("c", score=88)]
    assert by_cost(options) == [1, 2, 0]
    assert by_quality(options) == [1, 2, 0]
    assert by_cost([Option("a", score=52), Option("b", score=54)]) == [0, 1]
    health = made()
    wish = {"strategy": "quality", "fallback": ["groq/nameless-b", "openai/nameless-a"]}
    score(health, "openai/nameless-a", 0.0)
    found = names(plan("groq/nameless-c", health, routing=wish))
    assert found[0] == "openai/nameless-a"


def keys(found: Plan) -> list[str]:
    return [item.credential.id for item in found.candidates if item.credential]


def test_a_key_that_rests_gives_its_turns_to_all_others_alike() -> None:
    health, pools = made(), Pools(REGISTRY.credentials)
    health.rests.cool("groq", "key-1", "llama-3.3-70b-versatile", 0, 60)
    firsts = [keys(plan("pool", health, 1, pools=pools)) for _ in range(6)]
    assert [each[0] for each in firsts] == ["key-2", "key-3"] * 3
    assert all(each[-1] == "key-1" for each in firsts)
    # For another model it does not rest.
    other = [keys(plan("groq/openai/gpt-oss-20b", health, 1, pools=pools))[0] for _ in range(3)]
    assert "key-1" in other


@pytest.mark.req("R-ROUTE-008")
def test_where_all_keys_rest_the_one_that_is_back_soonest_is_first() -> None:
    health = made()
    for key, seconds in (("key-1", 60), ("key-2", 20), ("key-3", 40)):
        health.rests.cool("groq", key, "llama-3.3-70b-versatile", 0, seconds)
    assert keys(plan("pool", health, 1)) == ["key-2", "key-3", "key-1"]
    health.spent.cool("groq", "key-2", "llama-3.3-70b-versatile", 0, 90)
    assert keys(plan("pool", health, 1)) == ["key-3", "key-1", "key-2"]
    # An open breaker counts, too.
    candidate = plan("pool", health, 1).candidates[0]
    for _ in range(5):
        health.failed(candidate, UpstreamError("server", "x", upstream_status=500), 50)
    assert keys(plan("pool", health, 50)) == ["key-1", "key-3", "key-2"]
