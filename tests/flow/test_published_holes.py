"""Holes that were published of other gateways and of what they stand on: each is shown not to be here.

Which test shows which: docs/published-holes.md. MODE=test judges no Host, as production does not.
"""

from __future__ import annotations

import re
import socket
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

import dragoman
from administrators import made_key
from dragoman.surface.managed_rows import MANAGED
from dragoman.surface.table import ROUTES
from servers import gateway_server, providers_at

pytestmark = pytest.mark.req("R-AUTH-002", "R-SEC-004")

ADMIN = "drg_admin_0123456789"
ROWS = [row for row in (*ROUTES, *MANAGED) if row.permission != "public"]
SHUT = {400, 401, 403, 404, 405, 421, 426}


@pytest.fixture(scope="module")
def open_house(mock, tmp_path_factory):
    folder = tmp_path_factory.mktemp("holes")
    settings = {
        **providers_at(mock.port),
        "MODE": "test",
        "DEFAULT_ADMIN_USER_ID": "root",
        "DEFAULT_ADMIN_API_KEY": ADMIN,
        "TEST_RATE_LIMIT_RPM": "1000",
        "MAX_BODY_BYTES": "65536",
    }
    with gateway_server(folder, local=False, **settings) as server:
        yield server


def raw(server, data: bytes, patience_s: float = 5.0) -> bytes:
    """Everything that comes back to these bytes before the connection ends or falls silent."""
    found = b""
    with closing(socket.create_connection(("127.0.0.1", server.port), patience_s)) as connection:
        with suppress(
            BrokenPipeError, ConnectionResetError
        ):  # who refuses a head does not read on
            connection.sendall(data)
        connection.settimeout(0.5)
        try:
            while piece := connection.recv(65536):
                found += piece
        except (TimeoutError, ConnectionResetError):
            pass
    return found


def statuses(server, requests: list[bytes]) -> list[int]:
    """The status of each request, asked one after the other, a new connection where one has ended."""
    found, connection, reader = [], None, None
    for request in requests:
        for _ in range(2):
            if connection is None:
                connection = socket.create_connection(("127.0.0.1", server.port), 10)
                reader = connection.makefile("rb")
            try:
                connection.sendall(request)
                line = reader.readline()
            except OSError:
                line = b""
            if line:
                break
            reader.close()
            connection.close()
            connection = None
        found.append(int(line.split()[1]))
        head = b""
        while (more := reader.readline()) not in {b"\r\n", b""}:
            head += more.lower()
        length = re.search(rb"content-length: (\d+)", head)
        reader.read(int(length[1]) if length else 0)
        if b"connection: close" in head:
            reader.close()
            connection.close()
            connection = None
    if connection is not None:
        reader.close()
        connection.close()
    return found


def all_shut(server, spelling: str, host: str) -> None:
    """No row is open to who shows no key, its path spelled so."""
    requests = [
        f"{row.method} {spelling.format(re.sub('{[^}]*}', 'x', row.path))} HTTP/1.1\r\n"
        f"host: {host}\r\ncontent-length: 0\r\n\r\n".encode()
        for row in ROWS
    ]
    for row, status in zip(ROWS, statuses(server, requests), strict=True):
        assert status in SHUT, (row.method, row.path)


HOSTS = (
    "x/#@y",
    "google.com/health#",
    "127.0.0.1/health?",
    "evil.example/v1/models/../../health",
    "health",
    "a@b",
    "[::1]/health",
)


@pytest.mark.parametrize("host", HOSTS)
def test_no_host_header_opens_a_route(open_house, host):
    """CVE-2026-49468, of Starlette CVE-2026-48710: the path was read off a URL that the Host was part of (A3)."""
    all_shut(open_house, "{}", host)


SPELLED = (
    "/health/..{}",
    "/{}",
    "{}/",
    "{};/health",
    "/@google.com{}",
    "http://evil.example{}",
    "//127.0.0.1{}",
    "{}%2f..%2fhealth",
    "/%2e{}",
)


@pytest.mark.parametrize("spelling", SPELLED)
def test_no_spelling_of_a_path_opens_a_route(open_house, spelling):
    """CVE-2026-54282 and its like: who may is decided on the row that was matched, and on nothing else (A3)."""
    all_shut(open_house, spelling, "localhost")


REDIRECTING = (
    "api_base", "base_url", "api_key", "organization", "extra_headers", "extra_body", "proxy",
    "custom_llm_provider", "custom_host", "mock_response", "litellm_params", "user_config",
)  # fmt: skip
HEADERS = (
    "x-portkey-custom-host", "x-portkey-config", "x-litellm-api-base", "x-api-base", "x-base-url",
    "x-forwarded-host", "forwarded", "x-original-url", "x-rewrite-url",
)  # fmt: skip


def test_no_caller_says_where_a_providers_key_goes(open_house):
    """CVE-2024-6587, and what Portkey had to guard against: nobody ever connects to the attacker's port (A19)."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.3)
        url = f"http://127.0.0.1:{trap.getsockname()[1]}/v1"
        for member in REDIRECTING:
            for value in (url, {"base_url": url, "api_base": url}):
                reply = open_house.chat(key=ADMIN, **{member: value})
                assert reply.status in {200, 400}, reply.body
            reply = open_house.ask(
                "POST", f"/v1/chat/completions?{member}={url}", {"model": "x"}, key=ADMIN
            )
            assert reply.status in {400, 404}
        for header in HEADERS:
            said = (
                f'{{"provider": "openai", "custom_host": "{url}"}}' if "config" in header else url
            )
            assert open_house.chat(key=ADMIN, headers={header: said}).status in {200, 400}
        with pytest.raises(TimeoutError):
            trap.accept()


def test_a_digest_of_a_key_is_no_key(open_house):
    """GHSA-69x8-hrgq-fjj8: what is shown of a key opens nothing, and its stored digest is shown nowhere (A14)."""
    me = open_house.ask("GET", "/v1/keys/me", key=ADMIN).json()
    for shown in (me["api_key_hash"], me["api_key_preview"], me["user"]["id"]):
        assert open_house.ask("GET", "/v1/keys/me", key=shown).status == 401
    for path in ("/api/admin/api-keys", "/v1/api-keys", f"/api/admin/api-keys/{me['user']['id']}"):
        body = open_house.ask("GET", path, key=ADMIN).body
        assert b"digest" not in body
        assert b"hash" not in body


@pytest.mark.parametrize("path", ["/admin/config/reload", "/api/admin/config/reload"])
def test_a_user_changes_no_configuration(open_house, path):
    """CVE-2026-35029: any key could call /config/update (A6)."""
    key = made_key(open_house, ADMIN, f"user-{path}")["key"]
    assert open_house.ask("POST", path, {}, key=key).status == 403


def test_nobody_gives_its_own_key_more(open_house):
    """CVE-2026-47101, GHSA-wpfp-gwwc-vwq6: a key's maker said allowed_routes, a user its own role (A7, A8)."""
    key = made_key(open_house, ADMIN, "mallory")
    for said in ({"role": "admin"}, {"scope": {}}, {"allowed_routes": ["/*"]}):
        for path in (
            f"/v1/api-keys/{key['id']}/update",
            f"/api/admin/api-keys/{key['id']}/update",
        ):
            assert open_house.ask("POST", path, said, key=key["key"]).status == 403
    boss = made_key(open_house, ADMIN, "boss", role="tenant_admin", tenant="acme")
    for said in ({"name": "m", "allowed_routes": ["/*"]}, {"name": "m", "user_role": "admin"}):
        assert open_house.ask("POST", "/v1/api-keys", said, key=boss["key"]).status == 400


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key", "x-goog-api-key", "?"])
def test_a_limit_holds_whichever_way_the_key_comes(open_house, name):
    """Open WebUI's GHSA-57q6-fvp4-pqmm: limits held for Authorization and not for x-api-key (A18)."""
    key = made_key(open_house, ADMIN, f"limited by {name}", scope={"models": ["openai/gpt-4o"]})
    value = f"Bearer {key['key']}" if name == "authorization" else key["key"]
    path = "/v1/chat/completions" + (f"?key={key['key']}" if name == "?" else "")
    headers = {} if name == "?" else {name: value}
    said = {"model": "anthropic/claude-sonnet-4-5", "messages": [{"role": "user", "content": "x"}]}
    reply = open_house.ask("POST", path, said, headers, key=None)
    assert (reply.status, reply.json()["error"]["code"]) == (403, "insufficient_permissions")
    said["model"] = "openai/gpt-4o"
    counted = [open_house.ask("POST", path, said, headers, key=None) for _ in range(3)]
    left = [int(each.headers["x-ratelimit-remaining-requests"]) for each in counted]
    # The refused one has counted as well.
    assert (left, {each.status for each in counted}) == ([998, 997, 996], {200})


TEMPLATES = (
    "{{7*191}}",
    "${7*191}",
    "{%print(7*191)%}",
    "{0.__class__}",
    "#{7*191}",
    "<%=7*191%>",
)


@pytest.mark.parametrize("text", TEMPLATES)
def test_nothing_that_is_said_is_a_template(open_house, text):
    """GHSA-46cm-pfwv-cgf8, CVE-2026-42203: templates of callers and of configuration were run (I15)."""
    replies = [
        open_house.chat(key=ADMIN, model=text),
        open_house.chat(key=ADMIN, text=text, user=text, metadata={"prompt": text}),
        open_house.ask(
            "POST", "/api/admin/aliases", {"name": text, "targets": ["openai/gpt-4o"]}, key=ADMIN
        ),
        open_house.ask("POST", "/api/admin/tenants", {"id": "t", "name": text}, key=ADMIN),
        open_house.ask("GET", "/v1/models", key=ADMIN),
    ]
    for reply in replies:
        assert reply.status < 500
        assert b"1337" not in reply.body
        assert b"<class" not in reply.body


def test_nothing_here_runs_what_somebody_says():
    """CVE-2026-40217, CVE-2026-42271: endpoints that ran a caller's code, or a caller's command (I16, F15)."""
    source = Path(dragoman.__file__).parent
    runs = re.compile(
        r"^\s*(?:import|from) (?:subprocess|pickle|marshal|shelve|jinja2|code|runpy)\b"
        r"|\b(?:eval|exec|__import__)\(|os\.(?:system|popen)|create_subprocess",
        re.MULTILINE,
    )
    found = {
        str(path.relative_to(source)): runs.findall(path.read_text(encoding="utf-8"))
        for path in source.rglob("*.py")
    }
    assert {name: what for name, what in found.items() if what} == {}


BOUNDARIES = ("a" * 100_000, "x\\" * 2000, "--\r\n", '"', "bound" + "-" * 5000, "")


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=range(len(BOUNDARIES)))
def test_an_odd_boundary_costs_nothing(open_house, boundary):
    """CVE-2024-8984, GHSA-v9pg-7xvm-68hf: forms whose parts were endless; no route of ours reads a form yet (I5)."""
    kind = f"multipart/form-data; boundary={boundary}".replace("\r\n", "")
    for path, key in (("/v1/chat/completions", ADMIN), ("/api/admin/keys", None)):
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n"
        if key is not None:
            head += f"authorization: Bearer {key}\r\n"
        body = f"--{boundary}\r\n\r\n".encode() * 20
        began = time.monotonic()
        found = raw(open_house, f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        # A reset may overtake the answer.
        assert not found or int(found.split()[1]) in {400, 413, 415, 422, 431}
        assert time.monotonic() - began < 4


def test_a_body_that_nobody_signed_for_is_not_read(open_house):
    """GHSA-v828-m3pf-vq9q: a whole body was read, and logged, before anybody asked whose it was (I3)."""
    for path, most in (("/api/admin/keys", 4096), ("/v1/chat/completions", 65536)):
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        head += f"content-length: {10**9}\r\n\r\n"
        found = raw(open_house, head.encode() + b"{" * most)
        assert int(found.split()[1]) in {401, 413}


def test_a_thousand_ranges_are_none(open_house):
    """Starlette's CVE-2025-62727: a Range header that took quadratic time (I9)."""
    ranges = "bytes=" + ",".join(f"{n}-{n + 1}" for n in range(0, 9000, 3))
    began = time.monotonic()
    reply = open_house.ask("GET", "/openapi.json", headers={"range": ranges[:30_000]}, key=None)
    assert reply.status in {200, 431}
    assert time.monotonic() - began < 8
    assert "content-range" not in reply.headers


INNER = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
SMUGGLED = {
    "length and chunks": b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    + INNER,
    "chunks and length": b"transfer-encoding: chunked\r\ncontent-length: 60\r\n\r\n0\r\n\r\n"
    + INNER,
    "two lengths": b"content-length: 0\r\ncontent-length: %d\r\n\r\n" % len(INNER) + INNER,
    "a signed length": b"content-length: +0\r\n\r\n" + INNER,
    "a negative length": b"content-length: -1\r\n\r\n" + INNER,
    "a list of lengths": b"content-length: 0, %d\r\n\r\n" % len(INNER) + INNER,
    "chunks twice": b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n"
    + INNER,
    "chunks misspelt": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n" + INNER,
    "a folded head": b"transfer-encoding:\r\n chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n"
    + INNER,
    "a bad chunk end": b"transfer-encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n" + INNER,
    "a bare line feed": b"content-length: 0\nx: y\r\n\r\n" + INNER,
    "a space before the colon": b"content-length : 0\r\n\r\n" + INNER,
}


def test_two_requests_in_one_piece_are_two(open_house):
    """What the next test looks for would be seen."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
    found = raw(open_house, head + INNER)
    assert found.startswith(b"HTTP/1.1 401 ")
    assert b"HTTP/1.1 200 OK" in found


@pytest.mark.parametrize("how", SMUGGLED)
def test_no_request_hides_in_another(open_house, how):
    """h11's CVE-2025-43859 and its kin: what two readers read in two ways is refused, and the connection ends (I7)."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    found = raw(open_house, head + SMUGGLED[how])
    assert b"HTTP/1.1 200 OK" not in found, found
