"""The way of a whole reply: sent, read, tapped or translated, and written down before it is released."""

from __future__ import annotations

import asyncio
from functools import partial

from dragoman.attempt.aside import aside
from dragoman.attempt.crossing import Crossing
from dragoman.attempt.endings import cut_short, status_of_cut, uncancel
from dragoman.attempt.trial import Trial
from dragoman.attempt.untold import words_of
from dragoman.core.call import Head, Status
from dragoman.core.errors import UpstreamError
from dragoman.core.loss import Loss
from dragoman.core.usage import Usage
from dragoman.dialects.base import Tapped


async def whole(trial: Trial) -> Head:
    """The whole reply of a try that has been opened."""
    status: Status = "client_cut"
    call, means, prepared = trial.call, trial.means, trial.prepared
    try:
        body = b""
        if prepared.crossing is None:
            # Awaited in here, as far as it can be: each step between would cost every request.
            reply = trial.reply = await trial.sending()
            if not trial.accepts(reply):
                raise await trial.refusal(reply)
            body = await reply.read(means.policy.reply_limit)
            trial.reply = None  # its connection has been given back
            record = trial.record  # which is another one where the request was sent once more
            record.answered_s = means.monotonic() - record.started
            if not body:
                raise _empty()
            tapped, losses = prepared.tap(call.operation, body)
        else:
            tapped, losses = await _crossed(trial, prepared.crossing)
            record = trial.record
        if trial.claim is not None:
            await trial.claim(trial)
        if means.policy.estimate_missing_usage:
            trial.words = await words_of(body, tapped.usage, call.operation, prepared)
        outcome = call.outcome
        if losses:
            outcome.losses += losses
        record.usage, record.finish, record.answered = tapped.usage, tapped.finish, tapped.model
        trial.called(tapped.id)
        status = "complete"
        outcome.http_status = 200
        trial.complete()
        if (keeping := trial.tab.kept()) is not None:
            await keeping
        return Head(200, prepared.letterhead.caller.content_type, tapped.body)
    except UpstreamError as error:
        trial.failed(error)
        raise
    except asyncio.CancelledError:
        if call.gone or trial.lost:
            raise
        # The server shuts down and its patience is over (R2).
        uncancel()
        status = status_of_cut(call)
        raise cut_short(call) from None
    except Exception:
        status = "house_error"
        raise
    finally:
        if not trial.closed:
            trial.give_up(status)
        if trial.reply is not None:
            await trial.reply.close()


async def _crossed(trial: Trial, crossing: Crossing) -> tuple[Tapped, tuple[Loss, ...]]:
    """What the caller gets, and what it cost, where it takes several requests in order.

    What the first have consumed is paid for though a later one is refused. One that is under way, or was lost,
    may have cost something, too: what all of them came to is then unknown, as any sum with an unknown part.
    """
    means = trial.means
    size = 0
    known: Usage | None = None
    for further in (None, *crossing.further)[len(crossing.parts) :]:
        await trial.hang_up()
        trial.record.usage = None
        try:
            reply = trial.reply = await trial.sending(further)
            if not trial.accepts(reply):
                raise await trial.refusal(reply)
        except UpstreamError as error:
            if error.sent == "no" or error.upstream_status is not None:
                trial.record.usage = known
            raise
        body = await reply.read(means.policy.reply_limit)
        record = trial.record
        record.answered_s = means.monotonic() - record.started
        if not body:
            raise _empty()
        size += len(body)
        known = record.usage = await aside(len(body), partial(crossing.take, body))
    return await aside(size, partial(crossing.answer, trial.prepared.context))


def _empty() -> UpstreamError:
    return UpstreamError(
        "upstream", "The provider answered with an empty body.", code="provider_error"
    )
