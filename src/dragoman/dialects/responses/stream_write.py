"""Events → this dialect's stream (R-XLATE-030 to 039).

Items come one after another with rising ``output_index``, and ids never change between an item's
beginning, its end and the response that repeats it, for the official client raises on it
(P146, P159). A part that begins while another is being told waits until that one is over
(P39). Neighbouring texts are content parts of one message.
"""

from __future__ import annotations

from typing import assert_never

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
from dragoman.core.parts import Refusal, Text, Thinking, ToolCall
from dragoman.core.response import Finish
from dragoman.core.usage import Usage, merge
from dragoman.dialects.base import Context
from dragoman.dialects.members import Object
from dragoman.dialects.openai_errors import known_of
from dragoman.dialects.responses.annotations import write_annotation
from dragoman.dialects.responses.echo import head
from dragoman.dialects.responses.finish import BROKEN, broken_finish
from dragoman.dialects.responses.frames import HEARTBEAT, failure_frames, frame
from dragoman.dialects.responses.reply_write import (
    answer_loss,
    call_item,
    citation_loss,
    ending,
    finish_items,
    finish_losses,
    mark_phase,
    message_item,
    offered,
    part_loss,
    reasoning_item,
    refusal_part,
    text_part,
    tokens_of,
    write_item,
)
from dragoman.dialects.responses.stream_block import ARGUED, Block, named
from dragoman.dialects.responses.usage import TOLD, write_usage
from dragoman.dialects.responses.wire import encode, said
from dragoman.dialects.responses.write import TIERS
from dragoman.dialects.untold import tier_losses, usage_losses


class ResponsesStreamWriter:
    """A ``StreamWriter`` of this dialect. Of several choices only the first can be told."""

    __slots__ = (
        "_after",
        "_before",
        "_blocks",
        "_closed",
        "_context",
        "_finish",
        "_head",
        "_item",
        "_items",
        "_message",
        "_open",
        "_sequence",
        "_tokens",
        "_usage",
        "losses",
    )

    def __init__(self, context: Context) -> None:
        self._context = context
        self._head: Object | None = None
        self._closed = False
        self._sequence = 0
        self._blocks: dict[int, Block] = {}
        """Parts that are not told to their end, in the order in which they began."""
        self._open: int | None = None
        self._item: Object = {}
        """The item that is being told."""
        self._message: Object | None = None
        """The message that may still get another content part."""
        self._items: list[Object] = []
        self._before = self._after = b""
        """What stands around the words of a delta."""
        self._tokens: list[Raw] = []
        self._usage: Usage | None = None
        self._finish = Finish("unknown")
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
                return b"" if self._head is not None else self._start(event)
            case UsageNote():
                self._usage = merge(self._usage, event.usage)
                return b""
            case Finished():
                if event.choice:
                    self.losses.append(answer_loss(event.choice))
                    return b""
                return self._finished(event)
            case Ping():
                return HEARTBEAT
            case LogprobNote():
                if event.choice == 0:
                    self._tokens += [token.copy() for token in tokens_of(event.logprobs)]
                return b""
            case Failure():
                return self._fail(event.error)
            case End():
                return self._end()
            case _:
                assert_never(event)

    # ----------------------------------------------------------------------- frames

    def _frame(self, kind: str, members: Object) -> bytes:
        written = frame(kind, self._sequence, members)
        self._sequence += 1
        return written

    def _of_item(self, kind: str, **members: object) -> bytes:
        """An event of the item under way."""
        place = {"item_id": self._item["id"], "output_index": len(self._items)}
        return self._frame(kind, {**place, **members})

    def _whole_item(self, kind: str, item: Object) -> bytes:
        return self._frame(kind, {"output_index": len(self._items), "item": item})

    def _deltas(self, kind: str, **members: object) -> None:
        """Writes once what every delta of a part repeats."""
        place = {"item_id": self._item["id"], "output_index": len(self._items), **members}
        lead = b"event: %s\ndata: " % kind.encode() + encode({"type": kind, **place})[:-1]
        self._before = lead + b',"sequence_number":'
        self._after = b"}\n\n"

    def _words(self, block: Block, words: str) -> bytes:
        """One delta."""
        block.pieces.append(words)
        number = self._sequence
        self._sequence += 1
        return b'%s%d,"delta":%s%s' % (self._before, number, said(words), self._after)

    # ----------------------------------------------------------------------- the response

    def _start(self, event: Start) -> bytes:
        if event.usage is not None:
            self._usage = merge(self._usage, event.usage)
        self.losses += tier_losses(event.service_tier, TIERS)
        self._head = head(event.id, event.model, event.created, event.service_tier, self._context)
        return self._frame("response.created", {"response": self._head}) + self._frame(
            "response.in_progress", {"response": self._head}
        )

    def _finished(self, event: Finished) -> bytes:
        if event.finish.reason in BROKEN:
            return self._fail(broken_finish(event.finish))
        self._finish = event.finish
        self.losses += finish_losses(event.finish)
        return b""

    def _fail(self, error: GatewayError) -> bytes:
        """The terminal events; nothing that says completion may follow (D3)."""
        self._closed = True
        response = self._head or head("", "", None, None, self._context)
        response = {**response, "output": self._items}
        return failure_frames(error, known_of(self._context), response, self._sequence)

    def _end(self) -> bytes:
        pieces = [] if self._head is not None else [self._start(Start())]
        pieces += [self._part_stop(number) for number in list(self._blocks)]
        if self._message is not None:
            finish_items([self._message], self._finish)
            pieces.append(self._close_message())
        end = ending(self._finish)
        response = {**(self._head or {}), **end, "output": self._items}
        response["usage"] = write_usage(self._usage)
        self.losses += usage_losses(self._usage, TOLD)
        pieces.append(self._frame(f"response.{end['status']}", {"response": response}))
        self._closed = True
        return b"".join(pieces)

    # ----------------------------------------------------------------------- parts

    def _part(self, event: PartStart) -> bytes:
        part = event.head
        whole = isinstance(part, ToolCall) and "execution" in offered(part, self._context)
        block = Block(part, whole=whole)
        match part:
            case Text() | Refusal() | Thinking():
                if part.text:
                    block.held.append(part.text)
            case ToolCall():
                if part.arguments:
                    block.held.append(part.arguments)
            case _:
                pass
        if isinstance(part, Text):
            block.held += [Cited(event.part, citation) for citation in part.citations]
        self._blocks[event.part] = block
        return self._go_on() if self._open is None else b""

    def _delta(self, event: PartDelta) -> bytes:
        block = self._blocks.get(event.part)
        if block is None or not event.text:
            return b""
        if event.field == "signature":
            block.signature = (block.signature or "") + event.text
            return b""
        if event.field == "encrypted":
            block.encrypted = (block.encrypted or "") + event.text
            return b""
        if self._open == event.part:
            return self._words(block, event.text)
        block.held.append(event.text)
        return self._go_on() if self._open is None else b""

    def _cited(self, event: Cited) -> bytes:
        block = self._blocks.get(event.part)
        if block is None:
            return b""
        if self._open == event.part:
            return self._cite(block, event)
        block.held.append(event)
        return b""

    def _cite(self, block: Block, event: Cited) -> bytes:
        note = write_annotation(event.citation, sum(map(len, block.pieces)))
        if note is None:
            loss = citation_loss(event.part)
            if loss not in self.losses:
                self.losses.append(loss)
            return b""
        block.notes.append(note)
        return self._of_item(
            "response.output_text.annotation.added",
            content_index=self._index(),
            annotation_index=len(block.notes) - 1,
            annotation=note,
        )

    def _index(self) -> int:
        """The index of the content part under way, which its message does not hold yet."""
        return len(self._item.get("content", ()))

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
            if self._head is None:
                pieces.append(self._start(Start()))
            if not isinstance(block.head, (Text, Refusal)) and self._message is not None:
                pieces.append(self._close_message())
            opened = self._begin(block)
            if opened is None:
                pieces.append(self._tell_whole(number, block))
                continue
            self._open = number
            pieces.append(opened)
            pieces += [
                self._words(block, held) if isinstance(held, str) else self._cite(block, held)
                for held in block.held
            ]
            if block.stopped:
                pieces.append(self._close(number))
        return b"".join(pieces)

    def _begin(self, block: Block) -> bytes | None:
        """The beginning of a part; None for one that comes in one piece."""
        match block.head:
            case Text():
                return self._begin_words(block.head, text_part("", [], []), "output_text")
            case Refusal():
                return self._begin_words(block.head, refusal_part(""), "refusal")
            case Thinking():
                return self._begin_thought(block)
            case ToolCall() if not block.whole:
                return self._begin_call(block.head)
            case _:
                return None

    def _begin_words(self, part: Text | Refusal, piece: Object, kind: str) -> bytes:
        written = b""
        if self._message is None:
            self._message = self._item = message_item(self._context, len(self._items))
            if isinstance(part, Text):
                mark_phase(self._message, part)
            opening = {**self._message, "status": "in_progress", "content": []}
            written = self._whole_item("response.output_item.added", opening)
        index = self._index()
        written += self._of_item("response.content_part.added", content_index=index, part=piece)
        self._deltas(f"response.{kind}.delta", content_index=index)
        if kind == "output_text":
            self._after = b',"logprobs":[]}\n\n'
        return written

    def _begin_thought(self, block: Block) -> bytes:
        assert isinstance(block.head, Thinking)
        self._item = reasoning_item(
            replace(block.thought(), text=""), self._context, len(self._items)
        )
        opening = {
            name: value for name, value in self._item.items() if name != "encrypted_content"
        }
        written = self._whole_item("response.output_item.added", opening)
        if not block.held:  # a thought of which nothing is shown
            return written
        if block.head.summary:
            piece: Object = {"type": "summary_text", "text": ""}
            written += self._of_item(
                "response.reasoning_summary_part.added", summary_index=0, part=piece
            )
            self._deltas("response.reasoning_summary_text.delta", summary_index=0)
        else:
            piece = {"type": "reasoning_text", "text": ""}
            written += self._of_item("response.content_part.added", content_index=0, part=piece)
            self._deltas("response.reasoning_text.delta", content_index=0)
        return written

    def _begin_call(self, part: ToolCall) -> bytes:
        self._item = call_item(part, self._context, len(self._items))
        member, kind = ARGUED[part.kind]
        opening = {**self._item, "status": "in_progress", member: ""}
        self._deltas(f"response.{kind}.delta")
        return self._whole_item("response.output_item.added", opening)

    def _tell_whole(self, number: int, block: Block) -> bytes:
        """A part that comes in one piece, or that this dialect cannot say."""
        del self._blocks[number]
        part = block.head
        if isinstance(part, ToolCall):
            part = replace(part, arguments="".join(map(str, block.held)))
        item = write_item(part, self._context, len(self._items))
        if item is None:
            self.losses.append(part_loss(number))
            return b""
        return self._whole_item("response.output_item.added", item) + self._item_done(item)

    # ----------------------------------------------------------------------- ends

    def _close(self, number: int) -> bytes:
        """What a part still owes, and its end."""
        block = self._blocks.pop(number)
        self._open = None
        text = "".join(block.pieces)
        match block.head:
            case Text():
                index = self._index()
                part = text_part(text, block.notes, self._tokens)
                told = self._of_item(
                    "response.output_text.done",
                    content_index=index,
                    text=text,
                    logprobs=self._tokens,
                )
                self._tokens = []
                return told + self._part_done(index, part)
            case Refusal():
                index = self._index()
                told = self._of_item("response.refusal.done", content_index=index, refusal=text)
                return told + self._part_done(index, refusal_part(text))
            case Thinking():
                return self._close_thought(block, text)
            case ToolCall():
                return self._close_call(block.head, text)
            case _:
                return b""

    def _part_done(self, index: int, part: Object) -> bytes:
        told = self._of_item("response.content_part.done", content_index=index, part=part)
        self._item["content"].append(part)
        return told

    def _close_message(self) -> bytes:
        assert self._message is not None
        message, self._message = self._message, None
        return self._item_done(message)

    def _close_thought(self, block: Block, text: str) -> bytes:
        thought = block.thought()
        whole = reasoning_item(thought, self._context, len(self._items))
        whole["id"] = self._item["id"]
        told = b""
        if text and thought.summary:
            piece: Object = {"type": "summary_text", "text": text}
            told = self._of_item(
                "response.reasoning_summary_text.done", summary_index=0, text=text
            ) + self._of_item("response.reasoning_summary_part.done", summary_index=0, part=piece)
        elif text:
            piece = {"type": "reasoning_text", "text": text}
            told = self._of_item(
                "response.reasoning_text.done", content_index=0, text=text
            ) + self._of_item("response.content_part.done", content_index=0, part=piece)
        return told + self._item_done(whole)

    def _close_call(self, part: ToolCall, text: str) -> bytes:
        member, kind = ARGUED[part.kind]
        whole = call_item(replace(part, arguments=text), self._context, len(self._items))
        told = self._of_item(f"response.{kind}.done", **{member: whole[member]}, **named(part))
        return told + self._item_done(whole)

    def _item_done(self, item: Object) -> bytes:
        told = self._whole_item("response.output_item.done", item)
        self._items.append(item)
        return told
