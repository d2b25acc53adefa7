"""Tenants and projects that are deleted: their keys end, their content is gone, what they have spent stays (P5)."""

from __future__ import annotations

import sqlite3

import pytest

from administrators import admin_key, made_key
from servers import beside, gateway_server, providers_at, until

pytestmark = pytest.mark.req("R-AUTH-008", "R-AUTH-012")

WORD = "zanzibar"
"""Stands in everything that the tenant says."""
OWN = "sk-own-zanzibar-0123456789abcdef0123456789"


@pytest.fixture(scope="module")
def house(mock, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deletion")
    settings = {**providers_at(mock.port), "USAGE_FLUSH_INTERVAL": "0.2"}
    with gateway_server(folder, **settings) as server:
        yield server, admin_key(server), folder / "home" / "dragoman.db"


def dumped(file) -> dict[str, str]:
    """What each table of the database says, the audit log apart, which tells what was there."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        names = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        found = {
            name: repr(connection.execute(f'SELECT * FROM "{name}"').fetchall())
            for name in names
            if name != "audit"
        }
    connection.close()
    return found


def live(server, admin, tenant) -> dict:
    """A tenant that uses all there is, with a word of its own in everything."""
    made = server.ask(
        "POST", "/v1/tenants", {"id": tenant, "name": f"{WORD} Ltd.", "with_key": True}, key=admin
    )
    boss = made.json()["key"]["key"]
    user = made_key(server, admin, f"{WORD}-user", tenant=tenant, label=WORD)
    policy = {"name": f"{WORD}-fast", "candidates": ["openai/gpt-4o-mini"]}
    assert server.ask("POST", "/v1/routing-policies", policy, key=boss).status == 201
    own = {"provider": "groq", "api_key": "gsk_" + WORD * 6, "name": WORD}
    assert server.ask("POST", "/v1/providers", own, key=boss).status == 201
    said = {"model": "anthropic/claude-sonnet-4-5", "input": WORD, "store": True}
    kept = server.ask("POST", "/v1/responses", said, key=user["key"])
    assert kept.status == 200, kept.body
    headers = {
        "idempotency-key": f"{WORD}-1",
        "x-dragoman-tags": WORD,
        "x-dragoman-caller": f"{WORD}-program",
    }
    assert server.chat(key=user["key"], headers=headers, user=f"{WORD}-person").status == 200
    return {"boss": boss, "user": user, "response": kept.json()["id"]}


@pytest.mark.req("P5")
def test_of_a_deleted_tenant_nothing_is_left_but_what_it_has_spent(house):
    server, admin, file = house
    tenant = live(server, admin, "acme")
    other = live(server, admin, "bolt")
    beside(server, "budgets", "set", "of-acme", "--tenant", "acme", "--daily", "5")
    until(lambda: dumped(file)["ledger_labels"].count(f"{WORD}-person") >= 2)
    before = {name: text.count(WORD) for name, text in dumped(file).items() if WORD in text}
    assert {"keys", "tenants", "named", "ledger_requests", "ledger_labels"} <= before.keys()

    path = "/api/admin/tenants/acme"
    reply = server.ask("DELETE", path, key=admin)
    assert (reply.status, reply.json()["error"]["code"]) == (409, "conflict")
    assert server.chat(key=tenant["user"]["key"]).status == 200
    assert server.ask("POST", f"{path}/suspend", {}, key=admin).status == 200
    assert server.chat(key=tenant["user"]["key"]).status == 403
    assert server.ask("DELETE", path, key=admin).status == 204
    for key in (tenant["user"]["key"], tenant["boss"]):
        reply = server.chat(key=key)
        assert (reply.status, reply.json()["error"]["code"]) == (401, "invalid_api_key")

    # What it had us keep is gone at once; names in its calls go beside the calls, or by the command.
    found = dumped(file)
    assert "'acme'" not in found["kept_responses"] + found["kept_answers"] + found["named"]
    assert "'acme'" not in found["provider_credentials"] + found["budgets"]
    # A call of a moment ago is written a moment later; what comes after the command waits for the upkeep.
    until(lambda: dumped(file)["ledger_requests"].count("'acme'") == 3)
    beside(server, "tenants", "delete", "acme", "--yes")
    left = dumped(file)
    for name, text in left.items():
        rows = [row for row in text.split("), (") if "'acme'" in row or "'acme/" in row]
        assert not any(WORD in row for row in rows), (name, rows)
    assert left["ledger_requests"].count("'acme'") == 3, "what was spent is known"
    usage = server.ask("GET", "/api/admin/usage?group=month&tenant=acme", key=admin).json()
    assert usage["data"][0]["requests"] == 3

    shown = server.ask("GET", path, key=admin).json()
    assert (shown["state"], shown["name"]) == ("deleted", "deleted")
    listed = server.ask("GET", "/api/admin/tenants", key=admin).json()["data"]
    assert "acme" not in [each["id"] for each in listed]
    gone = server.ask("GET", "/api/admin/tenants?state=deleted", key=admin).json()["data"]
    assert [each["id"] for each in gone] == ["acme"]
    for path, said in (
        ("/api/admin/tenants", {"id": "acme"}),
        ("/api/admin/tenants/acme/resume", {}),
        ("/api/admin/projects", {"id": "web", "tenant": "acme"}),
        ("/api/admin/users/generate-key", {"userId": "u", "tenant": "acme"}),
    ):
        reply = server.ask("POST", path, said, key=admin)
        assert (reply.status, reply.json()["error"]["code"]) == (409, "conflict"), path

    # Nobody else has lost anything.
    assert server.chat(key=other["user"]["key"], model=f"{WORD}-fast").status == 200
    again = server.ask("GET", f"/v1/responses/{other['response']}", key=other["user"]["key"])
    assert again.status == 200
    for verb, outcomes in (("delete", ["done", "begun", "failed", "begun"]),):
        page = server.ask(
            "GET", f"/api/admin/audit?action=tenant.{verb}&actor={_id(server, admin)}", key=admin
        )
        assert [each["outcome"] for each in page.json()["data"]] == outcomes


def _id(server, key) -> str:
    return server.ask("GET", "/v1/keys/me", key=key).json()["user"]["id"]


def test_a_project_is_deleted_by_who_manages_the_tenant_with_the_keys_in_it(house):
    server, admin, _ = house
    made = server.ask("POST", "/v1/tenants", {"id": "plum", "with_key": True}, key=admin)
    boss = made.json()["key"]["key"]
    assert server.ask("POST", "/v1/projects", {"id": "web"}, key=boss).status == 201
    said = {"name": "m", "project": "web"}
    key = server.ask("POST", "/v1/api-keys", said, key=boss).json()
    assert server.ask("DELETE", "/v1/projects/web", key=boss).status == 409
    assert server.ask("POST", "/v1/projects/web/suspend", {}, key=boss).status == 200
    assert server.ask("DELETE", "/v1/projects/web", key=boss).status == 204
    assert server.chat(key=key["key"]).json()["error"]["code"] == "invalid_api_key"
    assert server.ask("GET", "/v1/projects/web", key=boss).status == 404
    assert server.ask("DELETE", "/v1/projects/web", key=boss).status == 404
    assert server.ask("DELETE", "/v1/projects/default", key=boss).status == 409
    reply = server.ask("POST", "/v1/api-keys", said, key=boss)
    assert (reply.status, reply.json()["error"]["param"]) == (400, "project")
    assert server.ask("POST", "/v1/projects", {"id": "web"}, key=boss).status == 201
    assert server.chat(key=key["key"]).status == 401


@pytest.mark.parametrize("role", ["admin"])
def test_who_manages_a_tenant_does_nothing_to_a_project_with_a_key_of_who_may_more(house, role):
    """Else it would shut out the gateway's own administrators, whose keys are in some project, too (A8)."""
    server, admin, _ = house
    made = server.ask("POST", "/v1/tenants", {"id": "quay", "with_key": True}, key=admin)
    boss = made.json()["key"]["key"]
    assert server.ask("POST", "/v1/projects", {"id": "ops"}, key=boss).status == 201
    root = made_key(server, admin, "root", tenant="quay", project="ops", role=role)
    for method, path, said in (
        ("POST", "/v1/projects/ops/suspend", {}),
        ("POST", "/v1/projects/ops/update", {"scope": {"permissions": []}}),
        ("DELETE", "/v1/projects/ops", None),
    ):
        reply = server.ask(method, path, said, key=boss)
        assert (reply.status, reply.json()["error"]["param"]) == (403, "role"), path
    assert server.ask("GET", "/api/admin/tenants", key=root["key"]).status == 200
    assert server.ask("POST", "/v1/projects/ops/update", {"name": "Ops"}, key=boss).status == 200
