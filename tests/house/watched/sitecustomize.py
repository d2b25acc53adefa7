"""Refuses every address but loopback, and writes down who asked for another.

Python imports this before anything else where its folder is on ``PYTHONPATH``; ``test_offline``
starts the server that way. The file named by ``REACHED`` begins with a line that says so.
"""

import os
import sys
from pathlib import Path

_FILE = Path(os.environ["REACHED"])
_NEAR = ("127.", "::1", "localhost", "0.0.0.0", "::")


def _watch(event: str, arguments: tuple) -> None:
    if event in {"socket.connect", "socket.sendto"}:
        address = arguments[1]
        where = str(address[0]) if isinstance(address, tuple) else "127.0.0.1"
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        where = str(arguments[0] or "127.0.0.1")
    else:
        return
    if not where.startswith(_NEAR):
        with _FILE.open("a") as told:
            told.write(f"{event} {where}\n")
        raise PermissionError(f"no network here: {event} {where}")


_FILE.write_text("watching\n")
sys.addaudithook(_watch)
