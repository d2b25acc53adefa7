"""A REST API that takes bearer tokens, remembers what it was asked, and can be told to break off."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ONE, ALL, NEW = "secret-of-tenant-one", "secret-of-everybody", "token-renewed-0123"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served = 0
    """Requests of its connection, which has a handler of its own."""

    def answer(self):
        api = self.server.api
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.served += 1
        api.seen.append((self.command, self.path, headers, body))
        path = self.path.partition("?")[0]
        shown = headers.get("authorization", "").removeprefix("Bearer ")
        if path == "/token":
            return self.tell(200, json.dumps({"access_token": NEW, "expires_in": 3600}).encode())
        if shown not in api.good:
            return self.tell(401, b'{"message":"Bad credentials"}')
        if path.endswith("/stream"):
            return self.stream()
        if path.endswith("/mirror"):
            return self.tell(200, json.dumps(headers).encode())
        if path.endswith("/mirror-in-pieces"):
            return self.mirror(f"you said {shown}, did you?".encode())
        if path.endswith("/cut"):
            return self.cut()
        if path.endswith("/echo"):
            return self.tell(
                200, body or b"{}", ("set-cookie", "s=1"), ("x-echo", shown), ("etag", shown),
                ("link", "<next>"), ("x-github-request-id", "gh-1"), ("server", "hidden/1"),
            )  # fmt: skip
        if path.endswith("/moved"):
            return self.tell(302, b"", ("location", "http://169.254.169.254/latest"))
        if path.endswith("/lost") and self.served > 1:
            # It has done what it was asked for, and nobody hears of it.
            self.close_connection = True
            return None
        if path.endswith(("/lost", "/none")):
            return self.tell(204, b"")
        if path.endswith("/big"):
            return self.tell(200, b"x" * 3_000_000)
        return self.tell(403, b'{"message":"Resource not accessible"}')

    def tell(self, status, body, *more):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in more:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def mirror(self, body):
        """In pieces that cut the credential in two."""
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in (body[:15], body[15:20], body[20:], b""):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
            time.sleep(0.05)

    def cut(self):
        """Promises more than it sends."""
        self.send_response(200)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", "1000000")
        self.end_headers()
        self.wfile.write(b"x" * 100_000)
        self.wfile.flush()
        self.close_connection = True

    def stream(self):
        api = self.server.api
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        with suppress(OSError):
            for number in range(100):
                piece = f"data: {number}\n\n".encode()
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()
                if api.last.wait(0.05) and number >= 3:
                    self.wfile.write(b"0\r\n\r\n")
                    return
        api.left = time.monotonic()
        self.close_connection = True

    def log_message(self, *_):
        """Says nothing."""


for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
    setattr(Handler, f"do_{method}", Handler.answer)


class Api:
    def __init__(self):
        self.seen, self.good, self.left, self.port = [], {ONE, ALL, NEW}, 0.0, 0
        self.last = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def calls(self, path):
        return [each for each in self.seen if each[1].partition("?")[0] == path]


@contextmanager
def serving() -> Iterator[Api]:
    api = Api()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.api, api.port = api, server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
