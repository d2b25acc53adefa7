"""Raises small gateways and kills them: the other half of ``test_journal_crash.py``.

    python crash_nursery.py HOME KILLS SEED

Imports everything once and forks a child for each life, as a start of Python costs more than
the life lasts. A child keeps accounts at full speed with the real journal and the real SQL;
half of them are killed at a random moment, half kill themselves at a named point, the one in
``DRAGOMAN_CRASH_AT`` (``name:how-many-times``). Only this script reads that variable: the points
are put around the product's own seams here, and nothing of them is in the product.

What a child has done stands in files that survive it: ``intended`` (a call is about to be made),
``sent`` (its upstream call went out), ``acked`` (its caller has the last byte).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import event

from dragoman.accounting import drain as drain_module
from dragoman.accounting import ledger as ledger_module
from dragoman.accounting.account import Accountant, open_accountant
from dragoman.accounting.records import Closed, Finished, Opened
from dragoman.accounting.records import read as read_frame
from dragoman.core.call import Attempt, Call, Caller
from dragoman.core.clock import SystemClock
from dragoman.core.ids import uuid7
from dragoman.core.provider import Price
from dragoman.core.usage import Usage
from dragoman.store.engine import Database
from dragoman.store.schema import open_upgraded
from dragoman.store.sql.ledger import SqlLedger

IN_FLIGHT = 60
PATIENCE_S = 8.0
"""For a child to come to its point, however slow coverage makes it; one that is dead is not waited for."""
POINTS = (
    "opened.before", "opened.torn", "opened.after", "upstream", "closed.before", "closed.torn",
    "closed.after", "acked", "finished", "last-word.torn", "rotate.before", "rotate.after",
    "batch.begin", "batch.requests", "batch.attempts", "batch.which", "batch.hours",
    "batch.commit", "batch.written", "journal.unlink", "journal.unlinked", "drain.read",
    "drain.unlink", "drain.unlinked",
)  # fmt: skip
RARE = ("rotate", "batch", "journal", "drain")
PRICE = Price(input=Decimal("0.15"), output=Decimal("0.6"), source="test", effective_from="2025")
CLOCK = SystemClock()


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

    async def write_entries(entries: Any) -> int:
        fate.reach("batch.begin")
        new = await write_batch(entries)
        fate.reach("batch.written")
        return new

    journal._write = write
    journal._begin_file = rotate
    accounts.writer.ledger.write = write_entries
    steps = {"ledger_requests (": "requests", "ledger_attempts (": "attempts", "SELECT": "which"}

    def execute(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        step = next((step for start, step in steps.items() if start in statement), None)
        fate.reach(f"batch.{'hours' if 'ledger_hours (' in statement else step}")

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", execute)
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


class Truth:
    """Files that outlive the process: one line by one plain write."""

    def __init__(self, home: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.files = {
            name: os.open(home / name, flags, 0o600) for name in ("intended", "sent", "acked")
        }

    def say(self, name: str, *words: object) -> None:
        os.write(self.files[name], (" ".join(map(str, words)) + "\n").encode())


async def one_call(accounts: Accountant, caller: Caller, truth: Truth, fate: Fate) -> None:
    """A call as the pipeline makes it: refused, served at once, or at the second try."""
    call = Call(
        uuid7(CLOCK.wall(), os.urandom), "label", "f" * 32, "chat", "chat", "/v1/chat/completions",
        None, {}, no_body, CLOCK.monotonic(), CLOCK.wall(),
    )  # fmt: skip
    outcome = call.outcome
    outcome.requested_model = "fast"
    truth.say("intended", call.id)
    tab = accounts.open_tab(call, caller)
    if random.random() < 0.05:
        outcome.status, outcome.http_status = "refused", 429
        tab.finish()
        truth.say("acked", call.id, "refused", 0, 0)
        return
    tries = 2 if random.random() < 0.1 else 1
    for number in range(1, tries + 1):
        attempt = Attempt(
            uuid7(CLOCK.wall(), os.urandom), number, "openai", "gpt-5-mini", "c1",
            CLOCK.monotonic(), CLOCK.wall(),
        )  # fmt: skip
        outcome.attempts.append(attempt)
        tab.opened(attempt)
        truth.say("sent", call.id, attempt.id)
        await asyncio.sleep(random.random() * 0.01)
        fate.reach("upstream")
        attempt.status = "complete" if number == tries else "upstream_error"
        if number == tries:
            attempt.usage = Usage(input=random.randrange(1000), output=random.randrange(1000))
            outcome.http_status = 200
        tab.closed(attempt)
    usage = attempt.usage
    truth.say("acked", call.id, "complete", usage.input, usage.output)
    fate.reach("acked")
    outcome.status = "complete"
    tab.finish()
    fate.reach("finished")


async def no_body() -> bytes:
    return b""


def tell(happening: str, number: int, detail: str) -> None:
    """A failure to account must not hide behind the kills."""
    if happening in {"accounting_failed", "entry_refused", "journal_orphans", "records_held"}:
        sys.stderr.write(f"{happening} {number} {detail}\n")


async def live(home: Path, sentence: str) -> None:
    """A process's life, until somebody ends it."""
    fate, truth = Fate(sentence), Truth(home)
    caller = Caller("k1", "t1", "me")
    ledger_module._SPREAD_S = 0.005
    database = await open_upgraded(f"sqlite:///{home}/d.sqlite")
    async with open_accountant(
        home / "journal", SqlLedger(database), clock=CLOCK, notice=tell, prices=lambda *_: PRICE,
        buffer_size=50, flush_interval_s=0.05, rotate_bytes=32_768, drain_every_s=0.05,
        most_waiting=400,
    ) as accounts:  # fmt: skip
        surround(accounts, database, fate)

        async def forever() -> None:
            while True:
                await one_call(accounts, caller, truth, fate)

        await asyncio.gather(*(forever() for _ in range(IN_FLIGHT)))


async def clear_up(home: Path) -> None:
    """The start after the last death: drains what is left."""
    database = await open_upgraded(f"sqlite:///{home}/d.sqlite")
    async with open_accountant(home / "journal", SqlLedger(database), clock=CLOCK) as accounts:
        drained = await accounts.flush()
        drained = await accounts.flush() and drained
    await database.close()
    if not drained:
        raise SystemExit("the last drain failed")


def fork(life: Callable[[], None], seed: int) -> int:
    child = os.fork()
    if child == 0:
        random.seed(seed)
        life()
        os._exit(0)
    return child


def wait(child: int, at_most_s: float) -> bool:
    """Whether the child died by itself within that time."""
    until = time.monotonic() + at_most_s
    while time.monotonic() < until:
        if os.waitpid(child, os.WNOHANG)[0]:
            return True
        time.sleep(0.002)
    return False


def main(home: Path, kills: int, seed: int) -> None:
    dice = random.Random(seed)
    asyncio.run(clear_up(home))
    reached: dict[str, int] = {}
    number = 0
    while number < kills:
        point = POINTS[number // 2 % len(POINTS)]
        times = dice.randrange(1, 4) if point.startswith(RARE) else dice.randrange(1, 300)
        sentences = [f"{point}:{times}", ""]
        children = []
        for sentence in sentences[: kills - number]:

            def life(sentence: str = sentence) -> None:
                os.environ["DRAGOMAN_CRASH_AT"] = sentence
                asyncio.run(live(home, os.environ["DRAGOMAN_CRASH_AT"]))

            children.append(fork(life, dice.randrange(1 << 30)))
        for child, patience in zip(children, (PATIENCE_S, dice.random() * 0.1), strict=False):
            if wait(child, patience):
                reached[point] = reached.get(point, 0) + 1
            else:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            number += 1
    asyncio.run(clear_up(home))
    print(json.dumps({"kills": number, "reached": reached}))  # noqa: T201 -- its report


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
