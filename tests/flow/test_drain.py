"""SIGTERM: streams end first, then the process, with status 0."""

import http.client
import json
import signal
import threading
import time
from contextlib import closing

import pytest

from servers import gateway_server, providers_at

BODY = {
    "model": "openai/gpt-4o-mini--mock-chunk-delay-60--mock-length-150",
    "stream": True,
    "messages": [{"role": "user", "content": "hi"}],
}


def stream(port, results, request_id):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        headers = {"authorization": "Bearer drg_test", "x-request-id": request_id}
        connection.request("POST", "/v1/chat/completions", json.dumps(BODY), headers)
        results[request_id] = connection.getresponse().read()


def start_streams(port, count):
    results: dict[str, bytes] = {}
    threads = [
        threading.Thread(target=stream, args=(port, results, f"drain-{n}")) for n in range(count)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    return results, threads


def test_open_streams_run_to_their_end_and_are_all_accounted(mock, tmp_path):
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        results, threads = start_streams(server.port, 12)
        server.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(20)
        assert server.process.wait(20) == 0
    assert len(results) == 12
    assert all(body.endswith(b"data: [DONE]\n\n") for body in results.values())
    assert not any(b'"error"' in body for body in results.values())
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        rows = {row["request_id"]: row for row in server.rows()}
        assert {rows[name]["status"] for name in results} == {"complete"}


def test_streams_beyond_the_drain_limit_get_an_error_frame(mock, tmp_path):
    environment = {**providers_at(mock.port), "DRAIN_TIMEOUT_S": "1"}
    with gateway_server(tmp_path, **environment) as server:
        patient = {**BODY, "model": "openai/gpt-4o-mini--mock-chunk-delay-60--mock-length-5000"}
        results: dict[str, bytes] = {}

        def long_stream():
            with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as up:
                headers = {"authorization": "Bearer drg_test"}
                up.request("POST", "/v1/chat/completions", json.dumps(patient), headers)
                results["long"] = up.getresponse().read()

        thread = threading.Thread(target=long_stream)
        thread.start()
        time.sleep(0.5)
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        thread.join(20)
        assert server.process.wait(20) == 0
        assert time.monotonic() - start < 6
    frames = [f.removeprefix("data: ") for f in results["long"].decode().split("\n\n") if f]
    assert frames[-1] == "[DONE]"
    assert json.loads(frames[-2])["error"]["code"] == "server_draining"


@pytest.mark.req("R-SURF-031")
def test_an_idle_server_ends_at_once(tmp_path):
    with gateway_server(tmp_path) as server:
        start = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - start < 3
