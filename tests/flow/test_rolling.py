"""Replicas behind a balancer are restarted one after another under load, and no request fails (R3)."""

import signal
import time

import pytest

from balancer import is_ready
from rolling import Load, roll
from servers import gateway_server, providers_at, until


def rolled(mock, folder, restarts, *arguments):
    """The load that has seen so many restarts."""
    found = []

    def loads(balancer, _):
        found.append(Load(balancer.port))
        return [found[0].going()]

    roll(folder, restarts, loads, *arguments, **providers_at(mock.port))
    return found[0]


@pytest.mark.parametrize(
    "arguments", [(), pytest.param(("--workers", "2"), marks=pytest.mark.gate)]
)
def test_two_restarts_under_load_fail_no_request(mock, tmp_path, arguments):
    load = rolled(mock, tmp_path, 2, *arguments)
    assert load.failures == []
    assert min(load.told["whole"], load.told["stream"]) >= 5


@pytest.mark.gate
def test_twenty_restarts_under_load_fail_no_request(mock, tmp_path):
    load = rolled(mock, tmp_path, 20)
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
