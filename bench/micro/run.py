"""Times the parts of the data path, each alone: `python bench/micro/run.py [--seconds 0.2]`.

The best of several rounds counts: what else the machine does can only make a round slower. In a
running gateway the same work costs more, as a core's caches then hold other things in between.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import rooms  # noqa: E402  after the path to what both benches share
import wire  # noqa: E402

ROUNDS = 5


def best_us(piece: wire.Piece, seconds: float) -> float:
    """Microseconds for one, in the best of the rounds."""
    count = 1
    while _spent(piece, count) < seconds / ROUNDS / 2:
        count *= 2
    return min(_spent(piece, count) for _ in range(ROUNDS)) / count / piece.per * 1e6


def _spent(piece: wire.Piece, count: int) -> float:
    work = piece.work
    begun = time.perf_counter()
    for _ in range(count):
        work()
    return time.perf_counter() - begun


async def best_step_us(step: rooms.Step, seconds: float) -> float:
    """The same for a step that is awaited."""
    count = 1
    while await _awaited(step, count) < seconds / ROUNDS / 2:
        count *= 2
    return min([await _awaited(step, count) for _ in range(ROUNDS)]) / count * 1e6


async def _awaited(step: rooms.Step, count: int) -> float:
    work = step.work
    begun = time.perf_counter()
    for _ in range(count):
        await work()
    return time.perf_counter() - begun


async def of_rooms(folder: Path, seconds: float) -> dict[str, float]:
    """Microseconds of every step."""
    async with rooms.opened(folder) as house_open:
        return {
            step.name: await best_step_us(step, seconds) for step in await rooms.steps(house_open)
        }


def quiet(log: Path) -> None:
    """Sends standard error, where the access log goes, into a file, as a service would."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def show(title: str, found: dict[str, float]) -> None:
    print(f"\n{title:44}{'µs':>9}{'per s':>12}")
    for name, micros in found.items():
        print(f"{name:44}{micros:>9.2f}{1e6 / micros:>12,.0f}")


def main() -> int:
    """Times everything and prints it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.2, help="for each part")
    seconds = parser.parse_args().seconds
    show(
        "requests",
        {piece.name: best_us(piece, seconds) for piece in wire.requests()},
    )
    show("dialects", {piece.name: best_us(piece, seconds) for piece in wire.pieces()})
    import uvloop  # noqa: PLC0415  as the server runs

    with tempfile.TemporaryDirectory(prefix="dragoman-micro-") as folder:
        quiet(Path(folder) / "access.log")
        show("rooms", uvloop.run(of_rooms(Path(folder), seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
