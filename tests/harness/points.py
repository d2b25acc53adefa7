"""Named points at which a process ends itself by kill -9: put around the product's seams from without.

Nothing of them is in the product. ``tests/flow/crash_nursery.py`` puts them into processes that keep accounts and do
nothing else, ``doomed/sitecustomize.py`` into whole gateways. A sentence is ``name:how-many-times``.
"""

from __future__ import annotations

import os
import random
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import event

from dragoman.accounting import drain as drain_module
from dragoman.accounting.account import Accountant
from dragoman.accounting.records import Closed, Finished, Opened
from dragoman.accounting.records import read as read_frame
from dragoman.store.engine import Database
from harness.statements import heard

POINTS = (
    "opened.before", "opened.torn", "opened.after", "upstream", "closed.before", "closed.torn",
    "closed.after", "acked", "finished", "last-word.torn", "rotate.before", "rotate.after",
    "batch.begin", "batch.requests", "batch.attempts", "batch.which", "batch.hours",
    "batch.commit", "batch.written", "journal.unlink", "journal.unlinked", "drain.read",
    "drain.unlink", "drain.unlinked",
)  # fmt: skip
RARE = ("rotate", "batch", "journal", "drain")
WHOLE = tuple(point for point in POINTS if not point.startswith(("rotate", "journal")))
"""Those that a whole gateway comes to in a life of seconds: none that wait for a journal's second file."""
_FOR_LIFE = ExitStack()
"""What is heard until this process ends."""


class Fate:
    """Kills this process when it comes to its point for the n-th time."""

    def __init__(self, sentence: str) -> None:
        self.point, _, times = sentence.partition(":")
        self.left = int(times or 0)

    def reach(self, point: str) -> None:
        if self.is_due(point):
            os.kill(os.getpid(), signal.SIGKILL)

    def is_due(self, point: str) -> bool:
        if point != self.point:
            return False
        self.left -= 1
        return self.left == 0


def surround(accounts: Accountant, database: Database, fate: Fate) -> None:
    """Puts the named points around the seams of this process."""
    journal = accounts.journal
    kinds = {Opened: "opened", Closed: "closed", Finished: "last-word"}
    begin_file, write_batch = journal._begin_file, accounts.writer.ledger.write

    def write(descriptor: int, data: bytes | bytearray) -> int:
        kind = kinds[type(read_frame(bytes(data)).records[0])]
        fate.reach(f"{kind}.before")
        if fate.is_due(f"{kind}.torn"):
            os.write(descriptor, bytes(data)[: random.randrange(1, len(data))])
            os.kill(os.getpid(), signal.SIGKILL)
        written = os.write(descriptor, data)
        fate.reach(f"{kind}.after")
        return written

    def rotate() -> None:
        fate.reach("rotate.before")
        begin_file()
        fate.reach("rotate.after")

    async def write_entries(*calls: Any) -> int:
        fate.reach("batch.begin")
        new = await write_batch(*calls)
        fate.reach("batch.written")
        return new

    journal._write = write
    journal._begin_file = rotate
    accounts.writer.ledger.write = write_entries
    steps = {"ledger_requests (": "requests", "ledger_attempts (": "attempts", "SELECT": "which"}

    def execute(statement: str) -> None:
        step = next((step for start, step in steps.items() if start in statement), None)
        fate.reach(f"batch.{'hours' if 'ledger_hours (' in statement else step}")

    engine = database.engine.sync_engine
    _FOR_LIFE.enter_context(heard(engine, execute))
    event.listen(engine, "commit", lambda connection: fate.reach("batch.commit"))
    unlink, read = Path.unlink, drain_module.read

    def unlink_file(path: Path, *, missing_ok: bool = False) -> None:
        whose = "journal" if path.name.startswith(journal.tag) else "drain"
        fate.reach(f"{whose}.unlink")
        unlink(path, missing_ok=missing_ok)
        fate.reach(f"{whose}.unlinked")

    def read_piece(*arguments: Any) -> Any:
        fate.reach("drain.read")
        return read(*arguments)

    Path.unlink = unlink_file
    drain_module.read = read_piece
