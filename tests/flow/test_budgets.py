"""What callers may spend, over real processes: it holds whatever is asked, how much at once, and after a crash.

The provider's own log is the witness: what it has billed is added up at the prices of the configuration.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

import forge
from databases import a_database
from redis_server import URL as REDIS
from redis_server import redis_prefix
from servers import beside, children, gateway_server, mock_server, new_api_key, providers_at, until

MODEL = "openai/gpt-4o-mini"
NAME = "gpt-4o-mini"
IN, OUT = Decimal("0.000001"), Decimal("0.00001")
PRICES = """
[prices."openai/gpt-4o-mini"]
input = "1"
output = "10"
[prices."groq/dear"]
input = "1"
output = "100"
[prices."groq/fine"]
input = "1"
output = "10"
"""
TEXT = "Hello!"
MOST = Decimal("0.0007")
"""What one of the requests below may cost, rounded up."""


@pytest.fixture
def mock(tmp_path):
    """A provider of the test's own: what it has billed is counted."""
    with mock_server(tmp_path) as server:
        yield server


def configured(folder, text):
    path = folder / "dragoman.toml"
    path.write_text("format = 1\n" + text + PRICES)
    return {"DRAGOMAN_CONFIG": str(path)}


def serving(folder, mock, text, *arguments, **environment):
    said = {**providers_at(mock.port), **configured(folder, text), **environment}
    return gateway_server(folder, *arguments, **said)


def told(gateway, *arguments, code=0):
    """What the command line says beside the server, as JSON."""
    return json.loads(beside(gateway, "budgets", *arguments, "--json", code=code))


def standing(gateway, name):
    """Spent and held of this month, once all is written."""
    gateway.rows()
    if "DATABASE_URL" in gateway.environment:
        windows = told(gateway, "show", name)["windows"]
        return Decimal(windows[0]["spent_usd"]), Decimal(windows[0]["held_usd"])
    with sqlite3.connect(f"{gateway.environment['DRAGOMAN_HOME']}/dragoman.db") as database:
        found = database.execute(
            "SELECT spent_pico, held_pico FROM budget_pots WHERE budget = ? AND span = 'month'",
            (name,),
        ).fetchall()
    assert len(found) <= 1
    spent, held = found[0] if found else (0, 0)
    return Decimal(spent).scaleb(-12), Decimal(held).scaleb(-12)


def billed(mock) -> Decimal:
    """What the provider has billed."""
    entries = mock.ask("GET", "/mock/truth", key=None).json()["requests"]
    return sum(
        ((entry["input"] or 0) * IN + (entry["output"] or 0) * OUT for entry in entries),
        Decimal(0),
    )


def script(mock, *scripts):
    assert mock.ask("POST", "/mock/script", list(scripts), key=None).status == 200


def explained(gateway, reply, key="drg_test"):
    name = reply.headers["x-dragoman-call-id"]
    return gateway.ask("GET", f"/v1/requests/{name}/explain", key=key).json()


def many(gateway, number, threads=50, key="drg_test", **members):
    """Replies to so many requests, many at once, over connections that are kept."""
    body = {
        "model": MODEL,
        "max_tokens": 50,
        "messages": [{"role": "user", "content": TEXT}],
        **members,
    }
    data = json.dumps(body).encode()
    head = {"content-type": "application/json", "authorization": f"Bearer {key}"}

    def some(count: int) -> list[tuple[int, bytes]]:
        found = []
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        try:
            for _ in range(count):
                connection.request("POST", "/v1/chat/completions", data, head)
                reply = connection.getresponse()
                found.append((reply.status, reply.read()))
        finally:
            connection.close()
        return found

    with ThreadPoolExecutor(threads) as pool:
        lists = pool.map(some, [number // threads] * threads)
        return [each for found in lists for each in found]


def spend_the_rest(gateway, mock, budget: Decimal) -> None:
    """What calls did not cost comes back to all processes, to the last that pays for a call, and no further."""

    def is_spent() -> bool:
        gateway.chat(MODEL, max_tokens=50)
        return billed(mock) > budget - MOST

    until(is_spent, 60)
    assert {status for status, _ in many(gateway, 40, threads=8)} == {429}
    assert billed(mock) <= budget


@pytest.mark.req("M3", "R-TIER-008")
@pytest.mark.parametrize("stream", [False, True])
def test_two_hundred_at_once_overspend_nothing(tmp_path, mock, stream):
    script(mock, *[{"delay": 100, "model": NAME}] * 400)
    with serving(tmp_path, mock, '[budgets.team]\nmonthly_usd = "0.02"\n') as gateway:
        replies = many(gateway, 200, threads=200, stream=stream)
        statuses = [status for status, _ in replies]
        spent, held = standing(gateway, "team")
        served = statuses.count(200)
        assert statuses.count(429) == 200 - served
        assert Decimal(0) < billed(mock) == spent <= Decimal("0.02")
        assert held == 0
        # Of what all at once may cost at most, nothing is left over: each begins as long as it is paid for.
        assert served >= 0.95 * int(Decimal("0.02") / MOST)
        # What the calls did not cost is there for others.
        assert gateway.chat(MODEL, max_tokens=50).status == 200


@pytest.mark.req("M3", "D28")
def test_four_processes_on_postgresql_with_redis_overspend_nothing(tmp_path, mock):
    script(mock, *[{"delay": 50, "model": NAME}] * 500)
    with a_database("postgresql", tmp_path) as url, redis_prefix() as prefix:
        environment = {"DATABASE_URL": url, "REDIS_URL": REDIS, "REDIS_PREFIX": prefix}
        budget = '[budgets.cent]\nmonthly_usd = "0.01"\n'
        with serving(tmp_path, mock, budget, "--workers", "4", **environment) as gateway:
            replies = many(gateway, 500, threads=500)
            assert {status for status, _ in replies} == {200, 429}
            until(lambda: billed(mock) == standing(gateway, "cent")[0])
            assert billed(mock) <= Decimal("0.01")
            served = [status for status, _ in replies].count(200)
            assert served >= int(Decimal("0.01") / MOST)
            spend_the_rest(gateway, mock, Decimal("0.01"))
            until(lambda: billed(mock) == standing(gateway, "cent")[0])
            shown = told(gateway, "show", "cent")
            window = shown["windows"][0]
            whole = sum(Decimal(window[name]) for name in ("spent_usd", "held_usd", "leased_usd"))
            assert whole <= Decimal("0.01")
        assert told(gateway, "show", "cent")["leases"] == [], "all is given back at the end"


@pytest.mark.req("D28")
def test_two_workers_on_sqlite_overspend_nothing(tmp_path, mock):
    with serving(
        tmp_path, mock, '[budgets.cent]\nmonthly_usd = "0.01"\n', "--workers", "2"
    ) as gateway:
        replies = many(gateway, 200, threads=50)
        assert {status for status, _ in replies} == {200, 429}
        spend_the_rest(gateway, mock, Decimal("0.01"))
        until(lambda: billed(mock) == standing(gateway, "cent")[0])


@pytest.mark.req("M1", "M10", "M19")
def test_after_kill_9_the_budget_is_what_the_ledger_and_the_open_records_say(tmp_path, mock):
    budget = '[budgets.team]\nmonthly_usd = "1"\n'
    with serving(tmp_path, mock, budget) as gateway:
        for _ in range(5):
            assert gateway.chat(MODEL, max_tokens=50).status == 200
        script(mock, *[{"hang": True, "model": NAME}] * 3)
        with ThreadPoolExecutor(3) as pool:
            waiting = [pool.submit(lambda: gateway.chat(MODEL, max_tokens=50)) for _ in range(3)]
            until(lambda: len(mock.ask("GET", "/mock/truth", key=None).json()["requests"]) == 8)
            gateway.process.send_signal(signal.SIGKILL)
            gateway.process.wait()
            for each in waiting:
                assert isinstance(each.exception(), OSError | http.client.HTTPException)
    with serving(tmp_path, mock, budget) as gateway:
        spent, held = standing(gateway, "team")
        assert spent == billed(mock) > 0
        shown = told(gateway, "show", "team")
        assert len(shown["holds"]) == 3
        one = Decimal(shown["holds"][0]["held_usd"])
        assert held == 3 * one
        assert one >= 50 * OUT
        home = gateway.environment["DRAGOMAN_HOME"]
        with sqlite3.connect(f"{home}/dragoman.db") as database:
            rows = dict(
                database.execute("SELECT status, COUNT(*) FROM ledger_attempts GROUP BY status")
            )
        assert rows == {"complete": 5, "unknown": 3}
        # Nothing of the dead process is leased any more.
        assert {lease["holder"] for lease in shown["leases"]} <= set()
        first, second, _ = shown["holds"]
        told(gateway, "release", first["call_id"])
        assert standing(gateway, "team") == (spent, 2 * one)
        told(gateway, "release", second["attempt_id"], "--cost", "0.0001")
        assert standing(gateway, "team") == (spent + Decimal("0.0001"), one)
        told(gateway, "release", first["call_id"], code=1)
        told(gateway, "release", "--budget", "team")
        assert standing(gateway, "team") == (spent + Decimal("0.0001"), 0)


PATHS = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": TEXT}]}),
    "responses": ("/v1/responses", {"input": TEXT}),
    "anthropic": (
        "/v1/messages",
        {"max_tokens": 99, "messages": [{"role": "user", "content": TEXT}]},
    ),
    "gemini": (
        f"/v1beta/models/{MODEL}:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": TEXT}]}]},
    ),
    "ollama": ("/api/chat", {"messages": [{"role": "user", "content": TEXT}], "stream": False}),
    "completions": ("/v1/completions", {"prompt": TEXT}),
    "embeddings": ("/v1/embeddings", {"input": TEXT}),
}


@pytest.mark.req("D10", "R-TIER-004")
def test_a_refusal_is_told_in_every_dialect_and_nobody_hears_of_the_request(tmp_path, mock):
    budget = '[budgets.none]\neach = "tenant"\nmonthly_usd = 0\n'
    with serving(tmp_path, mock, budget) as gateway:
        for dialect, (path, body) in PATHS.items():
            model = "openai/text-embedding-3-small" if dialect == "embeddings" else MODEL
            reply = gateway.ask("POST", path, {"model": model, **body})
            assert reply.status == 429, (dialect, reply.body)
            assert reply.headers["x-should-retry"] == "false", dialect
            assert reply.headers["x-error-code"] == "insufficient_quota", dialect
            said = reply.body.decode()
            assert "monthly budget" in said, dialect
            assert "0 USD left" in said, dialect
            if dialect == "chat":
                error = reply.json()["error"]
                assert (error["type"], error["code"]) == (
                    "insufficient_quota",
                    "insufficient_quota",
                )
                details = error["dragoman"]["details"]
                assert (details["budget"], details["window"]) == ("none", "month")
                assert details["resets_at"].endswith("-01T00:00:00Z")
        assert mock.ask("GET", "/mock/truth", key=None).json()["requests"] == []
        counted = gateway.ask(
            "POST", "/v1/messages/count_tokens", {"model": MODEL, **PATHS["chat"][1]}
        )
        assert counted.status == 200, "what costs nothing is nobody's money"
        # It is in the ledger as refused.
        assert gateway.rows()[1]["error_code"] == "insufficient_quota"


@pytest.mark.req("D27")
def test_every_way_to_end_settles_or_holds(tmp_path, mock):
    budget = '[budgets.team]\nmonthly_usd = "1"\n'
    often = {"RETRY_SHARE": "1", "RETRIES_PER_S": "1000", "BREAKER_FAILURES": "1000"}
    with serving(tmp_path, mock, budget, **often) as gateway:

        def after(*scripts, stream=False, **members):
            """What a call adds to spent and held."""
            before = standing(gateway, "team")
            script(mock, *scripts)
            reply = gateway.chat(MODEL, max_tokens=50, stream=stream, **members)
            spent, held = standing(gateway, "team")
            return reply, spent - before[0], held - before[1]

        usual, cost, held = after({"model": NAME})
        assert (usual.status, held) == (200, 0)
        assert cost == Decimal(usual.headers["x-dragoman-cost-usd"]) > 0
        most = Decimal(explained(gateway, usual)["attempts"][0]["budget"]["reserved_usd"])
        assert most > cost
        for stream in (False, True):
            # The body of a stream is a byte shorter: true. Refused by the provider: nothing was made.
            refusals = [{"status": 503, "model": NAME, "retry-after": "none"}] * 3
            reply, spent, held = after(*refusals, stream=stream)
            assert (reply.status, spent, held) == (503, 0, 0)
            assert len(explained(gateway, reply)["attempts"]) == 3
            # Tried again, and answered: one is paid.
            reply, spent, held = after({"status": 500, "model": NAME}, stream=stream)
            assert (reply.status, spent, held) == (200, cost, 0)
            # Cut before anything came of it, and tried again: the first may be billed as well.
            reply, spent, held = after({"cut": 10, "model": NAME}, stream=stream)
            assert (reply.status, spent, held) == (200, cost, most - stream * IN)
        # No usage told: nobody knows.
        reply, spent, held = after({"usage": False, "model": NAME})
        assert (reply.status, spent, held) == (200, 0, most)
        reply, spent, held = after({"cut": 900, "model": NAME}, stream=True)
        assert (spent, held) == (0, most - IN)
        assert b'"error"' in reply.body
        reply, spent, held = after({"error-after": 0, "model": NAME}, stream=True)
        assert reply.status >= 200
        explained_held = explained(gateway, reply)["attempts"][-1]["budget"]
        assert explained_held["budgets"] == ["team"]
        # The caller leaves.
        before = standing(gateway, "team")
        script(mock, {"hang-after": 3, "model": NAME})
        body = {
            "model": MODEL, "max_tokens": 50, "stream": True,
            "messages": [{"role": "user", "content": TEXT}],
        }  # fmt: skip
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(body),
            {"authorization": "Bearer drg_test", "content-type": "application/json"},
        )  # fmt: skip
        connection.getresponse().read(20)
        connection.close()
        until(lambda: standing(gateway, "team") == (before[0], before[1] + most - IN))
        # All of it is what is left over: nothing is reserved for calls that are over.
        shown = told(gateway, "show", "team")
        assert sum(Decimal(hold["held_usd"]) for hold in shown["holds"]) == before[1] + most - IN


@pytest.mark.req("M7", "D16")
def test_who_is_too_dear_is_not_asked_and_what_is_tried_twice_is_paid_twice(tmp_path, mock):
    text = """
[budgets.team]
monthly_usd = "0.01"
each = "tenant"
[routes.both]
candidates = ["groq/dear", "groq/fine"]
"""
    with serving(tmp_path, mock, text) as gateway:
        reply = gateway.chat("both", max_tokens=500)
        assert (reply.status, reply.headers["x-dragoman-model"]) == (200, "groq/fine")
        skipped = explained(gateway, reply)["skipped"]
        assert [(each["model"], "budget" in each["reason"]) for each in skipped] == [
            ("groq/dear", True)
        ]
        script(mock, {"drop": "close", "model": "fine"}, {"drop": "close", "model": "fine"})
        reply = gateway.chat("groq/fine", max_tokens=600)
        assert reply.status >= 500, "the first try is held, and a second cannot be paid for"
        shown = explained(gateway, reply)
        assert len(shown["attempts"]) == 1
        assert gateway.chat("groq/fine", max_tokens=600).status == 429


@pytest.mark.req("M17", "M16")
def test_end_users_have_budgets_of_their_own(tmp_path, mock):
    text = """
[budgets.people]
each = "user"
daily_usd = "0.0009"
[budgets.boss]
tenant = "local"
user = "boss"
daily_usd = "1"
instead_of = "people"
"""
    with serving(tmp_path, mock, text) as gateway:

        def ask(headers=None, **members):
            return gateway.chat(MODEL, headers=headers, max_tokens=50, **members).status

        # The first requests of somebody unknown, all at once.
        statuses = [status for status, _ in many(gateway, 8, threads=8, user="alice")]
        assert sorted(statuses) == [200, *[429] * 7]
        assert ask(user="bob") == 200
        assert ask(user="bob") == 429
        assert ask(safety_identifier="bob") == 429
        assert ask(metadata={"user_id": "bob"}) == 429
        assert ask({"x-openwebui-user-id": "bob"}) == 429
        assert ask({"x-openwebui-user-email": "carol@example.com"}, user="bob") == 200
        assert ask() == 200
        assert ask() == 429, "who names nobody shares one part"
        assert [ask(user="boss") for _ in range(3)] == [200] * 3
        key = new_api_key(gateway, "--name", "other", "--tenant", "other")
        assert gateway.chat(MODEL, key=key, user="bob", max_tokens=50).status == 200, (
            "another tenant's bob is another person"
        )
        message = {
            "model": MODEL, "max_tokens": 50, "metadata": {"user_id": "bob"},
            "messages": [{"role": "user", "content": TEXT}],
        }  # fmt: skip
        assert gateway.ask("POST", "/v1/messages", message).status == 429


@pytest.mark.req("R-TIER-008")
def test_budgets_of_the_command_line_and_of_a_reloaded_file_count_at_once(tmp_path, mock):
    with serving(tmp_path, mock, "") as gateway:
        key = new_api_key(gateway, "--name", "a", "--tenant", "acme")

        def status():
            return gateway.chat(MODEL, key=key, max_tokens=50).status

        assert status() == 200
        told(gateway, "set", "acme", "--tenant", "acme", "--monthly", "0.0001")
        until(lambda: status() == 429, 5)
        assert gateway.chat(MODEL, max_tokens=50).status == 200, "others are not concerned"
        told(gateway, "set", "acme", "--tenant", "acme", "--monthly", "1")
        until(lambda: status() == 200, 5)
        told(gateway, "remove", "acme")
        told(gateway, "remove", "acme", code=1)
        config = tmp_path / "dragoman.toml"
        config.write_text(
            "format = 1\n[budgets.acme]\ntenant = 'acme'\nmonthly_usd = '0.0001'\n" + PRICES
        )
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: status() == 429, 5)
        told(gateway, "set", "acme", "--monthly", "1", code=1)
        config.write_text("format = 1\n[budgets.acme]\nmonthly = '1'\n")
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "did you mean 'monthly_usd'" in gateway.tail(), 5)
        assert status() == 429, "what is wrong changes nothing"
        listed = told(gateway, "list", code=2)
        assert "monthly_usd" in listed["error"]["message"]


@pytest.mark.req("R-TIER-008", "R-OBS-001")
def test_the_operator_is_told_once_of_each_share_in_log_metric_and_record(tmp_path, mock):
    text = '[budgets.team]\nmonthly_usd = "0.002"\nalert_at = [0.5]\n'
    with serving(tmp_path, mock, text, "--workers", "2", USAGE_FLUSH_INTERVAL="0.1") as gateway:
        assert {status for status, _ in many(gateway, 40, threads=8)} == {200, 429}

        def lines():
            found = [json.loads(line) for line in gateway.log.read_text().splitlines()]
            return [line for line in found if line["message"] == "budget"]

        until(lambda: len(lines()) >= 2)
        time.sleep(1)
        assert sorted(line["share"] for line in lines()) == [0.5, 1.0]
        assert {line["budget"] for line in lines()} == {"team"}
        alerts = told(gateway, "show", "team")["alerts"]
        assert sorted(each["share"] for each in alerts) == [0.5, 1.0]
        admin = gateway.said.split("shown this once: ")[1].split()[0]
        until(
            lambda: (
                'dragoman_budget_alerts_total{budget="team",share="0.5",window="month"} 1.0'
                in gateway.ask("GET", "/metrics", key=admin).body.decode()
            )
        )
        metrics = gateway.ask("GET", "/metrics", key=admin).body.decode()
        assert 'dragoman_budget_limit_usd{budget="team",window="month"} 0.002' in metrics
        assert 'dragoman_budget_refusals_total{budget="team"}' in metrics


@pytest.mark.req("R-TIER-006", "R-ENV-013")
def test_in_test_mode_every_key_has_its_quota(tmp_path, mock):
    folder = tmp_path
    environment = {
        **configured(folder, ""), "MODE": "test", "TEST_MONTHLY_COST_LIMIT": "0.0011",
        "TEST_RATE_LIMIT_RPM": "100",
    }  # fmt: skip
    from servers import free_port, running

    port = free_port()
    home = {"DRAGOMAN_HOME": str(folder / "home"), **providers_at(mock.port), **environment}
    with running(
        ["serve", "--port", str(port)], port, folder / "gateway.log", home, "/ready"
    ) as gateway:
        keys = []
        for name in ("a", "b"):
            said = ["keys", "create", "--name", name, "--role", "admin", "--json"]
            done = forge.run(
                said, env={**gateway.environment, "PATH": "/usr/bin:/bin"}, cwd=folder
            )
            keys.append(json.loads(done.stdout)["key"])
        statuses = [gateway.chat(MODEL, key=keys[0], max_tokens=50).status for _ in range(3)]
        assert statuses in ([200, 429, 429], [200, 200, 429])
        assert gateway.chat(MODEL, key=keys[1], max_tokens=50).status == 200


@pytest.mark.req("D27", "R-ADD-041")
def test_only_a_budget_that_says_so_makes_answers_shorter(tmp_path, mock):
    text = """
[budgets.clamped]
each = "tenant"
tenant = "clamped"
monthly_usd = "0.0006"
clamp_output = true
[budgets.plain]
tenant = "plain"
monthly_usd = "1"
"""
    with serving(tmp_path, mock, text) as gateway:
        clamped = new_api_key(gateway, "--name", "a", "--tenant", "clamped")
        plain = new_api_key(gateway, "--name", "b", "--tenant", "plain")
        reply = gateway.chat(MODEL, key=plain)
        assert reply.status == 200
        assert "x-dragoman-adjusted" not in reply.headers
        reply = gateway.chat(MODEL, key=clamped)
        assert reply.status == 200
        adjusted = reply.headers["x-dragoman-adjusted"]
        name, _, number = adjusted.partition("=")
        assert (name, 16 <= int(number) < 60) == ("max_tokens", True)
        assert explained(gateway, reply, clamped)["adjusted"] == [adjusted]
        assert reply.json()["usage"]["completion_tokens"] <= int(number)


@pytest.mark.req("M13")
def test_what_has_no_price_is_refused_unless_the_budget_takes_it(tmp_path, mock):
    text = """
[budgets.strict]
tenant = "strict"
monthly_usd = "1"
[budgets.lax]
tenant = "lax"
monthly_usd = "1"
unpriced = "allow"
"""
    with serving(tmp_path, mock, text) as gateway:
        strict = new_api_key(gateway, "--name", "a", "--tenant", "strict")
        lax = new_api_key(gateway, "--name", "b", "--tenant", "lax")
        reply = gateway.chat("openai/brand-new", key=strict, max_tokens=5)
        assert (reply.status, reply.json()["error"]["code"]) == (403, "price_unknown")
        assert gateway.chat("openai/brand-new", key=lax, max_tokens=5).status == 200


@pytest.mark.req("D6", "D27")
def test_a_lease_goes_on_while_the_database_is_away_and_then_refuses(tmp_path, mock):
    text = '[budgets.team]\nmonthly_usd = "0.01"\n'
    with serving(tmp_path, mock, text) as gateway:
        assert gateway.chat(MODEL, max_tokens=50).status == 200
        file = Path(gateway.environment["DRAGOMAN_HOME"]) / "dragoman.db"
        away = file.rename(file.with_suffix(".away"))
        statuses = [gateway.chat(MODEL, max_tokens=50).status for _ in range(30)]
        assert statuses[:5] == [200] * 5
        assert statuses[-1] == 503
        away.rename(file)
        until(lambda: gateway.chat(MODEL, max_tokens=50).status in {200, 429}, 10)
        assert billed(mock) <= Decimal("0.01")


@pytest.mark.gate
@pytest.mark.req("M10", "M19")
def test_a_worker_that_is_killed_leaves_no_lease_and_loses_no_cent(tmp_path, mock):
    with serving(
        tmp_path, mock, '[budgets.team]\nmonthly_usd = "0.05"\n', "--workers", "2"
    ) as gateway:
        assert {status for status, _ in many(gateway, 40, threads=8)} == {200}
        workers = children(gateway.process)
        os.kill(workers[0], signal.SIGKILL)
        until(lambda: len(set(children(gateway.process)) - {workers[0]}) == 2, 15)
        until(lambda: standing(gateway, "team") == (billed(mock), 0), 20)
        until(lambda: not told(gateway, "show", "team")["leases"], 20)
        spend_the_rest(gateway, mock, Decimal("0.05"))
