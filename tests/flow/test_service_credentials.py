"""Tenants' own credentials at other services: whose is sent, and what nobody else ever gets of it."""

from __future__ import annotations

import json
import os
import secrets as dice

import pytest

import forge
from administrators import admin_key, made_key
from rest_api import serving
from servers import gateway_server, until

pytestmark = pytest.mark.req("R-CRED-004", "R-AUTH-008", "R-AUTH-009")

HOUSE, NAMED = "secret-of-the-house", "secret-written-for-named"
TOML = """
[[services]]
name = "corp"
base_url = "{url}/api"
bring = true
credentials = [{{ tenant = "*", key = "secret-of-the-house" }}, {{ tenant = "named", key = "{named}" }}]

[[services]]
name = "inside"
base_url = "{url}/inside"

[[services]]
name = "openai"
base_url = "{url}/other"
bring = true
"""


def canary():
    return f"canary-{dice.token_hex(16)}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own-services")
    with serving() as api:
        api.good |= {HOUSE, NAMED}
        (folder / "dragoman.toml").write_text(TOML.format(url=api.url, named=NAMED))
        with gateway_server(folder, LOG_LEVEL="debug") as server:
            yield server, api, admin_key(server), folder


class Tenant:
    """A tenant with a user, who calls, and a manager, who brings credentials."""

    def __init__(self, place, name):
        self.server, self.api, self.admin, _ = place
        self.name = name
        self.key = made_key(self.server, self.admin, f"user of {name}", tenant=name)["key"]
        self.manager = made_key(
            self.server, self.admin, f"manager of {name}", tenant=name, role="tenant_admin"
        )["key"]

    def bring(self, value, provider="services/corp", **members):
        said = {"provider": provider, "api_key": value, **members}
        return self.server.ask("POST", "/v1/providers", said, key=self.manager)

    def given(self, value, provider, **members):
        said = {"tenant": self.name, "provider": provider, "api_key": value, **members}
        return self.server.ask("POST", "/api/admin/credentials", said, key=self.admin)

    def call(self, path="corp/echo"):
        return self.server.ask("GET", f"/services/{path}", key=self.key)

    def shown(self, path="corp/echo"):
        """What the service was shown by the next call, which it has to take."""
        self.api.seen.clear()
        reply = self.call(path)
        assert reply.status == 200, reply.body
        return [each[2]["authorization"].removeprefix("Bearer ") for each in self.api.seen]

    def listed(self):
        page = self.server.ask("GET", "/services", key=self.key).json()["data"]
        return {each["name"]: each["credential"] for each in page}


def good(api):
    value = canary()
    api.good.add(value)
    return value


def test_each_tenant_calls_with_what_it_has_brought_and_nobody_elses(place):
    one, two, none = (Tenant(place, name) for name in ("sv-one", "sv-two", "sv-none"))
    api = one.api
    mine = {tenant.name: good(api) for tenant in (one, two)}
    assert one.shown() == [HOUSE]
    for tenant in (one, two):
        made = tenant.bring(mine[tenant.name], provider="corp")
        assert made.status == 201, made.body
        told = made.json()
        assert (told["provider"], told["state"]) == ("services/corp", "in use")
        assert told["address"] == api.url
    for _ in range(3):
        assert one.shown() == [mine["sv-one"]]
        assert two.shown() == [mine["sv-two"]]
        assert none.shown() == [HOUSE]
    assert (one.listed()["corp"], none.listed()["corp"]) == ("tenant", "house")
    reply = one.call()
    explained = one.server.ask(
        "GET", f"/v1/requests/{reply.headers['x-dragoman-call-id']}/explain", key=one.key
    )
    (attempt,) = explained.json()["attempts"]
    assert (attempt["paid_by"], attempt["credential"].startswith("own_")) == ("tenant", True)
    # What is removed serves no more, and the house does again.
    removed = one.server.ask("DELETE", "/v1/providers/corp", key=one.manager)
    assert (removed.status, one.shown()) == (204, [HOUSE])
    assert two.shown() == [mine["sv-two"]]
    assert two.server.ask("DELETE", "/v1/providers/services/corp", key=two.manager).status == 204
    assert two.shown() == [HOUSE]


def test_one_that_is_refused_is_never_made_good_by_the_house_or_another_tenant(place):
    bad, other = Tenant(place, "sv-bad"), Tenant(place, "sv-other")
    assert bad.bring(revoked := canary()).status == 201
    assert other.bring(good(bad.api)).status == 201
    bad.api.seen.clear()
    reply = bad.call()
    assert reply.status == 502
    assert "your own credential" in reply.json()["error"]["message"]
    assert [each[2]["authorization"] for each in bad.api.seen] == [f"Bearer {revoked}"]
    # A second of the tenant's own may: a refusal has done nothing.
    second = good(bad.api)
    assert bad.bring(second, name="second").status == 201
    assert {bad.call().status for _ in range(4)} == {200}
    assert bad.shown()[-1] == second


def test_who_may_use_its_own_alone_is_served_nothing_of_everybodys(place):
    strict, named = Tenant(place, "sv-strict"), Tenant(place, "named")
    assert named.shown() == [NAMED]
    for tenant in (strict, named):
        said = {"tenant": tenant.name, "own_only": True}
        reply = tenant.server.ask("POST", "/api/admin/credential-rules", said, key=tenant.admin)
        assert reply.status == 200
    strict.api.seen.clear()
    reply = strict.call()
    assert (reply.status, reply.json()["error"]["code"]) == (403, "no_own_credential")
    assert "services/corp" in reply.json()["error"]["message"]
    assert strict.api.seen == []
    assert strict.listed()["corp"] is None
    # What the operator has written for this tenant by name is its own.
    assert named.shown() == [NAMED]
    assert strict.bring(mine := good(strict.api)).status == 201
    assert strict.shown() == [mine]
    held = strict.server.ask("GET", "/v1/providers?provider=services/corp", key=strict.manager)
    at = f"/api/admin/credentials/{held.json()['data'][0]['id']}"
    assert strict.server.ask("POST", f"{at}/disable", key=strict.admin).status == 200
    assert strict.call().status == 403


def test_a_service_that_tenants_may_not_bring_for_is_opened_by_an_administrator_alone(place):
    """Its address may be inside the operator's network: a made-up key must not lead there."""
    one, two = Tenant(place, "sv-guest"), Tenant(place, "sv-insider")
    for provider in ("inside", "services/inside", "services/nobody", "nobody"):
        refused = one.bring(canary(), provider=provider)
        assert (refused.status, refused.json()["error"]["param"]) == (400, "provider")
        assert (
            f"There is no provider or service '{provider}'" in refused.json()["error"]["message"]
        )
        assert "services/inside" not in refused.json()["error"]["message"].partition("nearest")[2]
    assert two.given(value := good(two.api), "inside").status == 201
    assert two.shown("inside/echo") == [value]
    for path in ("inside/echo", "never/echo"):
        assert (one.call(path).status, one.call(path).json()["error"]["code"]) == (
            404,
            "service_not_found",
        )
    assert "inside" not in one.listed()
    assert two.listed()["inside"] == "tenant"


def test_a_service_and_a_provider_of_one_name_are_two(place):
    tenant = Tenant(place, "sv-twin")
    assert tenant.bring("short-key", provider="openai").json()["error"]["param"] == "api_key"
    assert tenant.bring(value := good(tenant.api), provider="services/openai").status == 201
    assert tenant.shown("openai/echo") == [value]
    assert tenant.bring("sk-" + "x" * 40, provider="openai").status == 201
    for status in (204, 404):
        reply = tenant.server.ask("DELETE", "/v1/providers/openai", key=tenant.manager)
        assert reply.status == status
        assert tenant.shown("openai/echo") == [value]


def test_the_command_line_stores_one_and_a_running_gateway_notices(place):
    server, api, _, folder = place
    tenant = Tenant(place, "sv-shell")
    environment = {**os.environ, **server.environment}
    value = good(api)

    def run(*words, said=""):
        return forge.run(
            ("credentials", *words, "--json"), env=environment, cwd=folder, given=said, timeout=90
        )

    stored = run("add", "inside", "--tenant", tenant.name, said=value)
    assert stored.returncode == 0, stored.stdout + stored.stderr
    told = json.loads(stored.stdout)
    assert (told["provider"], told["origin"]) == ("services/inside", api.url)
    assert value not in stored.stdout
    until(lambda: tenant.call("inside/echo").status == 200, 20)
    assert tenant.shown("inside/echo") == [value]
    tried = run("test", told["id"])
    assert (tried.returncode, json.loads(tried.stdout)["outcome"]) == (1, "not tried")
    unknown = run("add", "insyde", "--tenant", tenant.name, said=value)
    assert unknown.returncode == 1
    assert "services/inside" in json.loads(unknown.stdout)["error"]["message"]


def test_no_value_is_seen_anywhere(place):
    server, api, admin, folder = place
    tenant = Tenant(place, "sv-canaries")
    value, refused = good(api), canary()
    assert tenant.bring(value).status == 201
    assert tenant.bring(refused, name="refused").status == 201
    for path in ("corp/echo", "corp/none", "corp/forbidden", "corp/stream"):
        api.last.set()
        tenant.call(path)
    pages = ("/api/admin/credentials?limit=1000", "/api/admin/audit?limit=1000", "/metrics")
    told = [server.ask("GET", path, key=admin).body for path in pages]
    told += [server.log.read_bytes(), server.said.encode()]
    told += [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    for each in (value, refused):
        assert not [text for text in told if each[10:].encode() in text]
