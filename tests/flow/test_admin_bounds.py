"""How far the admin room looks, how many keys wait, and what a key is told of itself, to the number."""

from __future__ import annotations

from decimal import Decimal

import pytest

from administrators import admin_key, made_key
from servers import gateway_server, providers_at

FEW = {
    "ADMIN_METRICS_MAX_ERROR_LINES": "3",
    "ADMIN_KEYS_LOG_MAX_ENTRIES": "2",
    "ADMIN_KEYS_RATE_LIMIT_RPS": "0",
    "ADMIN_KEYS_RATE_LIMIT_RPM": "0",
}


@pytest.fixture(scope="module")
def house(mock, tmp_path_factory):
    settings = {**providers_at(mock.port), **FEW}
    with gateway_server(tmp_path_factory.mktemp("bounds"), **settings) as server:
        yield server, admin_key(server)


@pytest.mark.req("R-ADM-003", "R-ENV-004")
def test_of_more_failed_calls_than_may_be_looked_at_the_newest_are_and_it_is_told(house):
    server, admin = house
    key = made_key(server, admin, "fails", tenant="failing")["key"]

    def errors():
        path = "/api/admin/metrics/summary?tenant=failing"
        return server.ask("GET", path, key=admin).json()["errors"]

    assert server.chat("groq/llama-3.1-8b-instant--mock-status-400", key=key).status == 400
    for number in range(1, 4):
        assert (errors()["looked_at"], errors()["capped"]) == (number, False)
        assert server.chat("openai/gpt-4o--mock-status-400", key=key).status == 400
    found = errors()
    assert (found["looked_at"], found["capped"]) == (3, True)
    assert [(each["provider"], each["requests"]) for each in found["by_code"]] == [("openai", 3)]
    path = "/api/admin/metrics/summary?tenant=failing"
    used = server.ask("GET", path, key=admin).json()["usage"]
    assert (used["requests"], used["failed_requests"]) == (4, 4), "the sums are of all"


@pytest.mark.req("R-ADM-010", "R-ENV-004")
def test_no_more_keys_wait_or_are_listed_than_there_may(house):
    server, admin = house

    def hand_in(number):
        said = {"provider": "openai", "key": f"sk-handed-in-{number:040}"}
        return server.ask("POST", "/api/admin/keys", said, key=None)

    first = hand_in(0)
    assert (first.status, hand_in(1).status) == (201, 201)
    full = hand_in(2)
    assert full.status in {409, 429, 503}, full.body
    assert f"{2:040}" not in full.body.decode()
    page = server.ask("GET", "/api/admin/keys?limit=100", key=admin).json()
    assert (len(page["data"]), page["has_more"]) == (2, False)
    # One that is used or forgotten makes room; there are then more than one page shows.
    adopted = server.ask("POST", f"/api/admin/keys/{first.json()['id']}/adopt", key=admin)
    assert adopted.status == 200
    assert hand_in(2).status == 201
    page = server.ask("GET", "/api/admin/keys?limit=100", key=admin).json()
    assert (len(page["data"]), page["has_more"]) == (2, True)
    rest = server.ask("GET", f"/api/admin/keys?cursor={page['next_cursor']}", key=admin).json()
    assert [each["id"] for each in rest["data"]] == [first.json()["id"]]


@pytest.mark.req("R-SURF-012", "R-ADD-021", "R-ADD-037", "R-USE-007")
def test_a_key_is_told_its_limits_and_what_is_left_to_the_last_token(house):
    server, admin = house
    limits = {"rpm": 50, "rpd": 400, "max_tokens": 5000, "concurrency": 3}
    made = made_key(server, admin, "numbers", tenant="numbers", limits=limits)
    key = made["key"]

    def me():
        reply = server.ask("GET", "/v1/keys/me", key=key)
        assert reply.status == 200
        return reply.json()

    fresh = me()
    assert {name: fresh["tier"]["limits"][name] for name in limits} == limits
    assert (fresh["totalTokenUsage"], fresh["remainingTokens"], fresh["estimatedCost"]) == (
        0,
        5000,
        "0",
    )
    tokens, cost = 0, Decimal(0)
    for calls in range(1, 4):
        reply = server.chat("openai/gpt-4o-mini", key=key, max_tokens=50)
        assert reply.status == 200
        tokens += reply.json()["usage"]["total_tokens"]
        cost += Decimal(reply.headers["x-dragoman-cost-usd"])
        told = me()
        assert told["usage"] == {
            "token_usage": tokens,
            "request_count": calls,
            "remaining_tokens": 5000 - tokens,
            "max_tokens": 5000,
        }
        assert (told["maxTokens"], told["remainingTokens"]) == (5000, 5000 - tokens)
        assert (told["totalTokenUsage"], told["totalRequestCount"]) == (tokens, calls)
        assert told["currentDayRequestCount"] == calls
        assert Decimal(told["estimatedCost"]) == cost > 0
    assert (told["user"]["id"], told["role"], told["user"]["tenant"]) == (
        made["id"],
        "user",
        "numbers",
    )
    # Another key of the tenant has its own numbers, and one without an allowance has none left to tell.
    other = made_key(server, admin, "other", tenant="numbers")["key"]
    told = server.ask("GET", "/v1/keys/me", key=other).json()
    assert (told["totalRequestCount"], told["remainingTokens"], told["maxTokens"]) == (
        0,
        None,
        None,
    )
