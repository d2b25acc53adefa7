"""Running the mock: as a program of its own, or inside a test."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from dragoman.mock.config import IMMEDIATE, MockConfig
from dragoman.mock.connection import listen
from dragoman.mock.service import Mock
from dragoman.mock.truth import Truth

__all__ = ["Running", "open_mock", "run"]


class Running(Struct, frozen=True):
    """A mock that is listening."""

    mock: Mock
    url: str
    """``http://host:port``, without a path."""


@asynccontextmanager
async def open_mock(
    config: MockConfig = IMMEDIATE, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Running]:
    """A mock for as long as the block lasts: by default immediate, faultless, on a free port."""
    mock = Mock(config)
    async with listen(mock, host, port) as (address, bound):
        yield Running(mock, f"http://{address}:{bound}")


def run(
    config: MockConfig,
    *,
    host: str,
    port: int,
    truth_file: Path | None = None,
    as_json: bool = False,
) -> int:
    """Serves until SIGINT or SIGTERM; the exit code."""
    serving = _serve(config, (host, port), truth_file, as_json=as_json)
    try:
        import uvloop  # noqa: PLC0415 - an ordinary event loop does where uvloop is not
    except ImportError:
        return asyncio.run(serving)
    return uvloop.run(serving)


async def _serve(
    config: MockConfig, where: tuple[str, int], truth_file: Path | None, *, as_json: bool
) -> int:
    truth = Truth(truth_file)
    mock = Mock(config, truth, log=lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        async with listen(mock, *where) as (address, bound):
            url = f"http://{address}:{bound}"
            told = {"url": url, "pid": os.getpid(), "config": config}
            line = msgspec.json.encode(told).decode() if as_json else _ready(url, config)
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            await ended.wait()
    except OSError as error:
        sys.stderr.write(f"The mock cannot listen on {where[0]}:{where[1]}: {error.strerror}.\n")
        return 1
    finally:
        truth.shut()
    return 0


def _ready(url: str, config: MockConfig) -> str:
    """Where it is; and that its faults are meant, for who meets one by surprise."""
    faults = config.error_rate or config.timeout_rate
    told = (
        f"   {config.error_rate:.0%} of requests fail and {config.timeout_rate:.0%} are never "
        "answered, on purpose; --calm starts it without, and so do MOCK_ERROR_RATE=0 and "
        "MOCK_TIMEOUT_RATE=0"
        if faults
        else "   no errors, no timeouts"
    )
    return f"Mock provider ready: {url}\n{told}"
