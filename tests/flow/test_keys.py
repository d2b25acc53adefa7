"""Keys made by the command line work at once in the running server, and stop at once when revoked."""

import json
import time

import pytest

from servers import beside


def command(server, *arguments):
    """Runs the program beside the server, on the same home."""
    return json.loads(beside(server, *arguments))


@pytest.mark.req("R-AUTH-006", "R-AUTH-010")
def test_a_created_key_is_a_callers_own_and_a_revoked_one_is_refused_within_a_second(gateway):
    made = command(gateway, "keys", "create", "--name", "flow", "--tenant", "acme", "--json")
    assert {"id", "key", "name"} <= set(made)
    key = made["key"]
    assert gateway.chat(key=key, headers={"x-request-id": "mine-1"}).status == 200
    rows = gateway.rows(key)
    assert [row["request_id"] for row in rows] == ["mine-1"]
    assert rows[0]["caller"] == "flow"
    assert not [row for row in gateway.rows() if row["request_id"] == "mine-1"]
    command(gateway, "keys", "revoke", made["id"], "--json")
    start = time.monotonic()
    while gateway.chat(key=key).status == 200:
        assert time.monotonic() - start < 1.2
        time.sleep(0.05)
    refused = gateway.chat(key=key)
    assert refused.status == 401
    assert key not in refused.body.decode()


def test_a_key_with_a_wrong_digit_is_refused_in_local_mode_too(gateway):
    made = command(gateway, "keys", "create", "--name", "typo", "--json")["key"]
    wrong = made[:-1] + ("0" if made[-1] != "0" else "1")
    assert gateway.chat(key=wrong).status == 401


@pytest.mark.req("R-TIER-003", "R-ADD-030")
def test_a_limit_per_minute_is_told_and_held(gateway):
    made = command(gateway, "keys", "create", "--name", "slow", "--rpm", "3", "--json")["key"]
    replies = [gateway.chat(key=made) for _ in range(4)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429]
    assert [reply.headers["x-ratelimit-remaining"] for reply in replies] == ["2", "1", "0", "0"]
    last = replies[-1]
    assert last.headers["x-ratelimit-limit"] == "3"
    assert 0 < int(last.headers["retry-after"]) <= 61
    assert last.json()["error"]["code"] == "rpm_exceeded"
    assert "x-should-retry" not in last.headers
    told = gateway.ask(
        "POST", "/v1/messages", {"model": "anthropic/x"}, headers={"x-api-key": made}, key=None
    )
    assert told.status == 429
    assert told.json()["error"]["type"] == "rate_limit_error"


def test_an_expired_key_says_so(gateway):
    made = command(
        gateway, "keys", "create", "--name", "old", "--expires", "0.00001", "--json"
    )  # a second, in days
    time.sleep(1.5)
    reply = gateway.chat(key=made["key"])
    assert reply.status == 401
    assert reply.json()["error"]["code"] == "expired_api_key"
