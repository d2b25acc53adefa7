"""Where there is a choice: who is left out and why, and whom a strategy puts in front."""

import json
from decimal import Decimal

import pytest
from genai_prices import Usage as Counted
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from dragoman.catalog.listing import Listed
from dragoman.catalog.load import load_providers
from dragoman.catalog.price import cost_of, cost_of_text
from dragoman.catalog.resolve import ListingsNeeded
from dragoman.catalog.routes import read_routes
from dragoman.catalog.schema import operator_row
from dragoman.core.ask import read_ask
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.provider import Plan, Price
from dragoman.core.usage import Usage
from dragoman.credentials.pool import Pools
from dragoman.health.health import Health
from dragoman.routing import sight as sight_module
from dragoman.routing.route import MOST_CHOSEN, route
from dragoman.routing.sight import Sight
from dragoman.routing.strategies import Turns
from dragoman.routing.wish import parse_wish

WALL = 1_790_000_000.0
ENV = {
    "OPENAI_API_KEY": "a,b",
    "ANTHROPIC_API_KEY": "c",
    "GROQ_API_KEY": "d",
    "OPENROUTER_API_KEY": "e",
}
ROUTES = read_routes(
    {
        "cheap": {
            "strategy": "cost",
            "candidates": ["openai/gpt-4o", "anthropic/claude-haiku-4-5", "openai/gpt-4o-mini"],
        },
        "talk": {"strategy": "sticky", "candidates": ["openai/gpt-4o", "openai/gpt-4.1"]},
        "heavy": {
            "strategy": "weighted",
            "candidates": [{"model": "openai/gpt-4o", "weight": 999}, "openai/gpt-4.1"],
        },
    }
)
REGISTRY = load_providers(
    ENV,
    aliases={
        "two": ["groq/llama-3.3-70b-versatile", "anthropic/claude-sonnet-4-5"],
        "also": "cheap",
    },
    routes=ROUTES,
)
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]


def plan(model, registry=REGISTRY, health=None, dice=lambda: 0.5, turns=None, **members) -> Plan:
    said = {"model": model, "messages": [{"role": "user", "content": "Hello"}], **members}
    ask = read_ask(json.dumps(said).encode())
    sight = Sight(
        registry,
        health or Health(),
        Pools(registry.credentials),
        0.0,
        "chat",
        "chat",
        ask,
        WALL,
        dice,
        turns,
    )
    raw = ask.members
    wish = parse_wish(raw.get("routing"), raw.get("models"), raw.get("provider"))
    found = route(ask.model, sight, wish=wish, asked=True)
    assert isinstance(found, Plan)
    return found


def names(found: Plan) -> list[str]:
    return list(dict.fromkeys(item.name for item in found.candidates))


def refusal(model, **members) -> CallerError:
    with pytest.raises(CallerError) as caught:
        plan(model, **members)
    return caught.value


@pytest.mark.req("R-ROUTE-007")
def test_who_is_known_to_take_no_pictures_is_left_out_and_the_plan_says_why() -> None:
    found = plan("two", messages=PICTURE)
    assert names(found) == ["anthropic/claude-sonnet-4-5"]
    assert [(item.name, item.reason) for item in found.skipped] == [
        ("groq/llama-3.3-70b-versatile", "takes no images")
    ]
    assert names(plan("two")) == ["groq/llama-3.3-70b-versatile", "anthropic/claude-sonnet-4-5"]
    assert plan("two").skipped == ()


@pytest.mark.req("R-ROUTE-007")
def test_a_single_model_is_not_judged_and_an_unknown_one_is_not_refused() -> None:
    assert names(plan("groq/llama-3.3-70b-versatile", messages=PICTURE))
    wish = {"fallback": ["groq/brand-new"]}
    found = plan("groq/llama-3.3-70b-versatile", messages=PICTURE, routing=wish)
    assert names(found) == ["groq/brand-new"]


@pytest.mark.req("R-ROUTE-007")
def test_where_nobody_can_the_refusal_names_what_each_lacks() -> None:
    error = refusal(
        "groq/llama-3.3-70b-versatile",
        messages=PICTURE,
        routing={"fallback": ["groq/openai/gpt-oss-20b", "openai/gpt-3.5-turbo"]},
    )
    assert (error.status, error.code) == (400, "model_capability_mismatch")
    assert "takes no images" in error.message
    assert "openai/gpt-3.5-turbo" in error.message


@pytest.mark.req("R-ROUTE-007")
@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"messages": [{"role": "user", "content": "word " * 900_000}]}, "takes 128000 tokens"),
        ({"max_tokens": 60_000}, "writes at most 16384 tokens"),
        ({"reasoning_effort": "high"}, "does not reason"),
    ],
)
def test_length_and_reasoning_are_needs_too(members, said) -> None:
    found = plan("openai/gpt-4o", routing={"fallback": ["groq/brand-new"]}, **members)
    assert names(found) == ["groq/brand-new"]
    assert said in found.skipped[0].reason


@pytest.mark.req("R-ROUTE-002")
@pytest.mark.parametrize(
    ("text", "bound"), [("Hello", 4000), ("word " * 20_000, 10), ("x" * 400, 400)]
)
def test_cost_picks_what_genai_prices_says_for_the_tokens(text, bound) -> None:
    said = [{"role": "user", "content": text}]
    found = names(plan("cheap", messages=said, max_tokens=bound))
    body = json.dumps({"model": "cheap", "messages": said, "max_tokens": bound})
    counted = Counted(input_tokens=len(body) // 4, output_tokens=bound)

    def price(name: str) -> Decimal:
        provider, _, model = name.partition("/")
        return calc_price(counted, model, provider_id=provider).total_price

    assert found == sorted(found, key=price)
    assert len(found) == 3
    assert plan("cheap").strategy == "cost"


@pytest.mark.req("R-ROUTE-002")
def test_the_cheaper_model_depends_on_what_is_asked() -> None:
    row = operator_row({"name": "own", "base_url": "http://h", "models": ["in", "out", "free"]})
    prices = {
        "own/in": Price(input=Decimal("0.1"), output=Decimal(9)),
        "own/out": Price(input=Decimal(5), output=Decimal("0.1")),
    }
    registry = load_providers({}, [row], prices=prices)
    long = [{"role": "user", "content": "word " * 2000}]
    assert names(plan("auto", registry, messages=long, max_tokens=5)) == [
        "own/in",
        "own/out",
        "own/free",
    ]
    assert names(plan("auto", registry, max_tokens=5000))[0] == "own/out"


@given(
    st.integers(0, 10**7),
    st.integers(0, 10**7),
    st.builds(
        Price,
        input=st.none() | st.decimals(0, 100, places=6),
        output=st.none() | st.decimals(0, 100, places=6),
        per_request=st.none() | st.decimals(0, 1, places=6),
    ),
)
def test_what_is_foreseen_is_what_the_ledger_would_say_of_those_tokens(tokens, out, price) -> None:
    assert cost_of_text(tokens, out, price) == cost_of(Usage(input=tokens, output=out), price)


@pytest.mark.req("R-ROUTE-001")
def test_auto_is_for_chats_and_has_an_end() -> None:
    found = plan("auto")
    assert found.strategy == "cost"
    assert len(names(found)) == MOST_CHOSEN
    first = names(plan("auto", provider={"order": ["anthropic"]}))
    assert all(name.startswith("anthropic/") for name in first)
    assert "openai/text-embedding-3-small" not in names(found)
    best = names(plan("auto", routing={"strategy": "quality"}))
    assert all("opus" in name or "fable" in name or "gpt-" in name for name in best[:3])
    seeing = plan("auto", messages=PICTURE)
    assert not any(item.capability.images is False for item in seeing.candidates)


@pytest.mark.req("R-ROUTE-001")
def test_auto_asks_for_the_lists_of_who_has_never_said_what_it_has() -> None:
    registry = load_providers({"OLLAMA_HOST": "127.0.0.1"})
    sight = Sight(registry, Health(), Pools({}), 0.0)
    found = route("auto", sight)
    assert isinstance(found, ListingsNeeded)
    assert [item.provider.name for item in found.requests] == ["ollama"]
    with pytest.raises(CallerError) as caught:
        route("auto", sight, asked=True)
    assert caught.value.code == "model_not_found"


@pytest.mark.req("R-ROUTE-002")
def test_the_callers_strategy_goes_over_everything_that_is_named() -> None:
    own = {"strategy": "cost", "fallback": ["openai/gpt-4o-mini"]}
    assert names(plan("openai/gpt-4o", routing=own)) == ["openai/gpt-4o-mini", "openai/gpt-4o"]
    listed = plan("openai/gpt-4o", models=["openai/gpt-4o-mini"], routing={"strategy": "cost"})
    assert names(listed)[0] == "openai/gpt-4o-mini"
    # A route keeps its own order in front of what follows it.
    found = names(plan("also", routing={"fallback": ["groq/brand-new"]}))
    assert found[0] == "openai/gpt-4o-mini"
    assert found[-1] == "groq/brand-new"


def test_turns_lots_and_weights_reach_the_plan() -> None:
    turns = Turns()
    own = {"strategy": "round-robin", "fallback": ["openai/gpt-4.1"]}
    firsts = [names(plan("openai/gpt-4o", turns=turns, routing=own))[0] for _ in range(4)]
    assert firsts == ["openai/gpt-4o", "openai/gpt-4.1"] * 2
    lots = iter([0.01, 0.99] * 50)
    assert names(plan("heavy", dice=lambda: next(lots)))[0] == "openai/gpt-4o"
    health = Health()
    health.busy.begun("openai", "gpt-4o")
    own["strategy"] = "least-busy"
    assert names(plan("openai/gpt-4o", health=health, routing=own))[0] == "openai/gpt-4.1"


@pytest.mark.req("R-ROUTE-009")
def test_a_conversation_keeps_its_model_and_its_key_until_they_are_unwell() -> None:
    pools = Pools(REGISTRY.credentials)
    seen = set()
    for _ in range(4):
        pools.turn("openai")
        first = plan("talk").candidates[0]
        seen.add((first.name, first.credential.id))
    assert len(seen) == 1
    health = Health()
    for candidate in plan("talk").candidates:
        if candidate.name == first.name:
            for _ in range(5):
                health.failed(candidate, UpstreamError("server", "x", upstream_status=500), 0.0)
    assert plan("talk", health=health).candidates[0].name != first.name


def test_who_was_slower_than_the_caller_likes_goes_last() -> None:
    health = Health()
    health.paces.note("openai", "gpt-4o", failed=False, first_event_s=3.0, whole=True)
    own = {"max_latency_ms": 1000, "fallback": ["openai/gpt-4.1"]}
    assert names(plan("openai/gpt-4o", health=health, routing=own))[0] == "openai/gpt-4.1"
    own["max_latency_ms"] = 4000
    assert names(plan("openai/gpt-4o", health=health, routing=own))[0] == "openai/gpt-4o"


def test_what_it_may_cost_holds_for_one_model_too() -> None:
    error = refusal("openai/gpt-4o", routing={"max_cost": "0.000001"})
    assert (error.status, error.code, error.param) == (400, "routing_not_satisfiable", "routing")
    assert "openai/gpt-4o: would cost about" in error.message
    assert names(plan("openai/gpt-4o", routing={"max_cost": 1})) == ["openai/gpt-4o"]
    assert "no known price" in refusal("groq/brand-new", routing={"max_cost": 1}).message


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ({"order": ["anthropic"]}, ["anthropic", "groq"]),
        ({"only": ["anthropic"]}, ["anthropic"]),
        ({"ignore": ["groq"]}, ["anthropic"]),
        ({"order": ["anthropic"], "allow_fallbacks": False}, ["anthropic"]),
        ({"allow_fallbacks": False}, ["groq"]),
        ({"sort": "price"}, ["groq", "anthropic"]),
        ({"max_price": {"prompt": 1}}, ["groq"]),
        (None, ["groq", "anthropic"]),
    ],
)
def test_openrouters_object_is_kept_towards_others(provider, expected) -> None:
    found = plan("two", provider=provider)
    assert [name.partition("/")[0] for name in names(found)] == expected


def test_openrouter_itself_reads_its_object_alone() -> None:
    odd = {"only": ["nobody"], "brand_new_member": 1}
    assert names(plan("openrouter/openai/gpt-4o", provider=odd)) == ["openrouter/openai/gpt-4o"]
    error = refusal("two", provider=odd)
    assert "brand_new_member" in error.message
    mixed = plan(
        "openrouter/openai/gpt-4o",
        routing={"fallback": ["openai/gpt-4o"]},
        provider={"zdr": True},
    )
    assert names(mixed) == ["openrouter/openai/gpt-4o"]
    assert "what it keeps" in mixed.skipped[0].reason


def test_every_parameter_may_be_required() -> None:
    own = {"fallback": ["anthropic/claude-opus-4-8"]}
    require = {"require_parameters": True}
    found = plan("openai/gpt-4o", temperature=1, routing=own, provider=require)
    assert names(found) == ["openai/gpt-4o"]
    assert found.skipped[0].reason == "refuses temperature and top_p"


def test_embeddings_by_auto_go_to_models_for_embeddings() -> None:
    ask = read_ask(b'{"model": "auto", "input": "x"}')
    sight = Sight(REGISTRY, Health(), Pools(REGISTRY.credentials), 0.0, "embeddings", "chat", ask)
    found = route("auto", sight, asked=True)
    assert isinstance(found, Plan)
    assert all("embed" in name or "bge" in name or "e5" in name for name in names(found))


@pytest.mark.req("R-ROUTE-001")
def test_auto_is_the_operators_where_it_is_said_and_never_a_providers_model() -> None:
    row = operator_row({"name": "own", "base_url": "http://h", "models": ["auto", "m"]})
    assert names(plan("auto", load_providers({}, [row]))) == ["own/auto", "own/m"]
    taken = load_providers({}, [row], aliases={"auto": "own/m"})
    assert names(plan("auto", taken)) == ["own/m"]
    sight = Sight(load_providers({}, [row]), Health(), Pools({}), 0.0)
    at_home = route("auto", sight, asked=True, home="own")
    assert isinstance(at_home, Plan)
    assert names(at_home) == ["own/auto"]
    assert names(plan("own/m", load_providers({}, [row]), routing={"fallback": ["auto"]})) == [
        "own/m",
        "own/auto",
    ]


def test_auto_goes_by_what_was_measured() -> None:
    health = Health()
    for model, took in (("gpt-4o", 0.1), ("gpt-4.1", 0.2), ("gpt-5", 3.0)):
        health.paces.note("openai", model, failed=False, first_event_s=took, whole=True)
    row = operator_row({"name": "openai", "models": ["gpt-5", "gpt-4o", "gpt-4.1"]})
    registry = load_providers({"OPENAI_API_KEY": "k"}, [row])
    registry.note_listing("openai", (Listed("gpt-5"), Listed("gpt-4o"), Listed("gpt-4.1")), 0.0)
    quick = {"strategy": "latency", "max_latency_ms": 1000}
    found = names(plan("auto", registry, health=health, turns=Turns(), routing=quick))
    assert found == ["openai/gpt-4o", "openai/gpt-4.1", "openai/gpt-5"]
    best = names(plan("auto", registry, health=health, routing={"strategy": "quality"}))
    assert best[0] == "openai/gpt-5"
    best = {"strategy": "quality", "max_latency_ms": 1000}
    assert names(plan("auto", registry, health=health, routing=best))[-1] == "openai/gpt-5"


def test_what_is_remembered_of_models_has_an_end(monkeypatch) -> None:
    monkeypatch.setattr(sight_module, "_MOST_REMEMBERED", 3)
    registry = load_providers(ENV)
    for number in range(20):
        plan(f"openai/gpt-4o--{number}", registry, routing={"fallback": ["groq/x"]})
    assert len(registry.memory["capabilities chat chat"]) <= 6
