"""The modes over real processes: what production refuses, who may call, and what browsers are told."""

import os

import pytest
from cryptography.fernet import Fernet

import forge
from servers import free_port, gateway_server, providers_at, running

ORIGIN = "https://app.example"
ADMIN = "an-admin-key-of-ones-own"


def production(folder, *arguments, **more: str):
    port = free_port()
    environment = {
        "MODE": "prod",
        "DRAGOMAN_HOME": str(folder / "home"),
        "DATABASE_URL": f"sqlite:///{folder}/prod.db",
        "FERNET_KEY": Fernet.generate_key().decode(),
        "CORS_ALLOW_ORIGINS": f"{ORIGIN},https://other.example",
        "DEFAULT_ADMIN_USER_ID": "root",
        "DEFAULT_ADMIN_API_KEY": ADMIN,
        **more,
    }
    command = ["serve", "--port", str(port), *arguments]
    return running(command, port, folder / "gateway.log", environment, "/ready")


def refused(folder, *arguments, **environment: str) -> str:
    """What is said by a start that does not come to serve."""
    done = forge.run(
        ["serve", "--port", "0", *arguments],
        env={"PATH": os.environ["PATH"], "DRAGOMAN_HOME": str(folder / "home"), **environment},
        cwd=folder,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def prod(mock, tmp_path):
    with production(tmp_path, **providers_at(mock.port)) as server:
        yield server


@pytest.mark.req("R-SEC-001")
@pytest.mark.parametrize("mode", ["staging", "dev", "local,prod", "0"])
def test_a_mode_that_there_is_not_stops_the_start(tmp_path, mode):
    told = refused(tmp_path, MODE=mode)
    assert "MODE" in told
    assert "local" in told


@pytest.mark.req("R-SEC-001", "R-SEC-002")
@pytest.mark.parametrize("said", [{}, {"MODE": "prod"}, {"MODE": "Production"}])
def test_production_names_all_that_is_missing_at_once(tmp_path, said):
    told = refused(tmp_path, **said)
    for name in ("DATABASE_URL", "FERNET_KEY", "CORS_ALLOW_ORIGINS", "dragoman init --prod"):
        assert name in told
    assert not (tmp_path / "home").exists()


@pytest.mark.req("R-SEC-002", "R-SEC-003")
def test_production_refuses_a_wildcard_and_the_stub_and_strict_local_guards_do_too(tmp_path):
    full = {
        "DATABASE_URL": f"sqlite:///{tmp_path}/x.db",
        "FERNET_KEY": Fernet.generate_key().decode(),
        "CORS_ALLOW_ORIGINS": "*",
        "USE_STUB_ADAPTERS": "true",
    }
    for mode in ({"MODE": "prod"}, {"MODE": "local", "STRICT_LOCAL_GUARDS": "true"}):
        told = refused(tmp_path, **mode, **full)
        assert "wildcard" in told
        assert "USE_STUB_ADAPTERS" in told
        assert full["FERNET_KEY"] not in told


def test_what_init_writes_is_what_production_serves_with(mock, tmp_path):
    done = forge.run(
        ["init", "--prod", "--origin", ORIGIN],
        env={"PATH": os.environ["PATH"], "DRAGOMAN_HOME": str(tmp_path / "home")},
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    port = free_port()
    environment = {"DRAGOMAN_HOME": str(tmp_path / "home"), **providers_at(mock.port)}
    command = ["serve", "--port", str(port), "--env-file", ".env"]
    with running(command, port, tmp_path / "gateway.log", environment, "/ready") as server:
        assert server.ask("GET", "/health", key=None).json()["mode"] == "prod"
        assert server.chat().status == 401


@pytest.mark.req("R-AUTH-004", "R-SEC-001")
def test_the_default_admin_is_made_once_and_never_overwritten(mock, tmp_path):
    sealed = {"FERNET_KEY": Fernet.generate_key().decode(), **providers_at(mock.port)}
    with production(tmp_path, "--workers", "2", **sealed) as server:
        assert server.chat(key=ADMIN).status == 200
        assert server.chat(key="drg_test").status == 401
        assert ADMIN not in server.tail()
    other = "another-key-of-the-same-user"
    with production(tmp_path, DEFAULT_ADMIN_API_KEY=other, **sealed) as server:
        assert server.chat(key=ADMIN).status == 200
        assert server.chat(key=other).status == 401


@pytest.mark.req("R-AUTH-004")
def test_a_default_admins_key_that_cannot_be_stored_is_named(tmp_path):
    told = refused(
        tmp_path, MODE="local", DEFAULT_ADMIN_USER_ID="root", DEFAULT_ADMIN_API_KEY="sk-1234"
    )
    assert "DEFAULT_ADMIN_API_KEY" in told
    assert "sk-1234" not in told


# --------------------------------------------------------------------------- browsers


@pytest.mark.req("R-ENV-010")
def test_a_preflight_allows_exactly_the_origins_that_were_named(prod):
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-os",
    }
    paths = (
        "/v1/chat/completions",
        "/v1/messages",
        "/v1beta/models/gemini-2.5-flash:generateContent",
    )
    for path in paths:
        reply = prod.ask("OPTIONS", path, headers={"origin": ORIGIN, **asked}, key=None)
        assert reply.status == 204, reply.body
        assert reply.headers["access-control-allow-origin"] == ORIGIN
        assert "POST" in reply.headers["access-control-allow-methods"]
        assert "x-stainless-os" in reply.headers["access-control-allow-headers"]
        assert "origin" in reply.headers["vary"].lower()
        assert "access-control-allow-credentials" not in reply.headers
    for origin in (
        *("https://app.example.evil", "http://app.example", "https://app.example:444", "null"),
        *("https://evil.example", "HTTPS://APP.EXAMPLE", f"{ORIGIN},{ORIGIN}"),
    ):
        reply = prod.ask("OPTIONS", paths[0], headers={"origin": origin, **asked}, key=None)
        assert reply.status == 403, origin
        assert "access-control-allow-origin" not in reply.headers


@pytest.mark.req("R-ENV-010", "R-ADD-030")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("key", "status"), [(ADMIN, 200), ("wrong-key-of-nobody", 401)])
def test_a_page_reads_answers_and_their_headers_if_it_was_named(prod, stream, key, status):
    reply = prod.chat(headers={"origin": ORIGIN}, key=key, stream=stream)
    assert reply.status == status
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    # `*` shows all of them, as long as credentials are not allowed, and they never are.
    assert reply.headers["access-control-expose-headers"] == "*"
    assert "access-control-allow-credentials" not in reply.headers
    assert reply.headers["x-request-id"]
    foreign = prod.chat(headers={"origin": "https://evil.example"}, key=key, stream=stream)
    assert foreign.status == status
    assert not [name for name in foreign.headers if name.startswith("access-control-")]


@pytest.mark.req("R-SEC-006")
def test_answers_carry_the_headers_that_keep_browsers_safe(prod):
    replies = [
        prod.chat(key=ADMIN),
        prod.chat(key=None),
        prod.ask("GET", "/nowhere"),
        prod.ask("GET", "/v1/models", key=ADMIN),
        prod.ask("GET", "/ready", key=None),
    ]
    for reply in replies:
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert "server" not in reply.headers
        assert b"Traceback" not in reply.body
    stream = prod.chat(key=ADMIN, stream=True)
    assert stream.headers["x-content-type-options"] == "nosniff"


@pytest.mark.req("R-ENV-013")
def test_test_mode_applies_its_quota_to_every_key_and_the_admins_too(mock, tmp_path):
    environment = {**providers_at(mock.port), "MODE": "test", "TEST_RATE_LIMIT_RPM": "2"}
    with production(tmp_path, **environment) as server:
        assert [server.chat(key=ADMIN).status for _ in range(4)] == [200, 200, 429, 429]


def test_local_mode_listens_to_this_machine_alone(tmp_path):
    with gateway_server(tmp_path) as server:
        assert server.ask("GET", "/v1/models", headers={"host": "gateway.evil"}).status == 421
        origin = {"origin": "https://evil.example"}
        assert server.ask("GET", "/v1/models", headers=origin).status == 403
