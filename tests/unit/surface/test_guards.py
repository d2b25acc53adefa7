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


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "http://localhost:5173",
        "https://localhost:3000",
        "http://127.0.0.1:5173",
        "http://[::1]:5173",
    ],
)
def test_a_page_that_this_machine_serves_may_call_in_local_mode_alone(origin):
    assert guard(LOCAL, {"host": "127.0.0.1:8000", "origin": origin}) is None
    assert guard(LOCAL, {"host": "evil.example", "origin": origin}).status == 421
    assert may_call(LOCAL, origin, "localhost:8000")
    assert not may_call(PROD, origin, "localhost:8000")


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "localhost:5173",
        "http://localhost.evil.example",
        "http://localhost:80.evil.example",
        "http://localhost@evil.example",
        "http://evil.example:5173",
        "http://127.0.0.1.nip.io",
        "http://127.0.0.1:5173/",
        "http://localhost:5173\n",
        "http://192.168.0.7:5173",
        "file://localhost",
        "chrome-extension://localhost",
    ],
)
def test_what_only_looks_like_this_machine_may_not_call(origin):
    refusal = guard(LOCAL, {"host": "localhost:8000", "origin": origin})
    assert (refusal.status, refusal.code) == (403, "origin_not_allowed")
    assert "CORS_ALLOW_ORIGINS" in refusal.message


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


@pytest.mark.parametrize(("guards", "status"), [(LOCAL, 204), (PROD, 403)])
def test_a_development_servers_preflight_is_answered_in_local_mode_alone(guards, status):
    sent = []

    async def send(message):
        sent.append(message)

    origin = "http://localhost:5173"
    asyncio.run(preflight(guards, {"origin": origin, "host": "127.0.0.1:8000"}, send))
    assert sent[0]["status"] == status
    told = dict(sent[0]["headers"]).get(b"access-control-allow-origin")
    assert told == (origin.encode() if status == 204 else None)
