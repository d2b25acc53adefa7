"""Alerts over real processes: raised once, signed, sent until they are taken, whoever dies in between."""

import hashlib
import hmac
import json
import signal
import sqlite3
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from servers import gateway_server, providers_at, until

SECRET = "a-secret-of-the-receivers-own"
QUICK = {"USAGE_FLUSH_INTERVAL": "0.1", "ALERT_SECRET": SECRET}
MODEL = "openai/gpt-4o-mini"


class Receiver:
    """Takes webhooks; the first of them it refuses."""

    def __init__(self, port, failures, status):
        self.url = f"http://127.0.0.1:{port}/hook"
        self.failures, self.status = failures, status
        self.refused, self.taken = [], []

    def kinds(self):
        return [json.loads(body)["kind"] for _, body in self.taken]

    def of(self, kind):
        return [(h, json.loads(b)) for h, b in self.taken if json.loads(b)["kind"] == kind]


@contextmanager
def receiver(failures=0, status=503):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if len(mine.refused) < mine.failures:
                mine.refused.append((headers, body))
                self.send_response(mine.status)
            else:
                mine.taken.append((headers, body))
                self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mine = Receiver(server.server_port, failures, status)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield mine
    finally:
        server.shutdown()
        server.server_close()


def hook(listener, *kinds):
    said = f"kinds = {json.dumps(kinds)}\n" if kinds else ""
    return (
        f'[[alerts.webhooks]]\nurl = "{listener.url}"\nsecret = "${{ALERT_SECRET}}"\n'
        f"private = true\n{said}"
    )


def rows(server, sql):
    with sqlite3.connect(server.log.parent / "home" / "dragoman.db") as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found


def is_signed(headers, body):
    told = f"{headers['x-dragoman-timestamp']}.".encode() + body
    wanted = hmac.new(SECRET.encode(), told, hashlib.sha256).hexdigest()
    fresh = abs(time.time() - int(headers["x-dragoman-timestamp"])) < 120
    return fresh and headers["x-dragoman-signature"] == f"v1={wanted}"


BUDGET = """
[budgets.small]
total_usd = "0.001"
alert_at = [0.1]
"""


def spend(server, times=60):
    """So many calls, or as many as there is money for; how they ended."""
    found = []
    while len(found) < times and 429 not in found:
        found.append(server.chat(MODEL, max_tokens=60).status)
    return found


@pytest.mark.req("R-USE-012", "B-05")
def test_budgets_tell_of_soft_and_hard_thresholds_once_to_everyone(mock, tmp_path):
    with receiver(failures=2) as first, receiver() as second, receiver() as deaf:
        (tmp_path / "dragoman.toml").write_text(
            BUDGET + hook(first) + hook(second, "budget") + hook(deaf, "drift")
        )
        with gateway_server(tmp_path, **providers_at(mock.port), **QUICK) as server:
            assert 429 in spend(server)
            until(lambda: len(first.of("budget")) >= 2 and len(second.of("budget")) >= 2)
            spend(server, 3)
            time.sleep(1.5)
            assert deaf.taken == []
            for listener in (first, second):
                levels = {
                    told["details"]["share"]: told["level"] for _, told in listener.of("budget")
                }
                assert levels == {0.1: "warning", 1.0: "critical"}
                assert len(listener.taken) == 2
                assert all(is_signed(*each) for each in listener.taken)
            assert len(first.refused) == 2
            # What was refused comes again, under the same id, and is signed anew.
            ids = {headers["x-dragoman-event-id"] for headers, _ in first.refused}
            assert ids <= {headers["x-dragoman-event-id"] for headers, _ in first.taken}
            assert rows(server, "SELECT * FROM alert_outbox") == []
            text = server.ask("GET", "/metrics").body.decode()
            assert 'dragoman_alerts_total{kind="budget"} 2.0' in text
            assert "dragoman_alerts_untaken_total 2.0" in text
            assert SECRET not in server.tail()
            assert first.url not in json.dumps(rows(server, "SELECT * FROM raised_alerts"))


def test_what_was_not_taken_survives_a_kill(mock, tmp_path):
    with receiver(failures=10_000) as listener:
        (tmp_path / "dragoman.toml").write_text(BUDGET + hook(listener))
        environment = providers_at(mock.port) | QUICK
        with gateway_server(tmp_path, **environment) as server:
            spend(server)
            until(lambda: listener.refused)
            server.process.kill()
        assert listener.taken == []
        listener.failures = 0
        with gateway_server(tmp_path, **environment) as server:
            until(lambda: len(listener.taken) >= 2, 40)
            time.sleep(1.5)
            ids = [headers["x-dragoman-event-id"] for headers, _ in listener.taken]
            assert len(ids) == len(set(ids)) == 2
            assert rows(server, "SELECT * FROM alert_outbox") == []


@pytest.mark.parametrize("workers", [pytest.param("1", marks=pytest.mark.gate), "2"])
def test_calls_that_fail_are_told_of_once(mock, tmp_path, workers):
    with receiver() as listener:
        (tmp_path / "dragoman.toml").write_text(
            "[alerts]\nlook_every_s = 1\nerror_rate = 0.4\nerror_rate_min_calls = 6\n"
            + hook(listener)
        )
        environment = providers_at(mock.port) | QUICK | {"MAX_RETRIES": "0"}
        with gateway_server(tmp_path, "--workers", workers, **environment) as server:
            for number in range(12):
                if number % 2:
                    script = {"status": 500, "path": "/chat/completions"}
                    mock.ask("POST", "/mock/script", script, key=None)
                server.chat(MODEL)
            # What is wrong with a request is no failure of who is asked.
            for _ in range(8):
                script = {"status": 400, "path": "/chat/completions"}
                mock.ask("POST", "/mock/script", script, key=None)
                server.chat("openai/gpt-4o")
            until(lambda: listener.of("errors"), 40)
            time.sleep(2.5)
            ((_, told),) = listener.of("errors")
            assert (told["details"]["provider"], told["details"]["model"]) == (
                "openai",
                "gpt-4o-mini",
            )
            assert told["details"]["calls"] >= 6
            assert told["details"]["failed"] / told["details"]["calls"] >= 0.4
            assert told["level"] == "warning"


@pytest.mark.req("B-05")
def test_who_spends_many_times_as_much_as_usual_is_told_of(mock, tmp_path):
    with receiver() as listener:
        (tmp_path / "dragoman.toml").write_text(
            '[alerts]\nlook_every_s = 1\nvelocity = 3\nvelocity_min_usd = "0.000001"\n'
            + hook(listener)
        )
        environment = providers_at(mock.port) | QUICK
        with gateway_server(tmp_path, **environment) as server:
            assert server.chat(MODEL).status == 200
            row = server.rows()[0]
            cost = int(float(row["cost_usd"]) * 10**12)
            _past_hours(server, cost // 10)
            until(lambda: len(listener.of("velocity")) >= 3, 40)
            time.sleep(1.5)
            told = {
                each["details"]["scope"]: each["details"] for _, each in listener.of("velocity")
            }
            assert set(told) == {"all", "tenant", "key"}
            assert told["tenant"]["tenant"] == told["key"]["tenant"] == "local"
            assert all(9 <= each["times"] <= 11 for each in told.values())
            assert len(listener.of("velocity")) == 3


def _past_hours(server, pico):
    """Four hours of the past in which little was spent."""
    with sqlite3.connect(server.log.parent / "home" / "dragoman.db", timeout=10) as connection:
        (tenant, key_id, hour, provider, model) = connection.execute(
            "SELECT tenant, key_id, hour, provider, model FROM ledger_hours"
        ).fetchone()
        names = [r[1] for r in connection.execute("PRAGMA table_info(ledger_hours)")][5:]
        for back in range(1, 5):
            values = [
                pico if name == "cost_pico" else 1 if name == "requests" else 0 for name in names
            ]
            marks = ",".join("?" * (5 + len(names)))
            connection.execute(
                f"INSERT INTO ledger_hours VALUES ({marks})",
                (tenant, key_id, hour - back, provider, model, *values),
            )
    connection.close()


@pytest.mark.req("M18")
def test_drift_of_a_model_is_told_of_and_shown(mock, tmp_path):
    mock.ask("POST", "/mock/config", {"generationFactor": 2, "generationDelay": 0}, key=None)
    try:
        with receiver() as listener:
            (tmp_path / "dragoman.toml").write_text(
                '[alerts]\nlook_every_s = 1\ndrift_min_usd = "0"\n'
                '[prices."openrouter/openai/gpt-4o-mini"]\ninput = "1"\noutput = "1"\n'
                + hook(listener)
            )
            environment = providers_at(mock.port) | QUICK
            environment |= {"RECONCILE_SAMPLE": "1", "RECONCILE_INTERVAL_S": "0.2"}
            with gateway_server(tmp_path, **environment) as server:
                assert server.chat("openrouter/openai/gpt-4o-mini").status == 200
                until(lambda: listener.of("drift"), 40)
                ((_, told),) = listener.of("drift")
                assert told["details"]["model"] == "openai/gpt-4o-mini"
                assert told["details"]["share"] == 1.0
                text = server.ask("GET", "/metrics").body.decode()
                assert (
                    'dragoman_cost_drift_ratio{model="openai/gpt-4o-mini",provider="openrouter",source="lookup"} 1.0'
                    in text
                )
    finally:
        mock.ask("POST", "/mock/config", {"generationFactor": 1, "generationDelay": 300}, key=None)


@pytest.mark.req("F9", "F10")
def test_an_endpoint_inside_is_not_spoken_to_unless_it_is_said_to_be(mock, tmp_path):
    """The name is judged when it is connected to, not when it is read."""
    with receiver() as listener:
        inside = listener.url.replace("http://127.0.0.1", "https://localhost")
        (tmp_path / "dragoman.toml").write_text(
            BUDGET + f'[[alerts.webhooks]]\nurl = "{inside}"\nsecret = "${{ALERT_SECRET}}"\n'
        )
        with gateway_server(tmp_path, **providers_at(mock.port), **QUICK) as server:
            spend(server)
            until(lambda: "does not lead to a public address" in server.tail(), 20)
            assert rows(server, "SELECT tries FROM alert_outbox")
        assert (listener.taken, listener.refused) == ([], [])


def test_endpoints_and_thresholds_are_taken_over_while_serving(mock, tmp_path):
    with receiver() as listener:
        file = tmp_path / "dragoman.toml"
        file.write_text(BUDGET)
        with gateway_server(tmp_path, **providers_at(mock.port), **QUICK) as server:
            file.write_text(BUDGET + hook(listener))
            server.process.send_signal(signal.SIGHUP)
            until(
                lambda: "configuration in force" in server.tail() and '"alerts"' in server.tail(),
                20,
            )
            spend(server)
            until(lambda: len(listener.of("budget")) >= 2)
            file.write_text(BUDGET + "[alerts]\nvelocty = 3\n")
            server.process.send_signal(signal.SIGHUP)
            until(lambda: "did you mean 'velocity'" in server.tail(), 20)
