"""Events → lines for a caller: one object each, none blank, the last one says ``done`` (P9).

Words go out as they come, calls whole and in their order: a client without ids tells them
apart by that alone. Nothing can be said in silence, so a sign of life is not passed on (P15).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import msgspec
from msgspec import Raw
from msgspec.structs import replace

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
from dragoman.core.parts import Media, Part, Refusal, Text, Thinking, ToolCall
from dragoman.core.response import Finish
from dragoman.core.usage import Usage, merge
from dragoman.dialects.base import Context
from dragoman.dialects.halves import mend
from dragoman.dialects.ollama import reply
from dragoman.dialects.ollama.error import error_line
from dragoman.dialects.ollama.reply import Shape
from dragoman.dialects.ollama.response import answer_loss, lost_of, silenced, write_call
from dragoman.dialects.ollama.wire import encode, own
from dragoman.dialects.untold import stop_losses, tier_losses, usage_losses


def stream_writer(shape: Shape) -> Callable[[Context], OllamaStreamWriter]:
    """The writers of streams of one shape."""

    def write(context: Context) -> OllamaStreamWriter:
        return OllamaStreamWriter(context, shape)

    return write


class _Held:
    """A part whose end has to be seen: a call that is not told yet, or state that is lost."""

    __slots__ = ("fields", "head", "stopped")

    def __init__(self, head: Part) -> None:
        self.head = head
        self.fields: dict[str, list[str]] = {}
        self.stopped = False

    def whole(self) -> Part:
        """The part with what has come for it, words that are already told left out."""
        grown = {name: "".join(pieces) for name, pieces in self.fields.items()}
        head = self.head
        if isinstance(head, ToolCall):
            signature = grown.get("signature", head.signature)
            arguments = head.arguments + grown.get("arguments", "")
            return replace(head, arguments=arguments, signature=signature)
        if isinstance(head, Thinking):
            signature = grown.get("signature", head.signature)
            return replace(
                head, signature=signature, encrypted=grown.get("encrypted", head.encrypted)
            )
        return head


class OllamaStreamWriter:
    """A ``StreamWriter`` of one of Ollama's shapes. Of several choices only the first is told."""

    __slots__ = (
        "_calls",
        "_closed",
        "_context",
        "_extra",
        "_finish",
        "_head",
        "_held",
        "_shape",
        "_tier",
        "_usage",
        "losses",
    )

    def __init__(self, context: Context, shape: Shape) -> None:
        self._context = context
        self._shape: Shape = shape
        self._closed = False
        self._head: dict[str, object] = {}
        self._name(Start())
        self._held: dict[int, _Held] = {}
        """Parts that have not stopped, and calls behind them, in the order in which they began."""
        self._calls = 0
        self._usage: Usage | None = None
        self._finish = Finish("stop")
        self._extra: dict[str, Raw] = {}
        self.losses: list[Loss] = []

    def send(self, event: Event) -> bytes:
        """The lines that the event makes due; whole ones, perhaps none."""
        if self._closed:
            return b""
        match event:
            case PartDelta():
                return self._delta(event) if event.choice == 0 else b""
            case PartStart():
                return self._start(event) if event.choice == 0 else b""
            case PartStop():
                return self._stop(event.part) if event.choice == 0 else b""
            case Start():
                self._name(event)
                return b""
            case UsageNote():
                self._usage = merge(self._usage, event.usage)
                return b""
            case Finished():
                return self._finished(event)
            case LogprobNote():
                return self._logprobs(event) if event.choice == 0 else b""
            case Cited():
                self._lose(Loss(f"message.content[{event.part}].citations", "not_in_dialect"))
                return b""
            case Ping():
                return b""
            case Failure():
                return self._fail(event.error)
            case End():
                return self._end()
            case _:
                assert_never(event)

    def _name(self, start: Start) -> None:
        self._usage = start.usage
        self._tier = start.service_tier
        self._head = {
            "model": start.model or self._context.model,
            "created_at": reply.created_at(start.created, self._context),
        }

    def _line(self, content: str, thinking: str = "", calls: list[object] | None = None) -> bytes:
        said = reply.write_said(self._shape, content, thinking, calls)
        return _encoded({**self._head, **said, "done": False})

    def _start(self, event: PartStart) -> bytes:
        head = event.head
        self._held[event.part] = _Held(head)
        match head:
            case Text() | Refusal() if head.text:
                return self._line(head.text)
            case Thinking() if head.text:
                return self._line("", head.text)
            case Media() if head.transcript:
                return self._line(head.transcript)
            case _:
                return b""

    def _delta(self, event: PartDelta) -> bytes:
        held = self._held.get(event.part)
        if held is None or not event.text:
            return b""
        if event.field == "text":
            match held.head:
                case Text() | Refusal():
                    return self._line(event.text)
                case Thinking():
                    return self._line("", event.text)
                case _:
                    return b""
        held.fields.setdefault(event.field, []).append(event.text)
        return b""

    def _stop(self, number: int) -> bytes:
        held = self._held.get(number)
        if held is None:
            return b""
        held.stopped = True
        if not isinstance(held.head, ToolCall):
            del self._held[number]
            for loss in lost_of(held.whole(), number, self._shape):
                self._lose(loss)
            return b""
        due: list[object] = []
        for place, one in list(self._held.items()):
            if isinstance(one.head, ToolCall):
                if not one.stopped:
                    break
                del self._held[place]
                due += self._call(place, one.whole())
        return self._line("", calls=due) if due else b""

    def _call(self, place: int, call: Part) -> list[object]:
        for loss in lost_of(call, place, self._shape):
            self._lose(loss)
        if self._shape == "generate" or not isinstance(call, ToolCall):
            return []
        self._calls += 1
        return [write_call(call, self._calls - 1, self._context)]

    def _lose(self, loss: Loss) -> None:
        if loss not in self.losses:
            self.losses.append(loss)

    def _logprobs(self, event: LogprobNote) -> bytes:
        tokens = reply.write_logprobs(event.logprobs)
        if tokens is None:
            return b""
        said = reply.write_said(self._shape, "")
        return _encoded({**self._head, **said, "done": False, "logprobs": tokens})

    def _finished(self, event: Finished) -> bytes:
        if event.choice:
            self._lose(answer_loss(event.choice))
            return b""
        reason = event.finish.reason
        if reason in reply.BROKEN:
            return self._fail(reply.broken_finish(reason))
        if reason in reply.SILENCED:
            self._lose(silenced(reason))
        self._finish = event.finish
        self._extra = own(event.ext)
        return b""

    def _fail(self, error: GatewayError) -> bytes:
        """The one terminal line; nothing that says completion may follow (D3)."""
        self._closed = True
        return error_line(error, self._context)

    def _end(self) -> bytes:
        self._closed = True
        for loss in (
            *stop_losses(self._finish, "message"),
            *usage_losses(self._usage, frozenset()),
            *tier_losses(self._tier),
        ):
            self._lose(loss)
        last = {
            **self._head,
            **reply.write_said(self._shape, ""),
            "done": True,
            "done_reason": reply.write_reason(self._finish),
            **self._extra,
            **reply.write_usage(self._usage),
        }
        return _encoded(last)


def _encoded(line: dict[str, object]) -> bytes:
    try:
        data = encode(line)
    except UnicodeEncodeError:
        data = encode(_mended(line))
    if b"\n" in data:  # Only raw JSON of a pretty-printed reply has line ends.
        data = msgspec.json.format(data, indent=-1)
    return data + b"\n"


def _mended(node: object) -> object:
    match node:
        case str():
            return mend(node)
        case dict():
            return {name: _mended(item) for name, item in node.items()}
        case list():
            return [_mended(item) for item in node]
        case _:
            return node
