"""Events → chunks for a chat client.

The order is the one that OpenAI keeps: for each choice a first delta with the role, deltas, one
delta ``{}`` with the finish reason; then, if asked for, one chunk with usage and no choices;
then ``[DONE]``. Id, time and model are the same in all of them (P24). A call's id, type
and name are said once, for clients add up what they get (P156). Parts may be open beside one
another: a call is told apart by its index, words need no telling.

A delta of text is the hot path: what surrounds it is written once per choice.
"""

from __future__ import annotations

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
from dragoman.core.parts import (
    Media,
    Opaque,
    Part,
    Refusal,
    SearchResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.core.response import Choice
from dragoman.core.usage import Usage, merge
from dragoman.dialects.base import Context
from dragoman.dialects.chat.citations import write_annotation
from dragoman.dialects.chat.error import DONE, error_frames
from dragoman.dialects.chat.pictures import write_image
from dragoman.dialects.chat.reply_write import (
    beside_the_finish,
    finish_losses,
    finish_word,
    is_legacy,
    origin,
    own_annotations,
    reply_id,
)
from dragoman.dialects.chat.thoughts import details_of, format_of, shares_index
from dragoman.dialects.chat.tool_calls import write_call
from dragoman.dialects.chat.usage import TOLD, write_usage
from dragoman.dialects.openai_errors import known_of
from dragoman.dialects.untold import usage_losses

_ENCODER = msgspec.json.Encoder()
_encode = _ENCODER.encode

HEARTBEAT = b": ping\n\n"


class _Part:
    """A part under way: which member its deltas are said in."""

    __slots__ = ("argued", "head", "index", "offset")

    def __init__(self, head: Part, index: int, offset: int) -> None:
        self.head = head
        self.index = index
        """Of a call or of a thinking block, counted in its choice."""
        self.offset = offset
        """Where a text begins in the choice's whole content."""
        self.argued = False


class _Choice:
    """What has been said of one choice."""

    __slots__ = (
        "before",
        "before_words",
        "calls",
        "cited",
        "length",
        "parts",
        "silent",
        "thought",
        "thoughts",
    )

    def __init__(self, before: bytes) -> None:
        self.before = before
        """Everything that stands before a delta's members in a chunk of this choice."""
        self.before_words = before + b'{"content":'
        self.parts: dict[int, _Part] = {}
        self.calls = 0
        self.cited = 0
        self.silent: list[_Part] = []
        """Calls that have stopped without a word of arguments."""
        self.thoughts = 0
        self.thought: Thinking | None = None
        self.length = 0


class ChatStreamWriter:
    """One client's stream; see ``base.StreamWriter``."""

    __slots__ = (
        "_after",
        "_after_words",
        "_before",
        "_choices",
        "_closed",
        "_context",
        "_legacy",
        "_usage",
        "losses",
    )

    def __init__(self, context: Context) -> None:
        self._context = context
        self._legacy = is_legacy(context)
        self._choices: dict[int, _Choice] = {}
        self._usage: Usage | None = None
        self._closed = False
        self.losses: list[Loss] = []
        """What of the answer chat could not say; a stream tells it in the ledger alone (D6)."""
        self._set_head(Start())

    def send(self, event: Event) -> bytes:
        """The chunks that the event makes due."""
        if self._closed:
            return b""
        match event:
            case PartDelta():
                return self._delta(event)
            case Start():
                return self._set_head(event)
            case PartStart():
                return self._part(event)
            case PartStop():
                return self._stop(event)
            case Cited():
                return self._cite(event)
            case LogprobNote():
                choice, first = self._choice(event.choice)
                logprobs = Raw(event.logprobs)
                return first + self._chunk({}, choice, logprobs=logprobs)
            case UsageNote():
                self._usage = merge(self._usage, event.usage)
                return b""
            case Finished():
                return self._finish(event)
            case Ping():
                return HEARTBEAT
            case Failure():
                return self._fail(event.error)
            case End():
                return self._end()
            case _:
                assert_never(event)

    # ------------------------------------------------------------------ frames

    def _set_head(self, start: Start) -> bytes:
        """Writes once what every chunk repeats."""
        context = self._context
        head: dict[str, object] = {
            "id": reply_id(start.id, context),
            "object": "chat.completion.chunk",
            "created": context.created if start.created is None else start.created,
            "model": start.model or context.model,
        }
        head |= origin(start.service_tier, start.system_fingerprint)
        self._before = b"data: " + _encode(head)[:-1] + b',"choices":['
        self._after = b'],"usage":null}\n\n' if context.include_usage else b"]}\n\n"
        self._after_words = b'},"logprobs":null,"finish_reason":null}' + self._after
        if start.usage is not None:
            self._usage = merge(self._usage, start.usage)
        return b""

    def _choice(self, index: int) -> tuple[_Choice, bytes]:
        """A choice, and the role that is said when it begins."""
        known = self._choices.get(index)
        if known is not None:
            return known, b""
        before = self._before + b'{"index":%d,"delta":' % index
        choice = self._choices[index] = _Choice(before)
        return choice, self._said(choice, b'{"role":"assistant","content":""}')

    def _said(self, choice: _Choice, delta: bytes) -> bytes:
        return choice.before + delta + b',"logprobs":null,"finish_reason":null}' + self._after

    def _chunk(
        self,
        delta: dict[str, object],
        choice: _Choice,
        *,
        logprobs: Raw | None = None,
        finish_reason: str | None = None,
        beside: dict[str, object] | None = None,
    ) -> bytes:
        """A chunk of any content."""
        rest: dict[str, object] = {"logprobs": logprobs, "finish_reason": finish_reason}
        if beside:
            rest.update(beside)
        return choice.before + _encode(delta) + b"," + _encode(rest)[1:] + self._after

    # ------------------------------------------------------------------ parts

    def _part(self, event: PartStart) -> bytes:
        choice, first = self._choice(event.choice)
        head = event.head
        match head:
            case Text():
                choice.parts[event.part] = part = _Part(head, 0, choice.length)
                sent = self._words(choice, part, head.text)
                for citation in head.citations:
                    sent += self._cite(Cited(event.part, citation, event.choice))
            case Refusal():
                choice.parts[event.part] = part = _Part(head, 0, 0)
                sent = self._words(choice, part, head.text)
            case Thinking():
                sent = self._think(event.part, head, choice)
            case ToolCall():
                sent = self._call(event.part, head, choice)
            case Media():
                image = write_image(head)
                sent = self._told(choice, "images", image, head.kind)
            case Opaque(dialect="chat", kind="audio"):
                sent = self._said(choice, b'{"audio":' + bytes(head.payload) + b"}")
            case Opaque():
                sent = self._told(choice, "", None, head.kind)
            case SearchResult() | ToolResult():
                sent = self._told(choice, "", None, type(head).__name__)
            case _:
                assert_never(head)
        return first + sent if first else sent

    def _told(self, choice: _Choice, member: str, value: object, what: str) -> bytes:
        """A member that is a list of one; or the note that chat cannot say it."""
        if value is None:
            self.losses.append(Loss(f"choices.delta.{what}", "chat has no place for it"))
            return b""
        return self._said(choice, _encode({member: [value]}))

    def _think(self, number: int, head: Thinking, choice: _Choice) -> bytes:
        if choice.thought is not None and not shares_index(choice.thought, head):
            choice.thoughts += 1
        choice.thought = head
        choice.parts[number] = part = _Part(head, choice.thoughts, 0)
        if head.redacted:
            return self._details(choice, details_of(head, part.index))
        return self._words(choice, part, head.text)

    def _call(self, number: int, head: ToolCall, choice: _Choice) -> bytes:
        choice.parts[number] = part = _Part(head, choice.calls, 0)
        choice.calls += 1
        part.argued = bool(head.arguments)
        if self._is_legacy(part):
            said = {"function_call": {"name": head.name, "arguments": head.arguments}}
            return self._said(choice, _encode(said))
        return self._said(choice, _encode({"tool_calls": [write_call(head, part.index)]}))

    def _is_legacy(self, part: _Part) -> bool:
        """A legacy caller knows one call only: further ones are told as tool calls."""
        return self._legacy and part.index == 0 and getattr(part.head, "kind", "") == "function"

    def _delta(self, event: PartDelta) -> bytes:
        choice = self._choices[event.choice]
        part = choice.parts.get(event.part)
        if part is None:
            return b""  # of a part that chat could not say
        match event.field:
            case "text":
                text = event.text
                if text and isinstance(part.head, Text):
                    choice.length += len(text)
                    return choice.before_words + _encode(text) + self._after_words
                return self._words(choice, part, text)
            case "arguments":
                return self._argue(choice, part, event.text)
            case "signature" | "encrypted":
                return self._sign(choice, part, event)
            case _:
                assert_never(event.field)

    def _words(self, choice: _Choice, part: _Part, text: str) -> bytes:
        if not text:
            return b""
        said = _encode(text)
        head = part.head
        if isinstance(head, Text):
            choice.length += len(text)
            return self._said(choice, b'{"content":' + said + b"}")
        if isinstance(head, Refusal):
            return self._said(choice, b'{"refusal":' + said + b"}")
        delta = b'{"reasoning_content":' + said
        if isinstance(head, Thinking) and (head.summary or format_of(head) is not None):
            # State that must come back whole: its words stand in its own block as well.
            entries = details_of(
                replace(head, text=text, signature=None, encrypted=None), part.index
            )
            delta += b',"reasoning_details":' + _encode(entries)
        return self._said(choice, delta + b"}")

    def _argue(self, choice: _Choice, part: _Part, text: str) -> bytes:
        if not text:
            return b""
        part.argued = True
        said = _encode(text)
        if self._is_legacy(part):
            return self._said(choice, b'{"function_call":{"arguments":' + said + b"}}")
        custom = isinstance(part.head, ToolCall) and part.head.kind == "custom"
        inner = b'"custom":{"input":' if custom else b'"function":{"arguments":'
        delta = b'{"tool_calls":[{"index":%d,' % part.index + inner + said + b"}}]}"
        return self._said(choice, delta)

    def _sign(self, choice: _Choice, part: _Part, event: PartDelta) -> bytes:
        head = part.head
        if isinstance(head, ToolCall):
            signed = {"google": {"thought_signature": event.text}}
            call = {"index": part.index, "extra_content": signed}
            return self._said(choice, _encode({"tool_calls": [call]}))
        if not isinstance(head, Thinking):
            return b""
        if event.field == "signature":
            return self._seal(choice, part, replace(head, signature=event.text, encrypted=None))
        return self._seal(choice, part, replace(head, signature=None, encrypted=event.text))

    def _seal(self, choice: _Choice, part: _Part, head: Thinking) -> bytes:
        """A block's opaque state, without the words that its deltas told."""
        entries = details_of(replace(head, text=""), part.index)
        return self._details(choice, [_without_text(entry) for entry in entries])

    def _details(self, choice: _Choice, entries: list[dict[str, object]]) -> bytes:
        told = [entry for entry in entries if "signature" in entry or "data" in entry]
        return self._said(choice, _encode({"reasoning_details": told})) if told else b""

    def _stop(self, event: PartStop) -> bytes:
        choice = self._choices[event.choice]
        part = choice.parts.pop(event.part, None)
        if part is None:
            return b""
        head = part.head
        if isinstance(head, Thinking) and not head.redacted:
            return self._seal(choice, part, head)  # what its head brought: state comes after words
        if isinstance(head, ToolCall) and head.kind == "function" and not part.argued:
            choice.silent.append(part)
        return b""

    def _cite(self, event: Cited) -> bytes:
        choice = self._choices[event.choice]
        part = choice.parts.get(event.part)
        start = part.offset if part is not None else 0
        annotation = write_annotation(event.citation, start, choice.length)
        if isinstance(annotation, dict):
            # OpenAI's own client puts the entries of lists together by this, and by nothing else.
            annotation["index"] = choice.cited
            choice.cited += 1
        return self._told(choice, "annotations", annotation, "citation")

    # ------------------------------------------------------------------ the end

    def _finish(self, event: Finished) -> bytes:
        choice, first = self._choice(event.choice)
        finish = event.finish
        try:
            word = finish_word(finish, self._context, has_calls=choice.calls > 0)
        except GatewayError as error:
            return first + self._fail(error)
        self.losses += finish_losses(finish, f"choices[{event.choice}]")
        pieces = [first]
        if word != "length":
            # A call without arguments says {} (P34); one that was cut off does not.
            pieces += [self._argue(choice, part, "{}") for part in choice.silent]
        unknown = own_annotations(Choice((), finish, ext=event.ext))
        if unknown:
            pieces.append(self._said(choice, _encode({"annotations": unknown})))
        beside = beside_the_finish(finish)
        pieces.append(self._chunk({}, choice, finish_reason=word, beside=beside))
        return b"".join(pieces)

    def _end(self) -> bytes:
        self._closed = True
        usage = self._usage
        if not self._context.include_usage or usage is None:
            return DONE
        self.losses += usage_losses(usage, TOLD)
        if usage.cost is None and self._context.cost is not None:
            usage = replace(usage, cost=self._context.cost(usage))
        return self._before + b'],"usage":' + _encode(write_usage(usage)) + b"}\n\n" + DONE

    def _fail(self, error: GatewayError) -> bytes:
        self._closed = True
        house = known_of(self._context)
        if self._choices:
            house["partial_content"] = True
        return error_frames(error, house, self._context.flavour)


def _without_text(entry: dict[str, object]) -> dict[str, object]:
    """An entry of state alone: its words were told with their deltas."""
    return {name: value for name, value in entry.items() if name not in {"text", "summary"}}


def stream_writer(context: Context) -> ChatStreamWriter:
    """A writer for one client."""
    return ChatStreamWriter(context)
