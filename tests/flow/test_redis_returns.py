"""Redis dies under a gateway that serves, and comes back: no request is lost, and nobody has to do anything."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
import redis

from own_servers import program
from servers import free_port, gateway_server

pytestmark = pytest.mark.req("R-STOR-002", "R-STOR-003", "R-STOR-008", "R-TEST-011")


@contextmanager
def redis_at(port, folder):
    process = subprocess.Popen(
        [
            program("redis-server"),
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--requirepass",
            "hush-hush",
            "--dir",
            str(folder),
        ],
        stdout=subprocess.DEVNULL,
    )
    client = redis.Redis(port=port, db=2, password="hush-hush", socket_timeout=1)
    try:
        until(lambda: answers(client))
        yield client
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        client.close()


def answers(client):
    try:
        return client.ping()
    except redis.RedisError:
        return False


def until(what, within_s=20.0):
    end = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)
    return found


def state(gateway):
    return gateway.ask("GET", "/ready", key=None).json()["redis"]


def test_redis_goes_and_comes_back_while_callers_are_served(tmp_path):
    port = free_port()
    said = {"REDIS_URL": f"127.0.0.1:{port}", "REDIS_PASSWORD": "hush-hush", "REDIS_DB": "2"}

    def fail_once():
        reply = gateway.chat("nobody/has-this")
        assert reply.status == 404

    def in_redis(client):
        return client.lrange("dragoman:errors", 0, -1)

    with gateway_server(tmp_path, **said) as gateway:
        with redis_at(port, tmp_path) as client:
            until(lambda: state(gateway) == "up")
            assert gateway.chat("openai/gpt-4o-mini").status == 200
            fail_once()
            [line] = until(lambda: in_redis(client))
            told = json.loads(line)
            assert (told["status"], told["error"]) == (404, "model_not_found")
            assert told["requested_model"] == "nobody/has-this"
        fail_once()
        until(lambda: state(gateway) == "down")
        assert gateway.chat("openai/gpt-4o-mini").status == 200
        assert gateway.ask("GET", "/ready", key=None).status == 200
        files = until(lambda: list(tmp_path.rglob("api-error.jsonl")))
        assert json.loads(files[0].read_text().splitlines()[0])["status"] == 404
        with redis_at(port, tmp_path) as client:
            until(lambda: state(gateway) == "up")

            def again():
                fail_once()
                time.sleep(1.0)
                return in_redis(client)

            assert until(again)
