"""Callers that are slow on purpose are let go in time, and nobody else notices (L7, L8, L9)."""

import json
import socket
import threading
import time
from contextlib import ExitStack

import pytest

from dragoman.surface.body import SLOW_BODY_S
from dragoman.surface.connection import HEAD_S, LINGER_S
from servers import gateway_server, providers_at

HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer drg_test\r\n"
)


def trickle(server, start: bytes, piece: bytes, seconds: float, count: int) -> list[float]:
    """Opens connections that go on a little every second; after how many seconds each was closed."""
    ends = [float("inf")] * count

    def one(number: int) -> None:
        with socket.create_connection(("127.0.0.1", server.port), 10) as caller:
            began = time.monotonic()
            caller.sendall(start)
            caller.settimeout(1)
            while time.monotonic() < began + seconds:
                try:
                    caller.sendall(piece)
                    if not caller.recv(4096):
                        ends[number] = time.monotonic() - began
                        return
                except TimeoutError:
                    continue
                except OSError:
                    ends[number] = time.monotonic() - began
                    return

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    statuses = set()
    slowest = 0.0
    while any(thread.is_alive() for thread in threads):
        began = time.monotonic()
        statuses.add(server.chat().status)
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.1)
    assert statuses == {200}
    assert slowest < 2
    return ends


def test_heads_that_come_slowly_are_cut_off_while_others_are_served(mock, tmp_path):
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        ends = trickle(server, HEAD, b"x-a: b\r\n", HEAD_S + 5, 60)
    assert max(ends) < HEAD_S + 3


@pytest.mark.gate
def test_bodies_that_come_slowly_are_cut_off_while_others_are_served(mock, tmp_path):
    start = HEAD + b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"
    with gateway_server(tmp_path, **providers_at(mock.port)) as server:
        ends = trickle(server, start, b" ", SLOW_BODY_S + LINGER_S + 8, 60)
    assert max(ends) < SLOW_BODY_S + LINGER_S + 5


def test_callers_that_read_nothing_are_let_go_while_others_are_served(mock, tmp_path):
    body = json.dumps(
        {
            "model": "openai/gpt-4o-mini--mock-length-200000",
            "stream": True,
            "messages": [{"role": "user", "content": "hi"}],
        }
    ).encode()
    request = HEAD + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    environment = {**providers_at(mock.port), "STREAM_WRITE_TIMEOUT_MS": "2000"}
    with gateway_server(tmp_path, **environment) as server, ExitStack() as open_ones:
        for _ in range(10):
            caller = open_ones.enter_context(socket.socket())
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.connect(("127.0.0.1", server.port))
            caller.sendall(request + body)
        deadline = time.monotonic() + 25
        while True:
            assert server.chat().status == 200
            text = server.ask("GET", "/metrics", key=None).body.decode()
            (active,) = [
                float(line.split()[-1])
                for line in text.splitlines()
                if line.startswith("dragoman_active_requests ")
            ]
            if active == 0 and len(server.rows()) >= 10:
                break
            assert time.monotonic() < deadline, f"{active} of them are still waited for"
            time.sleep(0.3)
