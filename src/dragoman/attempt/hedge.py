"""A second try beside one that is slow: the first to bring content is the answer, the other is ended.

It begins when the first try has taken longer than nearly all before it, and goes to the next candidate of
the plan that is well; who is not answering costs what any further try costs (``further.py``). There are two
reasons for one:

- A *hedge* is made only where somebody has asked for it: it may cost a second answer. Where no other
  candidate is well it goes to the same one again. At most a tenth of the requests that may have one get one.
- A *probe* of who was down may find it as it was, and silent. Whoever sent the request has not asked for
  that, so it is not held up by it for longer than an answer usually takes.

Both stand in the ledger. The one that lost is closed there before the other goes on, as ``hedge_lost``,
with what it had told of its usage by then; the provider may bill more.
"""

from __future__ import annotations

import asyncio

from dragoman.attempt.embody import Embodiment
from dragoman.attempt.endings import cut_short, uncancel
from dragoman.attempt.further import is_answering
from dragoman.attempt.gate import Opened, flow, through_gate
from dragoman.attempt.means import Means
from dragoman.attempt.trial import Trial
from dragoman.attempt.whole import whole
from dragoman.core.call import Answer, Call, Head
from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.core.provider import Candidate, Plan
from dragoman.health.health import key_of


def is_wanted(plan: Plan, call: Call, means: Means) -> bool:
    """Whether the call may have a second try."""
    match means.policy.hedge:
        case "always":
            wanted = plan.hedge is not False
        case "asked":
            wanted = plan.hedge is True
        case "never":
            wanted = False
    return wanted and call.operation == "chat" and plan.max_attempts != 1


async def raced(
    first: Trial,
    plan: Plan,
    position: int,
    embodiment: Embodiment,
    tried: set[int],
    *,
    probing: bool = False,
) -> Answer:
    """The answer of a try that has been opened, or of a second one beside it.

    Args:
        first: at the candidate at ``position`` of the plan.
        plan: whose next candidate is the second.
        position: see ``first``.
        embodiment: writes the request for the second.
        tried: gets the place in the plan of a second one that was another than the first.
        probing: the first is a probe; else a second one is a hedge.

    Raises:
        UpstreamError: neither has answered; it is the first one's.
    """
    means = first.means
    if not probing and first.record.number == 1:
        means.hedges_of(first.candidate).request(first.record.started)
    race = _Race()
    race.enter(first)
    try:
        wait_s = means.health.late_s(first.candidate, whole=first.is_whole)
        if wait_s is None and probing:
            wait_s = means.policy.probe_s
        if wait_s is not None:
            await race.wait(wait_s)
            if not race.is_over():
                place = _place(plan, position, first, probing=probing)
                if (
                    place is not None
                    and await _enter_second(race, first, plan, place, embodiment, probing=probing)
                    and place != position
                ):
                    tried.add(place)
        try:
            won, brought = await race.result()
        except UpstreamError:
            first.stand()
            raise
        if isinstance(brought, Head):
            return Answer(brought)
        return await flow(won, brought)
    except asyncio.CancelledError:
        await race.stop()
        if first.call.gone:
            raise
        # The server shuts down and its patience is over (R2).
        uncancel()
        raise cut_short(first.call) from None
    except BaseException:
        await race.stop()
        raise


async def _enter_second(
    race: _Race, first: Trial, plan: Plan, place: int, embodiment: Embodiment, *, probing: bool
) -> bool:
    """Has the candidate at ``place`` run beside the first, if that may be; whether it does."""
    means, candidate = first.means, plan.candidates[place]
    second = Trial(
        candidate, first.ask, first.call, first.tab, means, first.deadline, means.new_id()
    )
    try:
        await second.ready(embodiment)
        if race.is_over():
            return False
        paid = is_answering(candidate, means) or means.allowances.take(
            key_of(candidate)[0], means.monotonic()
        )
        if not paid:
            return False
        purse = first.tab.purse
        if purse is not None and not (await purse.affords(candidate) and not race.is_over()):
            return False
        second.open()
    except GatewayError:
        # It cannot be said to that candidate, or not be written down: the first goes on.
        return False
    if not probing:
        means.hedges_of(first.candidate).spend()
    race.enter(second)
    return True


def _place(plan: Plan, position: int, first: Trial, *, probing: bool) -> int | None:
    """Where the second try goes: to the next one that is well, a hedge else to the same again."""
    means = first.means
    now = means.monotonic()
    if plan.max_attempts is not None and first.call.outcome.tries >= plan.max_attempts:
        return None
    if not (probing or means.hedges_of(first.candidate).afford(now)):
        return None
    health = means.health
    others: list[int] = [*range(position + 1, len(plan.candidates))]
    for place in others if probing else [*others, position]:
        candidate = plan.candidates[place]
        # A probe is no help to anybody who is in a hurry.
        if health.is_well(candidate, now) and not health.is_probed(candidate, now):
            return place if probing or not _keeps(candidate, first) else None
    return None


def _keeps(candidate: Candidate, first: Trial) -> bool:
    """Whether the candidate would keep what it has made, and a conversation would have it twice."""
    store = first.ask.members.get("store")
    return candidate.provider.family == "responses" and (store is None or bytes(store) != b"false")


class _Race:
    """The tries under way, each in a task of its own."""

    def __init__(self) -> None:
        self._tasks: dict[Trial, asyncio.Task[Head | Opened]] = {}
        self._claimed = False
        """Whether one has brought something, though its task may not be over: its record is being kept."""

    def enter(self, trial: Trial) -> None:
        """A try that has been opened sets out."""
        trial.claim = self._claim
        self._tasks[trial] = asyncio.get_running_loop().create_task(_brought(trial))

    async def wait(self, seconds: float) -> None:
        """Returns when one is over, or the time is."""
        await asyncio.wait(self._tasks.values(), timeout=seconds)

    def is_over(self) -> bool:
        """Whether one has ended, whichever way, or has won."""
        return self._claimed or any(task.done() for task in self._tasks.values())

    async def result(self) -> tuple[Trial, Head | Opened]:
        """Who was the first to bring something, and what; where nobody did, the first one's error."""
        waiting = set(self._tasks.values())
        while waiting:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for trial, task in self._tasks.items():
                if task.done() and not task.cancelled() and task.exception() is None:
                    self._report(trial)
                    return trial, task.result()
        errors = [task.exception() for task in self._tasks.values() if not task.cancelled()]
        ours = (error for error in errors if not isinstance(error, UpstreamError))
        error = next(ours, None) or (errors[0] if errors else None)
        assert error is not None, "who loses has lost to somebody"
        raise error

    async def stop(self) -> None:
        """Ends everything that is under way, and what nobody has taken."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for trial, task in self._tasks.items():
            if not trial.closed:
                brought = None if task.cancelled() or task.exception() else task.result()
                if isinstance(brought, Opened):
                    brought.drop()
                trial.give_up("client_cut" if trial.call.gone else "house_error")
                await trial.hang_up()

    def _report(self, winner: Trial) -> None:
        """Tells the log of errors of ours that the winner has covered."""
        for task in self._tasks.values():
            error = task.exception() if task.done() and not task.cancelled() else None
            if isinstance(error, Exception) and not isinstance(error, GatewayError):
                winner.means.report(error, winner.call)

    async def _claim(self, winner: Trial) -> None:
        """Ends the others; the account is theirs before it is the winner's again."""
        self._claimed = True
        losing = []
        for trial, task in self._tasks.items():
            if trial is not winner and not task.done():
                trial.lost = True
                task.cancel()
                losing.append((trial, task))
        for trial, task in losing:
            await asyncio.wait({task})
            if not trial.closed:
                trial.give_up("hedge_lost")  # its task had not even begun
        winner.stand()


async def _brought(trial: Trial) -> Head | Opened:
    return await whole(trial) if trial.is_whole else await through_gate(trial)
