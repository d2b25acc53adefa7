"""A provider that has answered, and whose answer the network has lost on a kept connection (U15).

Nobody can tell that from a connection that was closed before: the request is sent once more. The provider charges
for both, so both stand in the ledger.
"""

import asyncio
import socket
import socketserver
import threading
from contextlib import contextmanager, suppress

import pytest

from harness.callers import Callers, Wish
from harness.dialects import DIALECTS, PROVIDERS
from harness.house import named, scene
from harness.verdict import verdict
from servers import KEY, gateway_server, providers_at


class _Line(socketserver.BaseRequestHandler):
    """A connection that passes on its first answer, loses the next, and ends with that."""

    def handle(self):
        near, target = self.request, self.server.target
        answered = threading.Event()
        over = threading.Event()
        with socket.create_connection(target) as far:
            asking = threading.Thread(target=self.ask, args=(near, far, answered, over))
            asking.start()
            with suppress(OSError):
                while data := far.recv(65536):
                    if over.is_set():
                        break
                    answered.set()
                    near.sendall(data)
            for end in (near, far):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            asking.join()

    def ask(self, near, far, answered, over):
        with suppress(OSError):
            while data := near.recv(65536):
                if answered.is_set():
                    over.set()
                far.sendall(data)
            far.shutdown(socket.SHUT_RDWR)


class _Lines(socketserver.ThreadingTCPServer):
    daemon_threads = False


@contextmanager
def losing(port):
    """A way to a port of this machine whose connections each lose all answers but the first."""
    with _Lines(("127.0.0.1", 0), _Line) as lines:
        lines.target = ("127.0.0.1", port)
        serving = threading.Thread(target=lines.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield lines.server_address[1]
        finally:
            lines.shutdown()
            serving.join()


@pytest.mark.req("U15", "M1", "R-USE-011")
def test_what_the_network_has_lost_is_on_the_ledger_as_on_the_invoice(tmp_path):
    model = named("odd", "words-4")
    once = (("routing", {"max_attempts": 1}),)
    wishes = [
        Wish(caller, f"{provider}/{model}", stream, members=once)
        for caller in DIALECTS
        for provider in PROVIDERS.values()
        for stream in (False, True)
    ]
    with scene(tmp_path, [model]) as place, losing(place.mock.port) as port:
        callers = Callers(KEY, 15)
        settings = {**place.settings, **providers_at(port)}
        with gateway_server(tmp_path, patience_s=60, **settings) as server:
            asyncio.run(callers.all_of(server.port, wishes, 1))
            health = server.ask("GET", "/ready", key=None).json()["providers"]
            assert server.stop() == 0, server.tail()
        report = verdict(place, callers)
    # It is nobody's fault, and no try that the callers' bound of one is about.
    assert set(health.values()) == {"healthy"}
    assert report.heard["whole"] == len(wishes)
    assert report.statuses["upstream_error"] == report.open_attempts > len(wishes) // 2
