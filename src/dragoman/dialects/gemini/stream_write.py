"""Events → this dialect's stream, as SSE or as one array (P10).

Text goes out as it comes; a call goes out whole, for arguments in pieces are no part of this API.
Parts keep their order: what opens behind an open part waits for it (P39).
"""

from __future__ import annotations

from typing import assert_never

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
from dragoman.core.parts import Part, Refusal, Text, Thinking, ToolCall
from dragoman.core.response import Choice
from dragoman.core.usage import Usage, merge
from dragoman.dialects.base import Context
from dragoman.dialects.error_members import told
from dragoman.dialects.gemini import wire
from dragoman.dialects.gemini.error import error_json
from dragoman.dialects.gemini.frames import Frames
from dragoman.dialects.gemini.logprobs import write_logprobs
from dragoman.dialects.gemini.reply_parts import PartsOut
from dragoman.dialects.gemini.response import broken_finish, candidate, reply_id
from dragoman.dialects.gemini.signatures import is_native, state
from dragoman.dialects.gemini.usage import TOLD, write_usage
from dragoman.dialects.halves import mend
from dragoman.dialects.untold import stop_losses, tier_losses, usage_losses


class _Open:
    """A part under way."""

    __slots__ = ("citations", "head", "said", "stopped", "texts")

    def __init__(self, head: Part) -> None:
        self.head = head
        self.texts: dict[str, list[str]] = {}
        self.citations: list[Cited] = []
        self.said = ""
        self.stopped = False


class _Answer:
    """One candidate under way: its open parts in order, its end."""

    __slots__ = ("context", "finished", "index", "logprobs", "open", "out")

    def __init__(self, context: Context, index: int) -> None:
        self.context = context
        self.index = index
        self.open: dict[int, _Open] = {}
        self.out = PartsOut(context, index)
        self.finished: Finished | None = None
        self.logprobs: list[bytes] = []

    def due(self) -> list[object]:
        """The parts that can go out now, in their order."""
        parts: list[object] = []
        for number in list(self.open):
            part = self.open[number]
            if not part.stopped:
                parts += self._piece(part)
                break
            parts += self._whole(part, number)
            del self.open[number]
        return parts

    def _piece(self, part: _Open) -> list[object]:
        """What an open part has to say already."""
        head = part.head
        words = "".join(part.texts.pop("text", ()))
        if not words:
            return []
        part.said += words
        match head:
            case Text() | Refusal():
                return self.out.signed({"text": mend(words)})
            case Thinking(redacted=False):
                return [*self.out.rest(), {"text": mend(words), "thought": True}]
            case _:
                part.texts["text"] = [words]
                return []

    def _whole(self, part: _Open, number: int) -> list[object]:
        """The rest of a part that has stopped."""
        head = part.head
        grown = {name: "".join(pieces) for name, pieces in part.texts.items()}
        text = grown.get("text", "")
        match head:
            case Text():
                said = part.said + text
                self.out.cited += [(said, cited.citation) for cited in part.citations]
                left = replace(head, text=head.text + text, citations=())
                return self.out.whole(left, number)
            case Refusal():
                return self.out.whole(Refusal(head.text + text), number)
            case Thinking(redacted=False):
                whole = replace(
                    head,
                    text=head.text + text,
                    signature=grown.get("signature", head.signature),
                    encrypted=grown.get("encrypted", head.encrypted),
                )
                if part.said and not whole.text:
                    return self._seal(whole)
                return self.out.whole(whole, number)
            case ToolCall():
                return self.out.whole(
                    replace(
                        head,
                        arguments=head.arguments + grown.get("arguments", ""),
                        signature=grown.get("signature", head.signature),
                    ),
                    number,
                )
            case Thinking():
                encrypted = grown.get("encrypted", head.encrypted)
                return self.out.whole(replace(head, encrypted=encrypted), number)
            case _:
                return self.out.whole(head, number)

    def _seal(self, part: Thinking) -> list[object]:
        """The state of a thought whose words have gone out."""
        if is_native(part) and part.signature is None and part.encrypted is None:
            return []
        value = state(part, self.context.envelope)
        return [{"text": "", "thought": True, "thoughtSignature": value}] if value else []


class GeminiStreamWriter:
    """A ``StreamWriter`` of this dialect."""

    def __init__(self, context: Context) -> None:
        self.losses: list[Loss] = []
        self._context = context
        self._frames = Frames(array=context.array)
        self._answers: dict[int, _Answer] = {}
        self._start = Start()
        self._usage: Usage | None = None
        self._closed = False

    def send(self, event: Event) -> bytes:
        """The frames that the event makes due."""
        if self._closed:
            return b""
        match event:
            case Start():
                self._start = event
                self._usage = event.usage
            case PartStart():
                self._answer(event.choice).open[event.part] = _Open(event.head)
                return self._due(event.choice)
            case PartDelta():
                opened = self._answer(event.choice).open.get(event.part)
                if opened is not None:
                    opened.texts.setdefault(event.field, []).append(event.text)
                    return self._due(event.choice)
            case Cited():
                opened = self._answer(event.choice).open.get(event.part)
                if opened is not None:
                    opened.citations.append(event)
            case PartStop():
                opened = self._answer(event.choice).open.get(event.part)
                if opened is not None:
                    opened.stopped = True
                    return self._due(event.choice)
            case LogprobNote():
                self._answer(event.choice).logprobs.append(event.logprobs)
            case UsageNote():
                self._usage = merge(self._usage, event.usage)
            case Finished():
                if event.finish.reason == "error":
                    return self._fail(broken_finish())
                self._answer(event.choice).finished = event
            case Failure():
                return self._fail(event.error)
            case End():
                return self._end()
            case Ping():
                pass
            case _:
                assert_never(event)
        return b""

    def _answer(self, index: int) -> _Answer:
        if index not in self._answers:
            self._answers[index] = _Answer(self._context, index)
        return self._answers[index]

    def _due(self, index: int) -> bytes:
        answer = self._answers[index]
        parts = answer.due()
        if not parts:
            return b""
        content = {"content": {"parts": parts, "role": "model"}, "index": index}
        return self._frames.write(wire.encode({"candidates": [content], **self._origin()}))

    def _origin(self) -> dict[str, object]:
        return {
            "modelVersion": self._start.model or self._context.model,
            "responseId": reply_id(self._start.id, self._context),
        }

    def _end(self) -> bytes:
        """The last chunk: how each candidate ended, and what it took."""
        self._closed = True
        ends: list[dict[str, object]] = []
        for index, answer in sorted(self._answers.items()):
            self.losses += answer.out.losses
            finished = answer.finished
            if finished is None:
                continue
            parts = answer.out.rest() or [{"text": ""}]
            self.losses += stop_losses(finished.finish, f"candidates[{index}]")
            choice = Choice((), finished.finish, index, ext=finished.ext)
            ends.append(candidate(parts, answer.out, choice, _joined(answer.logprobs)))
        self.losses += usage_losses(self._usage, TOLD) + tier_losses(self._start.service_tier)
        last = {"candidates": ends, "usageMetadata": write_usage(self._usage), **self._origin()}
        return self._frames.write(wire.encode(last)) + self._frames.end()

    def _fail(self, error: GatewayError) -> bytes:
        self._closed = True
        return self._frames.write(error_json(error, told(self._context))) + self._frames.end()


def _joined(pieces: list[bytes]) -> dict[str, object] | None:
    """The log probabilities of the whole answer."""
    joined: dict[str, list[object]] = {"chosenCandidates": [], "topCandidates": []}
    for piece in pieces:
        for name, tokens in (write_logprobs(piece) or {}).items():
            if isinstance(tokens, list):
                joined[name] += tokens
    return dict(joined) if joined["chosenCandidates"] else None
