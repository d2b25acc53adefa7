"""How long requests of a running gateway take, alone and while old calls are removed beside it.

Requests that only go into the journal (chat), and those that wait for the database to have taken all that is there
to be written (``/v1/usage``): a lock that is held is waited for by the latter.
"""

from __future__ import annotations

import signal
import statistics
import threading
import time
from contextlib import contextmanager

import forge
from servers import Server, gateway_server, mock_server, providers_at

KINDS = ("chat", "usage")
AT_ONCE = 3
Times = dict[str, list[float]]


@contextmanager
def gateway_on(url: str, folder, **settings):
    """A gateway on that database, warm, with a provider behind it."""
    with (
        mock_server(folder) as mock,
        gateway_server(
            folder,
            DATABASE_URL=url,
            USAGE_FLUSH_INTERVAL="0.1",
            **providers_at(mock.port),
            **settings,
        ) as server,
    ):
        timed(server, lambda: False, 0.3)
        yield server


def timed(server: Server, is_over, most_s: float) -> Times:
    """The seconds that each request took, by kind, until ``is_over`` or so long."""
    found: Times = {kind: [] for kind in KINDS}
    end = time.monotonic() + most_s

    def asking() -> None:
        number = 0
        while time.monotonic() < end and not is_over():
            number += 1
            kind = KINDS[number % 4 == 0]
            start = time.monotonic()
            reply = server.chat() if kind == "chat" else server.ask("GET", "/v1/usage?limit=1")
            found[kind].append(time.monotonic() - start)
            assert reply.status == 200, reply.body

    threads = [threading.Thread(target=asking) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def removing(server: Server, begun, most_s: float) -> Times:
    """The same while ``dragoman cleanup`` removes calls; ``begun`` says whether some are gone."""
    environment = {**server.environment, "MODE": "local", "PATH": "/usr/bin:/bin"}
    said = server.log.with_name("cleanup.log")
    words = ["cleanup", "1"]
    with said.open("wb") as log:
        folder = server.log.parent
        process = forge.spawn(words, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while not begun():
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline, "the clean-up has not begun"
            time.sleep(0.01)
        found = timed(server, lambda: process.poll() is not None, most_s)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    return found


def p99(times: list[float]) -> float:
    return sorted(times)[int(0.99 * len(times))]


def told(name: str, times: Times) -> str:
    """What was measured, in one line."""
    parts = [
        f"{kind} {len(some)}: median {statistics.median(some) * 1000:.1f} ms,"
        f" p99 {p99(some) * 1000:.1f}, at most {max(some) * 1000:.1f}"
        for kind, some in times.items()
    ]
    return f"{name}: {'; '.join(parts)}"
