"""A tenant that has all the fetches it may is told so over HTTP, when to come back, and then served.

Four requests with four pictures each, at a host that is slow, are half of the process's 32 places:
as many as one tenant may hold. Whoever asks meanwhile waits for a place, and gets none.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from servers import Server, gateway_server, providers_at

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
GEMINI, OLLAMA = "google/gemini-2.5-flash", "ollama/llava"
HELD = 16
STATUS = {"anthropic": 529}
"""What its clients know for an overloaded server; it is 503 elsewhere."""


class Slow(ThreadingHTTPServer):
    """A server of pictures that keeps everybody waiting until it is let go."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.go = threading.Event()
        self.waiting = threading.Semaphore(0)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}.png"


class _Handler(BaseHTTPRequestHandler):
    server: Slow

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self.server.waiting.release()
        self.server.go.wait(20)
        self.send_response(200)
        self.send_header("content-type", "image/png")
        self.send_header("content-length", str(len(PICTURE)))
        self.end_headers()
        self.wfile.write(PICTURE)


@pytest.fixture
def slow() -> Iterator[Slow]:
    with Slow() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.go.set()
        server.shutdown()


@pytest.fixture
def open_gateway(mock, tmp_path) -> Iterator[Server]:
    """A gateway that may fetch from this machine."""
    settings = providers_at(mock.port) | {"IMAGE_FETCH_ALLOW_PRIVATE": "true"}
    with gateway_server(tmp_path, **settings) as server:
        yield server


def chat(*urls: str) -> tuple[str, dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"type": "text", "text": "What is it?"}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    said = [{"role": "user", "content": parts}]
    return "/v1/chat/completions", {"model": GEMINI, "messages": said}


def responses(url: str) -> tuple[str, dict[str, Any]]:
    part = {"type": "input_image", "detail": "auto", "image_url": url}
    return "/v1/responses", {"model": GEMINI, "input": [{"role": "user", "content": [part]}]}


def anthropic(url: str) -> tuple[str, dict[str, Any]]:
    image = {"type": "image", "source": {"type": "url", "url": url}}
    said = [{"role": "user", "content": [image]}]
    return "/v1/messages", {"model": OLLAMA, "max_tokens": 50, "messages": said}


def gemini(url: str) -> tuple[str, dict[str, Any]]:
    file = {"fileData": {"mimeType": "image/png", "fileUri": url}}
    contents = [{"role": "user", "parts": [{"text": "x"}, file]}]
    return f"/v1beta/models/{OLLAMA}:generateContent", {"contents": contents}


ASKED = (chat, responses, anthropic, gemini)


def shape_of(dialect: str, told: dict[str, Any]) -> None:
    """The error has its dialect's words for an overloaded server."""
    error = told["error"]
    assert "already fetching as much for you as it may" in error["message"]
    match dialect:
        case "anthropic":
            assert (told["type"], error["type"]) == ("error", "overloaded_error")
        case "gemini":
            assert (error["code"], error["status"]) == (503, "UNAVAILABLE")
        case _:
            assert error["code"] == "image_fetch_busy"


def test_a_busy_tenant_is_told_when_to_come_back_and_is_served_then(open_gateway, slow):
    def ask(path_and_body):
        return open_gateway.ask("POST", *path_and_body)

    with ThreadPoolExecutor(4 + len(ASKED)) as pool:
        hogs = [
            pool.submit(ask, chat(*(slow.url(f"{each}-{number}") for number in range(4))))
            for each in range(4)
        ]
        try:
            assert all(slow.waiting.acquire(timeout=10) for _ in range(HELD))
            start = time.monotonic()
            late = [pool.submit(ask, made(slow.url(made.__name__))) for made in ASKED]
            replies = [each.result() for each in late]
            waited = time.monotonic() - start
        finally:
            slow.go.set()
        assert [each.result().status for each in hogs] == [200] * 4

    assert 4 < waited < 14, "they wait for a place, and less long than the fetches may take"
    assert not slow.waiting.acquire(blocking=False), "the late were not fetched for"
    for made, reply in zip(ASKED, replies, strict=True):
        assert reply.status == STATUS.get(made.__name__, 503), reply.body
        assert int(reply.headers["retry-after"]) >= 1
        assert str(slow.server_port) not in reply.body.decode()
        shape_of(made.__name__, reply.json())
    again = [ask(made(slow.url(made.__name__))) for made in ASKED]
    assert [reply.status for reply in again] == [200] * len(ASKED), [r.body for r in again]
