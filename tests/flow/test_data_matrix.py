"""Who may do what to whose, beyond what manages the gateway: each row by each role, with a foreign and an unknown id."""

from __future__ import annotations

import re

import pytest

from administrators import admin_key, made_key
from dragoman.surface.managed_rows import MANAGED
from dragoman.surface.table import ROUTES
from responses_upstream import responses_upstream
from servers import gateway_server, providers_at, until

pytestmark = pytest.mark.req("R-AUTH-002", "R-AUTH-008", "R-AUTH-013")

ROWS = [
    row
    for row in ROUTES
    if row not in MANAGED and row.permission != "public" and row.page not in {"socket", "service"}
]
ROLES = ("user", "tenant_admin", "admin", "local")
MAY = {"admin": {"admin"}, "tenant": {"admin", "tenant_admin"}}
"""Who may use a row; the others are everybody's who has a key."""


def named(row):
    return f"{row.method} {row.path}"


@pytest.fixture(scope="module")
def house(mock, tmp_path_factory):
    with (
        responses_upstream() as upstream,
        gateway_server(
            tmp_path_factory.mktemp("matrix"),
            **{**providers_at(mock.port), **upstream.environment(1)},
        ) as server,
    ):
        admin = admin_key(server)
        keys = {
            role: made_key(server, admin, role, tenant="two", role=role)["key"]
            for role in ("user", "tenant_admin", "admin")
        }
        keys["local"] = "drg_test_local"
        yield server, admin, keys, made_key(server, admin, "owner", tenant="one")["key"]


@pytest.fixture(scope="module")
def owned(house):
    """What the owner has: names of a call, a response that was kept, a stream that can be resumed."""
    server, _, _, owner = house
    call = server.ask(
        "POST",
        "/v6/chat/completions",
        {"model": "mistral/mistral-small-latest", "messages": [{"role": "user", "content": "hi"}]},
        key=owner,
    )
    kept = server.ask(
        "POST",
        "/v1/responses",
        {"model": "groq/llama-3.3-70b-versatile", "input": "hi", "store": True},
        key=owner,
    )
    resumable = {"x-dragoman-resumable": "true"}
    stream = server.chat("mistral/mistral-small-latest", stream=True, key=owner, headers=resumable)
    assert {call.status, kept.status, stream.status} == {200}
    assert server.ask("GET", f"/v1/responses/{kept.json()['id']}", key=owner).status == 200
    return {
        "call": [
            call.headers["x-dragoman-call-id"],
            call.headers["x-request-id"],
            call.json()["id"],
        ],
        "response": [kept.json()["id"]],
        "stream": [stream.headers["x-dragoman-call-id"]],
    }


def at(row, name="nobody-knows-it"):
    path = re.sub(r"\{[a-z_]+(:path)?\}", name, row.path)
    return f"{path}?id={name}" if row.page == "generation" else path


def body(row):
    return {} if row.method in {"POST", "PUT", "PATCH"} else None


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_nobody_without_a_key_gets_in(house, row):
    server = house[0]
    for key in (None, "drg_no"):
        assert server.ask(row.method, at(row), body(row), key=key).status == 401


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", [row for row in ROWS if row.permission in MAY], ids=named)
def test_a_row_is_for_those_who_may_use_it(house, row, role):
    server, _, keys, _ = house
    reply = server.ask(row.method, at(row), body(row), key=keys[role])
    if role in MAY[row.permission]:
        assert reply.status in {200, 404}, reply.body
    else:
        assert (reply.status, reply.json()["error"]["code"]) == (403, "insufficient_permissions")


FOREIGN = {
    "response": "response",
    "response_delete": "response",
    "response_items": "response",
    "response_cancel": "response",
    "stream": "stream",
    "explain": "call",
    "bodies": "call",
    "bodies_delete": "call",
    "generation": "call",
}
"""What the id of a page names."""


def refused(server, row, name, key):
    reply = server.ask(row.method, at(row, name), body(row), key=key)
    said = reply.body.decode()
    for told in ("request_id", "trace_id"):
        said = re.sub(rf'"{told}":"[^"]*"', "", said)
    return reply.status, said.replace(name, "ID")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", [row for row in ROWS if row.page in FOREIGN], ids=named)
def test_a_foreign_id_is_an_unknown_one_to_every_role(house, owned, row, role):
    """The same status and, the id apart, the same words: an administrator's key is of a tenant as well (A5)."""
    server, _, keys, _ = house
    # Of the same form as the foreign ones, which some say something else of.
    unknown = [re.sub(r"[0-9a-f]{4}$", "0000", name) for name in owned[FOREIGN[row.page]]]
    told = {
        refused(server, row, name, keys[role]) for name in [*owned[FOREIGN[row.page]], *unknown]
    }
    assert len(told) == 1
    forbidden = row.permission in MAY and role not in MAY[row.permission]
    assert next(iter(told))[0] == (403 if forbidden else 404)


def test_what_others_asked_for_is_still_the_owners(house, owned):
    server, _, _, owner = house
    assert server.ask("GET", f"/v1/responses/{owned['response'][0]}", key=owner).status == 200
    for name in owned["call"]:
        until(
            lambda name=name: (
                server.ask("GET", f"/v6/generation?id={name}", key=owner).status == 200
            )
        )
        assert server.ask("GET", f"/v1/requests/{name}/explain", key=owner).status == 200
    assert server.ask("GET", f"/v1/streams/{owned['stream'][0]}", key=owner).status == 200


def test_lists_and_sums_hold_nothing_of_another_tenants(house, owned):
    server, _, keys, owner = house
    names = [name for each in owned.values() for name in each]
    for row in ROWS:
        if row.permission not in {"usage", "tenant"} or "{" in row.path or row.method != "GET":
            continue
        for role in ROLES:
            reply = server.ask("GET", f"{row.path}?id=none", key=keys[role])
            said = reply.body.decode()
            assert not [name for name in names if name in said], (row.path, role)
    mine = server.ask("GET", "/v1/usage?group=request", key=owner).json()["data"]
    assert {each["call_id"] for each in mine} >= {owned["call"][0], owned["stream"][0]}


@pytest.mark.req("R-AUTH-012")
def test_a_foreign_credential_that_is_named_by_its_provider_is_an_unknown_one(house):
    server, admin, keys, _ = house
    said = {"tenant": "one", "provider": "xai", "api_key": "xai-own-0123456789abcdef0123456789ab"}
    made = server.ask("POST", "/api/admin/credentials", said, key=admin)
    assert made.status == 201
    for role in ("tenant_admin", "admin"):
        told = set()
        for provider in ("xai", "groq"):
            reply = server.ask("DELETE", f"/v1/providers/{provider}", key=keys[role])
            error = reply.json()["error"]
            told.add((reply.status, error["code"], error["message"].replace(provider, "IT")))
        assert len(told) == 1
        assert next(iter(told))[0] == 404
        assert server.ask("GET", "/v1/providers", key=keys[role]).json()["data"] == []
    still = server.ask("GET", f"/api/admin/credentials/{made.json()['id']}", key=admin)
    assert (still.status, still.json()["tenant"]) == (200, "one")
