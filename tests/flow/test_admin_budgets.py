"""Budgets over HTTP: defined, shown with what is spent, held and left, and released, each deed in the log."""

from __future__ import annotations

import http.client
import json
import signal
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from administrators import made_key
from servers import beside, gateway_server, mock_server, providers_at, until

MODEL, NAME = "openai/gpt-4o-mini", "gpt-4o-mini"
ADMIN = "drg_admin_0123456789"
FILE = """
format = 1
[budgets.team]
monthly_usd = "1"
[prices."openai/gpt-4o-mini"]
input = "1"
output = "10"
"""


@pytest.fixture(scope="module")
def mock(tmp_path_factory):
    with mock_server(tmp_path_factory.mktemp("mock")) as server:
        yield server


@pytest.fixture(scope="module")
def house(mock, tmp_path_factory):
    """A gateway that was killed with three calls under way, and serves again: their cost is unknown."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "dragoman.toml").write_text(FILE)
    said = {
        **providers_at(mock.port),
        "DRAGOMAN_CONFIG": str(folder / "dragoman.toml"),
        "DEFAULT_ADMIN_USER_ID": "boss",
        "DEFAULT_ADMIN_API_KEY": ADMIN,
    }
    with gateway_server(folder, **said) as gateway:
        for _ in range(2):
            assert gateway.chat(MODEL, max_tokens=50).status == 200
        script = [{"hang": True, "model": NAME}] * 3
        assert mock.ask("POST", "/mock/script", script, key=None).status == 200
        with ThreadPoolExecutor(3) as pool:
            waiting = [pool.submit(lambda: gateway.chat(MODEL, max_tokens=50)) for _ in range(3)]
            until(lambda: len(mock.ask("GET", "/mock/truth", key=None).json()["requests"]) == 5)
            gateway.process.send_signal(signal.SIGKILL)
            gateway.process.wait()
            for each in waiting:
                assert isinstance(each.exception(), OSError | http.client.HTTPException)
    with gateway_server(folder, **said) as gateway:
        yield gateway


def ask(server, method, path, body=None, status=200):
    reply = server.ask(method, f"/api/admin/budgets{path}", body, key=ADMIN)
    assert reply.status == status, reply.body
    return reply.json() if reply.body else None


def window(server, name="team"):
    shown = ask(server, "GET", f"/{name}")["windows"]
    assert len(shown) == 1
    return [Decimal(shown[0][f"{each}_usd"]) for each in ("spent", "held", "left")]


def test_what_is_held_is_shown_and_released_over_http_as_on_the_command_line(house):
    shown = ask(house, "GET", "/team")
    assert (shown["source"], shown["definition"]) == ("file", {"monthly_usd": "1"})
    spent, held, left = window(house)
    assert spent > 0
    assert held > 0
    assert left == 1 - spent - held
    assert len(shown["holds"]) == 3
    one = Decimal(shown["holds"][0]["held_usd"])
    told = json.loads(beside(house, "budgets", "show", "team", "--json"))
    assert told["holds"] == shown["holds"]
    assert told["windows"][0]["spent_usd"] == shown["windows"][0]["spent_usd"]

    first, second, third = shown["holds"]
    done = ask(house, "POST", "/release", {"id": first["call_id"]})
    assert done == {"released": [first], "lease_freed": False}
    assert window(house)[:2] == [spent, 2 * one]
    ask(house, "POST", "/release", {"id": second["attempt_id"], "cost_usd": "0.0001"})
    spent += Decimal("0.0001")
    assert window(house)[:2] == [spent, one]
    assert "Nothing is held" in str(ask(house, "POST", "/release", {"id": first["call_id"]}, 404))
    for wrong in ({}, {"id": "x", "cost_usd": "-1"}, {"id": "x", "cost_usd": "999999999999"}):
        ask(house, "POST", "/release", wrong, 400)
    assert ask(house, "POST", "/team/release")["released"] == [third]
    assert ask(house, "POST", "/team/release")["released"] == []
    assert window(house)[:2] == [spent, 0]
    ask(house, "POST", "/nobody/release", status=404)

    found = house.ask("GET", "/api/admin/audit?action=budget.release", key=ADMIN).json()["data"]
    ends = [(each["target"], each["outcome"]) for each in found if each["outcome"] != "begun"]
    assert (second["attempt_id"], "done") in ends
    assert (first["call_id"], "failed") in ends
    assert ends.count(("budget team", "done")) == 2


def test_a_budget_is_defined_changed_and_removed_but_for_the_files(house):
    said = {"monthly_usd": "2", "each": "key", "alert_at": ["0.5"], "clamp_output": True}
    ask(house, "PUT", "/people", said, 201)
    assert ask(house, "PUT", "/people", said)["definition"] == said
    assert ask(house, "PUT", "/nights", {"daily_usd": "0.5"}, 201)["source"] == "database"
    listed, cursor = [], ""
    while cursor is not None:
        page = ask(house, "GET", f"?limit=1{f'&cursor={cursor}' if cursor else ''}")
        listed += [each["name"] for each in page["data"]]
        cursor = page["next_cursor"]
    assert listed == ["nights", "people", "team"]
    named = {
        each["name"] for each in json.loads(beside(house, "budgets", "list", "--json"))["budgets"]
    }
    assert named == set(listed)

    def parts():
        # The gateway notices what was defined within seconds; what was spent since is a part.
        assert house.chat(MODEL, key=ADMIN, max_tokens=50).status == 200
        assert house.chat(MODEL, max_tokens=50).status == 200
        page = ask(house, "GET", "/people/parts?limit=1")
        return page["next_cursor"] and page

    page = until(parts)
    assert page["data"][0]["limit_usd"] == "2"
    rest = ask(house, "GET", f"/people/parts?limit=1&cursor={page['next_cursor']}")
    subjects = [each["subject"] for each in (*page["data"], *rest["data"])]
    assert len(set(subjects)) == 2
    assert rest["next_cursor"] is None
    together = ask(house, "GET", "/people")["windows"][0]
    assert (together["parts"], together["left_usd"]) == (2, None)
    assert Decimal(together["spent_usd"]) > 0

    for wrong in (
        {},
        {"monthly_usd": "many"},
        {"monthly_usd": "1", "project": "web"},
        {"monthly_usd": "1", "instead_of": "nobody"},
        {"monthly_usd": "1", "alert_at": ["2"]},
        {"monthly_usd": "1", "monthly": "2"},
    ):
        ask(house, "PUT", "/wrong", wrong, 400)
    assert "configuration" in str(ask(house, "PUT", "/team", {"daily_usd": "1"}, 409))
    assert "configuration" in str(ask(house, "DELETE", "/team", status=409))
    for name in ("people", "nights"):
        ask(house, "DELETE", f"/{name}", status=204)
        ask(house, "DELETE", f"/{name}", status=404)
    actions = house.ask("GET", "/api/admin/audit?target=nights&outcome=done", key=ADMIN).json()
    assert [each["action"] for each in actions["data"]] == ["budget.remove", "budget.set"]


OWN = {
    "acme": {"tenant": "acme", "monthly_usd": "2"},
    "alice": {"daily_usd": "0.5", "total_usd": "7"},
    "apiece": {"each": "key", "monthly_usd": "3"},
    "carol": {"monthly_usd": "4", "instead_of": "apiece"},
    "others": {"tenant": "other", "monthly_usd": "5"},
    "people": {"tenant": "acme", "each": "user", "daily_usd": "6"},
    "web": {"tenant": "acme", "project": "default", "daily_usd": "8"},
}


@pytest.mark.req("R-SURF-012", "R-TIER-008")
def test_a_key_is_told_what_is_left_of_the_budgets_that_are_its_own(house):
    """Of its tenant's and its project's, too; of what tenants share, or an end user has, nothing."""
    keys = {
        name: made_key(house, ADMIN, name, tenant=tenant)
        for name, tenant in (("alice", "acme"), ("carol", "acme"), ("bob", "other"))
    }
    for name, said in OWN.items():
        named = {"key": keys[name]["id"]} if name in keys else {}
        ask(house, "PUT", f"/{name}", said | named, 201)

    def told(name):
        """By budget: whose it is, and each of its windows."""
        reply = house.ask("GET", "/v1/keys/me", key=keys[name]["key"])
        assert reply.status == 200, reply.body
        assert b"team" not in reply.body, "everybody's"
        return {
            each["name"]: (each["of"], {one["window"]: one for one in each["windows"]})
            for each in reply.json()["budgets"]
        }

    def spent(name, budget, window):
        return Decimal(told(name)[budget][1][window]["spent_usd"])

    def asked():
        return house.chat(MODEL, key=keys["alice"]["key"], max_tokens=50).status

    # The gateway reads all definitions at once: with the last of them it has the others, and nothing is spent.
    ask(house, "PUT", "/zero", {"key": keys["alice"]["id"], "total_usd": "0.000000001"}, 201)
    until(lambda: told("alice").get("zero") and asked() == 429)
    ask(house, "DELETE", "/zero", status=204)
    until(lambda: asked() == 200)
    paid = until(lambda: spent("alice", "alice", "day"))
    mine = told("alice")
    assert {name: of for name, (of, _) in mine.items()} == {
        "acme": "tenant",
        "alice": "key",
        "apiece": "key",
        "web": "project",
    }
    assert mine["alice"][1]["total"] == {
        "window": "total",
        "resets_at": None,
        "limit_usd": "7",
        "spent_usd": str(paid),
        "held_usd": "0",
        "left_usd": str(7 - paid),
    }
    assert set(mine["alice"][1]) == {"day", "total"}
    assert mine["web"][1]["day"]["resets_at"].endswith("T00:00:00Z")
    assert {spent("alice", "acme", "month"), spent("carol", "acme", "month")} == {paid}
    assert spent("alice", "apiece", "month") == paid
    assert set(told("carol")) == {"acme", "carol", "web"}
    assert spent("carol", "carol", "month") == 0
    assert set(told("bob")) == {"others", "apiece"}
    assert {spent("bob", "others", "month"), spent("bob", "apiece", "month")} == {0}
    assert house.ask("GET", "/v1/keys/me").json()["budgets"][0]["name"] == "apiece"
    for name in OWN:
        ask(house, "DELETE", f"/{name}", status=204)
    assert told("alice") == {}
