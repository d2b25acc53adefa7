"""Where a request came from, with a proxy before the gateway: told by those that are trusted, and by nobody else."""

import json
import socket
from contextlib import ExitStack, closing

import pytest
import redis

from administrators import admin_key
from redis_server import URL, redis_prefix
from servers import gateway_server, providers_at, until

OPEN = {
    "ADMIN_KEYS_RATE_LIMIT_RPS": "0",
    "ADMIN_KEYS_RATE_LIMIT_RPM": "0",
    "ADMIN_KEYS_RATE_LIMIT_RPD": "10",
}
TAKEN = iter(range(10_000))


def raw(server, said, *lines, path="/api/admin/keys"):
    """The status of a request with these lines in its head, as a proxy would send them."""
    body = json.dumps(said).encode()
    head = [
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        "content-type: application/json",
        "connection: close",
        f"content-length: {len(body)}",
        *lines,
    ]
    with closing(socket.create_connection(("127.0.0.1", server.port), 20)) as line:
        line.sendall("\r\n".join([*head, "", ""]).encode("latin-1") + body)
        answer = b""
        while data := line.recv(65536):
            answer += data
    return int(answer[9:12])


def submission():
    return {"key": f"sk-or-v1-{next(TAKEN):064x}", "provider": "openrouter"}


def from_whom(server, admin):
    (row, *_) = server.ask("GET", "/api/admin/keys", key=admin).json()["data"]
    return row["submitted_by"]


@pytest.mark.req("R-TIER-009", "R-ADM-010")
def test_a_trusted_proxy_tells_who_hands_in_a_key(mock, tmp_path):
    proxies = {"TRUSTED_PROXIES": "127.0.0.0/8, 10.0.0.0/8", **OPEN}
    with gateway_server(tmp_path, **providers_at(mock.port), **proxies) as server:
        admin = admin_key(server)
        for lines, whose in (
            (["X-Forwarded-For: 198.51.100.7"], "198.51.100.7"),
            (["x-forwarded-for: 203.0.113.9, 198.51.100.8, 10.1.2.3"], "198.51.100.8"),
            (["X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.1.2.3"], "203.0.113.9"),
            (["X-Forwarded-For: [2001:db8::5]:4711"], "2001:db8::5"),
            (["X-Forwarded-For: 198.51.100.7, nonsense"], "127.0.0.1"),
            (["Forwarded: for=198.51.100.7"], "127.0.0.1"),
            ([], "127.0.0.1"),
        ):
            assert raw(server, submission(), *lines) == 201
            assert from_whom(server, admin) == whose, lines
        text = (tmp_path / "home" / "logs" / "admin-keys.jsonl").read_text()
        assert json.loads(text.splitlines()[0])["from"] == "198.51.100.7"


@pytest.mark.req("R-TIER-009", "R-TIER-010")
def test_each_client_behind_the_proxy_has_limits_of_its_own_and_refusals_are_counted(tmp_path):
    limits = {**OPEN, "ADMIN_KEYS_RATE_LIMIT_RPD": "3"}
    with gateway_server(tmp_path, TRUSTED_PROXIES="127.0.0.1", **limits) as server:

        def statuses(*lines):
            return [raw(server, submission(), *lines) for _ in range(5)]

        kept_out = [201] * 3 + [429] * 2
        assert statuses("X-Forwarded-For: 198.51.100.7") == kept_out
        assert statuses("X-Forwarded-For: 198.51.100.8") == kept_out
        assert statuses("X-Forwarded-For: 1.2.3.4, 198.51.100.8")[0] == 429
        page = server.ask("GET", "/metrics", key=None).body.decode()
        assert 'dragoman_rate_limit_hits_total{limit="ingest_rpd"} 9.0' in page


@pytest.mark.req("R-TIER-009", "R-ADM-010")
@pytest.mark.parametrize("proxies", ["", "10.0.0.0/8,198.51.100.7"])
def test_nobody_else_is_believed(tmp_path, proxies):
    limits = {**OPEN, "ADMIN_KEYS_RATE_LIMIT_RPD": "3", "TRUSTED_PROXIES": proxies}
    with gateway_server(tmp_path, **limits) as server:
        admin = admin_key(server)
        found = [
            raw(server, submission(), f"X-Forwarded-For: 198.51.100.{number}")
            for number in range(5, 10)
        ]
        assert found == [201] * 3 + [429] * 2
        assert from_whom(server, admin) == "127.0.0.1"


@pytest.mark.req("R-OBS-009")
@pytest.mark.parametrize(("proxies", "origin"), [("127.0.0.1", "198.51.100.7"), ("", "127.0.0.1")])
def test_the_log_of_errors_tells_where_a_failed_call_came_from(mock, tmp_path, proxies, origin):
    environment = {**providers_at(mock.port), "TRUSTED_PROXIES": proxies}
    with gateway_server(tmp_path, **environment) as server:
        headers = {"x-forwarded-for": "203.0.113.1, 198.51.100.7"}
        reply = server.chat("openai/gpt-4o-mini--mock-status-400", headers=headers)
        assert reply.status == 400
        file = tmp_path / "home" / "logs" / "api-error.jsonl"
        (line,) = until(lambda: file.read_text() if file.exists() else "").splitlines()
    assert json.loads(line)["origin"] == origin


@pytest.mark.req("R-TIER-009", "R-TIER-005")
def test_workers_hold_the_limits_of_an_address_together(tmp_path):
    limits = {**OPEN, "ADMIN_KEYS_RATE_LIMIT_RPD": "10"}
    with gateway_server(
        tmp_path, "--workers", "4", TRUSTED_PROXIES="127.0.0.1", **limits
    ) as server:
        for client in ("198.51.100.7", "198.51.100.8"):
            said = f"X-Forwarded-For: {client}"
            found = [raw(server, submission(), said) for _ in range(25)]
            assert (found.count(201), found.count(429)) == (10, 15), client


@pytest.mark.req("R-TIER-009", "R-TIER-005", "R-AUTH-007")
def test_gateways_on_one_redis_hold_them_together_and_no_address_stands_there(tmp_path):
    with ExitStack() as stack:
        prefix = stack.enter_context(redis_prefix())
        environment = {**OPEN, "REDIS_URL": URL, "REDIS_PREFIX": prefix}
        servers = []
        for number in range(2):
            folder = tmp_path / str(number)
            folder.mkdir()
            servers.append(
                stack.enter_context(
                    gateway_server(folder, TRUSTED_PROXIES="127.0.0.1", **environment)
                )
            )
        found = [
            raw(servers[number % 2], submission(), "X-Forwarded-For: 198.51.100.7")
            for number in range(25)
        ]
        assert (found.count(201), found.count(429)) == (10, 15)
        with closing(redis.Redis.from_url(URL)) as client:
            names = [name.decode() for name in client.scan_iter(f"{prefix}:limits:*")]
    assert any(name.endswith(":requests") for name in names)
    assert not [name for name in names if "198.51" in name or "stranger" in name]
