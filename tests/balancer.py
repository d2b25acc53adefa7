"""A balancer as small as one can be: it joins TCP connections, to whoever says at ``/ready`` that it is.

It looks every ``LOOK_S`` seconds, as the probes of real ones do, and cuts no connection that it has joined.
"""

import contextlib
import http.client
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LOOK_S = 0.1
PIECE = 65536


class Balancer:
    """Listens on ``port`` while its context is open."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listening.getsockname()[1]
        self.behind: list[int] = []
        """Ports that are asked whether they are ready."""
        self._ready: list[int] = []
        self._turn = 0
        self._over = threading.Event()

    def look(self) -> None:
        """Asks each once."""
        self._ready = [port for port in list(self.behind) if is_ready(port)]

    def watch(self) -> None:
        while not self._over.wait(LOOK_S):
            self.look()

    def accept(self) -> None:
        while not self._over.is_set():
            try:
                caller, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(caller,), daemon=True).start()

    def end(self) -> None:
        self._over.set()
        self._listening.close()

    def _join(self, caller: socket.socket) -> None:
        with contextlib.closing(caller):
            ready = self._ready
            self._turn += 1
            if not ready:
                return
            try:
                other = socket.create_connection(("127.0.0.1", ready[self._turn % len(ready)]), 5)
            except OSError:
                return
            with contextlib.closing(other), contextlib.suppress(OSError):
                carry(caller, other)


def carry(one: socket.socket, two: socket.socket) -> None:
    """Copies both ways until either side has ended."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, two)
        selector.register(two, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select(60):
                data = key.fileobj.recv(PIECE)
                if not data:
                    return
                key.data.sendall(data)


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def balancing() -> Iterator[Balancer]:
    balancer = Balancer()
    for work in (balancer.watch, balancer.accept):
        threading.Thread(target=work, daemon=True).start()
    try:
        yield balancer
    finally:
        balancer.end()
