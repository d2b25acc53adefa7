"""Raises small gateways and kills them: the other half of ``test_journal_crash.py``.

    PYTHONPATH=tests python tests/flow/crash_nursery.py HOME KILLS SEED

Imports everything once and forks a child for each life, as a start of Python costs more than
the life lasts. A child keeps accounts at full speed with the real journal and the real SQL;
half of them are killed at a random moment, half kill themselves at a named point, the one in
``DRAGOMAN_CRASH_AT`` (``name:how-many-times``). Only tests read that variable: ``harness/points.py``
puts the points around the product's own seams, and nothing of them is in the product.

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

from dragoman.accounting import ledger as ledger_module
from dragoman.accounting.account import Accountant, open_accountant
from dragoman.core.call import Attempt, Call, Caller
from dragoman.core.clock import SystemClock
from dragoman.core.ids import uuid7
from dragoman.core.provider import Price
from dragoman.core.usage import Usage
from dragoman.store.schema import open_upgraded
from dragoman.store.sql.ledger import SqlLedger
from harness.points import POINTS, RARE, Fate, surround

IN_FLIGHT = 60
PATIENCE_S = 8.0
"""For a child to come to its point, however slow coverage makes it; one that is dead is not waited for."""
PRICE = Price(input=Decimal("0.15"), output=Decimal("0.6"), source="test", effective_from="2025")
CLOCK = SystemClock()


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
