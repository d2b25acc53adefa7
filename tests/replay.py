"""A provider that answers what it is told to, byte for byte, and keeps what it was sent.

Unlike the mock it understands nothing: it is for recorded replies and for looking at requests as
they come off the wire. It lives in a thread with a loop of its own.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_SIZES = (1, 7, 3, 61, 17, 251, 5, 113, 1021, 13)
"""Pieces of a stream: small ones cut frames and characters."""


@dataclass
class Answer:
    """What is sent for a request; a stream goes out in odd pieces."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    streamed: bool = False


@dataclass
class Seen:
    """A request as it came, header names as they were written."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def named(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers}

    def json(self):
        return json.loads(self.body)


@dataclass
class Upstream:
    """The provider; ``answers`` are chosen by the model's name, the one for ``""`` by any other."""

    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    listing: Answer = field(default_factory=lambda: Answer(b'{"object":"list","data":[]}'))
    """What every GET gets."""
    seen: list[Seen] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def sent_for(self, model: str) -> list[Seen]:
        return [request for request in self.seen if _model(request.body) == model]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                request = await _read(reader)
                self.seen.append(request)
                await _write(writer, self._answer(request))
        writer.close()

    def _answer(self, request: Seen) -> Answer:
        model = _model(request.body)
        found = self.answers.get(model) or self.answers.get("")
        if request.method == "GET" or found is None:
            return self.listing
        return found


def _model(body: bytes) -> str:
    try:
        return str(json.loads(body).get("model", ""))
    except ValueError:
        return ""


async def _read(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    pairs = [line.partition(":")[::2] for line in head[1:] if line]
    headers = [(name.strip(), value.strip()) for name, value in pairs]
    length = int({name.lower(): value for name, value in headers}.get("content-length", 0))
    return Seen(method, target, headers, await reader.readexactly(length))


async def _write(writer: asyncio.StreamWriter, answer: Answer) -> None:
    lines = [f"HTTP/1.1 {answer.status} So", f"content-type: {answer.content_type}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    if not answer.streamed:
        lines.append(f"content-length: {len(answer.body)}")
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + answer.body)
        await writer.drain()
        return
    lines.append("transfer-encoding: chunked")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    for piece in _pieces(answer.body):
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _pieces(body: bytes) -> Iterator[bytes]:
    """Odd sizes, larger ones for long streams so that these do not take long."""
    scale = 1 + len(body) // 20_000
    start, turn = 0, len(body)
    while start < len(body):
        size = _SIZES[turn % len(_SIZES)] * scale
        yield body[start : start + size]
        start, turn = start + size, turn + 1


@contextmanager
def replaying() -> Iterator[Upstream]:
    """An upstream that serves while the block runs."""
    upstream = Upstream()
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    over = asyncio.Event()

    async def live() -> None:
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, limit=1 << 22)
        upstream.port = server.sockets[0].getsockname()[1]
        ready.set()
        await over.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(live()), daemon=True)
    thread.start()
    assert ready.wait(10), "the upstream did not listen"
    try:
        yield upstream
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()
