"""Tiers and limits over a real gateway: what callers are told, what comes back, and what is never let through."""

import http.client
import json
import signal
import threading
import time
from contextlib import closing

import pytest

from administrators import admin_key
from servers import gateway_server, new_api_key, providers_at, until

ADMIN = "drg_admin_0123456789"
CHAT = "openai/gpt-4o-mini"
SLOW = f"{CHAT}--mock-chunk-delay-100--mock-length-200"
TIERS = """
[tiers.team]
rpm = 3
tpm = 100_000
[tiers.tight]
tpm = 400
[tiers.streams]
concurrency = 1
[tiers.picky]
max_provider_score = 5
require_score = true
[tiers.modest]
max_provider_score = 5
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("limits")
    (made / "dragoman.toml").write_text(TIERS)
    return made


@pytest.fixture(scope="module")
def limited(mock, folder):
    environment = {
        **providers_at(mock.port),
        "DRAGOMAN_CONFIG": str(folder / "dragoman.toml"),
        "DEFAULT_ADMIN_USER_ID": "boss",
        "DEFAULT_ADMIN_API_KEY": ADMIN,
        "MAX_RETRIES": "0",
    }
    with gateway_server(folder, **environment) as server:
        yield server


def key_of(server, *arguments):
    return new_api_key(server, "--name", "somebody", *arguments)


def hits(server, limit):
    text = server.ask("GET", "/metrics", key=ADMIN).body.decode()
    name = f'dragoman_rate_limit_hits_total{{limit="{limit}"}} '
    found = [line.removeprefix(name) for line in text.splitlines() if line.startswith(name)]
    return float(found[0]) if found else 0.0


def explained(server, reply, key):
    found = server.ask(
        "GET", f"/v1/requests/{reply.headers['x-dragoman-call-id']}/explain", key=key
    )
    assert found.status == 200, found.body
    return found.json()


class Stream:
    """A stream that is read when the test says so."""

    def __init__(self, server, key, model=SLOW):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self.connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        self.response = self.connection.getresponse()

    def close(self):
        self.connection.close()
        self.response.close()


@pytest.mark.req("R-TIER-001", "R-TIER-003", "R-TIER-010", "R-ADD-030")
def test_the_fourth_of_three_a_minute_is_refused_in_each_dialect(limited):
    before = hits(limited, "rpm")
    key = key_of(limited, "--tier", "team")
    first = limited.chat(key=key)
    assert first.headers["x-ratelimit-limit-requests"] == "3"
    assert first.headers["x-ratelimit-remaining-requests"] == "2"
    assert first.headers["x-ratelimit-limit-tokens"] == "100000"
    told = int(first.headers["x-ratelimit-remaining-tokens"])
    assert 99_000 < told < 100_000
    message = limited.message(headers={"x-api-key": key})
    assert message.headers["anthropic-ratelimit-requests-remaining"] == "1"
    assert message.headers["anthropic-ratelimit-tokens-limit"] == "100000"
    assert message.headers["anthropic-ratelimit-requests-reset"].endswith("Z")
    gemini = "/v1beta/models/gemini-2.5-flash:generateContent"
    asked = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    assert limited.ask("POST", gemini, asked, {"x-goog-api-key": key}, key=None).status == 200
    refused = limited.chat(key=key)
    assert refused.status == 429
    error = refused.json()["error"]
    assert (error["code"], error["type"]) == ("rpm_exceeded", "rate_limit_error")
    assert error["dragoman"]["details"] == {"limit_type": "rpm", "limit": 3}
    assert 0 < int(refused.headers["retry-after"]) <= 61
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert "x-should-retry" not in refused.headers
    body = limited.message(headers={"x-api-key": key}).json()
    assert (body["type"], body["error"]["type"]) == ("error", "rate_limit_error")
    refused = limited.ask("POST", gemini, asked, {"x-goog-api-key": key}, key=None)
    assert refused.json()["error"]["status"] == "RESOURCE_EXHAUSTED"
    details = refused.json()["error"]["details"]
    waits = [each["retryDelay"] for each in details if each["@type"].endswith("RetryInfo")]
    assert 0 < float(waits[0].removesuffix("s")) <= 61
    ollama = {"model": CHAT, "messages": [{"role": "user", "content": "hi"}], "stream": False}
    refused = limited.ask("POST", "/api/chat", ollama, key=key)
    assert (refused.status, type(refused.json()["error"])) == (429, str)
    assert hits(limited, "rpm") == before + 4


@pytest.mark.req("R-TIER-001")
def test_a_keys_own_limits_go_before_its_tiers(limited):
    key = key_of(limited, "--tier", "team", "--rpm", "1")
    assert [limited.chat(key=key).status for _ in range(2)] == [200, 429]


def test_a_key_without_tier_and_limits_is_told_of_none(limited):
    reply = limited.chat(key=key_of(limited))
    assert reply.status == 200
    assert not any("ratelimit" in name for name in reply.headers)


def test_tokens_are_reserved_before_and_settled_after(limited):
    key = key_of(limited, "--tier", "tight")
    first = limited.chat(key=key, max_tokens=300)
    assert first.status == 200
    assert 50 < int(first.headers["x-ratelimit-remaining-tokens"]) < 90
    used = first.json()["usage"]["total_tokens"]
    second = limited.chat(key=key, max_tokens=200)
    assert second.status == 200
    left = int(second.headers["x-ratelimit-remaining-tokens"])
    request = int(first.headers["x-ratelimit-remaining-tokens"])
    assert left == 400 - used - (100 - request) - 200
    assert limited.chat(f"{CHAT}--mock-length-1000", key=key, max_tokens=200).status == 200
    refused = limited.chat(key=key, max_tokens=250)
    assert (refused.status, refused.json()["error"]["code"]) == (429, "tpm_exceeded")
    assert refused.headers["x-ratelimit-limit-tokens"] == "400"
    assert int(refused.headers["retry-after"]) > 0


def test_more_than_there_ever_is_is_refused_with_what_to_do(limited):
    refused = limited.chat(key=key_of(limited, "--tier", "tight"), max_tokens=500)
    assert refused.status == 429
    assert "lower the most that its answer may be" in refused.json()["error"]["message"]
    assert "retry-after" not in refused.headers


def test_a_call_that_fails_gives_its_tokens_back(limited):
    key = key_of(limited, "--tier", "tight")
    for _ in range(4):
        failed = limited.chat(f"{CHAT}--mock-status-500", key=key, max_tokens=300)
        assert failed.status == 500
    assert limited.chat(key=key, max_tokens=300).status == 200


def test_a_stream_that_is_left_is_settled_as_well(limited):
    key = key_of(limited, "--tier", "tight")
    for _ in range(3):
        stream = Stream(limited, key)  # 500 tokens without a bound
        assert stream.response.status == 429
        stream.close()
    key = key_of(limited, "--tpm", "600")
    stream = Stream(limited, key)
    assert stream.response.status == 200
    while b"[DONE]" not in (line := stream.response.readline()):
        assert line
    stream.close()
    assert limited.chat(key=key, max_tokens=400).status == 200


@pytest.mark.req("R-TIER-004", "R-SURF-012")
def test_an_allowance_that_is_used_up_refuses_for_good_even_after_a_restart(mock, tmp_path):
    environment = providers_at(mock.port)
    with gateway_server(tmp_path, **environment) as server:
        key = key_of(server, "--max-tokens", "120")
        first = server.chat(key=key, max_tokens=50)
        assert first.status == 200
        used = first.json()["usage"]["total_tokens"]
        refused = server.chat(key=key, max_tokens=100)
        assert refused.status == 429
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
        assert f"{120 - used} are left" in error["message"]
        assert refused.headers["x-should-retry"] == "false"
        assert "retry-after" not in refused.headers
        assert server.ask("GET", "/v1/usage", key=key).status == 200
    with gateway_server(tmp_path, **environment) as server:
        again = server.chat(key=key, max_tokens=100)
        assert f"{120 - used} are left" in again.json()["error"]["message"]


@pytest.mark.req("R-TIER-004", "R-ADM-002")
def test_an_allowance_that_counts_anew_does_so_in_every_worker_within_a_second(mock, tmp_path):
    with gateway_server(tmp_path, "--workers", "2", **providers_at(mock.port)) as server:
        key = key_of(server, "--max-tokens", "150")
        assert server.chat(key=key, max_tokens=100).status == 200
        used = [server.chat(key=key, max_tokens=100).status for _ in range(20)]
        assert used[-8:] == [429] * 8
        mine = server.ask("GET", "/v1/keys/me", key=key).json()["user"]["id"]
        path = f"/api/admin/api-keys/{mine}/reset-usage"
        assert server.ask("POST", path, {}, key=admin_key(server)).status == 200
        time.sleep(1.1)
        left = [server.chat(key=key, max_tokens=100).status for _ in range(20)]
        assert left[0] == 200, "whichever worker it is that answers"
        assert left[-8:] == [429] * 8, "and both count together"


@pytest.mark.req("R-TIER-001", "R-TIER-007")
def test_what_was_used_of_a_day_is_not_forgotten_by_a_restart(mock, tmp_path):
    environment = providers_at(mock.port)
    with gateway_server(tmp_path, **environment) as server:
        key = key_of(server, "--rpd", "4", "--tpd", "100000")
        replies = [server.chat(key=key) for _ in range(3)]
        used = sum(reply.json()["usage"]["total_tokens"] for reply in replies)
        assert replies[-1].headers["x-ratelimit-remaining"] == "1"
    with gateway_server(tmp_path, **environment) as server:
        reply = server.chat(key=key, max_tokens=100)
        assert (reply.status, reply.headers["x-ratelimit-remaining"]) == (200, "0")
        left = int(reply.headers["x-ratelimit-remaining-tokens"])
        assert 100_000 - used - 150 < left < 100_000 - used - 100
        refused = server.chat(key=key)
        assert (refused.status, refused.json()["error"]["code"]) == (429, "daily_quota_exceeded")


def test_a_stream_holds_its_place_until_its_last_piece(limited):
    key = key_of(limited, "--tier", "streams")
    stream = Stream(limited, key)
    refused = limited.chat(key=key)
    assert refused.status == 429
    assert refused.json()["error"]["code"] == "concurrency_exceeded"
    assert refused.headers["retry-after"] == "1"
    stream.response.read()
    stream.close()
    assert limited.chat(key=key).status == 200


def test_every_way_to_end_gives_the_place_back(limited):
    key = key_of(limited, "--tier", "streams")
    left = Stream(limited, key)
    left.response.readline()
    left.close()
    assert until(lambda: limited.chat(key=key).status == 200, 5)
    endings = {
        "--mock-status-500": 500,
        "--mock-status-429": 429,
        "--mock-drop-reset": 502,
        "--mock-cut-0": 502,
    }
    for script, status in endings.items():
        assert limited.chat(f"{CHAT}{script}", key=key).status == status
        assert limited.chat(key=key).status == 200, script
    assert limited.ask("POST", "/v1/chat/completions", b"no json", key=key).status == 400
    assert limited.chat("nobody/knows", key=key).status == 404
    broken = Stream(limited, key, f"{SLOW}--mock-cut-900")
    assert b'"error"' in broken.response.read()
    broken.close()
    assert limited.ask("GET", "/v1/chat/completions/none", key=key).status == 404
    assert limited.chat(key=key).status == 200


def test_a_recording_holds_the_place_of_who_asked_for_it(limited):
    key = key_of(limited, "--tier", "streams")
    body = {"model": SLOW, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    headers = {
        "authorization": f"Bearer {key}",
        "content-type": "application/json",
        "idempotency-key": "once-more",
    }
    with closing(http.client.HTTPConnection("127.0.0.1", limited.port, timeout=30)) as one:
        one.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = one.getresponse()
        response.readline()
        response.close()
    # Who asked has left, and the answer is still made.
    assert limited.chat(key=key).status == 429
    assert until(lambda: limited.chat(key=key).status == 200, 20)


def test_a_score_that_is_required_of_everybody_refuses_plainly(limited):
    for _ in range(3):
        limited.chat(f"{CHAT}--mock-delay-300")
    key = key_of(limited, "--tier", "picky")
    refused = limited.chat(f"{CHAT}--mock-delay-300", key=key)
    assert refused.status == 503
    error = refused.json()["error"]
    assert error["code"] == "no_candidate_in_score_window"
    assert "the key requires 5 or less" in error["message"]
    told = explained(limited, refused, key)
    assert told["skipped"][0]["reason"].endswith("and the key requires 5 or less")


@pytest.mark.req("R-ROUTE-008")
def test_who_is_outside_of_the_scores_is_left_out_where_somebody_is_within(limited):
    slow, other = f"{CHAT}--mock-delay-200", "groq/llama-3.3-70b-versatile--mock-delay-1"
    for _ in range(3):
        limited.chat(slow)
    key = key_of(limited, "--tier", "modest")
    alone = limited.chat(slow, key=key)
    assert (alone.status, alone.headers["x-dragoman-provider"]) == (200, "openai")
    both = limited.chat(slow, key=key, models=[other])
    assert (both.status, both.headers["x-dragoman-provider"]) == (200, "groq")
    (skip,) = explained(limited, both, key)["skipped"]
    assert skip["model"] == slow
    assert skip["reason"].endswith("and the key prefers 5 or less")


@pytest.mark.req("R-TIER-001")
def test_tiers_are_changed_while_serving_and_one_that_is_gone_fails_closed(limited, folder):
    key = key_of(limited, "--tier", "team", "--rpm", "0")
    assert limited.chat(key=key).headers["x-ratelimit-limit-tokens"] == "100000"
    file = folder / "dragoman.toml"
    try:
        file.write_text(TIERS.replace("tpm = 100_000", "tpm = 50_000"))
        reply = limited.ask("POST", "/admin/config/reload", key=ADMIN)
        assert reply.json()["changed"] == ["tiers"]
        assert limited.chat(key=key).headers["x-ratelimit-limit-tokens"] == "50000"
        file.write_text(TIERS.replace("tpm = 100_000", "tmp = 5"))
        refused = limited.ask("POST", "/admin/config/reload", key=ADMIN)
        assert refused.status == 400
        assert "[tiers.team]: unknown member 'tmp'; did you mean 'tpm'?" in refused.body.decode()
        assert "line 4" in refused.body.decode() or "line 2" in refused.body.decode()
        file.write_text(TIERS.replace("[tiers.team]", "[tiers.squad]"))
        limited.ask("POST", "/admin/config/reload", key=ADMIN)
        closed = limited.chat(key=key)
        assert closed.status == 500
        assert closed.json()["error"]["code"] == "configuration_error"
        assert (
            "the tier 'team', which this gateway does not have"
            in closed.json()["error"]["message"]
        )
    finally:
        file.write_text(TIERS)
        limited.ask("POST", "/admin/config/reload", key=ADMIN)
    assert limited.chat(key=key).status == 200


@pytest.mark.req("R-TIER-002")
def test_tiers_of_the_data_file_hold_as_well(mock, tmp_path):
    environment = {**providers_at(mock.port), "DATA_SOURCE_PREFERENCE": "filesystem"}
    environment |= {"DEFAULT_ADMIN_USER_ID": "boss", "DEFAULT_ADMIN_API_KEY": ADMIN}
    with gateway_server(tmp_path, **environment) as server:
        assert set(json.loads((tmp_path / "home/data/tiers.json").read_text())) == {
            "free",
            "pro",
            "enterprise",
        }
        key = key_of(server, "--tier", "free")
        reply = server.chat(key=key)
        assert reply.headers["x-ratelimit-limit"] in {"30", "1500", "25000"}
        assert reply.headers["x-ratelimit-limit-tokens"] == "1000000"
        (tmp_path / "home/data/tiers.json").write_text('{"free": {"rpm": 7}}')
        reply = server.ask("POST", "/admin/config/reload", key=ADMIN)
        assert reply.json()["changed"] == ["data/tiers.json"]
        assert server.chat(key=key).headers["x-ratelimit-limit"] == "7"
        (tmp_path / "home/data/tiers.json").write_text('{"free": {"rpm": ')
        assert (
            "tiers.json is no JSON"
            in server.ask("POST", "/admin/config/reload", key=ADMIN).body.decode()
        )
        assert server.chat(key=key).headers["x-ratelimit-limit"] == "7"


@pytest.mark.req("R-TIER-006", "R-TIER-007", "R-ENV-013")
def test_in_test_mode_the_third_request_of_any_key_is_refused(mock, tmp_path):
    environment = {**providers_at(mock.port), "MODE": "test", "TEST_DAILY_TOKEN_LIMIT": "900"}
    environment |= {"DEFAULT_ADMIN_USER_ID": "boss", "DEFAULT_ADMIN_API_KEY": ADMIN}
    with gateway_server(tmp_path, local=False, **environment) as server:
        keys = [ADMIN, key_of(server), key_of(server, "--rpm", "500")]
        for key in keys:
            assert [server.chat(key=key).status for _ in range(3)] == [200, 200, 429]
        last = key_of(server)
        refused = server.chat(key=last, max_tokens=1000)
        assert (refused.status, refused.json()["error"]["code"]) == (
            429,
            "daily_token_limit_exceeded",
        )


def test_a_limit_of_one_at_once_holds_for_many_at_once(limited):
    key = key_of(limited, "--concurrency", "2")
    statuses = []

    def ask():
        statuses.append(limited.chat(f"{CHAT}--mock-delay-800", key=key).status)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(statuses) == [200, 200, *[429] * 6]
    limited.process.send_signal(signal.SIGHUP)  # a reload leaves what is under way alone
    time.sleep(0.3)
    assert limited.chat(key=key).status == 200
