"""What the transport suite is written with: every story runs over every client, in every loop."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvloop
from tests.conformance.upstream import Exchange, Upstream

from dragoman.attempt.ports import Transport, UpstreamReply, UpstreamRequest
from dragoman.core.errors import UpstreamError
from dragoman.transport.http import Client, open_transport

CLIENTS: tuple[Client, ...] = ("direct", "ry", "aiohttp")
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,  # as served
    "asyncio": asyncio.new_event_loop,
}

SECRET = "sk-canary-4711"


def story(test: Callable[..., Awaitable[None]]) -> Any:
    """Runs an async test over each client in each loop.

    The libraries in a loop that nobody serves with are left to the long gate.
    """

    def run(client: Client, loop: str, **others: Any) -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(test(client, **others))  # type: ignore[arg-type]  # tests are coroutines

    functools.update_wrapper(run, test)
    del run.__wrapped__  # type: ignore[attr-defined]  # pytest would read the inner signature
    own = list(inspect.signature(test).parameters.values())
    loop = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = inspect.Signature([*own, loop])  # type: ignore[attr-defined]  # as above
    pairs = [
        pytest.param(
            client,
            loop,
            marks=[pytest.mark.gate] if loop == "asyncio" and client != "direct" else [],
        )
        for client in CLIENTS
        for loop in LOOPS
    ]
    return pytest.mark.parametrize(("client", "loop"), pairs)(run)


@asynccontextmanager
async def opened(client: Client, **options: Any) -> AsyncIterator[Transport]:
    """A transport that is closed with the block."""
    transport = open_transport(client, **options)
    try:
        yield transport
    finally:
        await transport.close()


def post(
    url: str,
    *,
    body: bytes | None = b'{"model":"m"}',
    headers: dict[str, str] | None = None,
    method: str = "POST",
    connect_s: float = 20.0,
    first_byte_s: float = 60.0,
) -> UpstreamRequest:
    """A request as attempt makes it, with a secret in it that must never come back.

    Whoever does not say a time wants none to run out, however busy the machine is.
    """
    return UpstreamRequest(
        method,
        url,
        {"content-type": "application/json", "authorization": f"Bearer {SECRET}"}
        | (headers or {}),
        body,
        connect_s,
        first_byte_s,
    )


async def collect(reply: UpstreamReply) -> bytes:
    """The body, piece by piece."""
    pieces = []
    while (piece := await reply.next()) is not None:
        assert type(piece) is bytes
        pieces.append(piece)
    return b"".join(pieces)


async def whole(transport: Transport, request: UpstreamRequest) -> bytes:
    """Head and body in one."""
    return await (await transport.send(request)).read(2**20)


async def failing(awaitable: Awaitable[Any]) -> UpstreamError:
    """The error that this raises, checked for what no error may carry."""
    with pytest.raises(UpstreamError) as caught:
        await awaitable
    error = caught.value
    for text in (str(error), repr(error), error.message):
        assert SECRET not in text
        assert "://" not in text
        assert "?" not in text
        assert text.count(". ") == 0, "one sentence"
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


def told(error: UpstreamError) -> tuple[str, str | None, str, bool]:
    """What verdicts are made of."""
    return error.kind, error.code, error.sent, error.retryable


async def closed_after(provider: Upstream, since: float, number: int = -1) -> float:
    """Seconds until the provider saw the close of a connection."""
    connection = provider.connections[number]
    async with asyncio.timeout(LATE_S):
        await connection.closed.wait()
    assert connection.closed_at is not None
    return connection.closed_at - since


def now() -> float:
    """The loop's clock, which the upstream notes its times by."""
    return asyncio.get_running_loop().time()


async def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    """Waits for something to become true."""
    end = now() + timeout_s
    while not condition():
        assert now() < end, "did not happen in time"
        await asyncio.sleep(0.005)


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancels a task, which must end by that and by nothing else."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Environment variables for a while, under both spellings."""
    spelled = {key: value for name, value in values.items() for key in (name, name.lower())}
    before = {key: os.environ.get(key) for key in spelled}
    os.environ.update(spelled)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def resident_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def sockets_to(port: int) -> list[socket.socket]:
    """Duplicates of this process's sockets that are connected to a port, whoever made them."""
    found: dict[str, socket.socket] = {}
    for entry in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError):
            # A duplicate may take a number that is still to come in this very list.
            inode = str(entry.readlink())
            if inode in found or not inode.startswith("socket:"):
                continue
            sock = socket.socket(fileno=os.dup(int(entry.name)))
            try:
                connected = sock.family == socket.AF_INET and sock.getpeername()[1] == port
            except OSError:
                connected = False
            if connected:
                found[inode] = sock
            else:
                sock.close()
    return list(found.values())


class Certificates:
    """An authority of the tests, and what it issues."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.file = folder / "authority.pem"
        self.authority.cert_pem.write_to_path(str(self.file))
        self._other = trustme.CA()
        self.other_file = folder / "other.pem"
        self._other.cert_pem.write_to_path(str(self.other_file))

    def good(self) -> ssl.SSLContext:
        """A server that is what it says."""
        return _server(self.authority.issue_cert("localhost"))

    def bad(self, name: str) -> ssl.SSLContext:
        """A server whose certificate is expired, early, of another host, or of a stranger."""
        today = datetime.now(UTC)
        day = timedelta(days=1)
        issue = self.authority.issue_cert
        match name:
            case "expired":
                made = issue("localhost", not_before=today - 9 * day, not_after=today - day)
            case "early":
                made = issue("localhost", not_before=today + day, not_after=today + 9 * day)
            case "wrong host":
                made = issue("other.example")
            case "untrusted":
                made = self._other.issue_cert("localhost")
            case other:
                raise AssertionError(other)
        return _server(made)

    def self_signed(self) -> ssl.SSLContext:
        """A server that shows the stranger's own root as its certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with (
            self._other.cert_pem.tempfile() as cert,
            self._other.private_key_pem.tempfile() as key,
        ):
            context.load_cert_chain(cert, key)
        return context


def _server(made: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.configure_cert(context)
    return context


async def count_up(exchange: Exchange) -> None:
    """A script: answers with how many requests this connection has answered before."""
    await exchange.reply(str(exchange.served).encode())


async def busy(exchange: Exchange) -> None:
    """A script: a stream without end, two thousand pieces a second."""
    await exchange.head(200, "transfer-encoding: chunked")
    while True:
        await exchange.chunk(b"data: x\n\n")
        await asyncio.sleep(0.0005)


PAGE = Path(__file__).parents[2] / "docs" / "transport.md"


@functools.lru_cache
def page_rows() -> dict[str, dict[Client, str]]:
    """What ``docs/transport.md`` says of each client, by the first cell of each row."""
    rows = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 1 + len(CLIENTS):
            rows[cells[0]] = dict(zip(CLIENTS, cells[1:], strict=True))
    return rows


def stopwatch() -> Callable[[], float]:
    """Seconds since it was made."""
    start = time.perf_counter()
    return lambda: time.perf_counter() - start


LATE_S = 5.0
"""How much later than a timer a busy machine may end something; far less than what ``post`` allows."""


def ran_out(took_s: float, due_s: float) -> bool:
    """Whether that was the timer of so many seconds: not before it, and no other one's."""
    return due_s - 0.1 < took_s < due_s + LATE_S
