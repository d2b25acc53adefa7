"""Where a browser comes back to: one address on this machine, for one answer (RFC 8252, 7.3).

It listens on loopback alone, takes one request for its path, and tells the person that the window can be
closed. Whether the answer belongs to our question is judged by ``protocol.code_of_redirect``, before anything
is said to be well: a stranger's link must not end the wait.
"""

from __future__ import annotations

import http.server
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from dragoman.core.errors import GatewayError, HouseError

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Dragoman</title>
<body style="font-family: sans-serif; margin: 4em"><h1>{title}</h1><p>{text}</p></body></html>"""
_TURN_S = 0.25
_REQUEST_S = 5.0


class Return:
    """The address, listening."""

    def __init__(self, redirect: str) -> None:
        parts = urlsplit(redirect)
        self._path = parts.path or "/"
        self._seen: list[str] = []
        self._judge: Callable[[str], object] = str
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """Takes the answer, and nothing else."""

            timeout = _REQUEST_S
            server_version = "dragoman"
            sys_version = ""

            def do_GET(self) -> None:
                outer._answer(self)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """The address holds a code: nothing of it is told."""

        try:
            self._server = http.server.HTTPServer(("127.0.0.1", parts.port or 0), Handler)
        except OSError as error:
            raise HouseError(
                "server",
                f"Port {parts.port} on this machine cannot be listened on ({error.strerror}): end who "
                "holds it, or say another redirect for this login in dragoman.toml.",
                code="port_taken",
            ) from None
        self._server.timeout = _TURN_S
        host = "localhost" if parts.hostname == "localhost" else "127.0.0.1"
        self.url = f"http://{host}:{self._server.server_port}{self._path}"
        """What the server is told to send the browser back to."""

    def wait(self, judge: Callable[[str], str], patience_s: float) -> str:
        """What ``judge`` makes of the address that the browser came back to.

        An answer that belongs to another question (code ``wrong_state``) is refused, and the wait goes on.

        Raises:
            HouseError: nobody came in time.
            GatewayError: what ``judge`` raises.
        """
        self._judge = judge
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            self._server.handle_request()
            if self._seen:
                return judge(self._seen[0])
        raise HouseError(
            "server", f"Nobody has logged in within {patience_s:g} seconds.", code="login_timeout"
        )

    def close(self) -> None:
        """Stops listening."""
        self._server.server_close()

    def _answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        if urlsplit(request.path).path != self._path or self._seen:
            _send(request, 404, "Nothing is here", "This address is for one login alone.")
            return
        url = f"{self.url.removesuffix(self._path)}{request.path}"
        try:
            self._judge(url)
        except GatewayError as error:
            if error.code in {"wrong_state", "wrong_issuer"}:
                _send(request, 400, "Not taken", "This answer belongs to another login.")
                return
            self._seen.append(url)
            _send(request, 400, "Not logged in", "The program in the terminal says why.")
            return
        self._seen.append(url)
        _send(request, 200, "Logged in", "You may close this window.")


@contextmanager
def listening(redirect: str) -> Iterator[Return]:
    """The address, listening while the block runs.

    Raises:
        HouseError: its port is taken.
    """
    found = Return(redirect)
    try:
        yield found
    finally:
        found.close()


def _send(request: http.server.BaseHTTPRequestHandler, status: int, title: str, text: str) -> None:
    body = _PAGE.format(title=title, text=text).encode()
    request.send_response(status)
    request.send_header("content-type", "text/html; charset=utf-8")
    request.send_header("content-length", str(len(body)))
    request.send_header("cache-control", "no-store")
    request.send_header("referrer-policy", "no-referrer")
    request.send_header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'")
    request.send_header("connection", "close")
    request.end_headers()
    request.wfile.write(body)
    request.close_connection = True
