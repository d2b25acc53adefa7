"""What was used, told in every way: over HTTP, as files, as invoices and on the command line, to each its own."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from decimal import Decimal

import pytest

import forge
from administrators import admin_key, made_key
from servers import gateway_server, mock_server

CHAIN = "multi_skill:orchestrator->skill1->skill2"
MODEL = "openrouter/anthropic/claude-sonnet-4.5"
MONTH = time.strftime("%Y-%m", time.gmtime())
PAGES = (
    "/v1/usage",
    "/v1/usage?group=day,model",
    "/v1/usage?group=request",
    "/v1/usage?group=request&format=csv",
    "/v1/usage?group=request&format=jsonl",
    "/v1/usage?group=caller&format=csv",
    "/v1/stats",
    "/v1/keys/me",
)
MANAGED = (
    "/api/admin/usage",
    "/api/admin/usage?group=tenant,caller",
    "/api/admin/usage/export",
    f"/api/admin/invoices/{MONTH}",
    "/v1/admin/usage",
    "/v1/admin/usage/export?format=jsonl",
    f"/v1/admin/invoices/{MONTH}?format=text",
)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Two tenants who have called OpenRouter's mock, and the administrator."""
    folder = tmp_path_factory.mktemp("views")
    with mock_server(folder) as mock:
        environment = {
            "OPENROUTER_API_KEY": "sk-or-v1-" + "0" * 40,
            "OPENROUTER_BASE_URL": f"{mock.url}/api/v1",
        }
        with gateway_server(folder, **environment) as server:
            admin = admin_key(server)
            keys = {
                name: made_key(server, admin, name, tenant=tenant)["key"]
                for name, tenant in (("alice", "one"), ("bob", "two"))
            }
            for _ in range(3):
                called(
                    server, keys["alice"], {"x-dragoman-caller": CHAIN, "x-dragoman-tags": "a,b"}
                )
            called(server, keys["alice"], {}, user="end-user-7")
            called(
                server, keys["bob"], {"x-dragoman-caller": "multi_skill:orchestrator->stranger"}
            )
            yield server, admin, keys, folder


def called(server, key, headers, **members):
    reply = server.chat(MODEL, key=key, headers=headers, **members)
    assert reply.status == 200, reply.body
    return reply


def read(server, path, key):
    reply = server.ask("GET", path, key=key)
    assert reply.status == 200, (path, reply.body)
    return reply.json()


def ran(house, *arguments, home=None):
    """A command in a process of its own, against the gateway's own home."""
    server, admin, _, folder = house
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "DRAGOMAN_HOME": str(home or folder / "home"),
        "DRAGOMAN_BASE_URL": server.url,
        "DRAGOMAN_API_KEY": admin,
        "MODE": "local",
        "OPENROUTER_API_KEY": server.environment.get("OPENROUTER_API_KEY", ""),
        "OPENROUTER_BASE_URL": server.environment.get("OPENROUTER_BASE_URL", ""),
    }
    done = forge.run(arguments, env=environment, cwd=folder)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.req("R-USE-007", "R-USE-014", "R-SURF-012", "R-SURF-019")
def test_a_caller_sees_its_own_use_by_every_group(house):
    server, _, keys, _ = house
    whole = read(server, "/v1/usage", keys["alice"])
    assert whole["requests"] == 4
    for group in ("day", "month", "provider", "model", "key", "caller", "root", "day,model"):
        found = read(server, f"/v1/usage?group={group}", keys["alice"])
        assert sum(row["requests"] for row in found["data"]) == 4, group
        assert sum(Decimal(row["cost_usd"]) for row in found["data"]) == Decimal(whole["cost_usd"])
        assert found["totals"]["requests"] == 4
    callers = {
        row["caller"]: row["requests"]
        for row in read(server, "/v1/usage?group=caller", keys["alice"])["data"]
    }
    assert callers[CHAIN] == 3
    roots = {
        row["root"]: row["requests"]
        for row in read(server, "/v1/usage?group=root", keys["alice"])["data"]
    }
    assert roots["multi_skill:orchestrator"] == 3
    tags = {
        row["tag"]: row["requests"]
        for row in read(server, "/v1/usage?group=tag", keys["alice"])["data"]
    }
    assert tags == {"a": 3, "b": 3}
    users = {
        row["end_user"]: row["requests"]
        for row in read(server, "/v1/usage?group=user", keys["alice"])["data"]
    }
    assert users == {"end-user-7": 1}
    one = read(server, "/v1/usage?group=model&user=end-user-7", keys["alice"])
    assert one["totals"]["requests"] == 1


@pytest.mark.req("R-USE-005")
def test_calls_come_as_a_list_in_pages_as_csv_and_as_lines(house):
    server, _, keys, _ = house
    seen, cursor = [], ""
    while True:
        page = read(server, f"/v1/usage?group=request&limit=2{cursor}", keys["alice"])
        seen += [row["call_id"] for row in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen)) == 4
    reply = server.ask("GET", "/v1/usage?group=request&format=csv", key=keys["alice"])
    assert reply.headers["content-type"].startswith("text/csv")
    assert "attachment" in reply.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(reply.body.decode())))
    assert [row["call_id"] for row in rows] == seen
    reply = server.ask("GET", "/v1/usage?group=request&format=jsonl", key=keys["alice"])
    assert [json.loads(line)["call_id"] for line in reply.body.splitlines()] == seen
    reply = server.ask("GET", "/v1/usage?group=nothing", key=keys["alice"])
    assert (reply.status, reply.json()["error"]["param"]) == (400, "group")


@pytest.mark.req("R-AUTH-008", "R-AUTH-010", "R-AUTH-012")
def test_nothing_of_one_tenant_is_seen_by_another(house):
    server, admin, keys, _ = house
    foreign = (b"stranger", b'"two"', b"two,", b'"bob"')
    for path in PAGES:
        reply = server.ask("GET", path, key=keys["alice"])
        assert reply.status == 200, path
        assert not [word for word in foreign if word in reply.body], path
        assert server.ask("GET", path, key=None).status == 401, path
        assert server.ask("GET", path, key="drg_no").status == 401, path
    for path in MANAGED:
        for key in (keys["alice"], keys["bob"], "drg_test_local"):
            reply = server.ask("GET", path, key=key)
            assert (reply.status, reply.json()["error"]["code"]) == (
                403,
                "insufficient_permissions",
            )
        assert server.ask("GET", path, key=None).status == 401
        assert server.ask("GET", path, key=admin).status == 200, path
    for said in ("tenant=two", "key_id=x"):
        assert server.ask("GET", f"/v1/usage?{said}", key=keys["alice"]).status == 400
    # What an administrator has of its own tenant has nothing of the others'.
    for path in MANAGED[4:]:
        body = server.ask("GET", path, key=admin).body
        assert b"orchestrator" not in body, path
        assert b'"one"' not in body, path
    reply = server.ask("GET", "/v1/admin/usage/export?tenant=one", key=admin)
    assert (reply.status, reply.json()["error"]["param"]) == (400, "tenant")


@pytest.mark.req("R-AUTH-012", "R-USE-012")
def test_an_administrator_has_reports_over_all_tenants(house):
    server, admin, _, _ = house
    found = read(server, "/api/admin/usage?group=tenant", admin)
    assert {row["tenant"]: row["requests"] for row in found["data"]} == {"one": 4, "two": 1}
    found = read(server, "/api/admin/usage?group=tenant,root&root=multi_skill:orchestrator", admin)
    assert {row["tenant"]: row["requests"] for row in found["data"]} == {"one": 3, "two": 1}
    page = read(server, "/api/admin/usage?group=tenant,caller&sort=name&limit=1", admin)
    assert page["has_more"]
    reply = server.ask("GET", "/api/admin/usage?group=tenant&format=csv", key=admin)
    assert {row["tenant"] for row in csv.DictReader(io.StringIO(reply.body.decode()))} == {
        "one",
        "two",
    }
    reply = server.ask("GET", "/api/admin/usage/export?format=jsonl&tenant=two", key=admin)
    assert [json.loads(line)["tenant"] for line in reply.body.splitlines()] == ["two"]
    reply = server.ask("GET", "/api/admin/usage/export", key=admin)
    assert len(list(csv.DictReader(io.StringIO(reply.body.decode())))) == 5
    assert server.ask("HEAD", "/api/admin/usage/export", key=admin).body == b""
    for nothing in ("", ",", "%20"):
        found = read(server, f"/api/admin/usage?group={nothing}", admin)
        assert (found["object"], {"provider", "model"} <= set(found["data"][0])) == ("list", True)
    assert server.ask("GET", "/api/admin/usage?group=request", key=admin).status == 400
    assert server.ask("GET", "/api/admin/usage?colour=red", key=admin).status == 400


@pytest.mark.req("D24", "M9", "B-05")
def test_invoices_add_up_to_the_ledger_to_the_last_digit(house):
    server, admin, keys, _ = house
    found = {
        each["tenant"]: each
        for each in read(server, f"/api/admin/invoices/{MONTH}", admin)["data"]
    }
    assert set(found) == {"one", "two"}
    rows = [
        row
        for key in keys.values()
        for row in read(server, "/v1/usage?group=request", key)["data"]
    ]
    assert sum(Decimal(each["total_usd"]) for each in found.values()) == sum(
        Decimal(row["charged_usd"]) for row in rows
    )
    assert sum(Decimal(each["total_usd"]) for each in found.values()) > 0
    for each in found.values():
        assert sum(Decimal(line["total_usd"]) for line in each["lines"]) == Decimal(
            each["total_usd"]
        )
        assert sum(line["requests"] for line in each["lines"]) == each["requests"]
        assert each["final"] is False, "the month is not over"
    text = server.ask("GET", f"/api/admin/invoices/{MONTH}?format=text&tenant=one", key=admin)
    assert text.headers["content-type"].startswith("text/plain")
    assert f"Total: {found['one']['total_usd']} USD" in text.body.decode()
    body = server.ask("GET", f"/api/admin/invoices/{MONTH}?format=csv", key=admin).body.decode()
    rows = list(csv.DictReader(io.StringIO(body)))
    assert sum(Decimal(row["total_usd"]) for row in rows) == sum(
        Decimal(each["total_usd"]) for each in found.values()
    )
    assert server.ask("GET", "/api/admin/invoices/2026-13", key=admin).status == 404
    assert read(server, "/v1/admin/invoices/1999-01", admin)["data"][0]["total_usd"] == "0"


@pytest.mark.req("R-USE-012", "B-05")
def test_a_model_is_recommended_with_its_reasons(house):
    server, _, keys, _ = house
    found = read(server, "/v1/recommend?task=refactor%20a%20program&limit=3", keys["alice"])
    assert (found["task"], found["recognised"]) == ("code", True)
    assert 1 <= len(found["data"]) <= 3
    scores = [each["score"] for each in found["data"]]
    assert scores == sorted(scores, reverse=True)
    assert all(any("quality" in reason for reason in each["reasons"]) for each in found["data"])
    assert all(each["reason"] for each in found["left_out"])
    assert server.ask("GET", "/v1/recommend", key=keys["alice"]).status == 400
    assert server.ask("GET", "/v1/recommend?task=x", key=None).status == 401


@pytest.mark.req(
    "R-CLI-011", "R-CLI-012", "R-CLI-013", "R-CLI-014", "R-ADD-009", "R-ADD-010", "R-USE-006"
)
def test_the_commands_tell_the_same(house):
    _, _, keys, _ = house
    code, out, err = ran(house, "stats", "--json")
    told = json.loads(out)
    assert code == 0, err
    assert (told["total"]["requests"], told["today"]["requests"]) == (5, 5)
    assert len(told["total"]["cost"].partition(".")[2]) >= 6
    code, out, _ = ran(house, "stats")
    assert (code, "5 requests" in out, "callers" in out) == (0, True, True)
    code, out, _ = ran(house, "session", "--json")
    assert code == 0
    assert json.loads(out)["start_time"].startswith("20")
    code, out, _ = ran(house, "caller-usage", "multi_skill:orchestrator", "--json")
    told = json.loads(out)
    assert (code, told["requests"]) == (0, 4)
    assert told["chains"][CHAIN]["requests"] == 3
    code, out, _ = ran(house, "caller-usage", CHAIN)
    assert (code, "3 requests" in out) == (0, True)
    assert ran(house, "caller-usage")[0] == 2
    code, out, _ = ran(house, "report", "--group", "tenant", "--json")
    assert {row["tenant"]: row["requests"] for row in json.loads(out)["data"]} == {
        "one": 4,
        "two": 1,
    }
    code, out, _ = ran(house, "report")
    assert (code, "5 requests" in out) == (0, True)
    code, out, _ = ran(house, "report", "--calls", "--csv")
    assert len(list(csv.DictReader(io.StringIO(out)))) == 5
    code, out, _ = ran(house, "invoices", "--tenant", "one")
    assert (code, "Invoice for one" in out) == (0, True)
    code, out, _ = ran(house, "usage", "--key", keys["alice"], "--group", "caller", "--json")
    assert json.loads(out)["totals"]["requests"] == 4
    code, out, _ = ran(house, "usage", "--key", keys["alice"])
    assert (code, "4 requests" in out) == (0, True)
    code, out, _ = ran(house, "recommend", "code", "--json")
    assert (code, json.loads(out)["task"]) == (0, "code")
    code, out, _ = ran(house, "cleanup", "--json")
    assert (code, json.loads(out)["removed_calls"]) == (0, 0)


@pytest.mark.req("R-CLI-011", "R-USE-002", "R-USE-003", "R-ADD-009")
def test_an_answer_and_an_account_are_asked_about_at_the_provider(house):
    server, _, keys, _ = house
    row = read(server, "/v1/usage?group=request", keys["alice"])["data"][0]
    code, out, err = ran(house, "track", row["generation_id"], "--json")
    assert code == 0, err + out
    told = json.loads(out)
    assert told["ledger"]["call_id"] == row["call_id"]
    assert told["provider"]["input_tokens"] == row["input_tokens"]
    assert Decimal(told["provider"]["total_cost"]) > 0
    assert told["kept"] is False
    code, out, err = ran(house, "track", row["request_id"])
    assert (code, row["generation_id"] in out) == (0, True)
    code, out, err = ran(house, "track", "gen-that-nobody-knows", "--json")
    assert code == 1
    assert "error" in json.loads(out)
    assert ran(house, "track")[0] == 2
    code, out, err = ran(house, "credits", "--json")
    assert code == 0, err + out
    (account,) = json.loads(out)["accounts"]
    assert Decimal(account["remaining"]) == Decimal(account["total_credits"]) - Decimal(
        account["total_usage"]
    )


@pytest.mark.req("R-USE-006", "R-CLI-015", "B-01")
def test_with_no_data_every_command_has_nothing_to_tell_and_does_not_fail(
    house, tmp_path, monkeypatch
):
    nowhere = (
        type("Nowhere", (), {"url": "http://127.0.0.1:9", "environment": {}})(),
        "drg_test",
        {},
        tmp_path,
    )
    for arguments in (
        ("stats",),
        ("session",),
        ("caller-usage", "nobody"),
        ("cleanup",),
        ("cleanup", "7", "--sums"),
        ("report",),
        ("report", "--calls"),
        ("invoices",),
        ("recommend", "chat"),
    ):
        for form in ((), ("--json",)):
            code, out, err = ran(nowhere, *arguments, *form, home=tmp_path / "home")
            assert code == 0, (arguments, form, out, err)
            if form and "--calls" not in arguments:
                json.loads(out)
    code, out, _ = ran(nowhere, "cleanup", home=tmp_path / "home")
    assert "0 calls removed" in out
    code, out, err = ran(nowhere, "credits", home=tmp_path / "home")
    assert (code, "not configured" in err) == (1, True)
    code, out, err = ran(nowhere, "usage", home=tmp_path / "home")
    assert (code, "No gateway listens" in err) == (1, True)
