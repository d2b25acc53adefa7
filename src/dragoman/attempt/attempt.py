"""Walks the plan: one try at one candidate after the other, until one answers.

Three phases, and what may happen in each:

1. *Before the head.* Nothing has reached the caller. A failure is judged by ``verdict``: the same
   candidate again, the next one, or the end.
2. *Behind the gate* (streams). The provider said 200, but no content has come yet. An error
   inside its stream still counts as before the head (D11, S4).
3. *Under way.* The head is out, the candidate is final. A failure becomes the one terminal error
   frame of the caller's dialect (D3), and is never retried.

Every try is written down before it is made and before its last frame is released (D26): the
bytes after a regular finish are held back until the record is kept. What a call is tried beyond
the first time is paid for (``allowance.py``), and all of it ends by the call's deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from dragoman.attempt.deadline import Deadline, deadline_of, late
from dragoman.attempt.embody import Embodiment
from dragoman.attempt.endings import resting, unpaid
from dragoman.attempt.further import may_try
from dragoman.attempt.gate import open_stream
from dragoman.attempt.hedge import is_wanted, raced
from dragoman.attempt.means import Means
from dragoman.attempt.ports import Tab
from dragoman.attempt.refusal import tell
from dragoman.attempt.trial import Trial
from dragoman.attempt.verdict import GiveUp, Next, Retry, verdict
from dragoman.attempt.whole import whole
from dragoman.core.ask import Ask
from dragoman.core.call import Answer, Call
from dragoman.core.errors import CallerError, GatewayError, UpstreamError, code_of
from dragoman.core.provider import Candidate, Plan, Skipped
from dragoman.core.response import Embeddings
from dragoman.health.health import key_of

_LEAST_S = 0.05
"""Nobody else answers in less: a timer that is a little early leaves no time for another candidate."""

_UNPAID = "the budget was used up"


async def attempt(plan: Plan, ask: Ask, call: Call, tab: Tab, means: Means) -> Answer:
    """The answer to a call; a stream's pieces end the tab, whichever way they end.

    Raises:
        GatewayError: no candidate answered.
    """
    candidates, policy, health = plan.candidates, means.policy, means.health
    now = means.monotonic()
    deadline = deadline_of(call, now, policy.first_event_s)
    if (
        len(candidates) != 1
        or plan.hedge is not None
        or policy.hedge == "always"
        or now >= deadline.begin
        or not health.admits(candidates[0], now)
    ):
        return await _walk(plan, ask, call, tab, means, deadline)
    # There is nobody to choose among, and it is the first try: most calls need no more than this.
    candidate = candidates[0]
    trial = Trial(candidate, ask, call, tab, means, deadline, means.new_id())
    embodiment: Embodiment | None = None
    try:
        prepared = trial.ready_at_once(now)
        if prepared is None:
            embodiment = Embodiment(ask, call, means)
            prepared = await trial.ready(embodiment)
    except BaseException:
        health.abandoned(candidate)
        raise
    purse = tab.purse
    if purse is not None and not (
        purse.affords_now(candidate) or await _granted(purse.affords(candidate), candidate, means)
    ):
        call.outcome.passed.append(Skipped(candidate.name, _UNPAID))
        raise unpaid()
    trial.open()
    try:
        if prepared.letterhead.target.stream:
            return await open_stream(trial)
        return Answer(await whole(trial))
    except UpstreamError as error:
        failed = trial, error
    return await _walk(plan, ask, call, tab, means, deadline, failed, embodiment)


async def _walk(
    plan: Plan,
    ask: Ask,
    call: Call,
    tab: Tab,
    means: Means,
    deadline: Deadline,
    failed: tuple[Trial, UpstreamError] | None = None,
    embodiment: Embodiment | None = None,
) -> Answer:
    """Every try, or each after the very first, which then has ``failed``."""
    candidates, health, monotonic = plan.candidates, means.health, means.monotonic
    retries = 0
    position = 0
    failure: GatewayError | None = None
    hedging = is_wanted(plan, call, means)
    tried: set[int] = set()
    """Who was asked beside another one, and failed as well."""
    paid = True
    """Whether the next try costs nothing more: the first, and one that has been paid for."""
    embodiment = embodiment or Embodiment(ask, call, means)
    done: list[Embeddings] = []
    while position < len(candidates):
        candidate = candidates[position]
        more = position + 1 < len(candidates)
        if failed is None:
            now = monotonic()
            if now >= deadline.begin or (failure is not None and deadline.begin - now < _LEAST_S):
                failure = failure or late()
                break
            if position in tried:
                position += 1
                continue
            if not health.admits(candidate, now):
                failure = failure or resting(candidate, health.back_in_s(candidate, now))
                call.outcome.passed.append(Skipped(candidate.name, "its breaker was open"))
                position += 1
                continue
            if not (
                paid or await _granted(may_try(candidate, means, deadline.begin), candidate, means)
            ):
                call.outcome.passed.append(Skipped(candidate.name, "further tries were used up"))
                position += 1
                continue
            trial = Trial(candidate, ask, call, tab, means, deadline, means.new_id())
            try:
                prepared = trial.ready_at_once(now) or await trial.ready(embodiment)
            except CallerError as error:
                health.abandoned(candidate)
                if failure is None and not more:
                    raise
                failure = failure or error
                call.outcome.passed.append(Skipped(candidate.name, _unsaid(error)))
                position += 1
                continue
            except BaseException:
                health.abandoned(candidate)
                raise
            purse = tab.purse
            if purse is not None and not (
                purse.affords_now(candidate)
                or await _granted(purse.affords(candidate), candidate, means)
            ):
                failure = failure or unpaid()
                call.outcome.passed.append(Skipped(candidate.name, _UNPAID))
                position += 1
                continue
            if done and prepared.crossing is not None:
                prepared.crossing.resume(done)
            trial.open()
            try:
                probing = more and health.is_probed(candidate, now)
                if probing or hedging:
                    return await raced(trial, plan, position, embodiment, tried, probing=probing)
                if prepared.letterhead.target.stream:
                    return await open_stream(trial)
                return Answer(await whole(trial))
            except UpstreamError as error:
                failed = trial, error
        trial, trouble = failed
        failed = None
        failure = tell(trouble, same=trial.prepared.letterhead.same)
        if plan.max_attempts is not None and call.outcome.tries >= plan.max_attempts:
            break
        now = monotonic()
        # Whose breaker it has opened is not waited for while there is another.
        rests = more and health.back_in_s(candidate, now) > 0
        decision = verdict(
            trouble,
            means.policy,
            retries=retries,
            affordable=not rests and means.allowances.afford(key_of(candidate)[0], now),
            more=more,
            dice=means.dice(),
            left_s=deadline.begin - now,
        )
        match decision:
            case Retry(after_s=pause):
                means.allowances.spend(key_of(candidate)[0])
                paid = True
                retries += 1
                crossing = trial.prepared.crossing
                done = [] if crossing is None else crossing.parts
                await asyncio.sleep(pause)
                call.outcome.paused_s += monotonic() - now
            case Next():
                position += 1
                paid = False
                done = []
            case GiveUp():
                break
    assert failure is not None, "a plan has at least one candidate"
    raise failure


def _unsaid(error: CallerError) -> str:
    """Why a request cannot be said to a candidate; the message may quote the request, so it is not told."""
    code = code_of(error)
    return f"{code} ({error.param})" if error.param else code


async def _granted(asking: Awaitable[bool], candidate: Candidate, means: Means) -> bool:
    """Whether the try may be made; a probe that then is not made is another's."""
    try:
        may = await asking
    except BaseException:
        means.health.abandoned(candidate)
        raise
    if not may:
        means.health.abandoned(candidate)
    return may
