"""Who may do what to whose: every managed route, by every role, with its own, a foreign and an unknown id (A5, A6)."""

from __future__ import annotations

import re

import pytest

from administrators import admin_key, made_key
from dragoman.surface.managed_rows import MANAGED
from servers import gateway_server

pytestmark = pytest.mark.req("R-AUTH-002", "R-AUTH-008", "R-AUTH-010", "R-AUTH-013")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with gateway_server(tmp_path_factory.mktemp("matrix")) as server:
        admin = admin_key(server)
        users = {
            name: made_key(server, admin, name, tenant=tenant)
            for name, tenant in (("alice", "one"), ("bob", "two"), ("carol", "one"))
        }
        for name, tenant in (("tina", "one"), ("tony", "two")):
            users[name] = made_key(server, admin, name, tenant=tenant, role="tenant_admin")
            said = {"id": f"web-{tenant}"}
            assert server.ask("POST", "/v1/projects", said, key=users[name]["key"]).status == 201
            policy = {"name": f"policy-{tenant}", "candidates": ["openai/gpt-4o-mini"]}
            made = server.ask("POST", "/v1/routing-policies", policy, key=users[name]["key"])
            assert made.status == 201
        users["root"] = made_key(server, admin, "root", tenant="one", role="admin")
        yield server, admin, users


def at(row, name="nobody-knows-it"):
    return re.sub(r"\{[a-z_]+(:path)?\}", name, row.path)


def body(row):
    return {} if row.method in {"POST", "PUT", "PATCH"} else None


ROWS = [row for row in MANAGED if row.permission != "public"]
ids = [f"{row.method} {row.path}" for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_nobody_without_a_key_gets_in(house, row):
    server, _, _ = house
    reply = server.ask(row.method, at(row), body(row), key=None)
    assert (reply.status, reply.json()["error"]["code"]) == (401, "missing_api_key")
    reply = server.ask(row.method, at(row), body(row), key="drg_no")
    assert reply.status == 401


def ids_of(users):
    """Ids of every kind and of every tenant, and one of nobody's."""
    keys = [users[name]["id"] for name in ("alice", "bob", "tony", "root")]
    return [*keys, "one", "two", "web-one", "web-two", "policy-two", "nobody-knows-it"]


@pytest.mark.parametrize(
    "row", [r for r in ROWS if r.permission == "admin"], ids=lambda r: f"{r.method} {r.path}"
)
def test_who_manages_a_tenant_gets_into_nothing_of_administrators_whatever_is_said(house, row):
    server, _, users = house
    for target in ids_of(users) if "{" in row.path else ["-"]:
        reply = server.ask(row.method, at(row, target), body(row), key=users["tina"]["key"])
        assert (reply.status, reply.json()["error"]["code"]) == (403, "insufficient_permissions")


def foreign_of(path, users):
    if "projects" in path:
        return ["web-two", "two"]
    return ["policy-two"] if "policies" in path else [users["bob"]["id"], users["tony"]["id"]]


@pytest.mark.parametrize(
    "row",
    [r for r in ROWS if r.permission in {"tenant", "usage"} and "{" in r.path],
    ids=lambda r: f"{r.method} {r.path}",
)
@pytest.mark.parametrize("who", ["tina", "root", "alice"])
def test_a_foreign_id_is_an_unknown_one_to_every_role(house, row, who):
    """The same status, the same code and, the id apart, the same words (A5)."""
    server, _, users = house
    told = set()
    for target in [*foreign_of(row.path, users), "nobody-knows-it"]:
        reply = server.ask(row.method, at(row, target), body(row), key=users[who]["key"])
        error = reply.json()["error"]
        told.add((reply.status, error["code"], error["message"].replace(target, "ID")))
    assert len(told) == 1
    forbidden = who == "alice" and row.permission == "tenant"
    assert next(iter(told))[0] == (403 if forbidden else 404)
    for name in ("bob", "tony"):
        assert server.ask("GET", "/v1/keys/me", key=users[name]["key"]).status == 200
    projects = server.ask("GET", "/v1/projects", key=users["tony"]["key"]).json()["data"]
    assert [(each["id"], each["state"]) for each in projects] == [
        ("default", "active"),
        ("web-two", "active"),
    ]


def test_lists_of_a_tenant_hold_nothing_of_another(house):
    server, _, users = house
    for name, tenant, others in (("tina", "one", "two"), ("tony", "two", "one")):
        for path in ("/v1/api-keys", "/v1/projects", "/v1/routing-policies", "/v1/tenants/me"):
            reply = server.ask("GET", path, key=users[name]["key"])
            assert reply.status == 200
            assert f'"{others}"' not in reply.body.decode()
            assert f"-{others}" not in reply.body.decode()
        assert server.ask("GET", "/v1/tenants/me", key=users[name]["key"]).json()["id"] == tenant


@pytest.mark.parametrize("verb", ["update", "rotate", "suspend", "revoke"])
def test_who_manages_a_tenant_changes_nothing_of_who_may_more(house, verb):
    """An administrator's key may be of the same tenant; its secret is not the tenant's to have (A8)."""
    server, _, users = house
    root, tina = users["root"], users["tina"]["key"]
    method, path = ("DELETE", "") if verb == "revoke" else ("POST", f"/{verb}")
    reply = server.ask(method, f"/v1/api-keys/{root['id']}{path}", {} if path else None, key=tina)
    assert (reply.status, reply.json()["error"]["param"]) == (403, "role")
    assert server.ask("GET", "/v1/keys/me", key=root["key"]).status == 200


def test_who_manages_a_tenant_gives_no_role_beyond_its_own(house):
    server, _, users = house
    tina = users["tina"]["key"]
    for path in (f"/v1/api-keys/{users[n]['id']}/update" for n in ("alice", "tina")):
        reply = server.ask("POST", path, {"role": "admin"}, key=tina)
        assert (reply.status, reply.json()["error"]["param"]) == (403, "role")
    made = server.ask("POST", "/v1/api-keys", {"name": "m", "role": "tenant_admin"}, key=tina)
    assert (made.status, made.json()["tenant"], made.json()["role"]) == (
        201,
        "one",
        "tenant_admin",
    )


@pytest.mark.parametrize(
    "row",
    [r for r in ROWS if r.permission in {"admin", "tenant"}],
    ids=lambda r: f"{r.method} {r.path}",
)
@pytest.mark.parametrize("role", ["user", "local"])
def test_a_user_gets_into_nothing_of_administrators_whatever_is_said(house, row, role):
    server, _, users = house
    key = users["alice"]["key"] if role == "user" else "drg_test_local"
    for target in ("nobody-knows-it", users["alice"]["id"], users["bob"]["id"]):
        reply = server.ask(row.method, at(row, target), body(row), key=key)
        assert (reply.status, reply.json()["error"]["code"]) == (403, "insufficient_permissions")


def test_every_refusal_by_role_is_in_the_audit_log(house):
    server, admin, users = house
    server.ask("GET", "/api/admin/providers", key=users["alice"]["key"])
    page = server.ask(
        "GET", f"/api/admin/audit?actor={users['alice']['id']}&outcome=refused&limit=1", key=admin
    ).json()
    assert page["data"][0]["target"].startswith(("GET /", "POST /", "PUT /", "DELETE /"))
    assert page["data"][0]["actor_tenant"] == "one"


def test_a_foreign_key_is_an_unknown_one(house):
    """The same status, the same code and, the id apart, the same words."""
    server, _, users = house
    told = {}
    for target in (users["bob"]["id"], users["carol"]["id"], "nobody00"):
        reply = server.ask("DELETE", f"/v1/api-keys/{target}", key=users["alice"]["key"])
        error = reply.json()["error"]
        told[target] = (reply.status, error["code"], error["message"].replace(target, "ID"))
    assert len(set(told.values())) == 1
    assert next(iter(told.values()))[0] == 404
    for name in ("bob", "carol"):
        assert server.ask("GET", "/v1/keys/me", key=users[name]["key"]).status == 200


DEFINED = {
    "aliases": {"targets": ["openai/gpt-4o-mini"]},
    "routes": {"candidates": ["openai/gpt-4o-mini"]},
    "budgets": {"monthly_usd": "1"},
}
"""What is needed to define one."""


def noun_of(row):
    return row.path.split("/")[3]


def test_an_administrator_finds_every_row_and_no_unknown_id(house):
    server, admin, _ = house
    for row in ROWS:
        if "{" in row.path:
            sent = DEFINED.get(noun_of(row)) if row.method == "PUT" else None
            reply = server.ask(row.method, at(row), sent or body(row), key=admin)
            assert reply.status == (201 if row.method == "PUT" else 404), (row, reply.body)
            if row.method == "PUT":
                assert server.ask("DELETE", at(row), key=admin).status == 204
        elif row.method == "GET":
            assert server.ask(row.method, row.path, key=admin).status == 200, row


def test_a_user_sees_of_keys_and_use_its_own_alone(house):
    server, _, users = house
    for name in ("alice", "bob", "carol"):
        server.chat(key=users[name]["key"])
    for name in ("alice", "bob", "carol"):
        key = users[name]
        seen = server.ask("GET", "/v1/api-keys", key=key["key"]).json()["data"]
        assert [each["id"] for each in seen] == [key["id"]]
        stats = server.ask("GET", "/v1/stats", key=key["key"]).json()
        assert (stats["scope"], stats["total"]["requests"]) == ("key", 1)
        assert server.ask("GET", "/v1/keys/me", key=key["key"]).json()["totalRequestCount"] == 1


WRITES = [
    ("POST", "/api/admin/users/generate-key", {"userId": "mallory"}),
    ("POST", "/v1/api-keys", {"name": "m"}),
    ("POST", "/api/admin/tenants", {"id": "m"}),
    ("POST", "/v1/tenants", {"id": "m"}),
    ("POST", "/api/admin/tenants/default/update", {"name": "m"}),
    ("POST", "/api/admin/projects", {"id": "m", "tenant": "default"}),
    ("POST", "/api/admin/projects/default/default/update", {"name": "m"}),
    ("POST", "/v1/projects", {"id": "m"}),
    ("POST", "/v1/projects/default/update", {"name": "m"}),
    ("POST", "/api/admin/aliases", {"name": "m", "targets": ["openai/gpt-4o-mini"]}),
    ("POST", "/api/admin/routes", {"name": "m", "candidates": ["openai/gpt-4o-mini"]}),
    (
        "POST",
        "/api/admin/providers",
        {"providerId": "m", "providerBaseUrl": "http://127.0.0.1:9/v1"},
    ),
    ("POST", "/v1/routing-policies", {"name": "m", "candidates": ["openai/gpt-4o-mini"]}),
    ("POST", "/api/admin/api-keys/update", {"id": "nobody"}),
    (
        "POST",
        "/api/admin/keys",
        {"provider": "openrouter", "key": "sk-or-v1-0123456789012345678901234567890123456789"},
    ),
]
COLUMNS = (
    "is_admin",
    "org_id",
    "spend",
    "budget",
    "allowed_routes",
    "created_by",
    "digest",
    "pepper_version",
    "created_ms",
    "revoked_ms",
    "user_role",
    "scopes",
    "suspended_ms",
    "previous_digest",
    "previous_until_ms",
    "state",
)


@pytest.mark.parametrize(("method", "path", "said"), WRITES, ids=[path for _, path, _ in WRITES])
def test_no_write_takes_a_member_that_is_not_its_own(house, method, path, said):
    """Mass assignment (A7)."""
    server, admin, _ = house
    for column in COLUMNS:
        reply = server.ask(
            method, path, {**said, column: "x"}, key=admin, headers={"x-forwarded-for": column}
        )
        if reply.status == 429:
            continue
        assert (reply.status, reply.json()["error"]["param"]) == (400, column)


def test_a_tenants_own_key_is_never_more_than_a_user(house):
    server, admin, _ = house
    reply = server.ask("POST", "/v1/api-keys", {"name": "m", "role": "admin"}, key=admin)
    assert (reply.status, reply.json()["error"]["param"]) == (400, "role")
    made = server.ask("POST", "/v1/api-keys", {"name": "m"}, key=admin).json()
    assert (made["role"], made["tenant"]) == ("user", "default")


@pytest.mark.parametrize(
    "path",
    [
        "//api/admin/providers",
        "/api/admin/providers/",
        "/API/admin/providers",
        "/api/admin/./providers",
        "/api/admin/providers;a=b",
        "/api/../api/admin/providers",
    ],
)
def test_a_path_that_only_looks_like_a_row_is_none(house, path):
    server, admin, _ = house
    assert server.ask("GET", path, key=None).status in {401, 404}
    assert server.ask("GET", path, key=admin).status == 404


def test_no_answer_of_this_surface_may_be_kept_or_guessed_at(house):
    server, admin, _ = house
    reply = server.ask("GET", "/api/admin/api-keys", key=admin)
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["x-request-id"]
    assert b"digest" not in reply.body
    assert b"pepper" not in reply.body


def test_who_is_refused_again_and_again_fills_no_audit_log(house):
    """Each refusal is a row of it for ever, and takes the chain's lock."""
    server, admin, _ = house
    eve = made_key(server, admin, "eve", tenant="one", limits={"rpm": 3})
    found = [server.ask("GET", "/api/admin/tenants", key=eve["key"]).status for _ in range(6)]
    assert found == [403, 403, 403, 429, 429, 429]
    audit = server.ask("GET", f"/api/admin/audit?actor={eve['id']}", key=admin).json()["data"]
    assert [each["action"] for each in audit] == ["access.refused"] * 3
