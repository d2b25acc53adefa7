"""Events → this dialect's stream (R-XLATE-030 to 039).

One block is open at a time and blocks are numbered from 0 without a gap, for the official
client indexes by that number (P39, P160). A part that begins while another's block is open is
held back and told after it, first come, first served.
"""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.envelope import Envelope
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
from dragoman.core.parts import Part, Refusal, Text, Thinking, ToolCall
from dragoman.core.response import Finish
from dragoman.core.usage import Usage, merge
from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.draft import own
from dragoman.dialects.anthropic.envelope import is_native, wrap
from dragoman.dialects.anthropic.error import error_frame
from dragoman.dialects.anthropic.finish import BROKEN, write_details, write_reason
from dragoman.dialects.anthropic.response import (
    TIER_WRITE,
    answer_loss,
    broken_finish,
    citation_loss,
    message_id,
    tool_use_id,
    write_block,
    write_thinking,
)
from dragoman.dialects.anthropic.usage import TOLD, write_delta_usage, write_usage
from dragoman.dialects.anthropic.wire import DIALECT, encode
from dragoman.dialects.base import Context
from dragoman.dialects.call_arguments import as_object
from dragoman.dialects.error_members import told
from dragoman.dialects.halves import mend
from dragoman.dialects.untold import logprob_losses, tier_losses, usage_losses

PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


_WORDS = (
    b"event: content_block_delta\ndata: "
    b'{"type":"content_block_delta","index":%d,"delta":{"type":"%s","%s":%s}}\n\n'
)


def frame(payload: dict[str, object]) -> bytes:
    """One event, its name repeated as the clients want it (P7), its data on one line."""
    data = encode(payload)
    if b"\n" in data:  # Only raw JSON of a pretty-printed reply has line ends.
        data = msgspec.json.format(data, indent=-1)
    return b"event: %s\ndata: %s\n\n" % (str(payload["type"]).encode(), data)


def _json(words: str) -> bytes:
    try:
        return encode(words)
    except UnicodeEncodeError:
        return encode(mend(words))


class _Block:
    """A part on its way out, and what was said of it while another had the floor."""

    __slots__ = (
        "arguments",
        "encrypted",
        "head",
        "held",
        "object",
        "sealed_up",
        "signature",
        "stopped",
    )

    def __init__(self, head: Part) -> None:
        self.head = head
        self.held: list[tuple[bytes, bytes, bytes]] = []
        """Types, members and words of its deltas."""
        self.arguments: list[str] = []
        """Those that are no object as they stand; told as one at the end."""
        self.object = False
        self.signature = head.signature if isinstance(head, Thinking) else None
        self.encrypted = head.encrypted if isinstance(head, Thinking) else None
        self.stopped = False
        self.sealed_up = False
        """All of the thought's state is told already, in the start of its block."""

    @property
    def has_words(self) -> bool:
        """Whether there is anything to tell yet: no block opens for a text without words."""
        head = self.head
        match head:
            case Text() | Refusal():
                return bool(self.held or head.text)
            case Thinking():
                state = self.signature is not None or self.encrypted is not None
                return bool(self.held or head.text) or (self.stopped and state)
            case _:
                return True

    def thinking(self) -> Thinking:
        """The thought with the state that has come for it."""
        assert isinstance(self.head, Thinking)
        return replace(self.head, signature=self.signature, encrypted=self.encrypted)

    def argued(self, text: str) -> tuple[bytes, bytes, bytes] | None:
        """The delta of some arguments; None where they begin like no object (P36)."""
        assert isinstance(self.head, ToolCall)
        words = text.lstrip()
        self.object = self.object or (words[:1] == "{" and not self.arguments)
        if self.head.kind == "custom" or not (self.object or not words):
            self.arguments.append(text)
            return None
        return b"input_json_delta", b"partial_json", _json(text)

    def sealed(self, envelope: Envelope | None) -> str:
        """What goes behind the last word of a thought, so that it can come back."""
        part = self.thinking()
        return (part.signature or "") if is_native(part) else wrap(part, envelope)


class AnthropicStreamWriter:
    """A ``StreamWriter`` of this dialect. Of several choices only the first can be told."""

    __slots__ = (
        "_blocks",
        "_closed",
        "_context",
        "_ext",
        "_finish",
        "_has_calls",
        "_index",
        "_open",
        "_refusal",
        "_started",
        "_usage",
        "losses",
    )

    def __init__(self, context: Context) -> None:
        self._context = context
        self._started = False
        self._closed = False
        self._index = 0
        self._blocks: dict[int, _Block] = {}
        """Parts that are not told to their end, in the order in which they began."""
        self._open: int | None = None
        self._usage: Usage | None = None
        self._finish = Finish("unknown")
        self._ext: dict[str, Raw] = {}
        self._has_calls = False
        self._refusal: list[str] = []
        self.losses: list[Loss] = []
        """What of the answer this dialect could not say; a stream tells it in the ledger alone (D6)."""

    def send(self, event: Event) -> bytes:
        """The frames that the event makes due; whole ones, perhaps none."""
        if self._closed:
            return b""
        match event:
            case PartDelta():
                return self._delta(event) if event.choice == 0 else b""
            case PartStart():
                return self._part(event) if event.choice == 0 else b""
            case PartStop():
                return self._part_stop(event.part) if event.choice == 0 else b""
            case Cited():
                return self._cited(event) if event.choice == 0 else b""
            case Start():
                return b"" if self._started else self._start(event)
            case UsageNote():
                self._usage = merge(self._usage, event.usage)
                return b""
            case Finished():
                if event.choice:
                    self.losses.append(answer_loss(event.choice))
                    return b""
                return self._finished(event)
            case Ping():
                return PING
            case LogprobNote():
                self._lose(logprob_losses(event.logprobs))
                return b""
            case Failure():
                return self._fail(event.error)
            case End():
                return self._end()
            case _:
                assert_never(event)

    # ----------------------------------------------------------------------- the message

    def _start(self, event: Start) -> bytes:
        self._started = True
        self._lose(tier_losses(event.service_tier, TIER_WRITE))
        if event.usage is not None:
            self._usage = merge(self._usage, event.usage)
        return frame(
            {
                "type": "message_start",
                "message": {
                    "id": message_id(event.id, self._context),
                    "type": "message",
                    "role": "assistant",
                    "model": event.model or self._context.model,
                    "content": [],
                    "stop_reason": None,
                    "stop_sequence": None,
                    "usage": write_usage(
                        event.usage, tier=TIER_WRITE.get(event.service_tier or "")
                    ),
                },
            }
        )

    def _finished(self, event: Finished) -> bytes:
        if event.finish.reason in BROKEN:
            return self._fail(broken_finish(event.finish.reason))
        self._finish = event.finish
        self._ext = own(event.ext)
        return b""

    def _lose(self, losses: list[Loss]) -> None:
        """Records each loss once."""
        self.losses += [loss for loss in losses if loss not in self.losses]

    def _fail(self, error: GatewayError) -> bytes:
        """The one terminal event; nothing that says completion may follow (D3)."""
        self._closed = True
        return error_frame(error, told(self._context))

    def _end(self) -> bytes:
        pieces = [] if self._started else [self._start(Start())]
        pieces += [self._part_stop(number) for number in list(self._blocks)]
        if self._index == 0:
            # A message says something, be it nothing (R-XLATE-036).
            empty = {"type": "text", "text": ""}
            pieces.append(self._frame_of("content_block_start", content_block=empty))
            pieces.append(self._frame_of("content_block_stop"))
        refusal = "".join(self._refusal)
        reason = write_reason(self._finish, has_calls=self._has_calls, refused=bool(self._refusal))
        delta: dict[str, object] = {
            "stop_reason": reason,
            "stop_sequence": self._finish.stop_sequence,
        }
        if (details := write_details(self._finish, reason, refusal)) is not None:
            delta["stop_details"] = details
        delta.update({name: raw for name, raw in self._ext.items() if name == "container"})
        told: dict[str, object] = {
            "type": "message_delta",
            "delta": delta,
            "usage": write_delta_usage(self._usage),
        }
        told.update({name: raw for name, raw in self._ext.items() if name != "container"})
        self._lose(usage_losses(self._usage, TOLD))
        self._closed = True
        return b"".join([*pieces, frame(told), _STOP])

    # ----------------------------------------------------------------------- parts

    def _part(self, event: PartStart) -> bytes:
        block = _Block(event.head)
        if isinstance(event.head, ToolCall) and event.head.arguments:
            said = block.argued(event.head.arguments)
            block.held += [said] if said is not None else []
        self._blocks[event.part] = block
        if isinstance(event.head, ToolCall):
            self._has_calls = True
        elif isinstance(event.head, Refusal):
            self._refusal.append(event.head.text)
        return self._go_on() if self._open is None else b""

    def _delta(self, event: PartDelta) -> bytes:
        block = self._blocks.get(event.part)
        if block is None or not event.text:
            return b""
        said = self._said(block, event)
        if said is None:
            return b""
        if self._open == event.part:
            return _WORDS % (self._index, *said)
        block.held.append(said)
        return self._go_on() if self._open is None else b""

    def _said(self, block: _Block, event: PartDelta) -> tuple[bytes, bytes, bytes] | None:
        """A delta's type, member and words; None for what is told at the end of its block."""
        match block.head, event.field:
            case (Text(), "text"):
                return b"text_delta", b"text", _json(event.text)
            case (Refusal(), "text"):
                self._refusal.append(event.text)
                return b"text_delta", b"text", _json(event.text)
            case (Thinking(), "text"):
                return b"thinking_delta", b"thinking", _json(event.text)
            case (Thinking(), "signature"):
                # Behind the last thought, wherever the provider put it (P96).
                block.signature = (block.signature or "") + event.text
            case (Thinking(), "encrypted"):
                block.encrypted = (block.encrypted or "") + event.text
            case (ToolCall(), "arguments"):
                return block.argued(event.text)
            case _:
                pass
        return None

    def _cited(self, event: Cited) -> bytes:
        """A citation of this dialect's own; of others there is no exact form (§5)."""
        block = self._blocks.get(event.part)
        citation = event.citation
        if citation.raw is None or citation.dialect != DIALECT:
            self._lose([citation_loss(event.part)])
            return b""
        if block is None:
            return b""
        said = (b"citations_delta", b"citation", wire.compact(citation.raw).encode())
        if self._open == event.part:
            return _WORDS % (self._index, *said)
        block.held.append(said)
        return self._go_on() if self._open is None else b""

    def _part_stop(self, number: int) -> bytes:
        block = self._blocks.get(number)
        if block is None:
            return b""
        block.stopped = True
        if self._open == number:
            return self._close(number) + self._go_on()
        if not block.has_words:
            del self._blocks[number]
            return b""
        return self._go_on() if self._open is None else b""

    def _go_on(self) -> bytes:
        """Gives the floor to the part that has waited longest with something to say."""
        pieces: list[bytes] = []
        while self._open is None:
            number = next((n for n, block in self._blocks.items() if block.has_words), None)
            if number is None:
                break
            block = self._blocks[number]
            start = self._block_start(block, number)
            if start is None:
                self.losses.append(Loss(f"content[{number}]", "not_in_dialect"))
                del self._blocks[number]
                continue
            if not self._started:
                pieces.append(self._start(Start()))
            self._open = number
            pieces.append(self._frame_of("content_block_start", content_block=start))
            pieces += [_WORDS % (self._index, *said) for said in block.held]
            if block.stopped:
                pieces.append(self._close(number))
        return b"".join(pieces)

    def _block_start(self, block: _Block, number: int) -> object | None:
        head = block.head
        match head:
            case Text() | Refusal():
                if head.text:
                    block.held.insert(0, (b"text_delta", b"text", _json(head.text)))
                return {"type": "text", "text": ""}
            case Thinking():
                if head.text:
                    block.held.insert(0, (b"thinking_delta", b"thinking", _json(head.text)))
                whole = write_thinking(block.thinking(), self._context.envelope)
                if whole["type"] == "redacted_thinking" and not block.held:
                    block.sealed_up = True
                    return whole
                return {"type": "thinking", "thinking": "", "signature": ""}
            case ToolCall():
                return {
                    "type": "tool_use",
                    "id": tool_use_id(head.id, self._context, number),
                    "name": head.name or "tool",
                    "input": {},
                    **own(head.ext),
                }
            case _:
                return write_block(head, self._context, number)

    def _close(self, number: int) -> bytes:
        """What a block still owes, and its stop."""
        block = self._blocks.pop(number)
        pieces: list[bytes] = []
        if isinstance(block.head, Thinking):
            signature = "" if block.sealed_up else block.sealed(self._context.envelope)
            if signature:
                said = (b"signature_delta", b"signature", _json(signature))
                pieces.append(_WORDS % (self._index, *said))
        elif isinstance(block.head, ToolCall) and (block.arguments or block.head.kind == "custom"):
            whole = as_object(replace(block.head, arguments="".join(block.arguments)))[0]
            said = (b"input_json_delta", b"partial_json", _json(bytes(whole).decode()))
            pieces.append(_WORDS % (self._index, *said))
        pieces.append(self._frame_of("content_block_stop"))
        self._open = None
        self._index += 1
        return b"".join(pieces)

    def _frame_of(self, kind: str, **members: object) -> bytes:
        return frame({"type": kind, "index": self._index, **members})
