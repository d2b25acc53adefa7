"""A TCP proxy that does harm: what it does to a connection is written down beforehand, by hand or by dice.

It stands between callers and the gateway, between the gateway and its providers, its database or its Redis, and
knows nothing of what goes through it. A fault strikes one direction at one byte; ``seeded`` rolls the same
faults for the same seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Literal, TypeAlias

Kind = Literal["delay", "slice", "bandwidth", "stall", "cut", "half", "reset"]
"""``delay``: waits, then goes on. ``slice``: goes on in small pieces. ``bandwidth``: goes on at so many bytes
a second at most. ``stall``: nothing more comes, and nobody closes. ``cut``: both ends are closed in good order. ``half``: the receiver hears the end of this direction
alone. ``reset``: both ends get a RST."""
Way = Literal["up", "down"]
"""``up`` is from who has connected, ``down`` towards it."""

KINDS: tuple[Kind, ...] = ("delay", "slice", "bandwidth", "stall", "cut", "half", "reset")
_PIECE = 65536
_MOST = 20
"""Faults of a connection and a way: most of them end it."""
_TICKS = 50
"""Pieces a second of a narrow line."""
_LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Fault:
    """Strikes when ``at`` bytes have gone that way; ``seconds`` is a delay's, ``size`` a slice's, ``rate`` a bandwidth's."""

    kind: Kind
    way: Way
    at: int
    seconds: float = 0.05
    size: int = 7
    rate: int = 20_000
    """Bytes a second."""


Plan: TypeAlias = Callable[[int], Sequence[Fault]]
"""The faults of a connection, by its number, which begins at 0."""


def never(number: int) -> Sequence[Fault]:
    """Harmless."""
    del number
    return ()


def seeded(
    seed: int,
    every: int,
    kinds: Sequence[Kind] = KINDS,
    *,
    early: float = 0.1,
    ways: Sequence[Way] = ("up", "down"),
) -> Plan:
    """A fault for about ``every`` so many bytes of each way, and one near the beginning for the share ``early``.

    The same seed gives the same to each connection, by its number, whatever their order.
    """

    def plan(number: int) -> Sequence[Fault]:
        dice = Random(f"{seed}:{number}")
        faults = []
        for way in ways:
            at = dice.randrange(300) if dice.random() < early else dice.expovariate(1 / every)
            for _ in range(_MOST):
                faults.append(
                    Fault(
                        dice.choice(list(kinds)),
                        way,
                        int(at),
                        seconds=dice.random() * 0.2,
                        size=dice.randrange(1, 40),
                        rate=dice.randrange(20_000, 200_000),
                    )
                )
                at += 1 + dice.expovariate(1 / every)
        return faults

    return plan


@dataclass(slots=True)
class Proxy:
    """What is known of one that is running."""

    port: int
    target: int
    plan: Plan
    struck: Counter[str] = field(default_factory=Counter)
    """How often each kind did."""
    connections: int = 0
    joined: set[asyncio.Task[None]] = field(default_factory=set)


@contextmanager
def proxying(target: int, plan: Plan = never) -> Iterator[Proxy]:
    """A proxy to a port of this machine, in a thread of its own, while the block lasts."""
    loop = asyncio.new_event_loop()
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    proxy = Proxy(listening.getsockname()[1], target, plan)
    thread = threading.Thread(target=_run, args=(loop, listening, proxy), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


def _run(loop: asyncio.AbstractEventLoop, listening: socket.socket, proxy: Proxy) -> None:
    asyncio.set_event_loop(loop)

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _join(proxy, reader, writer)

    server = loop.run_until_complete(asyncio.start_server(join, sock=listening))
    loop.run_forever()
    server.close()
    while tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks))
    loop.run_until_complete(asyncio.sleep(0.01))  # transports close in the next round
    loop.close()


async def _join(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    number, proxy.connections = proxy.connections, proxy.connections + 1
    faults = proxy.plan(number)
    ends = [writer]
    tasks: list[asyncio.Task[bool]] = []
    mine = asyncio.current_task()
    assert mine is not None, "each connection has one"
    # The loop alone does not hold on to a task whose connection is closed on both sides.
    proxy.joined.add(mine)
    try:
        other_reader, other = await asyncio.open_connection("127.0.0.1", proxy.target)
        ends.append(other)
        up = [each for each in faults if each.way == "up"]
        down = [each for each in faults if each.way == "down"]
        tasks = [
            asyncio.ensure_future(_pump(proxy, reader, other, ends, up)),
            asyncio.ensure_future(_pump(proxy, other_reader, writer, ends, down)),
        ]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if all(task.exception() is None and task.result() for task in done):
            await asyncio.wait(tasks)
    except OSError:
        pass  # nobody listens there
    finally:
        for task in tasks:
            task.cancel()
        for end in ends:
            end.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        proxy.joined.discard(mine)


async def _pump(
    proxy: Proxy,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    ends: Sequence[asyncio.StreamWriter],
    faults: Sequence[Fault],
) -> bool:
    """Passes one direction on; whether the other may go on alone when this one has ended."""
    waiting = sorted(faults, key=lambda fault: fault.at)
    gone, size, rate = 0, _PIECE, 0
    while data := await reader.read(_PIECE):
        while waiting and waiting[0].at < gone + len(data):
            fault = waiting.pop(0)
            here, data = data[: fault.at - gone], data[fault.at - gone :]
            gone += len(here)
            await _write(writer, here, size, rate)
            proxy.struck[fault.kind] += 1
            match fault.kind:
                case "delay":
                    await asyncio.sleep(fault.seconds)
                case "slice":
                    size = fault.size
                case "bandwidth":
                    rate = fault.rate
                case "stall":
                    await _until_closed(reader)
                    return False
                case "cut":
                    return False
                case "half":
                    writer.write_eof()
                    return True
                case "reset":
                    for end in ends:
                        end.get_extra_info("socket").setsockopt(
                            socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO
                        )
                        end.transport.abort()
                    return False
        gone += len(data)
        await _write(writer, data, size, rate)
    if writer.can_write_eof() and not writer.is_closing():
        writer.write_eof()
    return True


async def _write(writer: asyncio.StreamWriter, data: bytes, size: int, rate: int) -> None:
    """In pieces of that size, and if there is a rate not faster than that."""
    size = min(size, max(1, rate // _TICKS)) if rate else size
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        writer.write(piece)
        await writer.drain()
        if rate:
            await asyncio.sleep(len(piece) / rate)
        elif size < _PIECE:
            await asyncio.sleep(0)


async def _until_closed(reader: asyncio.StreamReader) -> None:
    """Returns when who sends has given up; what it sends meanwhile is lost."""
    with contextlib.suppress(OSError):
        while await reader.read(_PIECE):
            pass
