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
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Protocol

from msgspec import structs

from dragoman.attempt.policy import Policy
from dragoman.attempt.ports import Tab, Transport, UpstreamReply
from dragoman.attempt.prepare import Prepared, prepare
from dragoman.attempt.retry_budget import RetryBudget
from dragoman.attempt.verdict import GiveUp, Next, Retry, verdict
from dragoman.attempt.watchdog import Watchdog
from dragoman.core.ask import Ask
from dragoman.core.call import Attempt, Call, Head, Status
from dragoman.core.envelope import Envelope
from dragoman.core.errors import CallerError, GatewayError, HouseError, UpstreamError
from dragoman.core.provider import Candidate, Plan
from dragoman.dialects.base import Relay

_WHITE = b" \t\r\n\xef\xbb\xbf"


class Health(Protocol):
    """What is known of candidates' health; the breakers implement it."""

    def admits(self, candidate: Candidate, now: float) -> bool:
        """Whether the candidate may be tried now; an open breaker's probe is claimed by asking."""
        ...

    def succeeded(self, candidate: Candidate, now: float, first_event_s: float | None) -> None:
        """The candidate answered."""
        ...

    def failed(self, candidate: Candidate, error: UpstreamError, now: float) -> None:
        """The candidate failed."""
        ...

    def abandoned(self, candidate: Candidate) -> None:
        """The try ended without a word about the candidate's health."""
        ...


@dataclass(slots=True)
class Means:
    """What attempts are made with; one for each process."""

    transport: Transport
    stub: Transport
    health: Health
    policy: Policy
    monotonic: Callable[[], float]
    wall: Callable[[], float]
    dice: Callable[[], float]
    new_id: Callable[[], str]
    user_agent: str
    report: Callable[[Exception, Call], None]
    """Tells the log of an error that is ours."""
    envelope: Envelope | None = None
    """Carries reasoning state through callers whose dialect did not issue it (D22)."""
    budgets: dict[str, RetryBudget] = field(default_factory=dict)

    def budget(self, provider: str) -> RetryBudget:
        """The retry budget of a provider."""
        found = self.budgets.get(provider)
        if found is None:
            found = self.budgets[provider] = RetryBudget()
        return found


async def attempt(
    plan: Plan, ask: Ask, call: Call, tab: Tab, means: Means
) -> AsyncGenerator[Head | bytes, None]:
    """The answer to a call: its head, then the pieces of a stream.

    Raises:
        GatewayError: no candidate answered; nothing has been yielded then.
    """
    retries = 0
    position = 0
    failure: GatewayError | None = None
    until = means.monotonic() + means.policy.first_event_s
    while position < len(plan.candidates):
        left_s = until - means.monotonic()
        if failure is not None and left_s <= 0:
            break
        candidate = plan.candidates[position]
        more = position + 1 < len(plan.candidates)
        if not means.health.admits(candidate, means.monotonic()) and (more or failure is None):
            failure = failure or _resting(candidate)
            position += 1
            continue
        trial = _Trial(candidate, ask, call, tab, means, plan)
        try:
            prepared = trial.prepare(left_s)
        except CallerError as error:
            means.health.abandoned(candidate)
            if failure is None and not more:
                raise
            failure = failure or error
            position += 1
            continue
        trial.open(prepared)
        try:
            await tab.kept()
            if ask.stream and call.operation == "chat":
                opened = await trial.stream()
            else:
                head = await trial.whole()
                opened = None
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
                    await asyncio.sleep(pause)
                case Next():
                    position += 1
                case GiveUp():
                    break
            continue
        if opened is None:
            yield head
            return
        async with aclosing(opened):
            async for piece in opened:
                yield piece
        return
    assert failure is not None, "a plan has at least one candidate"
    raise failure


def _resting(candidate: Candidate) -> UpstreamError:
    """What is said where the breaker of the only candidate is open."""
    return UpstreamError(
        "overloaded",
        f"{candidate.name} has failed repeatedly and is given a rest; try again shortly.",
        code="provider_down",
        sent="no",
        provider=candidate.provider.name,
        retryable=True,
    )


class _Trial:
    """One try at one candidate, from its first record to its last."""

    __slots__ = (
        "_ask",
        "_call",
        "_candidate",
        "_closed",
        "_means",
        "_plan",
        "_prepared",
        "_record",
        "_reply",
        "_tab",
    )

    def __init__(
        self, candidate: Candidate, ask: Ask, call: Call, tab: Tab, means: Means, plan: Plan
    ) -> None:
        self._candidate = candidate
        self._ask = ask
        self._call = call
        self._tab = tab
        self._means = means
        self._plan = plan
        self._closed = False
        self._reply: UpstreamReply | None = None
        self._prepared: Prepared
        self._record: Attempt

    def prepare(self, left_s: float) -> Prepared:
        """Writes the call for the candidate, which has so many seconds for its first event."""
        return prepare(
            self._call,
            self._ask,
            self._candidate,
            self._means.policy,
            lambda usage: self._tab.cost(self._candidate, usage),
            self._means.user_agent,
            self._means.envelope,
            left_s,
        )

    def open(self, prepared: Prepared) -> None:
        """Writes down that the try is about to be made."""
        self._prepared = prepared
        outcome = self._call.outcome
        outcome.losses = prepared.outgoing.losses
        outcome.adjusted = prepared.outgoing.adjusted
        candidate = self._candidate
        outcome.label_model = candidate.model if candidate.known else "other"
        self._record = Attempt(
            id=self._means.new_id(),
            number=len(outcome.attempts) + 1,
            provider=candidate.provider.name,
            model=candidate.model,
            credential=candidate.credential.id if candidate.credential else None,
            started=self._means.monotonic(),
            wall=self._means.wall(),
        )
        outcome.attempts.append(self._record)
        if self._record.number == 1:
            self._means.budget(candidate.provider.name).request(self._record.started)
        self._tab.opened(self._record)

    # ------------------------------------------------------------------ whole replies

    async def whole(self) -> Head:
        """The whole reply."""
        policy = self._means.policy
        status: Status = "client_cut"
        try:
            reply = await self._send()
            body = await reply.read(policy.reply_limit)
            if not body:
                raise UpstreamError(
                    "upstream", "The provider answered with an empty body.", code="provider_error"
                )
            tapped, losses = self._prepared.tap(self._call.operation, body)
            self._call.outcome.losses += losses
            self._record.usage = tapped.usage
            self._record.upstream_id = tapped.id or self._record.upstream_id
            self._record.first_event_s = self._means.monotonic() - self._record.started
            status = "complete"
            self._means.health.succeeded(
                self._candidate, self._means.monotonic(), self._record.first_event_s
            )
            self._call.outcome.http_status = 200
            self._close(status)
            await self._tab.kept()
            return Head(200, self._prepared.caller.content_type, tapped.body)
        except UpstreamError as error:
            self._failed(error)
            raise
        except asyncio.CancelledError:
            if self._call.gone:
                raise
            # The server shuts down and its patience is over (R2).
            _uncancel()
            status = "house_error"
            raise draining() from None
        except Exception:
            status = "house_error"
            raise
        finally:
            if not self._closed:
                self._means.health.abandoned(self._candidate)
                self._close(status)
            await self._hang_up()

    # ------------------------------------------------------------------ streams

    async def stream(self) -> AsyncGenerator[Head | bytes, None]:
        """The stream, once its first content is there or the gate's time is over."""
        ready = False
        status: Status = "client_cut"
        try:
            reply = await self._send()
            relay = self._prepared.relay()
            held, pending, ended = await self._gate(reply, relay)
            self._means.health.succeeded(
                self._candidate, self._means.monotonic(), self._record.first_event_s
            )
            ready = True
            return self._under_way(reply, relay, held, pending, ended=ended)
        except UpstreamError as error:
            self._failed(error)
            raise
        except asyncio.CancelledError:
            if self._call.gone:
                raise
            # The server shuts down and its patience is over (R2).
            _uncancel()
            status = "house_error"
            raise draining() from None
        except Exception:
            status = "house_error"
            raise
        finally:
            if not ready:
                if not self._closed:
                    self._means.health.abandoned(self._candidate)
                    self._close(status)
                await self._hang_up()

    async def _gate(
        self, reply: UpstreamReply, relay: Relay
    ) -> tuple[bytes, asyncio.Future[bytes | None] | None, bool]:
        """Reads until content has come: what is due so far, a read still under way, whether it ended."""
        means = self._means
        loop = asyncio.get_running_loop()
        deadline = loop.time() + means.policy.gate_s
        held: list[bytes] = []
        sniffed = False
        while True:
            pending = asyncio.ensure_future(reply.next())
            try:
                await asyncio.wait({pending}, timeout=max(0.0, deadline - loop.time()))
            except BaseException:
                pending.cancel()
                with suppress(BaseException):
                    await pending
                raise
            if not pending.done():
                return b"".join(held), pending, False
            piece = pending.result()
            if piece is not None and not sniffed:
                start = piece.lstrip(_WHITE)[:1]
                if not start:
                    continue
                sniffed = True
                if start in {b"{", b"[", b"<"}:
                    piece = await self._whole_in_time(reply, piece)
            held.append(relay.close() if piece is None else relay.feed(piece))
            facts = relay.facts
            if facts.error is not None:
                raise facts.error
            if facts.content or facts.finished or piece is None:
                self._record.first_event_s = means.monotonic() - self._record.started
                return b"".join(held), None, piece is None

    async def _whole_in_time(self, reply: UpstreamReply, start: bytes) -> bytes:
        """``_whole_instead`` within the time that whole replies have; ``next`` alone has no bound."""
        allowed = self._means.policy.first_event_s
        try:
            async with asyncio.timeout(allowed):
                return await self._whole_instead(reply, start)
        except TimeoutError:
            raise UpstreamError(
                "timeout",
                f"The provider did not finish its reply within {allowed:g} seconds.",
                code="read_timeout",
                retryable=True,
            ) from None

    async def _whole_instead(self, reply: UpstreamReply, start: bytes) -> bytes:
        """A reply that is whole although a stream was asked for, as a stream (P11)."""
        pieces = [start]
        size = len(start)
        while (piece := await reply.next()) is not None:
            pieces.append(piece)
            size += len(piece)
            if size > self._means.policy.reply_limit:
                raise UpstreamError(
                    "upstream", "The provider's reply is too large.", code="provider_error"
                )
        body = b"".join(pieces)
        if not body.lstrip(_WHITE).startswith(b"{"):
            raise UpstreamError(
                "upstream",
                "The provider answered with something else than a stream.",
                code="provider_error",
            )
        provider = self._prepared.provider
        # Raises where the object is an error or no reply at all.
        provider.tap_response(body, self._prepared.target, self._prepared.context)
        return provider.response_frames(body)

    async def _under_way(
        self,
        reply: UpstreamReply,
        relay: Relay,
        held: bytes,
        pending: asyncio.Future[bytes | None] | None,
        *,
        ended: bool,
    ) -> AsyncGenerator[Head | bytes, None]:
        """The head and the frames; from here on nothing is retried."""
        means = self._means
        policy = means.policy
        facts = relay.facts
        dialect = self._prepared.caller
        dog = Watchdog(policy.idle_s, policy.write_s)
        tail: list[bytes] = []
        status: Status = "client_cut"
        failure: UpstreamError | None = None
        drained = False
        try:
            dog.writing()
            self._call.outcome.http_status = 200
            yield Head(200, dialect.stream_content_type, heartbeat=dialect.heartbeat)
            if held:
                if facts.finished:
                    tail.append(held)
                else:
                    yield held
            dog.reading()
            while not ended:
                try:
                    piece = await pending if pending is not None else await reply.next()
                    pending = None
                    if piece is None:
                        ended = True
                        out = relay.close()
                    else:
                        out = relay.feed(piece)
                except UpstreamError as error:
                    if facts.finished:
                        break
                    failure = error
                    break
                if facts.error is not None:
                    failure = facts.error
                    if out and not facts.finished:
                        dog.writing()
                        yield out
                    break
                if facts.finished:
                    if not tail:
                        dog.tighten(policy.linger_s)
                    tail.append(out)
                    continue
                if out:
                    dog.writing()
                    yield out
                    dog.reading()
            status = self._settle(relay, failure)
            await self._tab.kept()
            dog.writing()
            if failure is not None:
                yield relay.fail(failure)
            elif tail or ended:
                yield b"".join(tail) or b""
        except asyncio.CancelledError:
            if dog.fired == "upstream":
                _uncancel()
                if facts.finished:
                    status = self._settle(relay, None)
                    yield b"".join(tail)
                else:
                    failure = _silent(policy.idle_s)
                    status = self._settle(relay, failure)
                    yield relay.fail(failure)
            elif not self._call.gone and dog.fired is None and not self._closed:
                # The server shuts down and its patience is over (R2).
                _uncancel()
                status = "house_error"
                self._note(relay)
                self._close(status)
                yield relay.fail(draining())
            else:
                drained = self._drain_if_told(reply, relay)
                raise
        except GeneratorExit:
            drained = self._drain_if_told(reply, relay)
            raise
        except Exception as error:  # noqa: BLE001  a bug of ours must not end a stream in silence
            means.report(error, self._call)
            status = "house_error"
            self._note(relay)
            self._close(status)
            yield relay.fail(HouseError("server", "The gateway failed while relaying the stream."))
        finally:
            dog.stop()
            if pending is not None and not pending.done():
                pending.cancel()
            if not drained:
                if not self._closed:
                    self._note(relay)
                    self._close(status)
                await self._hang_up()

    def _settle(self, relay: Relay, failure: UpstreamError | None) -> Status:
        """Writes down how the stream ended, before its last frame goes out."""
        self._note(relay)
        if failure is None:
            status: Status = "complete"
        else:
            failure.provider = self._candidate.provider.name
            status = "timeout" if failure.kind == "timeout" else "upstream_cut"
            if relay.facts.error is failure and failure.code != "upstream_truncated":
                status = "upstream_error"
            self._record.error_kind = failure.kind
            self._call.outcome.error_code = failure.code or failure.kind
            self._means.health.failed(self._candidate, failure, self._means.monotonic())
        self._close(status)
        return status

    def _note(self, relay: Relay) -> None:
        facts = relay.facts
        usage = facts.usage
        if usage is not None and not facts.finished:
            # Anthropic's stream begins with an output of 1 or so: what was written by the time of
            # the cut is known to the provider alone (D25).
            usage = structs.replace(usage, output=None, apart=None, reasoning=None, total=None)
        self._record.usage = usage
        self._record.upstream_id = facts.id or self._record.upstream_id
        self._call.outcome.losses += facts.losses

    def _drain_if_told(self, reply: UpstreamReply, relay: Relay) -> bool:
        """Reads an abandoned stream on, where the provider bills it whole anyway (D18)."""
        if self._candidate.provider.on_disconnect != "drain" or self._closed:
            return False

        async def drain() -> None:
            try:
                async with asyncio.timeout(self._means.policy.drain_s):
                    while (piece := await reply.next()) is not None:
                        relay.feed(piece)
            except (UpstreamError, TimeoutError):
                pass
            finally:
                self._note(relay)
                self._close("client_cut")
                await self._hang_up()

        task = asyncio.get_running_loop().create_task(drain())
        _DRAINING.add(task)
        task.add_done_callback(_DRAINING.discard)
        return True

    # ------------------------------------------------------------------ common

    async def _send(self) -> UpstreamReply:
        """Sends the request; a status that is no success is raised as the provider's error."""
        means = self._means
        transport = means.stub if self._candidate.provider.stub else means.transport
        reply = self._reply = await transport.send(self._prepared.request)
        self._record.upstream_status = reply.status
        request = reply.headers.get("x-request-id") or reply.headers.get("request-id")
        self._record.upstream_id = self._record.upstream_request = request
        if 200 <= reply.status < 300:
            return reply
        try:
            body = await reply.read(means.policy.error_limit)
        except UpstreamError:
            body = b""  # too long, or broken off: the status alone says enough
        raise self._prepared.refusal(reply.status, reply.headers, body)

    def _failed(self, error: UpstreamError) -> None:
        """Writes down a failure before the head."""
        record = self._record
        if record.upstream_status is None:
            record.upstream_status = error.upstream_status
        record.error_kind = error.kind
        error.provider = self._candidate.provider.name
        if error.provider_request_id is None:
            error.provider_request_id = record.upstream_request
        self._means.health.failed(self._candidate, error, self._means.monotonic())
        self._close("timeout" if error.kind == "timeout" else "upstream_error")

    def tell(self, error: UpstreamError) -> UpstreamError:
        """The error as the caller's dialect may say it (D10)."""
        upstream = error.upstream_status
        if self._prepared.same:
            if upstream is not None and 500 <= upstream < 600:
                error.status = upstream
        else:
            error.body = None
        return error

    def _close(self, status: Status) -> None:
        record = self._record
        self._closed = True
        record.status = status
        record.duration_s = self._means.monotonic() - record.started
        self._tab.closed(record)
        self._call.outcome.status = status

    async def _hang_up(self) -> None:
        if self._reply is not None:
            await self._reply.close()


_DRAINING: set[asyncio.Task[None]] = set()


def draining() -> HouseError:
    """What is told where the server ends before the answer does."""
    return HouseError(
        "overloaded",
        "The gateway is shutting down; ask again.",
        code="server_draining",
        retryable=True,
    )


def _silent(idle_s: float) -> UpstreamError:
    return UpstreamError(
        "timeout",
        f"The provider sent nothing for {idle_s:g} seconds.",
        code="stream_timeout",
        retryable=True,
    )


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
