"""What OpenRouter's clients ask of their account; what nobody knows is null."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from dragoman.accounting.ports import Line, Sums
from dragoman.core.call import Caller, Limits
from dragoman.core.errors import CallerError
from dragoman.surface.spending import about_key, credit, generation

LINE = Line(
    call_id="call-1",
    request_id="r-1",
    created_us=1_750_000_000_042_000,
    status="complete",
    http_status=200,
    stream=True,
    dialect="chat",
    operation="chat",
    caller="me",
    requested_model="fast",
    provider="openai",
    model="gpt-x",
    attempts=1,
    input_tokens=10,
    output_tokens=None,
    cache_read_tokens=3,
    cache_write_tokens=None,
    reasoning_tokens=None,
    tokens_from="reported",
    cost_pico=1_500_001,
    cost_from="priced",
    upstream_id="gen-1",
    first_event_s=0.25,
    duration_s=None,
    error_code=None,
)
WALL = datetime(2026, 7, 15, 13, 30, tzinfo=UTC).timestamp()
"""A Wednesday."""


def asked(query, line=LINE):
    names = []

    async def find(name):
        names.append(name)
        return line

    body = asyncio.run(generation(query, find))
    return names, msgspec.json.decode(body)["data"], body


@pytest.mark.req("R-SURF-044")
def test_a_call_is_told_from_the_ledger():
    names, data, body = asked({"id": "r-1"})
    assert names == ["r-1"]
    assert (data["id"], data["model"], data["provider_name"]) == ("gen-1", "gpt-x", "openai")
    assert (data["tokens_prompt"], data["tokens_completion"]) == (10, None)
    assert b'"total_cost":0.000001500001' in body
    assert data["created_at"] == "2025-06-15T15:06:40.042Z"
    assert (data["latency"], data["generation_time"]) == (250.0, None)
    assert (data["streamed"], data["cancelled"]) == (True, False)


def test_a_cost_that_nobody_knows_is_null():
    line = msgspec.structs.replace(LINE, cost_pico=None, upstream_id=None, status="client_cut")
    _, data, _ = asked({"id": "x"}, line)
    assert data["usage"] is data["total_cost"] is None
    assert (data["id"], data["cancelled"]) == ("call-1", True)


@pytest.mark.parametrize(("query", "status"), [({}, 400), ({"id": ""}, 400), ({"id": "x"}, 404)])
def test_no_id_and_an_unknown_one_are_told_apart(query, status):
    with pytest.raises(CallerError) as refusal:
        asked(query, None)
    assert refusal.value.status == status


def spent(*sums):
    """What was asked for, and who tells it once."""
    moments = []

    async def since(asked):
        assert not moments
        moments.extend(asked)
        return list(sums)

    return moments, since


@pytest.mark.req("R-SURF-044")
def test_credits_are_what_was_spent_and_not_what_was_bought():
    moments, since = spent(Sums(requests=2, cost_pico=2_500_000_000_000))
    assert msgspec.json.decode(asyncio.run(credit(since))) == {
        "data": {"total_credits": None, "total_usage": 2.5}
    }
    assert moments == [None]
    _, since = spent(Sums(requests=2, unknown_cost=2))
    assert msgspec.json.decode(asyncio.run(credit(since)))["data"]["total_usage"] is None


def about(caller=None, limits=None):
    moments, since = spent(*[Sums(requests=1, cost_pico=n * 10**12) for n in (40, 1, 3, 20)])
    body = asyncio.run(
        about_key(caller or Caller("k1", "t1", "mine"), limits or Limits(), since, WALL)
    )
    return moments, msgspec.json.decode(body)["data"]


@pytest.mark.req("R-SURF-044")
def test_a_key_is_told_by_its_name_and_its_usage_of_late():
    moments, data = about()
    days = [datetime(2026, 7, day, tzinfo=UTC) for day in (15, 13, 1)]
    assert moments == [None, *(int(day.timestamp()) * 1_000_000 for day in days)]
    assert data == {
        "label": "mine",
        "usage": 40,
        "usage_daily": 1,
        "usage_weekly": 3,
        "usage_monthly": 20,
        "limit": None,
        "limit_remaining": None,
        "limit_reset": None,
        "is_free_tier": None,
        "is_management_key": False,
        "rate_limit": None,
    }


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(rpm=60, rpd=100), {"requests": 60, "interval": "1m"}),
        (Limits(rps=2, rpm=60), {"requests": 2, "interval": "1s"}),
        (Limits(rpd=100), {"requests": 100, "interval": "1d"}),
    ],
)
def test_the_limit_over_the_shortest_time_is_told(limits, told):
    assert about(limits=limits)[1]["rate_limit"] == told


def test_a_key_without_a_name_is_told_by_its_id_and_an_admins_says_so():
    data = about(Caller("k1", "t1", role="admin"))[1]
    assert (data["label"], data["is_management_key"]) == ("k1", True)
