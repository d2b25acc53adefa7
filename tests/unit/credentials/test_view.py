"""What a tenant with credentials of its own sees, and what everybody else still sees."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dragoman.catalog.base_url import origin_of
from dragoman.catalog.listing import Listed
from dragoman.catalog.load import load_providers
from dragoman.catalog.policies import with_policies
from dragoman.catalog.registry import STUB, with_stub
from dragoman.catalog.resolve import ListingsNeeded, resolve
from dragoman.catalog.routes import read_routes
from dragoman.catalog.schema import Keyed, operator_row
from dragoman.catalog.stored import Named
from dragoman.core.call import Attempt
from dragoman.core.errors import CallerError, UpstreamError
from dragoman.core.provider import Candidate, Credential, Plan
from dragoman.core.secret import Secret
from dragoman.credentials.own import NOTHING, Holding, is_own
from dragoman.credentials.pool import Pools
from dragoman.credentials.view import needs_more, view_of
from dragoman.health.condition import conditions
from dragoman.health.health import Health, key_of
from dragoman.routing.route import route
from dragoman.routing.sight import Sight
from dragoman.routing.wish import NONE

pytestmark = pytest.mark.req("R-AUTH-009", "R-AUTH-008")

ENV = {"OPENAI_API_KEY": "house", "GROQ_API_KEY": "house", "OLLAMA_HOST": "127.0.0.1"}
HOUSE = load_providers(ENV, aliases={"pair": ["openai/gpt-4o", "anthropic/claude-sonnet-4-5"]})
OPENAI, ANTHROPIC = "https://api.openai.com:443", "https://api.anthropic.com:443"


def own(number=1, origin=OPENAI, weight=1):
    return Keyed(Credential(f"own_{number}", Secret(f"sk-own-{number}"), origin), weight)


def seen(holding, *, tenant="acme", registry=HOUSE, pools=None, policies=()):
    wide = registry.widened() if needs_more(holding, registry) else registry
    named = with_policies(registry, policies) if policies else registry
    return view_of(named, wide, pools or Pools(registry.credentials), tenant, holding)


def plan(view, model, health=None, now=0.0):
    found = route(
        model, Sight(view.registry, health or Health(), view.pools, now), wish=NONE, asked=True
    )
    assert isinstance(found, Plan)
    return found


def shown(found):
    return [
        f"{item.name} {item.credential.id if item.credential else '-'}"
        for item in found.candidates
    ]


def test_own_credentials_stand_in_the_place_of_the_houses_and_of_no_others() -> None:
    view = seen(Holding(keyed={"openai": (own(1), own(2))}))
    assert sorted(shown(plan(view, "openai/gpt-4o"))) == [
        "openai/gpt-4o own_1",
        "openai/gpt-4o own_2",
    ]
    assert shown(plan(view, "groq/llama-3.1-8b-instant")) == ["groq/llama-3.1-8b-instant key-1"]
    assert shown(plan(view, "ollama/llama3")) == ["ollama/llama3 -"]
    house = view_of(HOUSE, HOUSE, Pools(HOUSE.credentials), "other", NOTHING)
    assert house.registry is HOUSE
    assert shown(plan(house, "openai/gpt-4o")) == ["openai/gpt-4o key-1"]


def test_an_own_credential_serves_the_other_surface_of_its_provider_too() -> None:
    view = seen(Holding(keyed={"openai": (own(1),)}))
    assert shown(plan(view, "openai-responses/gpt-4o")) == ["openai-responses/gpt-4o own_1"]


def test_of_several_own_credentials_each_gets_its_share() -> None:
    view = seen(Holding(keyed={"openai": (own(1), own(2, weight=3))}))
    firsts = [plan(view, "openai/gpt-4o").candidates[0].credential.id for _ in range(40)]
    assert firsts.count("own_2") == 30


def test_a_provider_that_lacks_a_key_alone_is_there_for_who_brings_one() -> None:
    assert "anthropic" in HOUSE.dormant
    holding = Holding(keyed={"anthropic": (own(1, ANTHROPIC),)})
    view = seen(holding)
    assert shown(plan(view, "claude-sonnet-4-5")) == ["anthropic/claude-sonnet-4-5 own_1"]
    assert view.registry.price("anthropic", "claude-sonnet-4-5", 0.0) is not None
    assert shown(plan(view, "pair")) == [
        "openai/gpt-4o key-1",
        "anthropic/claude-sonnet-4-5 own_1",
    ]
    assert "models" not in view.registry.providers["anthropic"].paths  # no key to list them with
    with pytest.raises(CallerError) as caught:
        plan(view_of(HOUSE, HOUSE, Pools(HOUSE.credentials), "x", NOTHING), "claude-sonnet-4-5")
    assert caught.value.code == "model_not_found"


def test_providers_stand_in_the_order_of_the_configuration() -> None:
    view = seen(Holding(keyed={"anthropic": (own(1, ANTHROPIC),)}))
    names = list(view.registry.providers)
    assert names.index("openai") < names.index("anthropic") < names.index("groq")


def test_own_only_refuses_everybody_else_in_words() -> None:
    view = seen(Holding(own_only=True, keyed={"openai": (own(1),)}))
    assert shown(plan(view, "gpt-4o")) == ["openai/gpt-4o own_1"]
    for model in ("groq/llama-3.1-8b-instant", "llama-3.1-8b-instant", "ollama/llama3"):
        with pytest.raises(CallerError) as caught:
            plan(view, model)
        assert (caught.value.status, caught.value.code) == (403, "no_own_credential")
        assert "POST /v1/providers" in caught.value.message
    assert {item.provider.name for item in plan(view, "auto").candidates} <= {
        "openai",
        "openai-responses",
    }
    with pytest.raises(CallerError) as caught:
        plan(view, "no-such-model-anywhere")
    assert caught.value.code == "model_not_found"
    nothing = seen(Holding(own_only=True))
    for model in ("auto", "openai/gpt-4o"):
        with pytest.raises(CallerError, match="made with its own credentials alone"):
            plan(nothing, model)


def test_own_only_leaves_of_an_alias_those_that_the_tenant_has() -> None:
    view = seen(Holding(own_only=True, keyed={"anthropic": (own(1, ANTHROPIC),)}))
    assert shown(plan(view, "pair")) == ["anthropic/claude-sonnet-4-5 own_1"]
    with pytest.raises(CallerError, match="has none for openai"):
        plan(seen(Holding(own_only=True)), "pair")


@pytest.mark.parametrize("closed", ["barred", "shut"])
def test_a_weighted_route_goes_on_without_a_leg_that_is_closed(closed) -> None:
    legs = [
        {"model": "openai/gpt-4o", "weight": 3},
        {"model": "groq/llama-3.1-8b-instant", "weight": 1},
    ]
    table = {"any": {"candidates": legs, "strategy": "weighted"}}
    registry = load_providers(ENV, routes=read_routes(table))
    if closed == "barred":
        view = seen(Holding(own_only=True, keyed={"openai": (own(1),)}), registry=registry)
    else:
        from dragoman.assembly.overlay import without_disabled
        from dragoman.catalog.stored import Overlay, StoredProvider

        off = Overlay(providers=(StoredProvider("groq", disabled=True),))
        view = seen(NOTHING, registry=without_disabled(registry, off))
    assert [item.name for item in plan(view, "any").candidates] == ["openai/gpt-4o"]


def test_a_credential_is_not_sent_to_another_address_than_its_own() -> None:
    moved = load_providers({**ENV, "OPENAI_BASE_URL": "https://elsewhere.example/v1"})
    for only in (False, True):
        view = seen(Holding(own_only=only, keyed={"openai": (own(1),)}), registry=moved)
        with pytest.raises(CallerError, match="was stored for another address") as caught:
            plan(view, "openai/gpt-4o")
        assert caught.value.code == "no_own_credential"
    both = {"openai": (own(1), own(2, origin_of(moved.providers["openai"].base_url)))}
    assert shown(plan(seen(Holding(keyed=both), registry=moved), "openai/gpt-4o")) == [
        "openai/gpt-4o own_2"
    ]


def test_where_only_the_stub_answers_a_brought_key_takes_its_place() -> None:
    lonely = with_stub(load_providers({}))
    view = seen(Holding(keyed={"openai": (own(1),)}), registry=lonely)
    assert shown(plan(view, "openai/gpt-4o-mini")) == ["openai/gpt-4o-mini own_1"]
    assert STUB.name not in view.registry.providers
    other = seen(Holding(own_only=True), registry=lonely)
    assert STUB.name not in [*other.registry.providers, *other.registry.aliases.values()]


def test_a_disabled_provider_is_disabled_for_a_brought_key_too() -> None:
    from dragoman.assembly.overlay import without_disabled
    from dragoman.catalog.stored import Overlay, StoredProvider

    off = Overlay(providers=(StoredProvider("anthropic", disabled=True),))
    registry = without_disabled(HOUSE, off)
    holding = Holding(keyed={"anthropic": (own(1, ANTHROPIC),)})
    assert not needs_more(holding, registry)
    with pytest.raises(CallerError, match="disabled by an administrator"):
        plan(seen(holding, registry=registry), "anthropic/claude-sonnet-4-5")


def test_own_names_and_own_credentials_go_together() -> None:
    policy = Named("policy", "mine", ("anthropic/claude-sonnet-4-5",), tenant="acme")
    view = seen(Holding(keyed={"anthropic": (own(1, ANTHROPIC),)}), policies=[policy])
    assert shown(plan(view, "mine")) == ["anthropic/claude-sonnet-4-5 own_1"]


def test_an_operators_own_provider_takes_a_brought_key() -> None:
    row = operator_row({"name": "corp", "dialect": "chat", "base_url": "http://corp/v1"})
    registry = load_providers(ENV, [row])
    view = seen(Holding(keyed={"corp": (own(1, "http://corp:80"),)}), registry=registry)
    assert shown(plan(view, "corp/m")) == ["corp/m own_1"]


def test_listings_are_everybodys_and_never_asked_for_with_a_brought_key() -> None:
    registry = load_providers(ENV)
    view = seen(Holding(keyed={"anthropic": (own(1, ANTHROPIC),)}), registry=registry)
    due = {item.provider.name for item in view.registry.listings_due(0.0)}
    assert "anthropic" not in due
    assert "openai" in due
    registry.note_listing("openai", (Listed("brand-new"),), 0.0)
    assert view.registry.knows("openai", "brand-new")
    found = resolve("brand-new", view.registry, 0.0)
    assert not isinstance(found, ListingsNeeded)


# --------------------------------------------------------------------------- health


def refused(status=401):
    kinds = {401: "authentication", 402: "billing", 429: "rate_limit", 500: "server"}
    return UpstreamError(kinds[status], "no", upstream_status=status)


def first(view, model="openai/gpt-4o", **more) -> Candidate:
    return plan(view, model, **more).candidates[0]


@pytest.mark.parametrize("status", [401, 402, 429, 500])
def test_what_one_tenants_credential_meets_says_nothing_to_others(status) -> None:
    """Not a word, whatever it is: neither of the provider, nor of a key, nor of the allowances."""
    from dragoman.attempt.allowance import Allowances

    health, allowances = Health(), Allowances()
    a = seen(Holding(keyed={"openai": (own(1),)}), tenant="a")
    b = seen(Holding(keyed={"openai": (own(2),)}), tenant="b")
    house = seen(NOTHING)
    mine = first(a)
    for number in range(200):
        now = number * 1.0
        allowances.request(key_of(mine)[0], now)
        if allowances.afford(key_of(mine)[0], now):
            allowances.spend(key_of(mine)[0])
        health.admits(mine, now)
        health.failed(mine, refused(status), now)
    now = 200.0
    for view in (b, house):
        candidate = first(view, health=health, now=now)
        assert health.knows_well(key_of(candidate), now)
        assert health.admits(candidate, now)
        assert not health.is_probed(candidate, now)
        provider, model, _ = key_of(candidate)
        assert health.is_off(provider, model, now) is None
        assert health.score(provider, model, now) == 50
        assert health.paces.of(provider, model, whole=False) is None
        assert allowances.afford(provider, now)
    assert not conditions(health, HOUSE.providers, now)["openai"].breaker
    assert set(conditions(health, HOUSE.providers, now)) == set(HOUSE.providers)
    if status != 500:
        assert not health.knows_well(key_of(mine), now)
    else:
        assert health.states(now)


def test_one_account_has_one_name_that_tells_nobody() -> None:
    holding = Holding(keyed={"openai": (own(1),)})
    accounts = {
        first(seen(holding, tenant=name)).provider.account for name in ("acme", "acme", "b")
    }
    assert len(accounts) == 2
    assert all(name.startswith("openai:") and "acme" not in name for name in accounts)
    spoken = seen(holding, tenant="acme").registry.providers["openai"]
    assert {each.account for each in (spoken, *spoken.also)} == {spoken.account}
    assert [replace(each, account="") for each in spoken.also] == list(
        HOUSE.providers["openai"].also
    )
    assert is_own("own_1")
    assert not is_own("key-1")
    assert not is_own(None)


def test_figures_of_an_account_are_its_own() -> None:
    health = Health()
    mine = first(seen(Holding(keyed={"openai": (own(1),)})))
    record = Attempt("a", 1, "openai", "gpt-4o", "own_1", 0.0, 0.0, duration_s=1.0)
    health.completed(mine, record, 1.0)
    assert health.statistics.of("openai") is None
    assert health.statistics.of(key_of(mine)[0], "gpt-4o") is not None
