"""Figures that come later, over real processes: the provider is asked, and ledger, sums and budgets follow."""

import hashlib
import http.client
import json
import os
import time
from decimal import Decimal

import pytest

import forge
from administrators import admin_key, made_key
from ledger_views import QUICK, attempt_of, rows, settled, truth
from servers import KEY, gateway_server, mock_server, providers_at, until

D = Decimal
MODEL = "openrouter/openai/gpt-4o-mini"
A_TOKEN = D("0.000001")
"""What the mock charges."""
BUDGET = '[budgets.all]\nmonthly_usd = "5"\n'


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A provider that knows what an answer came to only some seconds after it."""
    with mock_server(tmp_path_factory.mktemp("mock"), MOCK_GENERATION_DELAY="2500") as server:
        yield server


@pytest.fixture(scope="module")
def house(slow, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reconciliation")
    (folder / "dragoman.toml").write_text(BUDGET)
    with gateway_server(folder, **providers_at(slow.port), **QUICK) as server:
        yield server


def no_usage(mock, times=1, **members):
    """The next answers say nothing of usage."""
    script = {"usage": False, "path": "/chat/completions", "times": times, **members}
    assert mock.ask("POST", "/mock/script", script, key=None).status == 200


@pytest.mark.req("R-USE-002", "D25", "M18")
def test_a_row_without_usage_is_settled_later_and_keeps_both_figures(house, slow):
    before = house.ask("GET", "/v1/usage").json()
    no_usage(slow)
    reply = house.chat(MODEL, "Once upon a time.", {"x-request-id": "no-usage"})
    assert reply.status == 200
    entry = truth(slow)
    first = house.row("no-usage")
    assert (first["tokens_from"], first["cost_usd"], first["input_tokens"]) == ("none", None, None)
    assert house.ask("GET", "/v1/usage").json()["unknown_usage"] == before["unknown_usage"] + 1
    (held,) = rows(house, "SELECT * FROM budget_charges WHERE call_id = ?", first["call_id"])
    assert held["held_pico"] > 0

    row = settled(house, "no-usage")
    cost = (entry["input"] + entry["output"]) * A_TOKEN
    assert (row["input_tokens"], row["output_tokens"]) == (entry["input"], entry["output"])
    assert (D(row["cost_usd"]), row["cost_from"]) == (cost, "provider")
    assert D(row["charged_usd"]) == cost
    attempt = attempt_of(house, row["call_id"])
    assert attempt["settled_from"] == "openrouter lookup"
    former = json.loads(attempt["former"])
    assert (former["tokens_from"], former["cost_from"]) == ("none", "none")
    assert "cost_pico" not in former
    explained = house.ask("GET", f"/v1/requests/{row['call_id']}/explain").json()["attempts"][0]
    assert explained["settled"]["by"] == "openrouter lookup"
    assert explained["settled"]["former"] == former
    assert D(explained["charged_usd"]) == cost
    after = house.ask("GET", "/v1/usage").json()
    assert after["unknown_usage"] == before["unknown_usage"]
    assert D(after["cost_usd"]) - D(before["cost_usd"]) == cost
    assert after["input_tokens"] - before["input_tokens"] == entry["input"]
    (paid,) = rows(house, "SELECT * FROM budget_charges WHERE call_id = ?", row["call_id"])
    assert (paid["held_pico"], paid["spent_pico"]) == (0, int(cost * 10**12))
    (pot,) = rows(house, "SELECT * FROM budget_pots WHERE span = 'total'")
    spent = rows(house, "SELECT SUM(cost_pico) AS pico FROM ledger_attempts")[0]["pico"]
    assert (pot["held_pico"], pot["spent_pico"]) == (0, spent)
    assert rows(house, "SELECT * FROM unsettled") == []


def test_it_is_asked_again_until_the_provider_knows(house, slow):
    """The first answer is 404, as OpenRouter's is."""
    no_usage(slow)
    house.chat(MODEL, headers={"x-request-id": "again"})
    settled(house, "again")
    text = house.ask("GET", "/metrics").body.decode()
    results = {line.split('result="')[1].split('"')[0]: line for line in text.splitlines() if
               line.startswith("dragoman_reconciliations_total{")}  # fmt: skip
    assert {"waiting", "settled"} <= set(results)


@pytest.mark.req("M6", "R-USE-011")
def test_who_leaves_in_the_middle_pays_for_what_was_written(house, slow):
    no_usage(slow, **{"chunk-delay": 100})
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=10)
    body = {
        "model": MODEL,
        "stream": True,
        "messages": [{"role": "user", "content": "Tell me more."}],
    }
    headers = {"authorization": f"Bearer {KEY}", "x-request-id": "left"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    response = connection.getresponse()
    for _ in range(6):
        response.readline()
    response.close()
    connection.close()
    row = settled(house, "left")
    entry = truth(slow)
    assert entry["left"] is not None
    assert row["status"] == "client_cut"
    assert (row["input_tokens"], row["output_tokens"]) == (entry["input"], entry["output"])
    cost = (entry["input"] + entry["output"]) * A_TOKEN
    assert D(row["cost_usd"]) == D(row["charged_usd"]) == cost > 0


@pytest.mark.req("M7")
def test_a_cut_before_the_first_frame_is_found_by_what_the_head_says(house, slow):
    no_usage(slow, **{"hang-after": 0})
    connection = http.client.HTTPConnection("127.0.0.1", house.port, timeout=10)
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "Hello?"}]}
    headers = {"authorization": f"Bearer {KEY}", "x-request-id": "silent"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    time.sleep(0.7)
    connection.close()
    row = settled(house, "silent")
    assert row["generation_id"].startswith("chatcmpl-mock")
    assert (row["input_tokens"] > 0, row["output_tokens"]) == (True, 0)


@pytest.mark.req("D26")
def test_what_is_open_survives_a_kill_and_is_settled_by_who_comes_next(slow, tmp_path):
    (tmp_path / "dragoman.toml").write_text(BUDGET)
    slow.ask("POST", "/mock/config", {"generationDelay": 3000})
    environment = providers_at(slow.port) | QUICK
    try:
        with gateway_server(tmp_path, **environment) as first:
            no_usage(slow)
            first.chat(MODEL, headers={"x-request-id": "survives"})
            assert first.row("survives")["tokens_from"] == "none"
            first.process.kill()
        with gateway_server(tmp_path, **environment) as second:
            row = settled(second, "survives")
            assert D(row["cost_usd"]) > 0
    finally:
        slow.ask("POST", "/mock/config", {"generationDelay": 2500})


def test_one_of_several_workers_asks_for_all(slow, tmp_path):
    environment = providers_at(slow.port) | QUICK
    with gateway_server(tmp_path, "--workers", "2", **environment) as server:
        names = [f"worker-{number}" for number in range(8)]
        no_usage(slow, len(names))
        for name in names:
            assert server.chat(MODEL, headers={"x-request-id": name}).status == 200
        until(lambda: len(rows(server, "SELECT 1 FROM ledger_requests")) == len(names))
        until(lambda: not rows(server, "SELECT 1 FROM unsettled"), 30)
        found = rows(server, "SELECT * FROM ledger_attempts")
        assert {row["tokens_from"] for row in found} == {"reconciled"}
        totals = server.ask("GET", "/v1/usage").json()
        assert D(totals["cost_usd"]) == sum(D(row["cost_pico"]) for row in found) / 10**12
        assert totals["unknown_cost"] == 0
        assert len(rows(server, "SELECT * FROM turns WHERE name = 'reconcile'")) == 1


@pytest.mark.req("R-USE-002", "R-AUTH-009")
def test_calls_with_a_tenants_own_key_are_asked_about_with_that_key(slow, tmp_path):
    """The house has no key there at all, and another account would know nothing of the answer."""
    environment = providers_at(slow.port) | QUICK
    del environment["OPENROUTER_API_KEY"]
    own = f"sk-or-v1-own-{'7' * 48}"
    with gateway_server(tmp_path, **environment) as server:
        admin = admin_key(server)
        key = made_key(server, admin, "user", tenant="brings")["key"]
        said = {"tenant": "brings", "provider": "openrouter", "api_key": own}
        reply = server.ask("POST", "/api/admin/credentials", said, key=admin)
        assert reply.status == 201, reply.body
        no_usage(slow)
        reply = server.chat(MODEL, headers={"x-request-id": "own"}, key=key)
        assert reply.status == 200, reply.body
        row = settled(server, "own", key)
        assert D(row["cost_usd"]) > 0
        assert D(row["charged_usd"]) == 0
        attempt = attempt_of(server, row["call_id"])
        assert attempt["credential"].startswith("own_")
        asked = slow.ask("GET", "/mock/truth", key=None).json()["requests"]
        (*_, seen) = [each["auth"] for each in asked if "/generation" in each["path"]]
        assert hashlib.sha256(f"Bearer {own}".encode()).hexdigest().startswith(seen.split(":")[-1])


@pytest.mark.req("M18")
def test_drift_is_found_in_what_was_known(slow, tmp_path):
    """The provider says afterwards that a call has cost half as much again as it had said."""
    (tmp_path / "dragoman.toml").write_text(f'[prices."{MODEL}"]\ninput = "1"\noutput = "1"\n')
    slow.ask("POST", "/mock/config", {"generationFactor": 1.5})
    environment = providers_at(slow.port) | QUICK | {"RECONCILE_SAMPLE": "1"}
    try:
        with gateway_server(tmp_path, **environment) as server:
            server.chat(MODEL, headers={"x-request-id": "drifts"})
            first = server.row("drifts")
            assert first["cost_from"] == "provider"
            row = settled(server, "drifts")
            assert D(row["cost_usd"]) == D(first["cost_usd"]) * D("1.5")
            (drift,) = rows(server, "SELECT * FROM ledger_drifts")
            assert (drift["provider"], drift["model"], drift["source"]) == (
                "openrouter", "openai/gpt-4o-mini", "lookup",
            )  # fmt: skip
            assert drift["theirs_pico"] == drift["ours_pico"] * 3 // 2
    finally:
        slow.ask("POST", "/mock/config", {"generationFactor": 1})


@pytest.mark.req("R-CLI-011", "R-USE-002")
def test_what_is_tracked_is_stored_where_the_ledger_did_not_know_it(slow, tmp_path):
    (tmp_path / "dragoman.toml").write_text(BUDGET)
    said = providers_at(slow.port)
    with gateway_server(tmp_path, **said, **QUICK, RECONCILE="false") as server:
        no_usage(slow)
        assert server.chat(MODEL, "Once upon a time.", {"x-request-id": "tracked"}).status == 200
        entry = truth(slow)
        open_row = server.row("tracked")
        assert open_row["cost_usd"] is None
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **{name: said[name] for name in ("OPENROUTER_API_KEY", "OPENROUTER_BASE_URL")},
            "DRAGOMAN_HOME": str(tmp_path / "home"),
            "DRAGOMAN_BASE_URL": server.url,
            "DRAGOMAN_API_KEY": KEY,
            "MODE": "local",
        }

        def tracked():
            command = ("track", open_row["generation_id"], "--json")
            told = json.loads(forge.run(command, env=environment, cwd=tmp_path).stdout)
            return told if told.get("provider") else None

        told = until(tracked, 30)
        cost = (entry["input"] + entry["output"]) * A_TOKEN
        assert (told["settled"], told["kept"]) == (True, False)
        assert D(told["ledger"]["cost_usd"]) == cost
        row = server.row("tracked")
        assert (D(row["cost_usd"]), row["cost_from"]) == (cost, "provider")
        assert (row["input_tokens"], row["output_tokens"]) == (entry["input"], entry["output"])
        usage = server.ask("GET", "/v1/usage").json()
        assert (D(usage["cost_usd"]), usage["unknown_cost"]) == (cost, 0)
        (paid,) = rows(server, "SELECT * FROM budget_charges WHERE call_id = ?", row["call_id"])
        assert (paid["held_pico"], paid["spent_pico"]) == (0, int(cost * 10**12))
        assert not rows(server, "SELECT * FROM unsettled"), "nobody is asked about it any more"
        assert tracked()["settled"] is False, "and what is known stays as it is"
