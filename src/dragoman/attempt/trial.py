"""One try at one candidate: what is sent, and what is written down of it.

A record stands in the journal before the provider hears of the call, and another before the last
byte of its answer is released (D26).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from msgspec import Struct, structs

from dragoman.attempt.deadline import Deadline, late
from dragoman.attempt.embody import Embodiment, Given, passes
from dragoman.attempt.means import Means
from dragoman.attempt.policy import LARGE
from dragoman.attempt.ports import Tab, UpstreamReply, UpstreamRequest
from dragoman.attempt.prepare import Prepared, prepare, retraced
from dragoman.attempt.refusal import unquote
from dragoman.attempt.renewing import Try, reworded, send_renewing
from dragoman.attempt.untold import Words, completed
from dragoman.attempt.verdict import is_about_the_request
from dragoman.core.ask import Ask
from dragoman.core.call import STALE, Attempt, Call, Status
from dragoman.core.errors import HouseError, UpstreamError, code_of
from dragoman.core.provider import Candidate
from dragoman.dialects.base import Relay
from dragoman.health.allowance import TOLD

_LEAST_S = 0.001
_HEEDED = TOLD.union(("x-request-id", "request-id", "x-generation-id"))
"""Headers of a reply that are looked at whatever its status."""
_NOT_YET: Any = None


class Trial(Struct, eq=False):
    """One try at one candidate, from its first record to its last; a Struct, as one is made for every request."""

    candidate: Candidate
    ask: Ask
    call: Call
    tab: Tab
    means: Means
    deadline: Deadline
    """By when the first event has to be there, whoever sends it (D17), and the last."""
    id: str
    closed: bool = False
    claim: Callable[[Trial], Awaitable[None]] | None = None
    """Where others run beside it: ends them, once this one has brought something."""
    lost: bool = False
    """It is being ended because another one was quicker."""
    given: Given | None = None
    """The request with bytes in the place of addresses, where the provider wants that."""
    reply: UpstreamReply | None = None
    prepared: Prepared = _NOT_YET
    """Once it is ``ready``."""
    record: Attempt = _NOT_YET
    """Once it was opened."""
    words: Words | None = None
    """What has come back, where it is counted for usage that may not be told."""

    # What it holds is a caller's own.
    __repr__ = object.__repr__

    def ready_at_once(self, now: float) -> Prepared | None:
        """Writes the call for the candidate, where nothing has to be waited for; else None.

        Raises:
            CallerError: it cannot be said to that candidate.
        """
        means, candidate, call, ask = self.means, self.candidate, self.call, self.ask
        if call.dialect == candidate.provider.family:
            if means.fetched_for and means.fetcher is not None:
                return None
        elif len(ask.body) > LARGE or not passes(call, candidate, means):
            return None
        letterhead = means.letterheads.of(candidate, call, ask, means.user_agent)
        left_s = self.deadline.begin - now
        prepared = self.prepared = prepare(
            call,
            ask,
            candidate,
            letterhead,
            means.policy,
            self.tab.cost,
            self.id,
            left_s,
            means.envelope,
        )
        return prepared

    async def ready(self, embodiment: Embodiment) -> Prepared:
        """Writes the call for the candidate, whatever has to be fetched for it.

        Raises:
            CallerError: it cannot be said to that candidate.
        """
        if not passes(self.call, self.candidate, self.means):
            self.given = await embodiment.given(self.candidate, self.left_s())
        means = self.means
        letterhead = means.letterheads.of(self.candidate, self.call, self.ask, means.user_agent)
        write = partial(
            prepare,
            self.call,
            self.ask,
            self.candidate,
            letterhead,
            means.policy,
            self.tab.cost,
            self.id,
            self.left_s(),
            means.envelope,
            self.given,
        )
        # Within one dialect even 15 MB take less than 40 ms.
        size = len(self.ask.body) + (self.given.size if self.given is not None else 0)
        is_slow = size > LARGE and not letterhead.same
        self.prepared = await asyncio.to_thread(write) if is_slow else write()
        return self.prepared

    @property
    def drains(self) -> bool:
        """Whether its stream is read to its end where the caller leaves (D18)."""
        return self.candidate.provider.on_disconnect == "drain"

    async def kept(self) -> None:
        """Returns when what was written is as durable as the operator asked for."""
        keeping = self.tab.kept()
        if keeping is not None:
            await keeping

    @property
    def is_whole(self) -> bool:
        """Whether its answer is one piece."""
        return not self.ask.stream or self.call.operation != "chat"

    def finish(self) -> None:
        """Ends the account of the call."""
        self.tab.finish()

    def left_s(self) -> float:
        """What is left of the time for the first event."""
        return self.deadline.begin - self.means.monotonic()

    def end_s(self) -> float:
        """What is left of the time for all of it."""
        return self.deadline.end - self.means.monotonic()

    def stand(self) -> None:
        """Makes what is told of the call its own: it is the one that answers, as far as is known."""
        outcome, outgoing, record = self.call.outcome, self.prepared.outgoing, self.record
        outcome.losses = outgoing.losses
        outcome.adjusted = outcome.clamped + outgoing.adjusted
        outcome.label_model = record.label
        outcome.standing = record

    def open(self) -> None:
        """Writes down that the try is about to be made."""
        means, letterhead = self.means, self.prepared.letterhead
        target, credential = letterhead.target, letterhead.credential
        attempts = self.call.outcome.attempts
        number = len(attempts) + 1
        started, wall = means.monotonic(), means.wall()
        record = Attempt(
            self.id,
            number,
            target.provider,
            target.model,
            credential,
            started,
            wall,
            own=letterhead.own,
            label=letterhead.label,
        )
        try:
            self.tab.opened(record)
        except HouseError:
            means.health.abandoned(self.candidate)
            raise
        # Only now: a try that cannot be written down is not made.
        self.record = record
        self.stand()
        attempts.append(record)
        whose = letterhead.key[0]
        means.health.busy.begun(whose, target.model)
        if number == 1:
            means.allowances.request(whose, started)
        if letterhead.is_account and credential is not None:
            means.used[credential] = wall

    async def send(self) -> UpstreamReply:
        """Sends the request; a status that is no success is raised as the provider's error."""
        reply = self.reply = await self.sending()
        if not self.accepts(reply):
            raise await self.refusal(reply)
        return reply

    def sending(self, further: bytes | None = None) -> Awaitable[UpstreamReply]:
        """The request on its way: a reply of whatever status.

        ``further`` is the body of one of the requests that follow it.
        """
        prepared, keeping = self.prepared, self.tab.kept()
        if keeping is not None or further is not None or not prepared.letterhead.regular:
            return self._send_otherwise(keeping, further)
        self.record.may_cost = True
        return self.means.transport.send(prepared.request, self.again)

    async def _send_otherwise(
        self, keeping: Awaitable[None] | None, further: bytes | None
    ) -> UpstreamReply:
        # In here, where a caller's leaving closes the record that is being waited for.
        if keeping is not None:
            await keeping
        means, record, provider = self.means, self.record, self.candidate.provider
        request = self.prepared.request
        if further is not None:
            left = max(_LEAST_S, self.left_s())
            request = structs.replace(request, body=further, first_byte_timeout_s=left)
        record.may_cost = True
        transport = means.stub if provider.stub else means.transport
        if provider.words is None:
            reply = await transport.send(request, self.again)
        else:
            reply = await send_renewing(self._as_try(), provider.words, transport, request)
        record.upstream_request = record.upstream_id = None  # what is told is of this one
        return reply

    async def again(self, request: UpstreamRequest) -> UpstreamRequest | None:
        """What is sent over a new connection, as the kept one was stale (U15); None: nothing is.

        The provider may have heard the first all the same, and charge for both: each is an attempt, paid for and
        written down before it is sent. As it is nobody's fault, neither health nor the caller's bound counts it.
        """
        stale, purse = self.record, self.tab.purse
        if purse is not None and not await purse.affords(self.candidate):
            return None
        self.id = self.means.new_id()
        try:
            self.open()
        except HouseError:
            return None
        stale.status, stale.error_kind, stale.error_code = "upstream_error", "upstream", STALE
        stale.duration_s = self.record.started - stale.started
        self.means.health.busy.over(self.prepared.letterhead.key[0], stale.model)
        self.tab.closed(stale)
        await self.kept()
        self.record.may_cost = True
        return retraced(request, self.call, self.id)

    def accepts(self, reply: UpstreamReply) -> bool:
        """Takes over what the head of a reply says; whether that is a success."""
        status = self.record.upstream_status = reply.status
        headers = reply.headers
        if not _HEEDED.isdisjoint(headers):
            self._heed(headers)
        return 200 <= status < 300

    def _heed(self, headers: dict[str, str]) -> None:
        """Takes over what the head of a reply says of us: what is left of a limit, and names."""
        means, record = self.means, self.record
        if not TOLD.isdisjoint(headers):
            means.health.heard(self.candidate, headers, means.monotonic(), means.wall())
        named = headers.get("x-request-id") or headers.get("request-id")
        record.upstream_request = named
        # OpenRouter says in its head what it calls the answer: a stream that is cut is found by it.
        record.upstream_id = headers.get("x-generation-id") or named

    async def refusal(self, reply: UpstreamReply) -> UpstreamError:
        """The provider's error, of a reply that is no success."""
        words, status = self.candidate.provider.words, reply.status
        read: bytes | None = None
        with suppress(UpstreamError):  # too long, or broken off: the status alone says enough
            read = await reply.read(self.means.policy.error_limit)
        refusal = self.prepared.refusal(status, reply.headers, read or b"")
        if words is None:
            return refusal
        return reworded(refusal, self._as_try(), words, status, read)

    def _as_try(self) -> Try:
        return Try(self.candidate, self.call, self.ask, self.means, self.again)

    def relay(self) -> Relay:
        """The way back of a stream, whose words are counted where missing usage is to be estimated."""
        if not self.means.policy.estimate_missing_usage:
            return self.prepared.relay()
        words = self.words = Words()
        relay = self.prepared.relay(words.hear)
        words.facts = relay.facts
        return relay

    def complete(self) -> None:
        """Writes down a whole reply: that the candidate has answered, and that this was all of it."""
        means, candidate, record = self.means, self.candidate, self.record
        health, key = means.health, self.prepared.letterhead.key
        now = means.monotonic()
        record.first_event_s = record.duration_s = took = now - record.started
        record.status = "complete"
        health.succeeded(candidate, now, took, whole=True)
        means.allowances.answered(key)
        health.busy.over(key[0], record.model)
        health.completed(candidate, record, now, whole=True)
        self.closed = True
        if self.words is not None:
            self._estimate(self.words)
        self.tab.closed(record)
        self.call.outcome.status = "complete"

    def answered(self) -> None:
        """Notes that the candidate has begun to answer, and how soon."""
        means = self.means
        means.health.succeeded(
            self.candidate, means.monotonic(), self.record.first_event_s, whole=False
        )
        means.allowances.answered(self.prepared.letterhead.key)

    def failed(self, error: UpstreamError) -> None:
        """Writes down a failure before the head."""
        record = self.record
        if record.upstream_status is None:
            record.upstream_status = error.upstream_status
        out_of_time = error.kind == "timeout" and self.deadline.own and self.left_s() <= _LEAST_S
        if out_of_time:
            error.message, error.code = late().message, late().code
        record.error_kind, record.error_code = error.kind, code_of(error)
        if error.sent == "no" or not 200 <= (record.upstream_status or 200) < 300:
            record.may_cost = False
        error.provider = self.candidate.provider.name
        unquote(error, self.candidate.credential)
        if error.provider_request_id is None:
            error.provider_request_id = record.upstream_request
        health = self.means.health
        if out_of_time:
            # How much patience a caller has says nothing about the provider.
            health.abandoned(self.candidate)
        else:
            health.failed(
                self.candidate,
                error,
                self.means.monotonic(),
                whole=not self.ask.stream,
                again=self._again(),
            )
            if not is_about_the_request(error):
                self.means.allowances.failed(self.prepared.letterhead.key)
        self.close("timeout" if error.kind == "timeout" else "upstream_error")

    def _again(self) -> bool:
        """Whether the request was at this model before: auto-disable counts requests (D17)."""
        mine, made = self.record, self.call.outcome.attempts
        others = (one for one in made if one is not mine and one.error_code != STALE)
        return any((one.provider, one.model) == (mine.provider, mine.model) for one in others)

    def settle(self, relay: Relay, failure: UpstreamError | None) -> Status:
        """Writes down how the stream ended, before its last frame goes out."""
        self.note(relay)
        if failure is None:
            status: Status = "complete"
        else:
            failure.provider = self.candidate.provider.name
            unquote(failure, self.candidate.credential)
            status = "timeout" if failure.kind == "timeout" else "upstream_cut"
            if relay.facts.error is failure and failure.code != "upstream_truncated":
                status = "upstream_error"
            code = code_of(failure)
            self.record.error_kind, self.record.error_code = failure.kind, code
            self.call.outcome.error_code = code
            if failure.code == "deadline_exceeded":
                self.means.health.abandoned(self.candidate)
            else:
                now = self.means.monotonic()
                self.means.health.failed(self.candidate, failure, now, again=self._again())
        self.close(status)
        return status

    def note(self, relay: Relay) -> None:
        """Takes over what the stream has said of usage, ids and losses."""
        self.overhear(relay)
        self.call.outcome.losses += relay.facts.losses

    def overhear(self, relay: Relay) -> None:
        """Takes over what the stream has said of usage and ids."""
        facts = relay.facts
        usage = facts.usage
        if usage is not None and not facts.finished:
            # Anthropic's stream begins with an output of 1 or so: what was written by the time of
            # the cut is known to the provider alone (D25).
            usage = structs.replace(usage, output=None, apart=None, reasoning=None, total=None)
        record = self.record
        record.usage, record.finish, record.answered = usage, facts.finish, facts.model
        self.called(facts.id)

    def called(self, name: str | None) -> None:
        """Takes over what the answer calls itself, unless its head has said by which name it is looked up.

        OpenRouter's two differ in the Responses API.
        """
        record = self.record
        if name and record.upstream_id == record.upstream_request:
            record.upstream_id = name

    def give_up(self, status: Status) -> None:
        """Writes down that it is over without a word about the candidate's health."""
        health = self.means.health
        if self.lost:
            status = "hedge_lost"
            now = self.means.monotonic()
            took = now - self.record.started
            health.outrun(self.candidate, now, took, whole=not self.ask.stream)
        else:
            health.abandoned(self.candidate)
        self.close(status)

    def close(self, status: Status) -> None:
        """Writes down how the try ended."""
        record, now = self.record, self.means.monotonic()
        record.status = status
        record.duration_s = now - record.started
        if not self.closed:
            health, letterhead = self.means.health, self.prepared.letterhead
            health.busy.over(letterhead.key[0], record.model)
            if status == "complete":
                health.completed(self.candidate, record, now, whole=self.is_whole)
            self.closed = True
        if self.words is not None and self.words.came(status):
            self._estimate(self.words)
        self.tab.closed(record)
        if status != "hedge_lost":
            self.call.outcome.status = status

    def _estimate(self, words: Words) -> None:
        """Fills in what the provider has not told, for the ledger."""
        prepared, record = self.prepared, self.record
        sent: tuple[bytes, ...] = (prepared.outgoing.body,)
        if prepared.crossing is not None:
            sent = (*sent, *prepared.crossing.further)[prepared.crossing.earlier :]
        record.estimated = completed(record.usage, sent, words.size)
        if record.estimated is not None:
            record.tokens_from = "estimated"

    async def hang_up(self) -> None:
        """Gives the connection back, or closes it."""
        if self.reply is not None:
            await self.reply.close()
