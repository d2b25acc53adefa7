"""Several workers: they drain as one process does, and ``/metrics`` sums them.

Who begins a worker and when it has died is told of programs that Python starts, the rest of forked ones.
"""

import http.client
import json
import os
import re
import signal
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from servers import children, gateway_server, providers_at, until

MODEL = "openai/gpt-4o-mini--mock-chunk-delay-60"


def request_of(model):
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps(body)


def streams(port, model, count):
    results: dict[str, bytes] = {}

    def one(name):
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            headers = {"authorization": "Bearer drg_test", "x-request-id": name}
            connection.request("POST", "/v1/chat/completions", request_of(model), headers)
            results[name] = connection.getresponse().read()

    threads = [threading.Thread(target=one, args=(f"drain-{n}",)) for n in range(count)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    return results, threads


@pytest.mark.req("R-SURF-031")
def test_streams_of_workers_run_to_their_end_and_are_accounted(mock, tmp_path):
    with gateway_server(
        tmp_path, "--workers", "2", anew=True, **providers_at(mock.port)
    ) as server:
        results, threads = streams(server.port, f"{MODEL}--mock-length-150", 8)
        server.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(20)
        assert server.process.wait(20) == 0
    assert all(body.endswith(b"data: [DONE]\n\n") for body in results.values())
    assert not any(b'"error"' in body for body in results.values())
    assert not list((tmp_path / "home").glob("workers-*"))
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        rows = {row["request_id"]: row["status"] for row in server.rows()}
    assert {name: rows.get(name) for name in results} == dict.fromkeys(results, "complete")


def test_streams_of_workers_beyond_the_drain_limit_get_an_error_frame(mock, tmp_path):
    environment = {**providers_at(mock.port), "DRAIN_TIMEOUT_S": "1"}
    with gateway_server(tmp_path, "--workers", "2", **environment) as server:
        results, threads = streams(server.port, f"{MODEL}--mock-length-5000", 3)
        server.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(20)
        assert server.process.wait(20) == 0
    assert len(results) == 3
    for body in results.values():
        frames = [part.removeprefix("data: ") for part in body.decode().split("\n\n") if part]
        assert frames[-1] == "[DONE]"
        assert json.loads(frames[-2])["error"]["code"] == "server_draining"


def told_while_draining(server):
    """What a worker says of itself between the signal and the closing of its idle connections."""
    (pid,) = children(server.process)[:1]
    asked = []
    for _ in range(12):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("GET", "/ready")
        connection.getresponse().read()
        asked.append(connection)
    os.kill(pid, signal.SIGTERM)
    told = []
    for connection in asked:
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/ready")
            told.append(json.loads(connection.getresponse().read()))
        connection.close()
    return {answer.get("reason") for answer in told}


def test_a_worker_that_drains_is_not_ready_and_another_takes_its_place(tmp_path):
    with gateway_server(tmp_path, "--workers", "2") as server:
        tries = 0
        while "draining" not in told_while_draining(server):
            # It closes idle connections at its next tick, which may come before the question.
            tries += 1
            assert tries < 4
            time.sleep(3)
        deadline = time.monotonic() + 15
        while len(children(server.process)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert server.stop() == 0


def test_workers_end_with_a_parent_that_was_killed(tmp_path):
    with gateway_server(tmp_path, "--workers", "2") as server:
        workers = children(server.process)
        assert len(workers) == 2
        server.process.kill()
        server.process.wait(5)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


def test_a_worker_that_starts_slowly_is_given_the_time_and_not_killed_for_ever(tmp_path):
    with gateway_server(tmp_path, "--workers", "2", anew=True, USE_STUB_ADAPTERS="true") as server:
        first, steady = sorted(children(server.process))
        os.kill(first, signal.SIGKILL)

        def successor():
            known = {first, steady}
            return next((pid for pid in children(server.process) if pid not in known), None)

        found = until(successor, 15)
        os.kill(found, signal.SIGSTOP)  # as on a machine that has no time for it
        time.sleep(8)
        os.kill(found, signal.SIGCONT)
        time.sleep(1)
        assert set(children(server.process)) == {found, steady}
        assert "another begins in 0.5 s" not in server.tail()
        assert server.chat().status == 200
        assert server.stop() == 0


def counted(server):
    """Requests, attempts' duration count, and those under way."""
    text = server.ask("GET", "/metrics").body.decode()
    total = sum(
        float(n) for n in re.findall(r"^dragoman_requests_total\{.*\} (\S+)$", text, re.MULTILINE)
    )
    names = r"^dragoman_request_duration_seconds_count\{.*\} (\S+)$"
    durations = sum(float(n) for n in re.findall(names, text, re.MULTILINE))
    (active,) = re.findall(r"^dragoman_active_requests (\S+)$", text, re.MULTILINE)
    return total, durations, float(active), text


def test_metrics_sum_the_workers_and_keep_what_a_dead_one_counted(mock, tmp_path):
    with gateway_server(tmp_path, "--workers", "2", **providers_at(mock.port)) as server:
        for _ in range(20):
            assert server.chat().status == 200
        _, threads = streams(server.port, f"{MODEL}--mock-length-300", 6)
        until(lambda: counted(server)[2] == 6)
        for thread in threads:
            thread.join(20)
        # Whoever is asked says the same.
        until(lambda: all(counted(server)[:3] == (26, 26, 0) for _ in range(8)))
        text = counted(server)[3]
        workers = children(server.process)
        assert len(workers) == 2
        for pid in workers:
            assert f'process_resident_memory_bytes{{worker="{pid}"}}' in text
        os.kill(workers[0], signal.SIGKILL)
        until(lambda: len(set(children(server.process)) - {workers[0]}) == 2, 15)
        server.ask("GET", "/ready")
        until(lambda: all(counted(server)[:3] == (26, 26, 0) for _ in range(8)))
        assert f'worker="{workers[0]}"' not in counted(server)[3]


def test_a_worker_that_keeps_dying_is_replaced_ever_more_slowly_and_the_other_serves_on(tmp_path):
    with gateway_server(tmp_path, "--workers", "2", anew=True, USE_STUB_ADAPTERS="true") as server:
        doomed, steady = sorted(children(server.process))

        def successor():
            return next(
                (pid for pid in children(server.process) if pid not in {steady, doomed}), None
            )

        for _ in range(3):
            os.kill(doomed, signal.SIGSEGV)
            time.sleep(0.8)
            # While its place is empty the parent has somebody else to pass this on to.
            server.process.send_signal(signal.SIGHUP)
            found = until(successor, 15)
            doomed = found
            assert server.chat().status == 200
        assert steady in children(server.process)
        pauses = re.findall(r"ended with -11; another begins in ([0-9.]+) s", server.tail())
        assert [float(pause) for pause in pauses] == [0, 0.5, 1]
        assert server.stop() == 0
