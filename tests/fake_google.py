"""Drive and Calendar over TLS, with their discovery documents, as Google's client library asks for them.

Every so often it breaks off: before the handshake, before the answer, or in the middle of it. What it answers is
counted, and what it is shown is kept.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme


def _document(name: str, version: str, base: str, resources: dict) -> dict:
    return {
        "kind": "discovery#restDescription",
        "id": f"{name}:{version}",
        "name": name,
        "version": version,
        "rootUrl": f"{base}/",
        "servicePath": f"{name}/{version}/",
        "baseUrl": f"{base}/{name}/{version}/",
        "batchPath": f"batch/{name}/{version}",
        "parameters": {"fields": {"type": "string", "location": "query"}},
        "schemas": {"Anything": {"id": "Anything", "type": "object", "properties": {}}},
        "resources": resources,
    }


def _method(id_: str, path: str, http: str = "GET", **parameters: str) -> dict:
    said = {
        name: {"type": "string", "location": place, "required": place == "path"}
        for name, place in parameters.items()
    }
    found = {"id": id_, "path": path, "httpMethod": http, "parameters": said}
    found["response"] = {"$ref": "Anything"}  # without one the library gives bytes
    if any(place == "path" for place in parameters.values()):
        found["parameterOrder"] = [n for n, place in parameters.items() if place == "path"]
    return found


def _documents(base: str) -> dict[str, dict]:
    drive = {
        "files": {
            "methods": {
                "list": _method("drive.files.list", "files", pageSize="query", q="query"),
                "get": _method("drive.files.get", "files/{fileId}", fileId="path"),
            }
        }
    }
    calendar = {
        "events": {
            "methods": {
                "list": _method(
                    "calendar.events.list", "calendars/{calendarId}/events", calendarId="path"
                )
            }
        }
    }
    return {
        "drive/v3": _document("drive", "v3", base, drive),
        "calendar/v3": _document("calendar", "v3", base, calendar),
    }


@dataclass
class Google:
    """The fake, and what it has seen."""

    port: int = 0
    authority: Path = Path()
    break_every: int = 0
    """So many connections or requests, one of which breaks off; 0: none."""
    good: set[str] = field(default_factory=lambda: {"token-1"})
    counts: Counter = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)
    peers: set[int] = field(default_factory=set)
    """Ports of the connections that were made."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def discovery_url(self) -> str:
        return f"{self.url}/discovery/v1/apis/{{api}}/{{apiVersion}}/rest"

    def breaks(self, what: str) -> bool:
        with self.lock:
            self.counts[what] += 1
            broken = bool(self.break_every) and self.counts[what] % self.break_every == 0
            self.counts["broken"] += broken
            return broken


def _reset(connection: socket.socket) -> None:
    """Closes it with a reset, as a middlebox does."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, google: Google, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.google = google
        self.context = context

    def finish_request(self, request, client_address) -> None:
        google = self.google
        with google.lock:
            google.peers.add(client_address[1])
        if google.breaks("handshakes"):
            request.recv(1)
            _reset(request)
            return
        with suppress(OSError):
            request.settimeout(30)
            wrapped = self.context.wrap_socket(request, server_side=True)
            self.RequestHandlerClass(wrapped, client_address, self)
            wrapped.close()

    def handle_error(self, request, client_address) -> None:
        """Broken connections are this server's trade."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        google = self.server.google
        path = self.path.partition("?")[0]
        document = re.fullmatch(r"/discovery/v1/apis/(\w+)/(\w+)/rest", path)
        if document:
            self._answer(200, _documents(google.url)[f"{document[1]}/{document[2]}"])
            return
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        with google.lock:
            google.shown.append(token)
            google.counts[path] += 1
        if token not in google.good:
            self._answer(401, {"error": {"code": 401, "message": "Invalid Credentials"}})
        elif path == "/drive/v3/files/secret":
            self._answer(403, {"error": {"code": 403, "message": "The caller may not."}})
        elif path == "/drive/v3/files":
            self._answer(200, {"files": [{"id": "f1", "name": "Notes"}]})
        elif path.startswith("/drive/v3/files/"):
            self._answer(200, {"id": path.rpartition("/")[2], "name": "Notes"})
        elif path.startswith("/calendar/v3/calendars/"):
            self._answer(200, {"items": [{"summary": "Lunch"}]})
        else:
            self._answer(404, {"error": {"code": 404, "message": "Not Found"}})

    def _answer(self, status: int, value: dict) -> None:
        google = self.server.google
        body = json.dumps(value).encode()
        if google.breaks("answers"):
            _reset(self.connection)
            raise ConnectionResetError
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if google.breaks("bodies"):
            self.wfile.write(body[:5])
            self.wfile.flush()
            _reset(self.connection)
            raise ConnectionResetError
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def google_at(folder: Path, **members: object) -> Iterator[Google]:
    """The fake, serving while the block runs."""
    authority = trustme.CA()
    google = Google(authority=folder / "authority.pem", **members)
    authority.cert_pem.write_to_path(google.authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = _Server(google, context)
    google.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield google
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
