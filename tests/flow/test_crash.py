"""kill -9 under load: every answered request is in the ledger once."""

import collections
import http.client
import json
import signal
import threading
import time
from contextlib import closing

import pytest

from servers import gateway_server, providers_at

PACE = "--mock-delay-5"


def work(port, worker, answered, stop):
    """Asks until it is stopped or the server is gone; keeps the ids of what was answered whole."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        ask_on(connection, worker, answered, stop)


def ask_on(connection, worker, answered, stop):
    number = 0
    while not stop.is_set():
        number += 1
        request_id = f"crash-{worker}-{number}-{time.monotonic_ns()}"
        stream = number % 2 == 0
        body = {
            "model": f"openai/gpt-4o-mini{PACE}",
            "stream": stream,
            "messages": [{"role": "user", "content": "hi"}],
        }
        try:
            connection.request(
                "POST",
                "/v1/chat/completions",
                json.dumps(body),
                {"authorization": "Bearer drg_test", "x-request-id": request_id},
            )
            response = connection.getresponse()
            whole = response.read()
        except (OSError, http.client.HTTPException):
            return
        finished = whole.endswith(b"data: [DONE]\n\n") if stream else whole.endswith(b"}")
        if response.status == 200 and finished:
            answered.append(request_id)


def crash_once(mock, folder, answered, *, seconds, workers=8):
    stop = threading.Event()
    with gateway_server(folder, **providers_at(mock.port), USAGE_FLUSH_INTERVAL="0.3") as server:
        threads = [
            threading.Thread(target=work, args=(server.port, n, answered, stop))
            for n in range(workers)
        ]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        stop.set()
        for thread in threads:
            thread.join(10)


def check(mock, folder, answered):
    with gateway_server(folder, **providers_at(mock.port)) as server:
        deadline = time.monotonic() + 15
        while True:
            rows = server.rows(limit=100_000)
            counts = collections.Counter(row["request_id"] for row in rows)
            missing = [name for name in answered if name not in counts]
            if not missing or time.monotonic() > deadline:
                break
            time.sleep(0.3)
    assert not missing, (
        f"{len(missing)} of {len(answered)} answered requests are not in the ledger"
    )
    assert [name for name, times in counts.items() if times > 1] == []
    complete = {row["request_id"]: row for row in rows if row["status"] == "complete"}
    assert all(complete[name]["input_tokens"] > 0 for name in answered)
    return rows


@pytest.mark.req("R-USE-008", "R-USE-013")
def test_every_answered_request_is_in_the_ledger_once_after_kill_nine(mock, tmp_path):
    answered: list[str] = []
    for seconds in (0.9, 0.5, 1.3):
        crash_once(mock, tmp_path, answered, seconds=seconds)
    assert len(answered) > 100
    rows = check(mock, tmp_path, answered)
    # What was under way when the process died is there too, and says that it is unknown.
    for row in rows:
        if row["status"] == "unknown":
            assert row["input_tokens"] is None
            assert row["cost_usd"] is None


@pytest.mark.gate
@pytest.mark.timeout(600)
def test_forty_crashes_lose_and_double_nothing(mock, tmp_path):
    answered: list[str] = []
    for number in range(40):
        crash_once(mock, tmp_path, answered, seconds=0.2 + (number * 37 % 100) / 100)
    assert len(answered) > 2000
    check(mock, tmp_path, answered)
