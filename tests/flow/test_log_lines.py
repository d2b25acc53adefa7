"""Every line of the log is one of ours: JSON, whoever had something to say."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress

from servers import gateway_server, providers_at

BIG = "x" * 20_000


def lines_of(server):
    return [json.loads(line) for line in server.log.read_text().splitlines() if line.strip()]


def ask(port, model, rcvbuf=None):
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    data = json.dumps(body).encode()
    connection = socket.socket()
    if rcvbuf:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    connection.connect(("127.0.0.1", port))
    connection.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
        b"authorization: Bearer drg_test\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(data), data)
    )
    return connection


def test_a_caller_that_never_reads_is_cut_off_and_told_of_in_one_line_of_ours(mock, tmp_path):
    environment = {**providers_at(mock.port), "STREAM_WRITE_TIMEOUT_MS": "500"}
    with gateway_server(tmp_path, **environment) as server:
        first = server.log.read_text()
        with closing(ask(server.port, "openai/gpt-4o-mini--mock-length-400000", 2048)) as deaf:
            deadline = time.monotonic() + 15
            while '"route":"/v1/chat/completions"' not in server.log.read_text():
                assert time.monotonic() < deadline
                time.sleep(0.1)
            time.sleep(0.3)
            deaf.settimeout(5)
            with suppress(ConnectionResetError):
                while deaf.recv(1 << 20):
                    pass
        server.stop()
        text = server.log.read_text().removeprefix(first)
    assert "without completing" not in text
    (line,) = [json.loads(one) for one in text.splitlines() if '"route"' in one]
    assert line["route"] == "/v1/chat/completions"


def test_what_the_server_itself_says_is_a_line_of_ours(mock, tmp_path):
    environment = {**providers_at(mock.port), "DRAIN_TIMEOUT_S": "1"}
    with gateway_server(tmp_path, **environment) as server:
        server.ask("GET", "/v1/usage")
        model = "openai/gpt-4o-mini--mock-chunk-delay-60--mock-length-5000"
        with closing(ask(server.port, model)) as connection:
            connection.recv(100)
            reader = threading.Thread(
                target=lambda: [0 for _ in iter(lambda: connection.recv(9999), b"")]
            )
            reader.start()
            assert server.stop(signal.SIGTERM) == 0
            reader.join(5)
        text = server.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    (cancelled,) = [line for line in lines if line["message"].startswith("Cancel 1 running")]
    assert (cancelled["level"], cancelled["said_by"]) == ("error", "uvicorn.error")


def test_a_start_that_fails_says_why_in_a_line_of_ours_even_where_all_is_silent(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "dragoman", "serve", "--local", "--port", "0"],
        env={"DRAGOMAN_HOME": str(tmp_path), "FERNET_KEY": "not-a-key", "LOG_LEVEL": "silent"},
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    lines = [json.loads(line) for line in (done.stderr + done.stdout).splitlines()]
    assert any("FERNET_KEY" in line["message"] for line in lines)
