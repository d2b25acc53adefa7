"""A browser that says yes: it goes to the address it is given, and comes back where it is sent."""

import http.client
import threading
from urllib.parse import urlsplit


def fetch(url: str) -> tuple[int, str | None]:
    """The status, and where it sends one."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        reply = connection.getresponse()
        reply.read()
        return reply.status, reply.getheader("location")
    finally:
        connection.close()


def browse(url: str) -> None:
    """Says yes, and comes back in its own time."""
    _, back = fetch(url)
    threading.Thread(target=fetch, args=(back,), daemon=True).start()
