"""Events → the caller's chunks: words as they come, why each text ended, ``[DONE]``."""

from __future__ import annotations

from typing import assert_never

from dragoman.core.errors import GatewayError
from dragoman.core.events import (
    Cited,
    End,
    Event,
    Failure,
    Finished,
    LogprobNote,
    PartDelta,
    PartStart,
    PartStop,
    Ping,
    Start,
    UsageNote,
)
from dragoman.core.loss import Loss
from dragoman.core.parts import Refusal, Text
from dragoman.core.usage import Usage, merge
from dragoman.dialects.base import Context
from dragoman.dialects.completions import wire
from dragoman.dialects.completions.errors import DONE, Errors, broken_finish
from dragoman.dialects.completions.logprobs import write_logprobs
from dragoman.dialects.completions.response import (
    citation_loss,
    finish_losses,
    head_of,
    loss_of,
    words_of,
)
from dragoman.dialects.completions.wire import encode
from dragoman.dialects.halves import mend
from dragoman.dialects.untold import tier_losses, usage_losses

HEARTBEAT = b": ping\n\n"


class CompletionsStreamWriter:
    """A ``StreamWriter`` of this dialect."""

    __slots__ = (
        "_closed",
        "_context",
        "_errors",
        "_head",
        "_offsets",
        "_said",
        "_usage",
        "losses",
    )

    def __init__(self, errors: Errors, context: Context) -> None:
        self._errors = errors
        self._context = context
        self._closed = False
        self._head = head_of("", "", None, None, context)
        self._usage: Usage | None = None
        self._said: set[tuple[int, int]] = set()
        """Parts that are told: those of words."""
        self._offsets: dict[int, int] = {}
        self.losses: list[Loss] = []

    def send(self, event: Event) -> bytes:
        """The frames that the event makes due; whole ones, perhaps none."""
        if self._closed:
            return b""
        match event:
            case PartDelta():
                told = (event.choice, event.part) in self._said and event.field == "text"
                return self._chunk(event.choice, event.text) if told and event.text else b""
            case PartStart():
                return self._start(event)
            case Start():
                self._usage = event.usage
                self.losses += tier_losses(event.service_tier)
                self._head = head_of(
                    event.id, event.model, event.created, event.system_fingerprint, self._context
                )
                return b""
            case UsageNote():
                self._usage = merge(self._usage, event.usage)
                return b""
            case LogprobNote():
                return self._logprobs(event)
            case Finished():
                return self._finished(event)
            case Cited():
                loss = citation_loss(event.choice, event.part)
                if loss not in self.losses:
                    self.losses.append(loss)
                return b""
            case PartStop():
                return b""
            case Ping():
                return HEARTBEAT
            case Failure():
                return self._fail(event.error)
            case End():
                return self._end()
            case _:
                assert_never(event)

    def _start(self, event: PartStart) -> bytes:
        words = words_of(event.head)
        if words is None:
            self.losses.append(loss_of(event.head, event.choice, event.part))
            return b""
        if isinstance(event.head, Text | Refusal):
            self._said.add((event.choice, event.part))
        return self._chunk(event.choice, words) if words else b""

    def _chunk(
        self, index: int, text: str, logprobs: object = None, finish: str | None = None
    ) -> bytes:
        choice = {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish}
        body: dict[str, object] = {**self._head, "choices": [choice]}
        if self._context.include_usage:
            body["usage"] = None  # P21
        try:
            data = encode(body)
        except UnicodeEncodeError:
            return self._chunk(index, mend(text), logprobs, finish)
        return b"data: " + data + b"\n\n"

    def _logprobs(self, event: LogprobNote) -> bytes:
        written = write_logprobs(event.logprobs, self._offsets.get(event.choice, 0))
        if written is None:
            return b""
        columns, self._offsets[event.choice] = written
        return self._chunk(event.choice, "", columns)

    def _finished(self, event: Finished) -> bytes:
        if event.finish.reason in wire.BROKEN:
            return self._fail(broken_finish(event.finish.reason))
        self.losses += finish_losses(event.finish, event.choice)
        return self._chunk(event.choice, "", finish=wire.write_finish(event.finish))

    def _fail(self, error: GatewayError) -> bytes:
        """The terminal error; nothing that says completion may follow (D3)."""
        self._closed = True
        return self._errors.frames(error, self._context)

    def _end(self) -> bytes:
        self._closed = True
        self.losses += usage_losses(self._usage, wire.TOLD)
        if not self._context.include_usage:
            return DONE
        told = {**self._head, "choices": [], "usage": wire.write_usage(self._usage)}
        return b"data: " + encode(told) + b"\n\n" + DONE
