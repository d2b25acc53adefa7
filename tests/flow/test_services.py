"""``/services/{name}/…``: programs reach other APIs by a gateway that holds the credentials (R-CRED-004, R-AUTH-008)."""

from __future__ import annotations

import http.client
import json
import time

import pytest

from administrators import admin_key, made_key
from rest_api import ALL, NEW, ONE, serving
from servers import gateway_server, until

pytestmark = pytest.mark.req("R-CRED-004", "R-CRED-006", "R-AUTH-008")


TOML = """
[[services]]
name = "corp"
base_url = "{url}/api"
headers = {{ x-version = "7" }}
pass_headers = ["x-wanted", "cookie"]
credentials = [{{ tenant = "one", key = "${{CORP_ONE}}" }}, {{ tenant = "*", key_file = "{folder}/all.key" }}]

[[services]]
name = "narrow"
base_url = "{url}/api"
methods = ["GET"]
paths = ["/echo"]
credentials = [{{ tenant = "one", key = "${{CORP_ONE}}" }}]

[[services]]
name = "wrong"
base_url = "{url}/api"
credentials = [{{ tenant = "*", key = "revoked-long-ago" }}]

[[services]]
name = "gone"
base_url = "http://127.0.0.1:9"
credentials = [{{ tenant = "*", key = "anything" }}]

[[services]]
name = "byname"
base_url = "{url}/login"
credentials = [{{ tenant = "*", login = "mine" }}]

[oauth.mine]
authorize_url = "{url}/authorize"
token_url = "{url}/token"
client_id = "us"
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("services")
    with serving() as api:
        (folder / "all.key").write_text(ALL + "\n")
        (folder / "dragoman.toml").write_text(TOML.format(url=api.url, folder=folder))
        oauth = folder / "secrets" / "oauth"
        oauth.mkdir(parents=True, mode=0o700)
        (folder / "secrets").chmod(0o700)
        token = {
            "access_token": "token-old",
            "refresh_token": "r",
            "expires_at": time.time() + 9e5,
        }
        (oauth / "mine.json").write_text(json.dumps(token))
        (oauth / "mine.json").chmod(0o600)
        with gateway_server(
            folder, CORP_ONE=ONE, DRAGOMAN_SECRETS=str(folder / "secrets")
        ) as server:
            admin = admin_key(server)
            keys = {
                name: made_key(server, admin, name, tenant=tenant)["key"]
                for name, tenant in (("alice", "one"), ("bob", "two"))
            }
            yield server, api, keys


def test_a_call_goes_on_with_the_tenants_credential_and_nothing_of_the_callers(house):
    server, api, keys = house
    api.seen.clear()
    reply = server.ask(
        "POST",
        f"/services/corp/a/echo?q=1&key={keys['alice']}&b=%2F&%6Bey={keys['alice']}",
        {"n": 1},
        {
            "x-wanted": "yes",
            "x-unknown": "no",
            "cookie": "c=1",
            "x-api-key": keys["alice"],
            "x-forwarded-for": "1.2.3.4",
            "x-dragoman-caller": "me",
            "if-none-match": '"e"',
        },
    )
    assert (reply.status, reply.json()) == (200, {"n": 1})
    method, path, headers, body = api.seen[0]
    assert (method, path, json.loads(body)) == ("POST", "/api/a/echo?q=1&b=%2F", {"n": 1})
    assert headers["authorization"] == f"Bearer {ONE}"
    assert headers["host"] == f"127.0.0.1:{api.port}"
    assert (headers["x-version"], headers["x-wanted"], headers["if-none-match"]) == (
        "7",
        "yes",
        '"e"',
    )
    assert headers["content-type"] == "application/json"
    assert set(headers) <= {
        "accept", "accept-encoding", "authorization", "content-length", "content-type", "host", "if-none-match",
        "traceparent", "user-agent", "x-version", "x-wanted", "connection",
    }  # fmt: skip
    # Nothing comes back that tells the credential, sets a cookie or says who stands behind.
    assert ONE not in json.dumps(reply.headers)
    assert not {"set-cookie", "x-echo", "etag"} & set(reply.headers)
    assert reply.headers["link"] == "<next>"
    assert reply.headers["x-dragoman-upstream-id"] == "gh-1"
    assert reply.headers.get("server") != "hidden/1"


@pytest.mark.parametrize("name", ["key", "k%65y", "%6Bey", "ke%79"])
def test_the_callers_own_key_is_not_passed_on_however_its_name_is_written(house, name):
    server, api, keys = house
    api.seen.clear()
    path = f"/services/corp/echo?a=1&{name}={keys['alice']}&keys=2"
    assert server.ask("GET", path, key=None).status == 200
    assert api.seen[0][1] == "/api/echo?a=1&keys=2"


@pytest.mark.parametrize("flags", ["00", "01"])
def test_a_service_stands_in_the_trace_of_its_call(house, flags):
    """Whether it is recorded is its caller's word or the sampler's, and its parent is the call's own span."""
    server, api, keys = house
    api.seen.clear()
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    reply = server.ask(
        "GET",
        "/services/corp/echo",
        None,
        {"traceparent": f"00-{trace}-{parent}-{flags}"},
        key=keys["alice"],
    )
    call_id = reply.headers["x-dragoman-call-id"]
    span = call_id[19:23] + call_id[24:]
    assert api.seen[0][2]["traceparent"] == f"00-{trace}-{span}-{flags}"


def test_a_page_of_a_service_runs_nothing_in_the_gateways_name(house):
    server, _, keys = house
    for path in ("echo", "big"):
        reply = server.ask("GET", f"/services/corp/{path}", key=keys["alice"])
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["x-content-type-options"] == "nosniff"


def test_each_tenant_has_its_own_and_one_without_any_is_told_of_no_service(house):
    server, api, keys = house
    api.seen.clear()
    for name in ("alice", "bob"):
        assert server.ask("GET", "/services/corp/echo", key=keys[name]).status == 200
    assert [each[2]["authorization"] for each in api.seen] == [f"Bearer {ONE}", f"Bearer {ALL}"]
    told = {}
    for path in ("/services/narrow/echo", "/services/nobody/echo"):
        reply = server.ask("GET", path, key=keys["bob"])
        error = reply.json()["error"]
        told[path] = (
            reply.status,
            error["code"],
            error["message"].replace(path.split("/")[2], "X"),
        )
    assert len(set(told.values())) == 1
    assert told["/services/nobody/echo"][:2] == (404, "service_not_found")
    listed = server.ask("GET", "/services", key=keys["bob"]).json()["data"]
    assert [each["name"] for each in listed] == ["corp", "wrong", "gone", "byname"]
    assert ALL not in json.dumps(listed)
    assert server.ask("GET", "/services/corp/echo", key=None).status == 401
    assert server.ask("GET", "/services", key=None).status == 401


@pytest.mark.parametrize(
    "path",
    [
        "../token",
        "%2e%2e/token",
        "a/%252e%252e/%252e%252e/token",
        "..%2ftoken",
        "..%5ctoken",
        "./echo",
        "..;/token",
        "a/..;x=1/..%3bx/token",
    ],
)
def test_no_path_leaves_the_address(house, path):
    server, api, keys = house
    api.seen.clear()
    assert server.ask("GET", f"/services/corp/{path}", key=keys["alice"]).status in {400, 404}
    assert api.seen == []


@pytest.mark.parametrize(
    "path", ["//169.254.169.254/echo", "@169.254.169.254/echo", "http://127.0.0.2/echo"]
)
def test_no_address_is_taken_from_a_path(house, path):
    server, api, keys = house
    api.seen.clear()
    assert server.ask("GET", f"/services/corp/{path}", key=keys["alice"]).status == 200
    assert api.seen[0][2]["host"] == f"127.0.0.1:{api.port}"
    assert api.seen[0][1].startswith("/api/")


def test_only_methods_and_paths_of_the_operators_are_reached_and_no_redirect_is_followed(house):
    server, api, keys = house
    api.seen.clear()
    alice = keys["alice"]
    assert server.ask("GET", "/services/narrow/echo", key=alice).status == 200
    assert server.ask("POST", "/services/narrow/echo", {}, key=alice).status == 405
    reply = server.ask("GET", "/services/narrow/echoes", key=alice)
    assert (reply.status, reply.json()["error"]["code"]) == (403, "path_not_allowed")
    assert len(api.seen) == 1
    assert server.ask("GET", "/services/corp/moved", key=alice).status == 302
    assert len(api.seen) == 2


def test_bodies_of_every_kind_come_back_as_they_are(house):
    server, _, keys = house
    alice = keys["alice"]
    assert server.ask("DELETE", "/services/corp/none", key=alice).status == 204
    assert server.ask("PATCH", "/services/corp/echo", {"x": 2}, key=alice).json() == {"x": 2}
    assert server.ask("PUT", "/services/corp/echo", b"\x00\xff", key=alice).body == b"\x00\xff"
    assert server.ask("GET", "/services/corp/big", key=alice).body == b"x" * 3_000_000
    head = server.ask("HEAD", "/services/corp/echo", key=alice)
    assert (head.status, head.body) == (200, b"")
    refused = server.ask("GET", "/services/corp/forbidden", key=alice)
    assert (refused.status, refused.json()["message"]) == (403, "Resource not accessible")


def test_a_credential_that_is_refused_and_a_service_that_is_away_are_ours_to_mend(house):
    server, _, _ = house
    refused = server.ask("GET", "/services/wrong/echo")
    assert (refused.status, refused.json()["error"]["code"]) == (502, "service_credential_refused")
    assert "your key is fine" in refused.json()["error"]["message"]
    assert server.ask("GET", "/services/gone/echo").status == 502


@pytest.mark.parametrize(
    ("method", "status", "sent"),
    [("GET", 204, 2), ("PUT", 204, 2), ("DELETE", 204, 2), ("POST", 502, 1), ("PATCH", 502, 1)],
)
def test_what_may_not_be_done_twice_is_not_sent_twice(house, method, status, sent):
    """A kept connection that ends without a byte: whether the service has done it nobody knows (RFC 9110, 9.2.2)."""
    server, api, _ = house
    assert server.ask("GET", "/services/corp/none").status == 204, "its connection is kept"
    api.seen.clear()
    reply = server.ask(method, "/services/corp/lost")
    assert (reply.status, len(api.seen)) == (status, sent)
    if status == 502:
        assert reply.json()["error"]["code"] == "connection_reset"


def test_a_service_that_repeats_the_credential_tells_no_program_of_it(house):
    """Whoever may reach a page that shows a request's headers does not come by the operator's secret (K8)."""
    server, _, keys = house
    reply = server.ask("GET", "/services/corp/mirror", key=keys["bob"])
    assert reply.json()["authorization"] == "Bearer [redacted]"
    assert int(reply.headers["content-length"]) == len(reply.body)
    reply = server.ask("GET", "/services/corp/mirror-in-pieces", key=keys["bob"])
    assert reply.body == b"you said [redacted], did you?"


@pytest.mark.req("R-CRED-005")
def test_a_login_that_is_refused_is_renewed_once_and_kept(house):
    server, api, _ = house
    api.seen.clear()
    for _ in range(2):
        assert server.ask("GET", "/services/byname/echo").status == 200
    shown = [each[2].get("authorization") for each in api.calls("/login/echo")]
    assert shown == ["Bearer token-old", f"Bearer {NEW}", f"Bearer {NEW}"]
    assert len(api.calls("/token")) == 1


def open_stream(server, key):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", "/services/corp/stream", headers={"authorization": f"Bearer {key}"})
    return connection, connection.getresponse()


def test_a_stream_comes_piece_by_piece_and_a_caller_that_leaves_ends_it(house):
    server, api, keys = house
    api.last.set()
    connection, response = open_stream(server, keys["alice"])
    assert response.headers["content-type"] == "text/event-stream"
    assert response.read(9) == b"data: 0\n\n"
    assert response.read().endswith(b"data: 3\n\n")
    connection.close()
    api.last.clear()
    api.left = 0.0
    connection, response = open_stream(server, keys["alice"])
    assert response.read(9) == b"data: 0\n\n"
    left = time.monotonic()
    response.close()
    connection.close()
    assert until(lambda: api.left, 10) - left < 1


@pytest.mark.req("R-STRM-003")
def test_an_answer_that_breaks_off_breaks_off_for_the_caller_too(house):
    server, _, keys = house
    with pytest.raises(http.client.IncompleteRead):
        server.ask("GET", "/services/corp/cut", key=keys["alice"])
    row = until(
        lambda: [each for each in server.rows(keys["alice"]) if each["status"] != "complete"]
    )
    assert row[0]["status"] == "upstream_cut"


@pytest.mark.req("R-USE-014")
def test_every_call_stands_in_the_ledger_and_in_the_log_without_the_credential(house):
    server, _, keys = house
    reply = server.ask(
        "GET", "/services/corp/echo", key=keys["alice"], headers={"x-dragoman-caller": "nightly"}
    )
    row = server.row(reply.headers["x-request-id"], key=keys["alice"])
    assert (row["provider"], row["model"], row["status"]) == ("services/corp", "GET", "complete")
    assert (row["caller"], row["operation"]) == ("nightly", "service")
    assert row["cost_usd"] is None
    log = server.log.read_text()
    assert '"route":"/services/{name}/{path:path}"' in log
    assert not [each for each in (ONE, ALL, NEW, "token-old", "revoked-long-ago") if each in log]
    explained = server.ask(
        "GET", f"/v1/requests/{reply.headers['x-dragoman-call-id']}/explain", key=keys["alice"]
    )
    assert ONE not in explained.body.decode()


@pytest.mark.req("R-TIER-001")
def test_calls_count_against_the_keys_limits(house):
    server, _, _ = house
    limited = made_key(server, admin_key(server), "carol", tenant="one", limits={"rpm": 1})["key"]
    assert server.ask("GET", "/services/corp/echo", key=limited).status == 200
    assert server.ask("GET", "/services/corp/echo", key=limited).status == 429


def test_nothing_is_there_unless_it_is_configured(lonely):
    assert lonely.ask("GET", "/services").json() == {"object": "list", "data": []}
    reply = lonely.ask("GET", "/services/github/user")
    assert (reply.status, reply.json()["error"]["code"]) == (404, "service_not_found")


def test_a_row_that_is_wrong_stops_the_start_and_a_reload_changes_it(house):
    server, api, keys = house
    file = server.log.parent / "dragoman.toml"
    before = file.read_text()
    admin = admin_key(server)
    try:
        file.write_text(before.replace('name = "gone"', 'name = "gone"\nmetods = []'))
        reply = server.ask("POST", "/api/admin/config/reload", {}, key=admin)
        assert reply.status == 400
        assert "[[services]] gone" in reply.json()["error"]["message"]
        file.write_text(before.replace('name = "gone"', 'name = "renamed"'))
        assert server.ask("POST", "/api/admin/config/reload", {}, key=admin).status == 200
        listed = server.ask("GET", "/services", key=keys["alice"]).json()["data"]
        assert "renamed" in [each["name"] for each in listed]
    finally:
        file.write_text(before)
        server.ask("POST", "/api/admin/config/reload", {}, key=admin)
    assert api.port
