"""Walks the plan: one try at one candidate after the other, until one answers.

Three phases, and what may happen in each:

1. *Before the head.* Nothing has reached the caller. A failure is judged by ``verdict``: the same
   candidate again, the next one, or the end.
2. *Behind the gate* (streams). The provider said 200, but no content has come yet. An error
   inside its stream still counts as before the head (D11, S4).
3. *Under way.* The head is out, the candidate is final. A failure becomes the one terminal error
   frame of the caller's dialect (D3), and is never retried.

Every try is written down before it is made and before its last frame is released (D26): the
bytes after a regular finish are held back until the record is kept.
"""

from __future__ import annotations

import asyncio

from dragoman.attempt.embody import Embodiment
from dragoman.attempt.endings import resting
from dragoman.attempt.gate import open_stream
from dragoman.attempt.means import Means
from dragoman.attempt.policy import LARGE
from dragoman.attempt.ports import Tab
from dragoman.attempt.trial import Trial
from dragoman.attempt.verdict import GiveUp, Next, Retry, verdict
from dragoman.core.ask import Ask
from dragoman.core.call import Answer, Call
from dragoman.core.errors import CallerError, GatewayError, UpstreamError, code_of
from dragoman.core.provider import Plan, Skipped
from dragoman.core.response import Embeddings


async def attempt(plan: Plan, ask: Ask, call: Call, tab: Tab, means: Means) -> Answer:
    """The answer to a call; a stream's pieces end the tab, whichever way they end.

    Raises:
        GatewayError: no candidate answered.
    """
    retries = 0
    position = 0
    failure: GatewayError | None = None
    until = means.monotonic() + means.policy.first_event_s
    embodiment = Embodiment(ask, call, means)
    done: list[Embeddings] = []
    while position < len(plan.candidates):
        if failure is not None and means.monotonic() >= until:
            break
        candidate = plan.candidates[position]
        more = position + 1 < len(plan.candidates)
        now = means.monotonic()
        if not means.health.admits(candidate, now) and (more or failure is None):
            failure = failure or resting(candidate, means.health.back_in_s(candidate, now))
            call.outcome.passed.append(Skipped(candidate.name, "its breaker was open"))
            position += 1
            continue
        trial = Trial(candidate, ask, call, tab, means, until)
        try:
            trial.given = await embodiment.given(candidate, trial.left_s())
            # Within one dialect even 15 MB take less than 40 ms.
            size = len(ask.body) + (trial.given.size if trial.given is not None else 0)
            if size > LARGE and call.dialect != candidate.provider.family:
                prepared = await asyncio.to_thread(trial.prepare)
            else:
                prepared = trial.prepare()
        except CallerError as error:
            means.health.abandoned(candidate)
            if failure is None and not more:
                raise
            failure = failure or error
            call.outcome.passed.append(Skipped(candidate.name, _unsaid(error)))
            position += 1
            continue
        except BaseException:
            means.health.abandoned(candidate)
            raise
        if done and prepared.crossing is not None:
            prepared.crossing.resume(done)
        trial.open(prepared)
        try:
            if ask.stream and call.operation == "chat":
                return await open_stream(trial)
            return Answer(await trial.whole())
        except UpstreamError as error:
            failure = trial.tell(error)
            if plan.max_attempts is not None and len(call.outcome.attempts) >= plan.max_attempts:
                break
            now = means.monotonic()
            budget = means.budget(candidate.provider.name)
            decision = verdict(
                error,
                means.policy,
                retries=retries,
                affordable=budget.afford(now),
                more=more,
                dice=means.dice(),
            )
            match decision:
                case Retry(after_s=pause):
                    if now + pause >= until:
                        break
                    budget.spend()
                    retries += 1
                    done = [] if prepared.crossing is None else prepared.crossing.parts
                    await asyncio.sleep(pause)
                    call.outcome.paused_s += means.monotonic() - now
                case Next():
                    position += 1
                    done = []
                case GiveUp():
                    break
    assert failure is not None, "a plan has at least one candidate"
    raise failure


def _unsaid(error: CallerError) -> str:
    """Why a request cannot be said to a candidate; the message may quote the request, so it is not told."""
    code = code_of(error)
    return f"{code} ({error.param})" if error.param else code
