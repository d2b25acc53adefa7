"""Measures the clients against a small local upstream, and prints docs/transport.md's tables.

    python tests/conformance/measure_transport.py [--seconds 2] [--streams 1000]

The client runs on the first core, the upstream on the last; each row is a process of its own.
CPU is the whole process's, Rust's threads included, and so little disturbed by other work.
The second table is of the same over TLS, as providers are spoken to.
``bare`` rows call the library without our transport: the difference is what the port costs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import trustme
import uvloop

from dragoman.attempt.ports import UpstreamRequest
from dragoman.transport.http import open_transport

BODY = b'{"model":"m","messages":[{"role":"user","content":"' + b"hello " * 50 + b'"}]}'
ANSWER = b'{"id":"x","choices":[{"message":{"content":"' + b"word " * 100 + b'"}}]}'
PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
EVERY_S = 0.1
ROUNDS = 5
"""The best counts: what else the machine does can only make a round slower."""
HEADERS = {"content-type": "application/json", "authorization": "Bearer x", "accept": "*/*"}

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(ANSWER),
    ANSWER,
)
STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
CHUNK = b"%x\r\n%b\r\n" % (len(PIECE), PIECE)


class Provider(asyncio.Protocol):
    """Answers each request at once, or with a piece every tenth of a second until the end."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            size = end + 4 + len(BODY)
            if len(self._buffer) < size:
                return
            if self._buffer.startswith(b"POST /whole"):
                self._transport.write(WHOLE)
            else:
                self._transport.write(STREAM)
                self._next()
            self._buffer = self._buffer[size:]

    def _next(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(CHUNK)
            asyncio.get_running_loop().call_later(EVERY_S, self._next)


async def serve(authority: str) -> None:
    """Serves until it is ended, in plain and over TLS; writes its authority into a file."""
    loop = asyncio.get_running_loop()
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(authority)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert("localhost").configure_cert(tls)
    for context in (None, tls):
        server = await loop.create_server(Provider, "127.0.0.1", 0, backlog=4096, ssl=context)
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.create_future()


Send = Callable[[str], Awaitable[Any]]
"""Sends a request, gives (read the whole, next piece)."""


async def ours(name: Any, authority: Path) -> Send:
    transport = open_transport(name, tls_ca=authority)

    async def send(url: str) -> Any:
        reply = await transport.send(UpstreamRequest("POST", url, HEADERS, BODY, 30.0))
        return (lambda: reply.read(10**6)), reply.next, reply

    return send


async def bare_ry(_: Path) -> Send:
    import ry

    client = ry.Client(
        redirect=None, gzip=False, brotli=False, deflate=False, zstd=False, http1_only=True
    )

    async def send(url: str) -> Any:
        response = await client.fetch(url, method="POST", headers=HEADERS, body=BODY)
        if url.endswith("/whole"):
            return response.bytes, None, response
        stream = response.stream()
        return None, stream.__anext__, stream

    return send


async def bare_aiohttp(_: Path) -> Send:
    import aiohttp

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
    )

    async def send(url: str) -> Any:
        response = await session.request("POST", url, data=BODY, headers=HEADERS)
        return response.read, response.content.readany, response

    return send


ROWS: dict[str, Callable[[Path], Awaitable[Send]]] = {
    "direct": partial(ours, "direct"),
    "ry": partial(ours, "ry"),
    "aiohttp": partial(ours, "aiohttp"),
    "bare ry": bare_ry,
    "bare aiohttp": bare_aiohttp,
}


async def measure(
    name: str, url: str, authority: Path, seconds: float, streams: int
) -> dict[str, float]:
    """One row's figures."""
    send = await ROWS[name](authority)

    async def whole() -> None:
        read, _, _ = await send(url + "/whole")
        assert len(await read()) == len(ANSWER)

    async def caller(end: float) -> int:
        done = 0
        while time.perf_counter() < end:
            await whole()
            done += 1
        return done

    await asyncio.gather(*(caller(time.perf_counter() + 0.3) for _ in range(32)))
    # Not requests a second: a client and an upstream that each work off what came in one turn
    # wait for each other in step.
    row = {"cpu_us_request": float("inf")}
    for _ in range(ROUNDS):
        cpu, start = time.process_time(), time.perf_counter()
        done = sum(await asyncio.gather(*(caller(start + seconds) for _ in range(32))))
        row["cpu_us_request"] = min(
            row["cpu_us_request"], (time.process_time() - cpu) / done * 1e6
        )

    times = []
    for _ in range(3000):
        start = time.perf_counter()
        await whole()
        times.append(time.perf_counter() - start)
    row["p50_us"] = sorted(times)[1500] * 1e6

    before = resident_kib()
    opened = await asyncio.gather(*(send(url + "/stream") for _ in range(streams)))
    pieces = 0

    async def reader(next_piece: Callable[[], Awaitable[Any]]) -> None:
        nonlocal pieces
        while True:
            bytes(await next_piece())
            pieces += 1

    tasks = [asyncio.create_task(reader(next_piece)) for _, next_piece, _ in opened]
    await asyncio.sleep(1)
    row["kib_stream"] = (resident_kib() - before) / streams
    cpu, first = time.process_time(), pieces
    await asyncio.sleep(seconds)
    row["cpu_us_piece"] = (time.process_time() - cpu) / (pieces - first) * 1e6
    row["on_time"] = (pieces - first) / (streams * seconds / EVERY_S)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return row


async def tell(name: str, url: str, authority: Path, seconds: float, streams: int) -> None:
    """Prints one row's figures and ends the process, without taking every stream down."""
    sys.stdout.write(json.dumps(await measure(name, url, authority, seconds, streams)))
    sys.stdout.flush()
    os._exit(0)


def resident_kib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--row", choices=ROWS)
    parser.add_argument("--url")
    parser.add_argument("--authority", type=Path)
    parser.add_argument("--serve", action="store_true")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if given.serve:
        os.sched_setaffinity(0, {cores[-1]})
        uvloop.run(serve(str(given.authority)))
    elif given.row:
        os.sched_setaffinity(0, {cores[0]})
        uvloop.run(tell(given.row, given.url, given.authority, given.seconds, given.streams))
    else:
        with tempfile.TemporaryDirectory() as folder:
            compare(given.seconds, given.streams, Path(folder) / "authority.pem")


def compare(seconds: float, streams: int, authority: Path) -> None:
    """Each row in its own process, one after the other."""
    me = [sys.executable, __file__, "--authority", str(authority)]
    with subprocess.Popen([*me, "--serve"], stdout=subprocess.PIPE, text=True) as provider:
        try:
            assert provider.stdout is not None
            plain, secure = (int(provider.stdout.readline()) for _ in range(2))
            for url in (f"http://127.0.0.1:{plain}", f"https://localhost:{secure}"):
                sys.stdout.write(HEAD)
                # The bare libraries would not trust the authority.
                for name in [name for name in ROWS if url.startswith("http:") or " " not in name]:
                    command = [*me, "--row", name, "--url", url, "--seconds", str(seconds)]
                    command += ["--streams", str(streams)]
                    row = json.loads(subprocess.check_output(command))
                    sys.stdout.write(
                        f"| {name} | {row['cpu_us_request']:.0f} "
                        f"| {row['p50_us']:.0f} | {row['cpu_us_piece']:.1f} "
                        f"| {row['on_time']:.0%} "
                        f"| {row['kib_stream']:.0f} |\n"
                    )
                    sys.stdout.flush()
        finally:
            provider.terminate()


HEAD = (
    "| client | CPU µs a request | p50 µs, one connection "
    "| CPU µs a piece | pieces on time | kB a stream |\n|---|---|---|---|---|---|\n"
)


if __name__ == "__main__":
    main()
