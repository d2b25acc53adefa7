"""Replicas behind a balancer are restarted one after another under load, and no request fails (R3)."""

import http.client
import json
import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager

import pytest

from balancer import balancing, is_ready
from servers import gateway_server, providers_at, until

SETTINGS = {"DRAIN_DELAY_S": "0.8", "LOG_LEVEL": "warning"}
WHOLE = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
STREAM = {**WHOLE, "model": "openai/gpt-4o-mini--mock-chunk-delay-20", "stream": True}


class Load:
    """Callers that ask one after another, over connections that they keep as long as they may."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self.told: Counter[str] = Counter()
        self.failures: list[str] = []

    def call(self, body) -> None:
        connection = None
        while not self._over.is_set():
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                connection.request(
                    "POST",
                    "/v1/chat/completions",
                    json.dumps(body),
                    {"authorization": "Bearer drg_test"},
                )
                reply = connection.getresponse()
                data = reply.read()
                whole = (
                    data.endswith(b"data: [DONE]\n\n") if "stream" in body else b"choices" in data
                )
                if reply.status != 200 or not whole or b'"error"' in data:
                    self.failures.append(f"{reply.status} {data[-200:]!r}")
                self.told["stream" if "stream" in body else "whole"] += 1
                if reply.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
                connection = None
            time.sleep(0.01)
        if connection is not None:
            connection.close()

    @contextmanager
    def going(self):
        threads = [
            threading.Thread(target=self.call, args=(body,), daemon=True)
            for body in [WHOLE] * 4 + [STREAM] * 2
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join(30)


def roll(mock, folder, restarts: int, *arguments: str) -> Load:
    settings = {**providers_at(mock.port), **SETTINGS}
    with ExitStack() as all_of_them, balancing() as balancer:

        def begin(number):
            home = folder / f"replica{number}"
            home.mkdir()
            server = all_of_them.enter_context(gateway_server(home, *arguments, **settings))
            balancer.behind.append(server.port)
            return server

        replicas = [begin(number) for number in range(2)]
        until(lambda: all(is_ready(replica.port) for replica in replicas))
        balancer.look()
        load = Load(balancer.port)
        with load.going():
            for number in range(restarts):
                time.sleep(0.3)
                new, old = begin(number + 2), replicas.pop(0)
                replicas.append(new)
                balancer.look()
                old.process.send_signal(signal.SIGTERM)
                assert old.process.wait(30) == 0
                balancer.behind.remove(old.port)
            time.sleep(0.3)
        return load


@pytest.mark.parametrize(
    "arguments", [(), pytest.param(("--workers", "2"), marks=pytest.mark.gate)]
)
def test_two_restarts_under_load_fail_no_request(mock, tmp_path, arguments):
    load = roll(mock, tmp_path, 2, *arguments)
    assert load.failures == []
    assert min(load.told["whole"], load.told["stream"]) >= 5


@pytest.mark.gate
def test_twenty_restarts_under_load_fail_no_request(mock, tmp_path):
    load = roll(mock, tmp_path, 20)
    assert load.failures == []
    assert load.told["whole"] >= 500
    assert load.told["stream"] >= 50


def test_a_server_that_ends_is_not_ready_first_and_still_answers_meanwhile(mock, tmp_path):
    settings = {**providers_at(mock.port), "DRAIN_DELAY_S": "2"}
    with gateway_server(tmp_path, **settings) as server:
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not is_ready(server.port))
        ready = server.ask("GET", "/ready", key=None)
        assert (ready.status, ready.json()["reason"]) == (503, "draining")
        server.process.send_signal(signal.SIGTERM)
        reply = server.chat()
        assert reply.status == 200
        assert reply.headers["connection"] == "close"
        assert server.process.wait(20) == 0
        assert time.monotonic() - began >= 2


def test_a_person_who_interrupts_waits_for_no_balancer(tmp_path):
    with gateway_server(tmp_path, DRAIN_DELAY_S="60") as server:
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert server.stop(signal.SIGINT) == 0
        assert time.monotonic() - began < 10
