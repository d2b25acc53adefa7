"""Who may reach the gateway from a browser."""

import asyncio

import pytest

from dragoman.surface.guards import Guards, guard, may_call, preflight

LOCAL = Guards(
    local=True,
    allowed_hosts=frozenset({"gate.lan"}),
    origins=frozenset({"https://app.example"}),
)
PROD = Guards(local=False, origins=frozenset({"https://app.example"}))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "127.0.0.1:8000",
        "[::1]:8000",
        "10.0.0.7",
        "gate.lan:80",
        "LOCALHOST",
    ],
)
def test_this_machines_own_names_pass(host):
    assert guard(LOCAL, {"host": host}) is None


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.nip.io:8000", "a:b:c", "[::1"],
)
def test_any_other_host_is_421_in_local_mode(host):
    refusal = guard(LOCAL, {"host": host})
    if host == "[::1":
        assert refusal is None  # the address is right, the bracket is the server's to judge
        return
    assert refusal is not None
    assert refusal.status == 421


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_a_probe_without_a_host_is_answered(path):
    # HTTP/1.0 has no Host, and load balancers still speak it; a browser never leaves it out.
    assert guard(LOCAL, {}, path) is None
    assert guard(LOCAL, {"host": "evil.example"}, path).status == 421
    assert guard(LOCAL, {"host": ""}, path).status == 421
    assert guard(LOCAL, {"origin": "https://evil.example"}, path).status == 403


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/v1/chat/completions", ""])
def test_anything_else_needs_a_host(path):
    assert guard(LOCAL, {}, path).status == 421


def test_a_host_is_not_judged_in_production():
    assert guard(PROD, {"host": "anything.example"}) is None


def test_foreign_origins_are_refused_in_local_mode():
    base = {"host": "localhost:8000"}
    assert guard(LOCAL, {**base, "origin": "https://evil.example"}).status == 403
    assert guard(LOCAL, {**base, "origin": "null"}).status == 403
    assert guard(LOCAL, {**base, "origin": "http://localhost:8000"}) is None
    assert guard(LOCAL, {**base, "origin": "https://app.example"}) is None


def test_only_allowed_origins_may_read_answers():
    assert may_call(PROD, "https://app.example", "gate")
    assert not may_call(PROD, "https://evil.example", "gate")
    assert not Guards(local=False).active
    assert PROD.active


@pytest.mark.parametrize(
    ("origin", "status"), [("https://app.example", 204), ("https://evil.example", 403)]
)
def test_a_preflight_is_answered_for_allowed_origins_alone(origin, status):
    sent = []

    async def send(message):
        sent.append(message)

    headers = {"origin": origin, "host": "gate", "access-control-request-headers": "x-a"}
    asyncio.run(preflight(PROD, headers, send))
    assert sent[0]["status"] == status
    names = {name for name, _ in sent[0]["headers"]}
    assert (b"access-control-allow-origin" in names) is (status == 204)
