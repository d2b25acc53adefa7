"""Prompts and answers are kept where the operator says it, sealed, for who manages the tenant, and for some days."""

import json
import sqlite3
import time

import pytest

from administrators import admin_key, made_key
from harness.canaries import files, mark, search
from servers import gateway_server, providers_at, until

pytestmark = pytest.mark.req("R-OBS-010", "R-OBS-007")
MODEL = "openai/gpt-4o-mini"


@pytest.fixture(scope="module")
def place(mock, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bodies")
    settings = {"LOG_LEVEL": "debug", "KEEP_BODIES": "acme", "KEEP_BODIES_BYTES": "65536"}
    with gateway_server(folder, **settings, **providers_at(mock.port)) as server:
        yield server, admin_key(server), folder


@pytest.fixture(scope="module")
def keys(place):
    server, admin, _ = place
    told = {}
    for tenant in ("acme", "other"):
        for role in ("user", "tenant_admin"):
            name = f"{role} of {tenant}"
            told[tenant, role] = made_key(server, admin, name, tenant=tenant, role=role)["key"]
    return told


def asked(server, call, key, method="GET"):
    return server.ask(method, f"/v1/requests/{call}/bodies", key=key)


def kept_rows(server):
    with sqlite3.connect(server.log.parent / "home" / "dragoman.db") as connection:
        found = connection.execute(
            "SELECT tenant, call_id, created_ms FROM kept_bodies"
        ).fetchall()
    connection.close()
    return found


@pytest.mark.req("P3", "P8")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("route", ["/v1/chat/completions", "/v1/messages"])
def test_who_manages_the_tenant_reads_what_was_said_and_nobody_else(place, keys, route, stream):
    server, admin, folder = place
    prompt = mark()
    body = {
        "model": MODEL,
        "max_tokens": 50,
        "stream": stream,
        "messages": [{"role": "user", "content": prompt}],
    }
    reply = server.ask("POST", route, body, key=keys["acme", "user"])
    assert reply.status == 200
    call = reply.headers["x-dragoman-call-id"]
    told = asked(server, call, keys["acme", "tenant_admin"])
    assert told.status == 200, told.body
    shown = told.json()
    assert json.loads(shown["request"]["body"]) == body
    assert shown["answer"]["body"] == reply.body.decode()
    assert shown["answer"]["bytes"] == len(reply.body)
    assert not shown["answer"]["truncated"]

    assert asked(server, call, keys["acme", "user"]).status == 403
    assert asked(server, call, keys["other", "tenant_admin"]).status == 404
    assert asked(server, call, admin).status == 404, "another tenant's administrator"
    deeds = server.ask("GET", "/api/admin/audit?action=bodies.read&limit=1", key=admin).json()
    assert deeds["data"][0]["target"] == call
    assert deeds["data"][0]["tenant"] == "acme"
    # Sealed: the words stand in no file of the house, nor in its log.
    answer = shown["answer"]["body"].encode()[:80]
    places = [*files(folder), ("log", server.log.read_bytes())]
    assert search({"prompt": prompt.encode(), "answer": answer}, places) == []
    assert (
        search({"prompt": prompt.encode()}, [("metrics", server.ask("GET", "/metrics").body)])
        == []
    )


def test_failures_are_kept_with_what_their_caller_was_told(place, keys):
    server, _, _ = place
    reply = server.chat(f"{MODEL}--mock-status-400", key=keys["acme", "user"])
    assert reply.status == 400
    shown = asked(server, reply.headers["x-dragoman-call-id"], keys["acme", "tenant_admin"]).json()
    assert shown["answer"]["body"] == reply.body.decode()


def test_what_is_long_is_cut(place, keys):
    server, _, _ = place
    reply = server.chat(MODEL, "long " * 20000, key=keys["acme", "user"])
    shown = asked(server, reply.headers["x-dragoman-call-id"], keys["acme", "tenant_admin"]).json()
    assert shown["request"]["truncated"]
    assert shown["request"]["bytes"] > 100_000
    assert len(shown["request"]["body"]) == 65_536


def test_nothing_is_kept_of_other_tenants(place, keys):
    server, _, _ = place
    reply = server.chat(MODEL, key=keys["other", "user"])
    call = reply.headers["x-dragoman-call-id"]
    assert asked(server, call, keys["other", "tenant_admin"]).status == 404
    assert {tenant for tenant, *_ in kept_rows(server)} <= {"acme"}


def test_it_is_removed_by_who_manages_the_tenant(place, keys):
    server, admin, _ = place
    call = server.chat(MODEL, key=keys["acme", "user"]).headers["x-dragoman-call-id"]
    manager = keys["acme", "tenant_admin"]
    assert asked(server, call, keys["other", "tenant_admin"], "DELETE").status == 404
    assert asked(server, call, keys["acme", "user"], "DELETE").status == 403
    assert asked(server, call, manager, "DELETE").json()["deleted"] is True
    assert asked(server, call, manager).status == 404
    assert asked(server, call, manager, "DELETE").status == 404
    deeds = server.ask("GET", "/api/admin/audit?action=bodies.delete", key=admin).json()["data"]
    mine = [each["outcome"] for each in deeds if each["tenant"] == "acme"]
    assert mine[::-1] == ["begun", "done", "begun", "failed"]


@pytest.mark.req("P3")
def test_what_is_old_is_not_shown_any_more(place, keys):
    server, _, _ = place
    call = server.chat(MODEL, key=keys["acme", "user"]).headers["x-dragoman-call-id"]
    manager = keys["acme", "tenant_admin"]
    assert asked(server, call, manager).status == 200
    aged = int((time.time() - 8 * 86_400) * 1000)
    with sqlite3.connect(server.log.parent / "home" / "dragoman.db") as connection:
        connection.execute("UPDATE kept_bodies SET created_ms = ? WHERE call_id = ?", (aged, call))
    connection.close()
    assert asked(server, call, manager).status == 404


@pytest.mark.req("P1", "P3")
def test_the_switch_is_turned_without_a_restart_and_off_by_default(mock, tmp_path):
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        admin = admin_key(server)
        key = made_key(server, admin, "manager", tenant="acme", role="tenant_admin")["key"]

        def call():
            return server.chat(MODEL, key=key).headers["x-dragoman-call-id"]

        assert asked(server, call(), key).status == 404
        file = tmp_path / ".env"
        file.write_text("KEEP_BODIES=other,acme\n")
        assert server.ask("POST", "/api/admin/config/reload", key=admin).status == 200
        assert asked(server, call(), key).status == 200
        before = len(kept_rows(server))
        file.write_text("")
        assert server.ask("POST", "/api/admin/config/reload", key=admin).status == 200
        assert asked(server, call(), key).status == 404
        assert until(lambda: len(kept_rows(server)) == before)
