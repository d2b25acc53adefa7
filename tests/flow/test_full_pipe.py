"""A log that nobody reads: the gateway answers on, and ends when it is told to."""

import os
import signal
import subprocess
import sys
import time

from servers import KEY, Server, free_port, wait_ready


def test_a_gateway_whose_log_nobody_reads_still_answers(tmp_path):
    reading, writing = os.pipe()
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "dragoman", "serve", "--local", "--port", str(port)],
        env={"DRAGOMAN_HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=writing,
    )
    server = Server(process, port, tmp_path / "no.log")
    (tmp_path / "no.log").touch()
    try:
        wait_ready(server, "/ready")
        os.set_blocking(writing, False)
        try:
            while True:
                os.write(writing, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(writing, True)
        os.close(writing)
        writing = -1
        for _ in range(150):
            reply = server.ask("POST", "/v1/chat/completions", b"{}", key=KEY, timeout=5)
            assert reply.status == 400
        start = time.monotonic()
        assert server.stop(signal.SIGTERM, patience=10) == 0
        assert time.monotonic() - start < 5
    finally:
        process.kill()
        process.wait()
        os.close(reading)
        if writing >= 0:
            os.close(writing)
