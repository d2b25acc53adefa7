"""PostgreSQL stops for a while, Redis is killed: known keys go on, no usage is lost, all comes back by itself (D2, D6)."""

import os
import signal
import time

import pytest
from cryptography.fernet import Fernet

from own_servers import own_postgres, own_redis
from servers import children, gateway_server, new_api_key, providers_at, until

AWAY_S = 4.0


@pytest.fixture
def postgres():
    with own_postgres() as server:
        yield server


def settings_with(mock, postgres, **more: str) -> dict[str, str]:
    return {
        **providers_at(mock.port),
        "DATABASE_URL": postgres.url,
        "FERNET_KEY": Fernet.generate_key().decode(),
        "USAGE_FLUSH_INTERVAL": "0.5",
        **more,
    }


@pytest.mark.parametrize("how", ["immediate", "fast"])
def test_a_database_that_is_away_for_a_while_costs_no_call_and_no_usage(
    mock, tmp_path, postgres, how
):
    with gateway_server(tmp_path, **settings_with(mock, postgres)) as server:
        key = new_api_key(server, "--name", "alice")
        assert server.chat(key=key, headers={"x-request-id": "before"}).status == 200
        postgres.stop(how)
        asked = ["before"]
        began = time.monotonic()
        while time.monotonic() < began + AWAY_S:
            name = f"away-{len(asked)}"
            reply = server.chat(key=key, headers={"x-request-id": name})
            assert reply.status == 200, reply.body
            asked.append(name)
            time.sleep(0.1)
        assert len(asked) > 10
        ready = server.ask("GET", "/ready", key=None)
        assert ready.status == 503
        assert "database" in ready.json()["reason"].lower()
        assert server.ask("GET", "/health", key=None).status == 200
        postgres.start()
        until(lambda: server.ask("GET", "/ready", key=None).status == 200, 20)
        assert server.chat(key=key, headers={"x-request-id": "after"}).status == 200
        until(lambda: len(server.rows(key)) > len(asked), 30)
        rows = [row["request_id"] for row in server.rows(key)]
        assert sorted(rows) == sorted([*asked, "after"])


def test_known_keys_go_on_as_long_as_the_operator_said_and_no_longer(mock, tmp_path, postgres):
    patience = 3.0
    settings = settings_with(mock, postgres, KEY_STALE_S=str(patience))
    with gateway_server(tmp_path, **settings) as server:
        key = new_api_key(server, "--name", "alice")
        assert server.chat(key=key).status == 200
        # That there is a new key is heard of within a second, and known ones are asked for anew then.
        time.sleep(1.5)
        assert server.chat(key=key).status == 200
        postgres.stop()
        began = time.monotonic()
        statuses: list[tuple[float, int]] = []
        while time.monotonic() < began + patience + 4:
            statuses.append((time.monotonic() - began, server.chat(key=key).status))
            time.sleep(0.2)
        assert {status for at, status in statuses if at < patience - 1.5} == {200}
        # Never 401: a client would throw its key away.
        assert {status for at, status in statuses if at > patience + 2} == {503}
        postgres.start()
        until(lambda: server.chat(key=key).status == 200, 20)


def test_known_keys_go_on_though_another_was_changed_just_before(mock, tmp_path, postgres):
    with gateway_server(tmp_path, **settings_with(mock, postgres)) as server:
        key = new_api_key(server, "--name", "alice")
        time.sleep(1.5)  # a change is heard of within a second
        assert server.chat(key=key).status == 200
        new_api_key(server, "--name", "bob")
        time.sleep(1.5)  # nobody asks with the known key meanwhile
        postgres.stop()
        for _ in range(10):
            assert server.chat(key=key).status == 200
            time.sleep(0.2)
        assert server.chat(key="drg_unknown_key_0123456789").status == 503
        postgres.start()
        until(lambda: server.ask("GET", "/ready", key=None).status == 200, 20)
        assert server.chat(key=key).status == 200


@pytest.mark.gate
@pytest.mark.timeout(500)
def test_a_database_that_is_away_for_minutes_costs_no_call_and_no_usage(mock, tmp_path, postgres):
    """Five minutes (D2)."""
    settings = settings_with(mock, postgres)
    with gateway_server(tmp_path, **settings) as server:
        key = new_api_key(server, "--name", "alice")
        asked = ["before"]
        assert server.chat(key=key, headers={"x-request-id": "before"}).status == 200
        postgres.stop()
        began = time.monotonic()
        while time.monotonic() < began + 300:
            name = f"away-{len(asked)}"
            assert server.chat(key=key, headers={"x-request-id": name}).status == 200
            asked.append(name)
            time.sleep(0.5)
        postgres.start()
        until(lambda: server.ask("GET", "/ready", key=None).status == 200, 20)
        until(lambda: len(server.rows(key, limit=1000)) >= len(asked), 60)
        rows = [row["request_id"] for row in server.rows(key, limit=1000)]
        assert sorted(rows) == sorted(asked)


def test_a_worker_that_dies_while_the_database_is_away_ends_nobody_else(mock, tmp_path, postgres):
    with gateway_server(tmp_path, "--workers", "2", **settings_with(mock, postgres)) as server:
        key = new_api_key(server, "--name", "alice")
        # Each worker has to know the key before the database goes.
        for _ in range(20):
            assert server.chat(key=key).status == 200
        postgres.stop()
        dead, living = children(server.process)
        os.kill(dead, signal.SIGKILL)
        time.sleep(5)
        assert server.process.poll() is None, server.tail()
        assert living in children(server.process)
        postgres.start()
        until(
            lambda: len(children(server.process)) == 2 and dead not in children(server.process), 40
        )
        until(lambda: server.ask("GET", "/ready", key=None).status == 200, 20)
        assert server.chat(key=key).status == 200
        assert server.stop() == 0


@pytest.mark.parametrize("how", ["killed", "hangs"])
def test_a_redis_that_goes_and_comes_back_costs_no_call_and_is_told(mock, tmp_path, how):
    def told(server) -> str:
        return server.ask("GET", "/ready", key=None).json()["redis"]

    with own_redis(tmp_path / "redis") as shared:
        settings = {**providers_at(mock.port), "REDIS_URL": shared.url}
        with gateway_server(tmp_path, **settings) as server:
            until(lambda: told(server) == "up")
            if how == "killed":
                shared.kill()
            else:
                shared.send(signal.SIGSTOP)
            asked = []
            deadline = time.monotonic() + AWAY_S
            slowest = 0.0
            while time.monotonic() < deadline:
                began = time.monotonic()
                name = f"away-{len(asked)}"
                assert server.chat(headers={"x-request-id": name}).status == 200
                slowest = max(slowest, time.monotonic() - began)
                asked.append(name)
                time.sleep(0.05)
            assert slowest < 2
            until(lambda: told(server) == "down", 15)
            # Its own share of work goes on: what is shared is a help, and no condition.
            assert server.ask("GET", "/ready", key=None).status == 200
            if how == "killed":
                shared.start()
            else:
                shared.send(signal.SIGCONT)
            until(lambda: told(server) == "up", 30)
            assert server.chat().status == 200
            found = {row["request_id"] for row in server.rows()}
            assert set(asked) <= found
