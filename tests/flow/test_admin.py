"""A day of an administrator: over real HTTP, in force at once, and every deed of it in the log."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import forge
from administrators import admin_key, made_key
from servers import beside, children, gateway_server, providers_at, until

SECRET = "sk-or-v1-" + "5ecret" * 8


@pytest.fixture(scope="module")
def house(mock, tmp_path_factory):
    folder = tmp_path_factory.mktemp("admin")
    (folder / "dragoman.toml").write_text(
        'format = 1\n[aliases]\nfast = "groq/llama-3.1-8b-instant"\n[routes.both]\ncandidates = ["openai/gpt-4o-mini"]\n'
    )
    with gateway_server(folder, **providers_at(mock.port)) as server:
        yield server, admin_key(server)


def served(server, model, **more):
    reply = server.chat(model, **more)
    return reply.headers.get("x-dragoman-model") if reply.status == 200 else reply.status


@pytest.mark.req("R-ADM-001", "R-ADD-042")
def test_a_provider_is_added_changed_disabled_and_enabled_while_serving(house, mock):
    server, admin = house
    said = {"providerId": "mine", "providerBaseUrl": f"{mock.url}/openai/v1", "apiKey": SECRET}
    assert served(server, "mine/gpt-4o-mini") == 404
    made = server.ask("POST", "/api/admin/providers", said, key=admin)
    assert (made.status, made.json()["source"], made.json()["enabled"]) == (201, "admin", True)
    assert made.json()["key_preview"] == "sk-or-****cret"
    assert served(server, "mine/gpt-4o-mini") == "mine/gpt-4o-mini"
    again = server.ask(
        "POST", "/api/admin/providers", {**said, "apiKey": None, "models": ["m-1"]}, key=admin
    )
    assert (again.status, again.json()["has_key"]) == (200, True)
    off = server.ask("POST", "/api/admin/providers/mine/disable", key=admin).json()
    assert (off["enabled"], off["disabled_by"]) == (False, "admin")
    refusal = server.chat("mine/gpt-4o-mini")
    assert refusal.status == 404
    assert "disabled by an administrator" in refusal.json()["error"]["message"]
    assert server.ask("POST", "/api/admin/providers/mine/enable", key=admin).json()["enabled"]
    assert served(server, "mine/gpt-4o-mini") == "mine/gpt-4o-mini"
    assert server.ask("DELETE", "/api/admin/providers/mine", key=admin).status == 204
    assert served(server, "mine/gpt-4o-mini") == 404
    assert server.ask("DELETE", "/api/admin/providers/mine", key=admin).status == 404


def test_a_providers_wrong_address_or_dialect_changes_nothing(house):
    server, admin = house
    for said in (
        {"providerId": "odd", "providerBaseUrl": "not an address"},
        {"providerId": "odd", "providerBaseUrl": "ftp://x"},
        {"providerId": "openai", "providerBaseUrl": "http://x/v1", "dialect": "gemini"},
        {"providerId": "o/dd", "providerBaseUrl": "http://x/v1"},
        {"providerId": "odd", "providerBaseUrl": "http://x/v1", "apiKey": "with blank inside"},
        {"providerId": "odd"},
    ):
        reply = server.ask("POST", "/api/admin/providers", said, key=admin)
        assert reply.status == 400, said
        assert "with blank" not in reply.body.decode()
    assert served(server, "openai/gpt-4o-mini") == "openai/gpt-4o-mini"


def test_a_stored_name_goes_before_the_files_and_the_files_comes_back(house):
    server, admin = house
    assert served(server, "fast") == "groq/llama-3.1-8b-instant"
    made = server.ask(
        "POST",
        "/api/admin/aliases",
        {"name": "fast", "targets": ["openai/gpt-4o-mini"]},
        key=admin,
    )
    assert (made.status, made.json()["hides_configuration"]) == (201, True)
    assert served(server, "fast") == "openai/gpt-4o-mini"
    assert (
        server.ask(
            "POST", "/api/admin/aliases", {"name": "fast", "targets": ["x"]}, key=admin
        ).status
        == 409
    )
    listed = server.ask("GET", "/api/admin/aliases?source=admin", key=admin).json()["data"]
    assert [(each["name"], each["in_force"]) for each in listed] == [("fast", True)]
    reload = server.ask("POST", "/api/admin/config/reload", key=admin)
    assert reload.status == 200
    assert served(server, "fast") == "openai/gpt-4o-mini", (
        "a reload of the file leaves what is stored"
    )
    assert server.ask("DELETE", "/api/admin/aliases/fast", key=admin).status == 204
    assert served(server, "fast") == "groq/llama-3.1-8b-instant"
    gone = server.ask("DELETE", "/api/admin/aliases/fast", key=admin)
    assert (gone.status, "configuration file" in gone.json()["error"]["message"]) == (404, True)


def test_a_route_that_does_not_fit_is_refused_and_one_that_does_is_in_force(house):
    server, admin = house
    for said in (
        {"candidates": ["nobody/x"]},
        {"candidates": []},
        {"candidates": ["openai/a", "openai/a"]},
        {"candidates": ["loop"]},
        {"candidates": ["openai/a"], "strategy": "luck"},
        {"candidates": [{"model": "openai/a", "weight": 0}]},
    ):
        assert server.ask("PUT", "/api/admin/routes/loop", said, key=admin).status == 400, said
    said = {"candidates": [{"model": "openai/gpt-4o-mini", "weight": 3}], "strategy": "weighted"}
    assert server.ask("PUT", "/api/admin/routes/both", said, key=admin).status == 201
    assert server.ask("PUT", "/api/admin/routes/both", said, key=admin).status == 200
    assert served(server, "both") == "openai/gpt-4o-mini"
    names = [
        each["name"] for each in server.ask("GET", "/api/admin/routes", key=admin).json()["data"]
    ]
    assert names == ["both"]
    assert server.ask("DELETE", "/api/admin/routes/both", key=admin).status == 204


@pytest.mark.req("R-AUTH-012")
def test_a_policy_is_its_tenants_alone(house):
    server, admin = house
    said = {"name": "ours", "candidates": ["openai/gpt-4o-mini"]}
    assert server.ask("POST", "/v1/routing-policies", said, key=admin).status == 201
    assert served(server, "ours", key=admin) == "openai/gpt-4o-mini"
    other = made_key(server, admin, "dora", tenant="elsewhere")
    assert served(server, "ours", key=other["key"]) == 404
    assert served(server, "ours") == 404
    assert server.ask("DELETE", "/v1/routing-policies/ours", key=admin).status == 204
    assert served(server, "ours", key=admin) == 404


@pytest.mark.req("R-ADM-002", "R-AUTH-005", "R-SURF-013", "R-AUTH-013")
def test_a_key_lives_from_its_making_to_its_end(house):
    server, admin = house
    key = server.ask(
        "POST", "/v1/generate_key", {"userId": "erin", "limits": {"rpm": 50}}, key=admin
    ).json()
    assert served(server, "openai/gpt-4o-mini", key=key["key"]) == "openai/gpt-4o-mini"
    shown = server.ask("GET", f"/api/admin/api-keys/{key['id']}", key=admin)
    assert (shown.json()["limits"]["rpm"], key["key"] in shown.body.decode()) == (50, False)
    changed = server.ask(
        "POST", f"/api/admin/api-keys/{key['id']}/update", {"limits": {"rpd": 1}}, key=admin
    ).json()
    assert (changed["limits"]["rpm"], changed["limits"]["rpd"]) == (None, 1)
    new = server.ask(
        "POST", "/api/admin/api-keys/rotate", {"id": key["id"], "overlap_s": 600}, key=admin
    ).json()
    assert (new["id"], new["user_id"], new["limits"]["rpd"]) == (key["id"], "erin", 1)
    assert new["key"] != key["key"]
    assert server.ask("GET", "/v1/keys/me", key=new["key"]).status == 200
    assert server.ask("GET", "/v1/keys/me", key=key["key"]).status == 200, (
        "the old one has ten minutes"
    )
    at_once = server.ask("POST", f"/api/admin/api-keys/{key['id']}/rotate", {}, key=admin).json()
    for gone in (new["key"], key["key"]):
        assert server.ask("GET", "/v1/keys/me", key=gone).status == 401
    assert server.ask("GET", "/v1/keys/me", key=at_once["key"]).status == 200
    ended = server.ask(
        "POST", f"/api/admin/api-keys/{new['id']}/update", {"expires_at": 1.0}, key=admin
    ).json()
    assert ended["state"] == "expired"
    refusal = server.ask("GET", "/v1/keys/me", key=at_once["key"])
    assert (refusal.status, refusal.json()["error"]["code"]) == (401, "expired_api_key")
    assert (
        server.ask("POST", "/api/admin/api-keys/revoke", {"id": key["id"]}, key=admin).json()[
            "state"
        ]
        == "revoked"
    )
    refusal = server.ask("GET", "/v1/keys/me", key=at_once["key"])
    assert (refusal.status, refusal.json()["error"]["code"]) == (401, "invalid_api_key")
    states = {
        s: [
            k["id"]
            for k in server.ask(
                "GET", f"/api/admin/api-keys?user_id=erin&state={s}", key=admin
            ).json()["data"]
        ]
        for s in ("active", "revoked")
    }
    assert states == {"active": [], "revoked": [key["id"]]}


@pytest.mark.req("R-SURF-012", "R-ADD-037", "R-ADD-021", "R-USE-007", "R-TIER-004")
def test_a_key_whose_allowance_is_used_up_still_tells_of_itself_and_can_count_anew(house):
    server, admin = house
    key = made_key(server, admin, "frank", limits={"max_tokens": 10})
    server.chat(key=key["key"], max_tokens=1)
    assert server.chat(key=key["key"]).status == 429
    me = server.ask("GET", "/v1/keys/me", key=key["key"])
    assert me.status == 200
    found = me.json()
    assert found["usage"]["max_tokens"] == 10
    assert found["remainingTokens"] == max(0, 10 - found["totalTokenUsage"])
    assert key["key"] not in me.body.decode()
    assert {
        "api_key_preview",
        "api_key_hash",
        "user",
        "tier",
        "usage",
        "source",
        "timestamp",
    } <= found.keys()
    assert found["source"] == "database"
    assert (
        server.ask("POST", f"/api/admin/api-keys/{key['id']}/reset-usage", key=admin).status == 200
    )
    again = server.ask("GET", "/v1/keys/me", key=key["key"]).json()
    assert (again["totalTokenUsage"], again["remainingTokens"]) == (0, 10)
    assert {"maxTokens", "totalRequestCount", "currentDayRequestCount", "role"} <= found.keys()


@pytest.mark.req("R-AUTH-007", "R-ENV-006")
def test_a_key_is_named_by_a_digest_under_the_operators_secret(tmp_path, house):
    secret = {"API_KEY_HASH_SECRET": "another"}
    with gateway_server(tmp_path, **secret) as other:
        names = {
            each.ask("GET", "/v1/keys/me").json()["api_key_hash"] for each in (other, house[0])
        }
    assert len(names) == 2
    assert all(len(name) == 32 and "drg_test" not in name for name in names)


def test_pages_of_keys_hold_each_once(house):
    server, admin = house
    made = {made_key(server, admin, f"page-{n}", tenant="paged")["id"] for n in range(5)}
    seen, cursor = [], ""
    while cursor is not None:
        page = server.ask(
            "GET",
            f"/api/admin/api-keys?tenant=paged&limit=2&cursor={cursor}"
            if cursor
            else "/api/admin/api-keys?tenant=paged&limit=2",
            key=admin,
        ).json()
        seen += [each["id"] for each in page["data"]]
        cursor = page["next_cursor"]
    assert len(seen) == 5
    assert set(seen) == made


@pytest.mark.req("R-ADM-003")
def test_numbers_and_calls_are_those_that_were_made(house):
    server, admin = house
    key = made_key(server, admin, "gina", tenant="counted")
    first = server.chat(key=key["key"]).headers["x-dragoman-call-id"]
    server.chat(
        "openai/gpt-4o--mock-status-503", key=key["key"], headers={"x-request-id": "failed-one"}
    )
    summary = server.ask("GET", "/api/admin/metrics/summary?tenant=counted", key=admin).json()
    assert (summary["usage"]["requests"], summary["usage"]["failed_requests"]) == (2, 1)
    assert (summary["errors"]["looked_at"], summary["errors"]["capped"]) == (1, False)
    assert summary["errors"]["by_code"][0]["provider"] == "openai"
    rows = server.ask(
        "GET", "/api/admin/metrics/models?tenant=counted&provider=openai", key=admin
    ).json()["data"]
    assert "gpt-4o-mini" in [row["model"] for row in rows]
    providers = {
        row["provider"]: row
        for row in server.ask(
            "GET", "/api/admin/metrics/providers?tenant=counted", key=admin
        ).json()["data"]
    }
    assert providers["openai"]["usage"]["requests"] == 2
    assert server.ask("GET", "/api/admin/metrics/queues", key=admin).json()["active_requests"] == 0
    calls = server.ask("GET", "/api/admin/requests?tenant=counted&limit=1", key=admin).json()
    assert (calls["data"][0]["request_id"], calls["has_more"]) == ("failed-one", True)
    rest = server.ask(
        "GET",
        f"/api/admin/requests?tenant=counted&limit=1&cursor={calls['next_cursor']}",
        key=admin,
    ).json()
    assert [each["call_id"] for each in rest["data"]] == [first]
    assert rest["has_more"] is False
    found = server.ask(
        "GET", f"/api/admin/requests?key_id={key['id']}&status=complete", key=admin
    ).json()["data"]
    assert [each["call_id"] for each in found] == [first]
    told = server.ask("GET", f"/api/admin/requests/{first}", key=admin).json()
    assert (told["tenant"], told["attempts"][0]["model"]) == ("counted", "openai/gpt-4o-mini")
    models = server.ask("GET", "/api/admin/models?contains=openai/gpt-4o-MINI", key=admin).json()[
        "data"
    ]
    assert "openai/gpt-4o-mini" in [each["id"] for each in models]


def test_calls_are_found_by_project_user_and_tag(house):
    server, admin = house
    project = {"tenant": "sought", "id": "web"}
    assert server.ask("POST", "/api/admin/tenants", {"id": "sought"}, key=admin).status == 201
    assert server.ask("POST", "/api/admin/projects", project, key=admin).status == 201
    key = made_key(server, admin, "hana", tenant="sought")
    headers = {"x-dragoman-tags": "nightly,team=search", "x-openwebui-user-id": "u7"}
    tagged = [
        server.chat(key=key["key"], headers=headers).headers["x-dragoman-call-id"]
        for _ in range(3)
    ]
    other = made_key(server, admin, "ivan", tenant="sought")
    changed = server.ask(
        "POST", f"/api/admin/api-keys/{other['id']}/update", {"project": "web"}, key=admin
    )
    assert changed.status == 200, changed.body
    plain = server.chat(key=other["key"]).headers["x-dragoman-call-id"]

    def found(query):
        path, seen, cursor = f"/api/admin/requests?tenant=sought&limit=2&{query}", [], ""
        while cursor is not None:
            page = server.ask("GET", path + (f"&cursor={cursor}" if cursor else ""), key=admin)
            assert page.status == 200, page.body
            seen += [each["call_id"] for each in page.json()["data"]]
            cursor = page.json()["next_cursor"]
        return seen

    for query in ("tag=nightly", "tag=team%3Dsearch", "user=u7", "project=default"):
        assert found(query) == tagged[::-1], query
    assert found("project=web") == [plain]
    for query in ("tag=night", "tag=nightly,team%3Dsearch2", "user=u", "project=w"):
        assert found(query) == [], query


def test_keys_are_found_by_their_tier_and_entries_by_their_time(house):
    server, admin = house
    assert server.ask("PUT", "/api/admin/tiers/sparse", {"rpm": 9}, key=admin).status == 201
    one, two = (
        server.ask(
            "POST",
            "/api/admin/users/generate-key",
            {"userId": name, "role": "user", "tenant": "tiered", "tier": tier},
            key=admin,
        ).json()["id"]
        for name, tier in (("jana", "sparse"), ("karl", None))
    )
    page = server.ask("GET", "/api/admin/api-keys?tier=sparse&limit=1", key=admin).json()
    assert [each["id"] for each in page["data"]] == [one]
    assert page["next_cursor"] is None
    listed = json.loads(beside(server, "keys", "list", "--tier", "sparse", "--json"))["keys"]
    assert [each["id"] for each in listed] == [one]

    entries = server.ask("GET", "/api/admin/audit?tenant=tiered", key=admin).json()["data"]
    assert {each["target"] for each in entries if each["target"]} == {one, two}
    middle = entries[-2]["at"]
    path = "/api/admin/audit?tenant=tiered&limit=1"
    for query, wanted in (
        (f"since={middle}", [each["number"] for each in entries[:-1]]),
        (f"until={middle}", [entries[-1]["number"]]),
        (f"since={middle}&until={middle}", []),
    ):
        seen, cursor = [], ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            page = server.ask("GET", f"{path}&{query}{more}", key=admin).json()
            seen += [each["number"] for each in page["data"]]
            cursor = page["next_cursor"]
        assert seen == wanted, query
    wrong = server.ask("GET", f"{path}&since=soon", key=admin)
    assert (wrong.status, wrong.json()["error"]["param"]) == (400, "since")
    said = ("audit", "list", "--limit", "1000", "--json")
    numbers = [
        {each["number"] for each in json.loads(beside(server, *said, *more))["entries"]}
        for more in ((), ("--since", middle), ("--until", middle))
    ]
    assert numbers[0] == numbers[1] | numbers[2]
    assert not numbers[1] & numbers[2]
    assert entries[0]["number"] in numbers[1]
    beside(server, "audit", "list", "--since", "soon", code=2)


@pytest.mark.req("R-ADM-010", "R-SEC-007", "R-ENV-004", "R-TIER-009", "R-ADD-042")
def test_keys_are_handed_in_by_anybody_and_used_once_an_administrator_says_so(mock, tmp_path):
    limits = {
        "ADMIN_KEYS_ALLOWED_PROVIDERS": "openrouter",
        "ADMIN_KEYS_RATE_LIMIT_RPS": "0",
        "ADMIN_KEYS_RATE_LIMIT_RPM": "8",
        "ADMIN_KEYS_LOG_MAX_BYTES": "1024",
        "OPENROUTER_BASE_URL": f"{mock.url}/openrouter/api/v1",
    }
    with gateway_server(tmp_path, **limits) as server:
        admin = admin_key(server)

        def hand_in(said, **more):
            return server.ask("POST", "/api/admin/keys", said, key=None, **more)

        good = {"key": SECRET, "provider": "openrouter", "tier": 2}
        assert served(server, "openrouter/openai/gpt-4o-mini") == 404
        taken = hand_in(good)
        assert (taken.status, taken.json()["state"]) == (201, "waiting")
        assert SECRET not in taken.body.decode()
        assert hand_in(good).status == 409
        assert hand_in({**good, "provider": "openai"}).status == 403
        assert hand_in({**good, "key": "sk-wrong-form-0123456789"}).status == 400
        assert hand_in({"key": SECRET}).json()["error"]["param"] == "provider"
        assert (
            hand_in(b"key=1", headers={"content-type": "application/x-www-form-urlencoded"}).status
            == 415
        )
        assert hand_in({**good, "key": "x" * 5000}).status == 413
        assert hand_in(b'{"key":"a","key":"b","provider":"openrouter"}').status == 400
        late = hand_in(good)
        assert (late.status, int(late.headers["retry-after"]) > 0) == (429, True)
        (row,) = server.ask("GET", "/api/admin/keys", key=admin).json()["data"]
        assert (row["key_preview"], row["tier"], row["submitted_by"]) == (
            "sk-or-****cret",
            2,
            "127.0.0.1",
        )
        assert server.ask("GET", "/api/admin/keys", key=None).status == 401
        adopted = server.ask("POST", f"/api/admin/keys/{row['id']}/adopt", key=admin)
        assert adopted.json()["state"] == "adopted"
        assert served(server, "openrouter/openai/gpt-4o-mini") == "openrouter/openai/gpt-4o-mini"
        assert server.ask("DELETE", f"/api/admin/keys/{row['id']}", key=admin).status == 204
        assert served(server, "openrouter/openai/gpt-4o-mini") == 404
        log = tmp_path / "home" / "logs"
        lines = [
            json.loads(line)
            for file in log.glob("admin-keys*")
            for line in file.read_text().splitlines()
        ]
        assert {line["outcome"] for line in lines} == {"taken", "refused"}
        assert all(file.stat().st_size <= 1024 for file in log.glob("admin-keys*"))
        everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert SECRET.encode() not in everything


def test_the_audit_log_tells_all_of_it_and_a_change_to_it_is_found(mock, tmp_path):
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        admin = admin_key(server)
        server.ask(
            "POST",
            "/api/admin/aliases",
            {"name": "a", "targets": ["openai/gpt-4o-mini"]},
            key=admin,
        )
        key = made_key(server, admin, "henry")
        server.ask("POST", f"/api/admin/api-keys/{key['id']}/revoke", key=admin)
        entries = server.ask("GET", "/api/admin/audit?outcome=done", key=admin).json()["data"]
        assert [each["action"] for each in entries] == [
            "api_key.revoke",
            "api_key.create",
            "alias.put",
        ]
        assert (entries[0]["target"], entries[0]["after"]["state"]) == (key["id"], "revoked")
        assert entries[2]["after"] == "openai/gpt-4o-mini"
        begun = server.ask(
            "GET", "/api/admin/audit?action=api_key.revoke&outcome=begun", key=admin
        ).json()["data"]
        assert begun[0]["before"]["state"] == "active"
        verdict = server.ask("GET", "/api/admin/audit/verify", key=admin).json()
        assert verdict == {"whole": True, "entries": 6, "broken_at": None, "trouble": None}
        assert key["key"] not in json.dumps(entries)

        def audit(*arguments):
            environment = {**server.environment, "MODE": "local", "PATH": "/usr/bin:/bin"}
            return forge.run(["audit", *arguments, "--json"], env=environment, cwd=tmp_path)

        assert json.loads(audit("verify").stdout)["whole"] is True
        assert len(json.loads(audit("list", "--limit", "2").stdout)["entries"]) == 2
        import sqlite3

        with sqlite3.connect(tmp_path / "home" / "dragoman.db") as database:
            database.execute("UPDATE audit SET actor = 'nobody' WHERE number = 4")
        database.close()
        broken = server.ask("GET", "/api/admin/audit/verify", key=admin).json()
        assert (broken["whole"], broken["broken_at"], broken["trouble"]) == (
            False,
            4,
            "entry 4 was changed",
        )
        told = audit("verify")
        assert (told.returncode, json.loads(told.stdout)["whole"]) == (1, False)


@pytest.mark.req("R-SURF-046", "R-ADM-005")
def test_all_of_it_is_gone_where_it_is_switched_off(tmp_path):
    with gateway_server(tmp_path, ENABLE_ADMIN_ROUTES="false") as server:
        admin = admin_key(server)
        from dragoman.surface.managed_rows import MANAGED

        for row in MANAGED:
            path = (
                row.path.replace("{name:path}", "x")
                .replace("{name}", "x")
                .replace("{id}", "x")
                .replace("{key_id}", "x")
            )
            expected = 200 if row.path == "/v1/keys/me" else 404
            assert (
                server.ask(
                    row.method, path, {} if row.method == "POST" else None, key=admin
                ).status
                == expected
            ), row
        paths = server.ask("GET", "/openapi.json", key=None).json()["paths"]
        assert not [path for path in paths if path.startswith("/api/admin/providers")]


def test_a_change_is_in_force_in_every_worker_within_a_second_or_two(mock, tmp_path):
    with gateway_server(tmp_path, "--workers", "2", **providers_at(mock.port)) as server:
        until(lambda: len(children(server.process)) == 2)
        admin = admin_key(server)
        said = {"name": "fast", "targets": ["openai/gpt-4o-mini"]}
        assert server.ask("POST", "/api/admin/aliases", said, key=admin).status == 201
        until(lambda: all(served(server, "fast") == "openai/gpt-4o-mini" for _ in range(12)), 5)
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        assert served(server, "fast") == "openai/gpt-4o-mini", "it is kept over a restart"


def test_serving_does_not_import_what_only_administrators_need(mock, tmp_path):
    """FastAPI comes with the first request for it (D32)."""
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        assert served(server, "openai/gpt-4o-mini") == "openai/gpt-4o-mini"
        loaded = _mapped(server)
        assert not loaded
        assert server.ask("GET", "/v1/keys/me").status == 200


def _mapped(server):
    script = "import sys; import dragoman.app, dragoman.control, dragoman.server; print('fastapi' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip() == "True"
