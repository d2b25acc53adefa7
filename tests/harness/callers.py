"""Callers who ask in every dialect, at once and one after another, stay or leave, and remember what they got.

A caller writes down what it heard only when it has heard it: what stands in its log happened.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Literal, TypeAlias

from harness.dialects import DIALECTS, is_error
from harness.evidence import End, Heard

Phase = Literal["body", "sent", "head", "middle", "last"]
"""When a caller leaves: within its request; before an answer; with its head; in the middle; before the last byte."""
Manner = Literal["close", "reset", "half"]
"""By FIN, by RST, or closing only its own side."""
PHASES: tuple[Phase, ...] = ("body", "sent", "head", "middle", "last")
MANNERS: tuple[Manner, ...] = ("close", "reset")
_LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Wish:
    """One request to be made."""

    dialect: str
    model: str
    """``provider/model``."""
    stream: bool
    text: str = "Tell me something."
    leave: Phase | None = None
    manner: Manner = "close"
    after_s: float = 0.0
    """How long who leaves before an answer waits for it."""
    members: tuple[tuple[str, object], ...] = ()
    """More members of the request's body."""
    headers: tuple[tuple[str, str], ...] = ()


Wishes: TypeAlias = Callable[[Random], Wish]


@dataclass(slots=True)
class Line:
    """A connection that is kept as long as it may be."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass(slots=True)
class Answer:
    """What came back, as far as it came."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False


@dataclass(slots=True)
class Callers:
    """So many at a time, towards one gateway; ``heard`` outlives the gateways."""

    key: str
    seed: int
    patience_s: float = 30.0
    heard: list[Heard] = field(default_factory=list)
    bodies: list[tuple[str, int | None, bytes]] = field(default_factory=list)
    """Of answers that were no 200: the name, the status and the body."""
    _number: int = 0

    async def storm(
        self, port: int, wishes: Wishes, many: int, over: asyncio.Event, at_most: int = 1 << 60
    ) -> None:
        """Has ``many`` callers ask until it is over, or so many requests are made."""
        last = self._number + at_most
        async with asyncio.TaskGroup() as group:
            for _ in range(many):
                group.create_task(self._caller(port, wishes, over, last))

    async def all_of(self, port: int, wishes: list[Wish], many: int) -> None:
        """Makes each of these requests once, ``many`` at a time."""
        waiting = iter(wishes)

        async def work() -> None:
            for wish in waiting:
                line = await self.ask(port, wish, None)
                if line is not None:
                    line.writer.close()

        async with asyncio.TaskGroup() as group:
            for _ in range(many):
                group.create_task(work())

    async def _caller(self, port: int, wishes: Wishes, over: asyncio.Event, last: int) -> None:
        line: Line | None = None
        while not over.is_set() and self._number < last:
            dice = Random(f"{self.seed}:{self._number}")
            try:
                line = await self.ask(port, wishes(dice), line)
            except OSError:
                # Nobody listens just now: it was killed, and another comes, or it is over.
                line = None
                await asyncio.sleep(0.02)
        if line is not None:
            line.writer.close()

    async def ask(self, port: int, wish: Wish, line: Line | None) -> Line | None:
        """Makes one request, on that connection if there is one; the connection, if it may be used again.

        Raises:
            OSError: nobody listens; nothing was asked.
        """
        if line is None:
            line = Line(*await asyncio.open_connection("127.0.0.1", port))
        self._number += 1
        name = f"{wish.dialect}-{self.seed}-{self._number}"
        trace = f"{self.seed:08x}{self._number:024x}"
        answer = Answer()
        end: End = "lost"
        try:
            async with asyncio.timeout(self.patience_s):
                end = await self._converse(line, wish, name, trace, answer)
        except (OSError, asyncio.IncompleteReadError, ValueError, TimeoutError) as error:
            end = "lost"
            note = type(error).__name__
        else:
            note = wish.leave or ""
        self.heard.append(_heard(name, trace, end, note, wish, answer))
        if answer.status not in {None, 200}:
            self.bodies.append((name, answer.status, bytes(answer.body)))
        if end == "left" or not answer.complete or answer.headers.get("connection") == "close":
            line.writer.close()
            return None
        return line

    async def _converse(
        self, line: Line, wish: Wish, name: str, trace: str, answer: Answer
    ) -> End:
        dialect = DIALECTS[wish.dialect]
        body = dialect.body(wish.model, wish.stream, wish.text) | dict(wish.members)
        data = json.dumps(body).encode()
        headers = {
            "host": "127.0.0.1",
            "authorization": f"Bearer {self.key}",
            "content-type": "application/json",
            "content-length": str(len(data)),
            "x-request-id": name,
            "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
            **dict(wish.headers),
        }
        head = f"POST {dialect.path(wish.model, wish.stream)} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers.items()
        )
        sent = head.encode() + b"\r\n" + data
        if wish.leave == "body":
            line.writer.write(sent[: len(sent) - len(data) // 2])
            return await _leave(line, wish)
        line.writer.write(sent)
        if wish.leave == "sent":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wish.after_s):
                    await line.reader.readexactly(1)
            return await _leave(line, wish)
        await _read_head(line.reader, answer)
        if wish.leave == "head":
            return await _leave(line, wish)
        async for _ in _pieces(line.reader, answer):
            enough = 400 if wish.leave == "middle" else 1 << 40
            if wish.leave == "last" and any(map(dialect.is_end, _whole_frames(wish, answer))):
                return await _leave(line, wish)
            if len(answer.body) >= enough:
                return await _leave(line, wish)
        answer.complete = True
        if answer.status != 200:
            return "refused"
        if not wish.stream:
            return "whole"
        frames = dialect.frames(bytes(answer.body))
        if any(map(is_error, frames)):
            return "broken"
        return "whole" if any(map(dialect.is_end, frames)) else "broken"


def _whole_frames(wish: Wish, answer: Answer) -> list[object]:
    return DIALECTS[wish.dialect].frames(bytes(answer.body)) if wish.stream else []


def _heard(name: str, trace: str, end: End, note: str, wish: Wish, answer: Answer) -> Heard:
    counts: tuple[int | None, int | None] = (None, None)
    if end == "whole":
        dialect = DIALECTS[wish.dialect]
        body = bytes(answer.body)
        counts = dialect.usage(dialect.frames(body) if wish.stream else [json.loads(body)])
    return Heard(name, trace, end, answer.status, *counts, note)


async def _leave(line: Line, wish: Wish) -> End:
    """Goes away, in its own manner."""
    with contextlib.suppress(OSError):
        if wish.manner == "half":
            line.writer.write_eof()
            await line.reader.read()
        elif wish.manner == "reset":
            line.writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO
            )
            line.writer.transport.abort()
    line.writer.close()
    return "left"


async def _read_head(reader: asyncio.StreamReader, answer: Answer) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    answer.status = int(head[0].split(" ")[1])
    answer.headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head[1:] if line)
    }


async def _pieces(reader: asyncio.StreamReader, answer: Answer):
    """The body as it comes, gathered in the answer; an end before its time raises."""
    if "chunked" in answer.headers.get("transfer-encoding", ""):
        while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
            answer.body += (await reader.readexactly(size + 2))[:-2]
            yield
        await reader.readexactly(2)
        return
    missing = int(answer.headers.get("content-length", "0"))
    while missing:
        piece = await reader.read(min(missing, 65536))
        if not piece:
            raise asyncio.IncompleteReadError(b"", missing)
        answer.body += piece
        missing -= len(piece)
        yield


def every(values: Iterator[Wish] | list[Wish]) -> Wishes:
    """Wishes rolled from a list, each as likely as another."""
    known = list(values)
    return lambda dice: dice.choice(known)
