"""Plans that are kept: only for strings that are worth keeping, and never too many."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

from dragoman import pipeline
from dragoman.admission.tiers import Tiers
from dragoman.admission.tool_limits import ToolLimits
from dragoman.core.ask import read_ask
from dragoman.core.call import Call, Caller, Outcome
from dragoman.core.errors import CallerError
from dragoman.core.provider import Candidate, Plan, Skipped
from dragoman.pipeline import House, choose


@pytest.fixture
def house(monkeypatch):
    made = []

    def route(model, sight, **__):
        made.append(sight.registry)
        return Plan(model, (cast("Candidate", object()),), None)

    monkeypatch.setattr(pipeline, "route", route)
    clock = SimpleNamespace(monotonic=lambda: 1.0)
    rest = dict.fromkeys(("registry", "health", "pools", "fetch_listings"))
    gate = SimpleNamespace(tiers=Tiers())
    return SimpleNamespace(
        plans={},
        tenants={},
        holders=set(),
        views={},
        book=None,
        widened=None,
        tool_limits=None,
        gate=gate,
        clock=clock,
        made=made,
        turns=None,
        strategy="cost",
        **rest,
    )


def chosen(house, model, more=b"", dialect="chat"):
    ask = read_ask(b'{"model": "%b"%b}' % (model, more))
    call = cast(
        "Call",
        SimpleNamespace(
            operation="chat",
            dialect=dialect,
            home=None,
            wall=0.0,
            outcome=Outcome(),
            caller=Caller("k", "one"),
        ),
    )
    return asyncio.run(
        choose(ask, call, house.gate.tiers.rules(call.caller).limits, cast("House", house))
    )


def test_a_plain_model_is_routed_once_and_a_wish_each_time(house):
    assert chosen(house, b"openai/a") is chosen(house, b"openai/a")
    assert len(house.made) == 1
    for _ in range(2):
        chosen(house, b"openai/a", b', "routing": {"max_attempts": 1}')
    assert len(house.made) == 3


def test_what_a_tenants_own_names_mean_is_kept_for_nobody_else(house):
    house.registry = "everybody's"
    house.tenants = {"one": "its own"}
    for _ in range(2):
        chosen(house, b"fast")
    assert (house.made, house.plans) == (["its own"], {})
    house.tenants = {"two": "another's"}
    chosen(house, b"fast")
    assert house.made == ["its own", "everybody's"]
    assert len(house.plans) == 1


def test_a_padded_model_is_served_and_not_kept(house):
    padded = b"openai/a" + b" " * 100_000
    chosen(house, padded)
    chosen(house, padded)
    assert len(house.made) == 2
    assert not house.plans


def test_kept_plans_are_bounded(house, monkeypatch):
    monkeypatch.setattr(pipeline, "MOST_PLANS", 3)
    for number in range(10):
        chosen(house, b"openai/%d" % number)
        assert len(house.plans) <= 3


def test_a_plan_that_hangs_on_the_request_is_not_kept(house, monkeypatch):
    one = (cast("Candidate", object()),)
    monkeypatch.setattr(
        pipeline,
        "route",
        lambda model, *_, **__: Plan(model, one, skipped=(Skipped("p/m", "takes no images"),)),
    )
    chosen(house, b"two")
    monkeypatch.setattr(pipeline, "route", lambda model, *_, **__: Plan(model, one))
    chosen(house, b"auto")
    assert not house.plans


def test_a_provider_object_is_a_wish_in_its_own_dialects_alone(house):
    for _ in range(2):
        chosen(house, b"openai/a", b', "provider": {"only": ["openai"]}')
    assert len(house.made) == 2
    for _ in range(2):
        chosen(house, b"openai/a", b', "provider": 7', dialect="anthropic")
    assert len(house.made) == 3


def test_with_limits_of_tools_every_request_is_looked_at(house):
    chosen(house, b"openai/a")
    assert house.plans
    house.plans.clear()
    house.tool_limits = ToolLimits(max_tools=0)
    chosen(house, b"openai/a")
    assert not house.plans
    with pytest.raises(CallerError, match="1 tools are offered"):
        chosen(house, b"openai/a", b', "tools": [{"function": {"name": "x"}}]')
