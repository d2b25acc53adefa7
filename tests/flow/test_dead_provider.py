"""What a dead provider costs those who come later, how it comes back, and what disables nobody."""

import socket
import statistics
import time
from contextlib import contextmanager

import pytest

from servers import FAST_MOCK, free_port, gateway_server, running

OPEN_S = 1.0


def table(dead, alive):
    return (
        "".join(
            f'[[providers]]\nname = "{name}"\ndialect = "chat"\nbase_url = "http://127.0.0.1:{port}/openai/v1"\n'
            'models = ["m", "n"]\n'
            for name, port in (("dead", dead), ("alive", alive))
        )
        + '[routes.both]\ncandidates = ["dead/m", "alive/m"]\n'
    )


@contextmanager
def black_hole():
    """A port at which connecting never ends: its queue is full, and nobody accepts."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.settimeout(0)
            one.connect_ex(listening.getsockname())
            waiting.append(one)
        try:
            yield listening.getsockname()[1]
        finally:
            for one in waiting:
                one.close()


@contextmanager
def refused():
    yield free_port()


def took(gateway, model, number, *, stream, tries=None):
    found = []
    for _ in range(number):
        start = time.monotonic()
        reply = gateway.chat(model, stream=stream)
        found.append(time.monotonic() - start)
        assert reply.status == 200, reply.body
        assert reply.headers["x-dragoman-provider"] == "alive"
        assert tries in {None, reply.headers["x-dragoman-attempts"]}
    return found


@pytest.mark.req("R-REL-001", "R-REL-002")
@pytest.mark.parametrize("dead", [refused, black_hole])
def test_a_dead_provider_costs_later_requests_at_most_5_ms_each(mock, tmp_path, dead):
    with dead() as port:
        (tmp_path / "dragoman.toml").write_text(table(port, mock.port))
        with gateway_server(tmp_path, CONNECT_TIMEOUT_MS="100") as gateway:
            # These open the breaker, and none of them waits longer than for the connection (U1, U2).
            first = took(gateway, "both", 6, stream=True)
            assert max(first) < (0.25 if dead is black_hole else 0.1)
            assert breaker(gateway, "dead") == 1
            for stream in (True, False):
                alone = took(gateway, "alive/m", 60, stream=stream)
                behind = took(gateway, "both", 60, stream=stream, tries="1")
                assert statistics.median(behind) - statistics.median(alone) < 0.005


@pytest.mark.req("R-REL-002")
def test_a_probe_of_a_dead_provider_goes_on_to_the_next_without_a_pause(mock, tmp_path):
    (tmp_path / "dragoman.toml").write_text(table(free_port(), mock.port))
    with gateway_server(tmp_path, BREAKER_OPEN_S="0.3") as gateway:
        took(gateway, "both", 6, stream=False)
        for _ in range(5):
            time.sleep(0.35)
            start = time.monotonic()
            reply = gateway.chat("both")
            assert time.monotonic() - start < 0.05
            assert (reply.status, reply.headers["x-dragoman-attempts"]) == (200, "2")


@pytest.mark.req("R-REL-002")
@pytest.mark.parametrize("stream", [True, pytest.param(False, marks=pytest.mark.gate)])
def test_a_probe_that_nobody_answers_does_not_hold_up_its_request(mock, tmp_path, stream):
    """It was quick, died, and hangs now: it takes connections and is silent."""
    port = free_port()
    (tmp_path / "dragoman.toml").write_text(table(port, mock.port))
    with gateway_server(tmp_path, BREAKER_OPEN_S="0.3") as gateway:
        command = ["mock", "--port", str(port), "--quiet"]
        with running(command, port, tmp_path / "mock.log", FAST_MOCK, "/health"):
            for _ in range(25):
                assert gateway.chat("dead/m", stream=stream).status == 200
        took(gateway, "both", 6, stream=stream)
        assert breaker(gateway, "dead") > 0
        with socket.create_server(("127.0.0.1", port)):
            for _ in range(3):
                time.sleep(0.35)
                assert took(gateway, "both", 1, stream=stream, tries="2")[0] < 1
                assert breaker(gateway, "dead") == 1


@pytest.mark.req("R-REL-002")
@pytest.mark.parametrize("alone", [True, pytest.param(False, marks=pytest.mark.gate)])
def test_a_provider_that_recovers_gets_traffic_again_within_two_probe_intervals(
    mock, tmp_path, alone
):
    port = free_port()
    (tmp_path / "dragoman.toml").write_text(table(port, mock.port))
    model = "dead/m" if alone else "both"
    with gateway_server(tmp_path, BREAKER_OPEN_S=str(OPEN_S)) as gateway:
        for _ in range(6):
            gateway.chat(model)
        command = ["mock", "--port", str(port), "--quiet"]
        with running(command, port, tmp_path / "mock.log", FAST_MOCK, "/health"):
            start = time.monotonic()
            served = []
            while time.monotonic() - start < 2 * OPEN_S:
                reply = gateway.chat(model)
                served.append(
                    reply.status == 200 and reply.headers.get("x-dragoman-provider") == "dead"
                )
                time.sleep(0.05)
        assert all(served[-5:]), "all of it is its own again"
        first = served.index(True)
        assert all(served[first:])


BAD = (
    {"status": 400},
    {"status": 404},
    {"status": 413},
    {"status": 422},
    {"status": 400, "error-code": "context_length_exceeded"},
    {"status": 400, "error-code": "content_policy_violation"},
)


@pytest.mark.req("R-REL-002", "R-REL-003")
@pytest.mark.parametrize("stream", [True, pytest.param(False, marks=pytest.mark.gate)])
def test_nothing_is_disabled_by_a_callers_own_bad_requests(mock, tmp_path, stream):
    (tmp_path / "dragoman.toml").write_text(table(mock.port, mock.port))
    with gateway_server(tmp_path) as gateway:
        for script in BAD:
            mock.ask("POST", "/mock/script", {**script, "model": "m", "times": 25})
            for _ in range(25):
                assert gateway.chat("dead/m", stream=stream).status == script["status"]
            reply = gateway.chat("both", stream=stream)
            assert (reply.status, reply.headers["x-dragoman-provider"]) == (200, "dead")
        assert breaker(gateway, "dead") == 0


@pytest.mark.parametrize("stream", [True, pytest.param(False, marks=pytest.mark.gate)])
def test_nothing_is_disabled_by_a_callers_own_impatience(mock, tmp_path, stream):
    (tmp_path / "dragoman.toml").write_text(table(mock.port, mock.port))
    with gateway_server(tmp_path) as gateway:
        for _ in range(8):
            mock.ask("POST", "/mock/script", {"delay": 300, "model": "m"})
            start = time.monotonic()
            reply = gateway.chat("dead/m", stream=stream, headers={"x-dragoman-timeout-ms": "40"})
            assert time.monotonic() - start < 0.25
            assert reply.status == 504
            assert reply.json()["error"]["code"] == "deadline_exceeded"
        reply = gateway.chat("both", stream=stream)
        assert (reply.status, reply.headers["x-dragoman-provider"]) == (200, "dead")
        assert breaker(gateway, "dead") == 0


def breaker(gateway, provider):
    """What the metrics say of the provider's breakers."""
    start = f'dragoman_circuit_breaker_state{{provider="{provider}"}} '
    lines = gateway.ask("GET", "/metrics").body.decode().splitlines()
    return next(float(line.removeprefix(start)) for line in lines if line.startswith(start))


@pytest.mark.req("R-REL-002")
def test_where_every_breaker_is_open_nobody_is_asked(tmp_path):
    (tmp_path / "dragoman.toml").write_text(table(free_port(), free_port()))
    with gateway_server(tmp_path, MAX_RETRIES="0") as gateway:
        for _ in range(12):
            assert gateway.chat("both").status in {502, 503}
        for _ in range(5):
            start = time.monotonic()
            reply = gateway.chat("both")
            assert time.monotonic() - start < 0.1
            assert reply.status == 503
            assert "x-dragoman-attempts" not in reply.headers
            assert 1 <= int(reply.headers["retry-after"]) <= 30
