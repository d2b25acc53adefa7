"""An HTTP proxy on loopback that connects on CONNECT and pours both ways; it keeps what it was asked for."""

import base64
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Where it is, and what it saw."""

    port: int = 0
    user: str = "ada"
    password: str = "p@ss"
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.user}:p%40ss@127.0.0.1:{self.port}"


def _pour(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def _serve(client: socket.socket, proxy: Proxy) -> None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = client.recv(1)
        if not piece:
            client.close()
            return
        head += piece
    line, *rest = head.decode().split("\r\n")
    proxy.asked.append(line.rpartition(" ")[0])
    pair = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
    if f"proxy-authorization: basic {pair}".lower() not in [each.lower() for each in rest]:
        client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
        client.close()
        return
    host, _, port = line.split()[1].rpartition(":")
    upstream = socket.create_connection((host, int(port)), 5)
    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
    there = threading.Thread(target=_pour, args=(client, upstream), daemon=True)
    there.start()
    _pour(upstream, client)
    there.join()
    client.close()
    upstream.close()


@contextmanager
def connect_proxy():
    """The proxy, up while the block runs."""
    proxy = Proxy()
    listener = socket.create_server(("127.0.0.1", 0))
    proxy.port = listener.getsockname()[1]

    serving: list[threading.Thread] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                serving.append(threading.Thread(target=_serve, args=(client, proxy), daemon=True))
                serving[-1].start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for each in (thread, *serving):
            each.join(5)
