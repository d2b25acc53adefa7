"""Tenants' own credentials on their way: whose key is sent, what others notice of it, and who ever sees it."""

from __future__ import annotations

import hashlib
import secrets as dice
import time
from decimal import Decimal

import pytest

from administrators import admin_key, made_key
from servers import gateway_server, providers_at, until

pytestmark = pytest.mark.req("R-AUTH-009", "R-AUTH-008", "R-AUTH-012")

HOUSE = "sk-mock-0123456789abcdef0123456789abcdef"
REFUSED = "sk-ant-invalid"
CORP = """
[[providers]]
name = "corp"
dialect = "chat"
base_url = "{url}/openai/v1"
credentials = [{{ key = "corp-house-key-1234" }}]
[prices."openai/m-dear"]
input = "1"
output = "2"
"""


def canary(prefix="sk-"):
    return f"{prefix}canary-{dice.token_hex(24)}"


@pytest.fixture(scope="module")
def place(mock, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "dragoman.toml").write_text(CORP.format(url=mock.url))
    settings = providers_at(mock.port)
    del settings["ANTHROPIC_API_KEY"]
    with gateway_server(folder, LOG_LEVEL="debug", **settings) as server:
        yield server, admin_key(server), folder


def user(server, admin, tenant):
    return made_key(server, admin, f"user of {tenant}", tenant=tenant)["key"]


def bring(server, admin, tenant, key, provider="openai", **members):
    said = {"tenant": tenant, "provider": provider, "api_key": key, **members}
    reply = server.ask("POST", "/api/admin/credentials", said, key=admin)
    assert reply.status == 201, reply.body
    return reply.json()


def sent_with(mock, model):
    """Header and digest of the keys with which the provider was asked for the model."""
    requests = mock.ask("GET", "/mock/truth", key=None).json()["requests"]
    return [each["auth"] for each in requests if each["model"] == model]


def is_of(seen, key):
    header, _, begin = seen.partition(":")
    value = f"Bearer {key}" if header == "authorization" else key
    return bool(begin) and hashlib.sha256(value.encode()).hexdigest().startswith(begin)


def test_each_tenants_calls_are_made_with_its_own_key_and_others_with_the_houses(mock, place):
    server, admin, _ = place
    keys = {name: user(server, admin, name) for name in ("own-a", "own-b", "own-none")}
    mine = {name: canary() for name in ("own-a", "own-b")}
    ids = {name: bring(server, admin, name, value)["id"] for name, value in mine.items()}
    for stream in (False, True):
        for name, key in keys.items():
            model = f"m-{name}-{stream}"
            reply = server.chat(f"openai/{model}", key=key, stream=stream)
            assert reply.status == 200
            (seen,) = sent_with(mock, model)
            assert is_of(seen, mine.get(name, HOUSE))
            told = server.ask(
                "GET", f"/v1/requests/{reply.headers['x-dragoman-call-id']}/explain", key=key
            )
            (attempt,) = told.json()["attempts"]
            wanted = ("tenant", ids[name]) if name in ids else ("house", "key-1")
            assert (attempt["paid_by"], attempt["credential"]) == wanted
            assert mine.get(name, HOUSE)[10:] not in told.body.decode()
    # The other providers of a tenant are still the house's.
    assert server.chat("groq/m-else", key=keys["own-a"]).status == 200
    assert is_of(sent_with(mock, "m-else")[0], "gsk_mock0123456789abcdef0123456789abcdef")


@pytest.mark.req("R-USE-009", "M7")
@pytest.mark.parametrize("stream", [False, True])
def test_who_has_paid_its_provider_is_charged_nothing_for_that_here(place, stream):
    server, admin, _ = place
    for tenant, brings in ((f"pays-{stream}", True), (f"pays-not-{stream}", False)):
        key = user(server, admin, tenant)
        if brings:
            bring(server, admin, tenant, canary())
        row = server.row(
            server.chat("openai/m-dear", key=key, stream=stream).headers["x-request-id"], key=key
        )
        cost, charged = Decimal(row["cost_usd"]), Decimal(row["charged_usd"])
        assert cost > 0
        assert charged == (0 if brings else cost)


def test_a_provider_that_the_house_has_no_key_for_serves_who_brings_one(mock, place):
    server, admin, _ = place
    key, other = user(server, admin, "dormant"), user(server, admin, "dormant-else")
    value = canary("sk-ant-")
    bring(server, admin, "dormant", value, "anthropic")
    reply = server.chat("anthropic/m-dormant", key=key)
    assert reply.status == 200
    assert is_of(sent_with(mock, "m-dormant")[0], value)
    reply = server.chat("claude-sonnet-4-5", key=key)
    row = server.row(reply.headers["x-request-id"], key=key)
    assert row["provider"] == "anthropic"
    assert row["cost_from"] == "priced"
    reply = server.chat("anthropic/m-dormant", key=other)
    assert (reply.status, reply.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.req("R-SURF-018")
def test_a_list_of_models_holds_what_the_tenants_calls_may_ask_for(mock, place):
    """What is listed can be asked for, by whoever is shown it: with its names, by its credentials."""
    server, admin, _ = place
    key, other, only = (user(server, admin, f"listed-{n}") for n in ("own", "none", "only"))
    boss = made_key(server, admin, "boss", tenant="listed-own", role="tenant_admin")["key"]
    bring(server, admin, "listed-own", canary("sk-ant-"), "anthropic")
    bring(server, admin, "listed-only", canary("sk-ant-"), "anthropic")
    rule = {"tenant": "listed-only", "own_only": True}
    assert server.ask("POST", "/api/admin/credential-rules", rule, key=admin).status == 200
    policy = {"name": "quick-own", "candidates": ["anthropic/claude-sonnet-4-5"]}
    assert server.ask("POST", "/v1/routing-policies", policy, key=boss).status == 201

    def listed(key):
        return {each["id"] for each in server.ask("GET", "/v1/models", key=key).json()["data"]}

    def providers(key):
        return {name.partition("/")[0] for name in listed(key)}

    assert {"anthropic", "openai", "groq"} <= providers(key)
    assert "quick-own" in listed(key)
    assert "anthropic" not in providers(other)
    assert "quick-own" not in listed(other)
    assert "anthropic" in providers(only)
    assert providers(only).isdisjoint({"openai", "groq"})
    for name, status in (("anthropic/claude-sonnet-4-5", 200), ("quick-own", 200)):
        assert server.ask("GET", f"/v1/models/{name}", key=key).status == status
        assert server.ask("GET", f"/v1/models/{name}", key=other).status == 404
    for name in ("anthropic/claude-sonnet-4-5", "quick-own"):
        assert server.chat(name, key=key).status == 200
    # It is looked at anew as soon as something of it changes.
    assert server.ask("DELETE", "/v1/providers/anthropic", key=boss).status == 204
    until(lambda: "anthropic" not in providers(key), 5)


def test_a_tenant_may_bind_itself_to_its_own_and_not_undo_what_the_operator_said(place):
    server, admin, _ = place
    boss = made_key(server, admin, "boss", tenant="bound", role="tenant_admin")["key"]
    key = user(server, admin, "bound")

    def say(who, own_only):
        path = "/v1/credential-rule" if who == boss else "/api/admin/credential-rules"
        said = {"own_only": own_only} | ({} if who == boss else {"tenant": "bound"})
        reply = server.ask("POST", path, said, key=who)
        assert reply.status == 200, reply.body
        return server.ask("GET", "/v1/credential-rule", key=boss).json()

    told = server.ask("GET", "/v1/credential-rule", key=boss).json()
    assert told == {"tenant": "bound", "own_only": False, "by_operator": False, "by_tenant": False}
    assert server.chat("groq/m-bound", key=key).status == 200
    assert say(boss, own_only=True)["own_only"] is True
    reply = server.chat("groq/m-bound", key=key)
    assert (reply.status, reply.json()["error"]["code"]) == (403, "no_own_credential")
    assert say(admin, own_only=True) == {
        "tenant": "bound",
        "own_only": True,
        "by_operator": True,
        "by_tenant": True,
    }
    assert say(boss, own_only=False)["own_only"] is True, "the operator's word stays"
    assert server.chat("groq/m-bound", key=key).status == 403
    assert say(admin, own_only=False)["own_only"] is False
    assert server.chat("groq/m-bound", key=key).status == 200
    assert server.ask("GET", "/v1/credential-rule", key=key).status == 403
    page = server.ask(
        "GET", "/api/admin/audit?action=credential_rule.put&tenant=bound", key=admin
    ).json()["data"]
    assert len(page) == 8


def test_a_refused_key_of_one_tenant_is_nobody_elses_trouble(place):
    """Neither its quarantine nor its breaker, and no further try of anybody else's."""
    server, admin, _ = place
    bad, good, house = (user(server, admin, name) for name in ("bad", "good", "plain"))
    bring(server, admin, "bad", REFUSED, "corp")
    bring(server, admin, "good", canary(), "corp")
    for _ in range(30):
        reply = server.chat("corp/m", key=bad)
        assert reply.status == 502
        assert "your own credential" in reply.json()["error"]["message"]
        assert REFUSED not in reply.body.decode()
    for key in (good, house):
        for _ in range(3):
            reply = server.chat("corp/m", key=key)
            assert (reply.status, reply.headers["x-dragoman-attempts"]) == (200, "1")
    assert server.ask("GET", "/ready", key=None).status == 200
    found = server.ask("GET", "/api/admin/providers/corp", key=admin).json()
    assert (found["breaker"], found["disabled_by"]) == ("closed", None)


def test_a_pool_of_own_keys_goes_on_without_the_one_that_is_refused(place):
    server, admin, _ = place
    key = user(server, admin, "pooled")
    bring(server, admin, "pooled", REFUSED, "corp", name="bad")
    bring(server, admin, "pooled", canary(), "corp", name="good")
    replies = [server.chat("corp/m", key=key) for _ in range(20)]
    assert {reply.status for reply in replies} == {200}
    assert sum(reply.headers["x-dragoman-attempts"] == "2" for reply in replies) == 1


@pytest.mark.parametrize(
    ("path", "body", "read"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}, "code"),
        (
            "/v1/messages",
            {"messages": [{"role": "user", "content": "x"}], "max_tokens": 5},
            "type",
        ),
        ("/v1/responses", {"input": "x"}, "code"),
    ],
)
def test_own_only_is_refused_in_the_callers_dialect(place, path, body, read):
    server, admin, _ = place
    tenant = f"strict{path.replace('/', '-')}"
    key = user(server, admin, tenant)
    said = {"tenant": tenant, "own_only": True}
    reply = server.ask("POST", "/api/admin/credential-rules", said, key=admin)
    assert reply.json() == {**said, "by_operator": True, "by_tenant": False}
    bring(server, admin, tenant, canary("gsk_"), "groq")
    for model in ("openai/gpt-4o", "anthropic/claude-sonnet-4-5"):
        reply = server.ask("POST", path, {"model": model, **body}, key=key)
        error = reply.json()["error"]
        assert reply.status == 403, reply.body
        assert "made with its own credentials alone, and it has none for " in error["message"]
        assert error[read] == ("no_own_credential" if read == "code" else "permission_error")
    assert server.ask("POST", path, {"model": "groq/m", **body}, key=key).status == 200


def test_a_change_is_in_force_at_once_for_the_next_call(mock, place):
    server, admin, _ = place
    key = user(server, admin, "turning")
    one = bring(server, admin, "turning", (first := canary()), name="one")
    assert (one["state"], one["last_used_at"]) == ("in use", None)

    def key_of(model):
        assert server.chat(f"openai/{model}", key=key).status == 200
        (seen,) = sent_with(mock, model)
        return seen

    at = f"/api/admin/credentials/{one['id']}"
    assert is_of(key_of("turn-1"), first)
    assert server.ask("POST", f"{at}/disable", key=admin).json()["state"] == "disabled"
    assert is_of(key_of("turn-2"), HOUSE)
    assert server.ask("POST", f"{at}/enable", key=admin).json()["state"] == "in use"
    assert is_of(key_of("turn-3"), first)
    assert server.ask("DELETE", at, key=admin).status == 204
    assert is_of(key_of("turn-4"), HOUSE)
    assert server.ask("GET", at, key=admin).status == 404


def test_a_key_is_tried_at_its_provider(place):
    server, admin, _ = place
    for value, wanted in ((canary(), "good"), (REFUSED, "refused")):
        made = bring(server, admin, "tried", value, "corp", name=wanted)
        reply = server.ask("POST", f"/api/admin/credentials/{made['id']}/test", key=admin)
        assert (reply.status, reply.json()["outcome"]) == (200, wanted)
        assert value not in reply.body.decode()


@pytest.mark.parametrize(
    ("said", "param"),
    [
        ({"provider": "openai", "api_key": "too-short"}, "api_key"),
        ({"provider": "nobody", "api_key": "sk-0123456789"}, "provider"),
        ({"provider": "openai-responses", "api_key": "sk-" + "x" * 40}, "provider"),
        ({"provider": "openai", "api_key": "sk-canary with blanks" + "x" * 40}, "api_key"),
        ({"provider": "openai", "api_key": "sk-" + "x" * 40, "weight": 0}, "weight"),
        ({"provider": "openai", "api_key": "sk-" + "x" * 40, "tenant": "other"}, "tenant"),
    ],
)
def test_what_is_no_credential_is_refused_and_not_repeated(place, said, param):
    server, admin, _ = place
    reply = server.ask("POST", "/v1/providers", said, key=admin)
    assert (reply.status, reply.json()["error"]["param"]) == (400, param)
    assert said["api_key"] not in reply.body.decode()


def test_a_tenants_own_endpoints_know_its_own_alone(place):
    server, admin, _ = place
    foreign = bring(server, admin, "foreign", canary(), "mistral")
    value = canary()
    said = {"provider": "xai", "api_key": value.replace("sk-", "xai-"), "name": "mine"}
    reply = server.ask("POST", "/v1/providers", said, key=admin)
    assert reply.status == 201, reply.body
    mine = reply.json()
    assert (mine["tenant"], mine["provider"], mine["weight"]) == ("default", "xai", 1)
    assert mine["key_preview"] == f"{said['api_key'][:6]}****{said['api_key'][-4:]}"
    assert server.ask("POST", "/v1/providers", said, key=admin).status == 409
    seen = server.ask("GET", "/v1/providers", key=admin).json()["data"]
    assert [each["id"] for each in seen] == [mine["id"]]
    for path in ("mistral", "nobody", "xai?name=other"):
        assert server.ask("DELETE", f"/v1/providers/{path}", key=admin).status == 404
    page = server.ask("GET", "/api/admin/credentials?tenant=foreign", key=admin).json()
    assert [each["id"] for each in page["data"]] == [foreign["id"]]
    assert server.ask("DELETE", "/v1/providers/xai?name=mine", key=admin).status == 204
    assert server.ask("GET", "/v1/providers", key=admin).json()["data"] == []
    for member in ("id", "preview", "origin", "sealed_value", "created_ms", "disabled"):
        reply = server.ask("POST", "/v1/providers", {**said, member: "x"}, key=admin)
        assert (reply.status, reply.json()["error"]["param"]) == (400, member)


def test_no_value_is_seen_anywhere(mock, place):
    """Log at debug, errors, audit, metrics, the interface's description, every file of the home (K1, K6)."""
    server, admin, folder = place
    key = user(server, admin, "canaries")
    values = [canary() for _ in range(3)]
    for number, value in enumerate(values):
        bring(server, admin, "canaries", value, name=f"n{number}")
    for stream in (False, True):
        server.chat("openai/gpt-4o-mini", key=key, stream=stream)
        server.chat("openai/m--mock-status-500", key=key, stream=stream)
        server.chat("openai/m--mock-status-401", key=key, stream=stream)
    server.ask(
        "POST", "/v1/providers", {"provider": "openai", "api_key": values[0] + " "}, key=admin
    )
    server.ask("POST", "/v1/providers", b'{"api_key": "%b' % values[1].encode(), key=admin)
    pages = (
        "/api/admin/credentials?limit=1000",
        "/api/admin/audit?limit=1000",
        "/api/admin/requests",
        "/metrics",
        "/health",
        "/ready",
        "/openapi.json",
    )
    told = [server.ask("GET", path, key=admin).body for path in pages]
    assert any(b"canaries" in each for each in told)
    time.sleep(0.3)
    told += [server.log.read_bytes(), server.said.encode()]
    told += [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    for value in values:
        assert not [each for each in told if value[10:].encode() in each]
    actions = {each["action"] for each in server.ask(
        "GET", "/api/admin/audit?tenant=canaries&limit=100", key=admin
    ).json()["data"]}  # fmt: skip
    assert "credential.add" in actions


def test_when_it_was_used_is_told_at_last(place):
    server, admin, _ = place
    key = user(server, admin, "used")
    made = bring(server, admin, "used", canary())
    assert server.chat("openai/m-used", key=key).status == 200

    def used_at():
        path = f"/api/admin/credentials/{made['id']}"
        return server.ask("GET", path, key=admin).json()["last_used_at"]

    assert abs(until(used_at, 40) - time.time()) < 60
