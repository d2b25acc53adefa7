"""A tenant's day over real processes: projects, scopes, suspension, rotation, and who may give what to whom."""

from __future__ import annotations

import json
import threading
import time

import pytest

from administrators import admin_key, made_key
from servers import beside, gateway_server, providers_at, until

pytestmark = pytest.mark.req("R-AUTH-008", "R-AUTH-010", "R-AUTH-012", "R-AUTH-013", "R-ADD-033")

MINI, FULL = "openai/gpt-4o-mini", "openai/gpt-4o"
PRICES = """
format = 1
[aliases]
choice = ["openai/gpt-4o", "openai/gpt-4o-mini"]
[prices."openai/gpt-4o-mini"]
input = "1"
output = "10"
[budgets.website]
tenant = "acme"
project = "website"
daily_usd = "0.0000001"
[tiers.small]
rpm = 50
[tiers.large]
rpm = 5000
"""


@pytest.fixture(scope="module")
def house(mock, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tenants")
    file = folder / "dragoman.toml"
    file.write_text(PRICES)
    said = {**providers_at(mock.port), "DRAGOMAN_CONFIG": str(file)}
    with gateway_server(folder, **said) as server:
        admin = admin_key(server)
        tenant = server.ask("POST", "/v1/tenants", {"id": "acme", "with_key": True}, key=admin)
        assert tenant.status == 201, tenant.body
        found = tenant.json()
        assert (found["state"], found["key"]["role"]) == ("active", "tenant_admin")
        yield server, admin, found["key"]["key"]


def command(server, *arguments, code=0):
    """Runs the program beside the server, on the same home."""
    return json.loads(beside(server, *arguments, "--json", code=code))


def make(server, key, name, **members):
    reply = server.ask("POST", "/v1/api-keys", {"name": name, **members}, key=key)
    assert reply.status == 201, reply.body
    return reply.json()


def refused(reply, status=403, code="insufficient_permissions"):
    assert (reply.status, reply.json()["error"]["code"]) == (status, code), reply.body
    return reply.json()["error"]


# --------------------------------------------------------------------------- projects


def test_a_budget_of_a_project_is_paid_by_its_keys_and_by_no_others(house):
    server, _, manager = house
    made = server.ask("POST", "/v1/projects", {"id": "website"}, key=manager)
    assert (made.status, made.json()["tenant"]) == (201, "acme")
    inside = make(server, manager, "in", project="website")
    outside = make(server, manager, "out")
    assert (inside["project"], outside["project"]) == ("website", "default")
    refused(server.chat(key=inside["key"]), 429, "insufficient_quota")
    assert server.chat(key=outside["key"]).status == 200
    moved = server.ask(
        "POST", f"/v1/api-keys/{outside['id']}/update", {"project": "website"}, key=manager
    )
    assert moved.json()["project"] == "website"
    refused(server.chat(key=outside["key"]), 429, "insufficient_quota")
    listed = server.ask("GET", "/v1/api-keys?project=website", key=manager).json()["data"]
    assert {each["id"] for each in listed} == {inside["id"], outside["id"]}
    reply = server.ask("POST", "/v1/api-keys", {"name": "x", "project": "no"}, key=manager)
    assert (reply.status, reply.json()["error"]["param"]) == (400, "project")


def test_one_user_has_a_key_in_each_of_two_tenants(house):
    server, admin, _ = house
    one = made_key(server, admin, "sam", tenant="acme")
    two = made_key(server, admin, "sam", tenant="globex")
    assert one["id"] != two["id"]
    reply = server.ask("POST", "/v1/generate_key", {"userId": "sam", "tenant": "acme"}, key=admin)
    assert reply.status == 409


# --------------------------------------------------------------------------- scopes


ASKED = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}]},
    "/v1/messages": {"max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]},
    "/v1/responses": {"input": "hi"},
    "/v1/completions": {"prompt": "hi"},
    "/api/chat": {"messages": [{"role": "user", "content": "hi"}], "stream": False},
    "/api/generate": {"prompt": "hi", "stream": False},
    "/v1/messages/count_tokens": {"messages": [{"role": "user", "content": "hi"}]},
}


@pytest.fixture(scope="module")
def scoped(house):
    server, _, manager = house
    return make(server, manager, "scoped", scope={"models": [MINI]})


@pytest.mark.parametrize("path", ASKED)
def test_a_scope_of_models_holds_in_every_dialect(house, scoped, path):
    server, key = house[0], scoped["key"]
    assert server.ask("POST", path, {"model": MINI, **ASKED[path]}, key=key).status == 200
    reply = server.ask("POST", path, {"model": FULL, **ASKED[path]}, key=key)
    assert reply.status == 403
    assert b"openai/gpt-4o is not among the models" in reply.body
    told = json.loads(reply.body)["error"]
    if path.startswith("/v1/messages"):
        assert told["type"] == "permission_error"


def test_geminis_path_is_bound_as_well(house, scoped):
    server, key = house[0], scoped["key"]
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    for model, status in (("openai/gpt-4o-mini", 200), ("openai/gpt-4o", 403)):
        path = f"/v1beta/models/{model}:generateContent"
        reply = server.ask("POST", path, body, {"x-goog-api-key": key}, key=None)
        assert reply.status == status, reply.body
    assert reply.json()["error"]["status"] == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("members", "served"),
    [
        ({"model": "choice"}, MINI),
        ({"model": "auto"}, MINI),
        ({"model": FULL, "routing": {"fallback": [MINI]}}, MINI),
        ({"model": FULL, "routing": {"fallback": ["anthropic/claude-sonnet-4-5"]}}, None),
        ({"model": "openrouter/openai/gpt-4o-mini"}, None),
        ({"model": "gpt-4o"}, None),
        ({"models": [FULL, MINI]}, MINI),
    ],
)
def test_no_name_and_no_list_opens_more(house, scoped, members, served):
    server, key = house[0], scoped["key"]
    body = {"messages": [{"role": "user", "content": "hi"}], **members}
    reply = server.ask("POST", "/v1/chat/completions", body, key=key)
    if served is None:
        refused(reply)
        return
    assert (reply.status, reply.headers["x-dragoman-model"]) == (200, served)


def test_a_list_for_openrouter_is_judged_before_it_goes_there(house):
    server, _, manager = house
    key = make(server, manager, "r", scope={"models": ["openrouter/openai/*"]})["key"]
    said = {"messages": [{"role": "user", "content": "hi"}], "model": "openrouter/openai/gpt-4o"}
    ask = lambda names: server.ask(  # noqa: E731
        "POST", "/v6/chat/completions", {**said, "models": names}, key=key
    )
    assert ask(["openai/gpt-4o-mini"]).status == 200
    assert b"anthropic/claude-opus-4.5 is not among" in ask(["anthropic/claude-opus-4.5"]).body


LISTS = [
    ("/v1/models", {}),
    ("/v1/chat/completions/models", {}),
    ("/v1/models", {"anthropic-version": "2023-06-01"}),
    ("/v1beta/models", {}),
    ("/v2/models", {}),
    ("/v3/v1/models", {}),
    ("/v4/openai/v1/models", {}),
    ("/api/tags", {}),
    ("/v5/api/tags", {}),
    ("/v6/api/v1/models", {}),
]


@pytest.mark.parametrize(("path", "headers"), LISTS)
def test_every_list_of_models_holds_what_the_key_may_ask_for(house, scoped, path, headers):
    server = house[0]
    found = server.ask("GET", path, headers=headers, key=scoped["key"]).json()
    rows = found.get("data") or found["models"]
    names = {row.get("id") or row["name"].removeprefix("models/") for row in rows}
    assert names == {MINI, "choice", "auto"}


def test_a_model_that_the_key_may_not_ask_for_is_not_found(house, scoped):
    server, key = house[0], scoped["key"]
    assert server.ask("GET", f"/v1/models/{MINI}", key=key).status == 200
    error = refused(server.ask("GET", f"/v1/models/{FULL}", key=key), 404, "model_not_found")
    assert all(
        name in {MINI, "choice", "auto"} for name in error["dragoman"]["details"]["nearest"]
    )
    assert server.ask("POST", "/api/show", {"model": FULL}, key=key).status == 404
    assert server.ask("POST", "/api/show", {"model": MINI}, key=key).status == 200


def test_a_scope_of_surfaces_and_permissions_is_judged_on_the_matched_row(house):
    server, _, manager = house
    key = make(
        server, manager, "s", scope={"surfaces": ["anthropic"], "permissions": ["completions"]}
    )["key"]
    assert server.message(headers={"x-api-key": key}).status == 200
    error = refused(server.chat(key=key))
    assert "anthropic" in error["message"]
    for path in ("/v1/models", "/v1/usage", "/v1/keys/me", "/v1/stats"):
        refused(server.ask("GET", path, key=key))
    reply = server.ask("POST", "/api/generate", {"model": MINI, "prompt": "hi"}, key=key)
    assert reply.status == 403
    assert isinstance(reply.json()["error"], str)


def test_a_scope_that_is_narrowed_holds_within_a_second(house):
    server, _, manager = house
    made = make(server, manager, "n")
    assert server.chat(FULL, key=made["key"]).status == 200
    path = f"/v1/api-keys/{made['id']}/update"
    told = server.ask("POST", path, {"scope": {"models": ["anthropic/*"]}}, key=manager).json()
    assert told["scope"] == {"models": ["anthropic/*"], "surfaces": None, "permissions": None}
    refused(server.chat(FULL, key=made["key"]))
    assert server.ask("POST", path, {"scope": {}}, key=manager).json()["scope"]["models"] is None
    assert server.chat(FULL, key=made["key"]).status == 200


def test_a_tenants_scope_bounds_every_key_of_it_and_nobody_in_it_widens_that(house):
    server, admin, _ = house
    tenant = server.ask(
        "POST", "/v1/tenants", {"id": "narrow", "with_key": True}, key=admin
    ).json()
    manager = tenant["key"]["key"]
    key = make(server, manager, "k", scope={"models": [FULL, MINI]})["key"]
    assert server.chat(FULL, key=key).status == 200
    said = {"scope": {"models": [MINI]}}
    assert server.ask("POST", "/api/admin/tenants/narrow/update", said, key=admin).status == 200
    refused(server.chat(FULL, key=key))
    assert server.chat(MINI, key=key).status == 200
    new = make(server, manager, "free", scope={"models": ["*"]})["key"]
    refused(server.chat(FULL, key=new))
    refused(server.chat(FULL, key=manager))
    refused(server.ask("POST", "/api/admin/tenants/narrow/update", {"scope": {}}, key=manager))


# --------------------------------------------------------------------------- who may give what


def test_nobody_gives_more_than_they_have(house):
    server, _, manager = house
    little = make(
        server,
        manager,
        "little",
        role="tenant_admin",
        scope={"models": ["openai/*"], "permissions": ["completions", "tenant", "usage"]},
    )
    ask = lambda **more: server.ask(  # noqa: E731
        "POST", "/v1/api-keys", {"name": "x", **more}, key=little["key"]
    )
    for scope, param in (
        (None, "scope.models"),
        ({"models": ["*"], "permissions": ["completions"]}, "scope.models"),
        ({"models": ["openai/*"]}, "scope.permissions"),
        ({"models": ["openai/*"], "permissions": ["completions", "models"]}, "scope.permissions"),
    ):
        assert refused(ask(scope=scope))["param"] == param
    within = {"models": ["openai/gpt-4o*"], "permissions": ["completions"]}
    made = ask(scope=within)
    assert made.status == 201
    wide = make(server, manager, "wide")
    for verb, body in (("rotate", {}), ("update", {"name": "mine"})):
        path = f"/v1/api-keys/{wide['id']}/{verb}"
        refused(server.ask("POST", path, body, key=little["key"]))
    own = f"/v1/api-keys/{little['id']}/update"
    refused(server.ask("POST", own, {"scope": {}}, key=little["key"]))
    narrower = {"scope": {**within, "permissions": ["tenant"]}}
    assert server.ask("POST", own, narrower, key=little["key"]).status == 200


def test_limits_of_a_tenants_keys_are_within_those_of_who_gives_them(house):
    server, admin, _ = house
    boss = made_key(server, admin, "boss", tenant="tiny", role="tenant_admin", tier="small")
    made = make(server, boss["key"], "k")
    assert made["tier"] == "small", "who says nothing gives what it has"
    ask = lambda **more: server.ask(  # noqa: E731
        "POST", "/v1/api-keys", {"name": "x", **more}, key=boss["key"]
    )
    for said in ({"tier": "large"}, {"limits": {"rpm": 0}}, {"limits": {"rpm": 51}}):
        assert refused(ask(**said))["param"] == "limits.rpm"
    assert ask(limits={"rpm": 50, "concurrency": 3}).status == 201
    path = f"/v1/api-keys/{made['id']}/update"
    refused(server.ask("POST", path, {"tier": ""}, key=boss["key"]))
    assert server.ask("POST", path, {"name": "renamed"}, key=boss["key"]).status == 200


def test_a_key_that_ends_gives_none_that_lasts_longer(house):
    server, admin, _ = house
    guest = made_key(
        server, admin, "guest", tenant="visited", role="tenant_admin", expires_in_s=3600
    )
    made = make(server, guest["key"], "k")
    assert made["expires_at"] == guest["expires_at"], "who says nothing gives what it has"
    assert make(server, guest["key"], "short", expires_in_s=60)["expires_at"] < made["expires_at"]
    longer = {"name": "x", "expires_in_s": 7200}
    reply = server.ask("POST", "/v1/api-keys", longer, key=guest["key"])
    assert refused(reply)["param"] == "expires_in_s"
    for key in (guest, made):
        path = f"/v1/api-keys/{key['id']}/update"
        for end in (0, guest["expires_at"] + 60):
            reply = server.ask("POST", path, {"expires_at": end}, key=guest["key"])
            assert refused(reply)["param"] == "expires_at"
        assert server.ask("POST", path, {"label": "l"}, key=guest["key"]).status == 200
    path = f"/api/admin/api-keys/{guest['id']}/update"
    assert server.ask("POST", path, {"expires_at": 0}, key=admin).json()["expires_at"] is None


# --------------------------------------------------------------------------- suspension and rotation


@pytest.mark.parametrize("what", ["tenant", "project", "key"])
def test_what_is_suspended_is_refused_at_once_here_and_soon_everywhere(house, what):
    server, admin, _ = house
    name = f"halted-{what}"
    assert server.ask("POST", "/api/admin/tenants", {"id": name}, key=admin).status == 201
    key = made_key(server, admin, "u", tenant=name)
    assert server.chat(key=key["key"]).status == 200
    path = {
        "tenant": f"/api/admin/tenants/{name}",
        "project": f"/api/admin/projects/{name}/default",
        "key": f"/api/admin/api-keys/{key['id']}",
    }[what]
    assert server.ask("POST", f"{path}/suspend", key=admin).json()["state"] == "suspended"
    error = refused(server.chat(key=key["key"]))
    assert "is suspended" in error["message"]
    reply = server.message(headers={"x-api-key": key["key"]})
    assert (reply.status, reply.json()["error"]["type"]) == (403, "permission_error")
    assert server.ask("POST", f"{path}/resume", key=admin).json()["state"] == "active"
    assert server.chat(key=key["key"]).status == 200


def test_nobody_suspends_what_it_is_in(house):
    server, admin, manager = house
    me = server.ask("GET", "/v1/api-keys", key=manager).json()["data"][0]
    for path, key in (
        ("/api/admin/tenants/default/suspend", admin),
        ("/api/admin/projects/default/default/suspend", admin),
        ("/v1/projects/default/suspend", manager),
        (f"/v1/api-keys/{me['id']}/suspend", manager),
    ):
        refused(server.ask("POST", path, key=key), 409, "conflict")


def test_changes_of_places_are_in_the_audit_log(house):
    server, admin, _ = house
    server.ask("POST", "/api/admin/tenants", {"id": "written"}, key=admin)
    server.ask("POST", "/api/admin/tenants/written/suspend", key=admin)
    page = server.ask("GET", "/api/admin/audit?tenant=written&outcome=done", key=admin).json()
    assert [(each["action"], each["target"]) for each in page["data"]] == [
        ("tenant.suspend", "written"),
        ("tenant.create", "written"),
    ]
    assert '"suspended"' in json.dumps(page["data"][0]["after"]).replace("\\", "")


def test_tenants_are_listed_in_pages_and_by_state(house):
    server, admin, _ = house
    for number in range(3):
        server.ask("POST", "/api/admin/tenants", {"id": f"page-{number}"}, key=admin)
    server.ask("POST", "/api/admin/tenants/page-1/suspend", key=admin)
    seen, cursor = [], ""
    while True:
        page = server.ask("GET", f"/api/admin/tenants?limit=2{cursor}", key=admin).json()
        seen += [each["id"] for each in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == sorted(seen)
    assert {"page-0", "page-1", "page-2", "acme"} <= set(seen)
    found = server.ask("GET", "/api/admin/tenants?state=suspended", key=admin).json()["data"]
    assert "page-1" in [each["id"] for each in found]
    mine = server.ask("GET", "/api/admin/projects?tenant=acme", key=admin).json()["data"]
    assert {each["tenant"] for each in mine} == {"acme"}


def test_a_rotated_key_goes_on_with_what_it_has_used(house):
    """Its id stays, so its windows do."""
    server, _, manager = house
    old = make(server, manager, "r", limits={"rpd": 1})
    assert server.chat(key=old["key"]).status == 200
    path = f"/v1/api-keys/{old['id']}/rotate"
    new = server.ask("POST", path, {"overlap_s": 1.5}, key=manager).json()
    assert (new["id"], new["previous_ends_at"] > time.time()) == (old["id"], True)
    for key in (old["key"], new["key"]):
        refused(server.chat(key=key), 429, "daily_quota_exceeded")
        assert server.ask("GET", "/v1/keys/me", key=key).json()["totalRequestCount"] >= 1
    time.sleep(1.6)
    refused(server.ask("GET", "/v1/keys/me", key=old["key"]), 401, "expired_api_key")
    assert server.ask("GET", "/v1/keys/me", key=new["key"]).status == 200


def test_who_is_let_in_without_a_stored_key_has_a_tenant_too(house):
    assert house[0].ask("GET", "/v1/tenants/me", key="drg_anybody").json()["id"] == "local"


@pytest.mark.parametrize("workers", ["2"])
def test_every_worker_knows_within_a_second(mock, tmp_path, workers):
    """A10, by somebody else's hand: the command line changes the database, the workers notice."""
    with gateway_server(tmp_path, "--workers", workers, **providers_at(mock.port)) as server:
        made = command(server, "keys", "create", "--name", "w", "--tenant", "acme")
        seen: list[tuple[float, int]] = []
        over = threading.Event()

        def ask():
            while not over.is_set():
                began = time.monotonic()
                status = server.ask("GET", "/v1/keys/me", key=made["key"]).status
                seen.append((began, status))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: len(seen) >= 8)
            command(server, "tenants", "suspend", "acme")
            done = time.monotonic()
            until(lambda: seen[-1][1] == 403, 10)
            time.sleep(1.5)
            last = max(at for at, status in seen if status == 200)
            assert last - done <= 1.1
            command(server, "tenants", "resume", "acme")
            # An answer may be long on its way: what counts is when it was asked for.
            after = time.monotonic() + 1.2
            until(lambda: sum(at > after for at, _ in seen) >= 8, 30)
            assert {status for at, status in seen if at > after} == {200}
        finally:
            over.set()
            for thread in threads:
                thread.join()
