"""A chat provider's stream → a chat client: whole frames, as their own bytes (D1).

Each frame is read once, for what accounting needs and for what a client could not live with.
Only a frame that needs one of D1's repairs is written anew. Comments always pass: where a
frame is mended or dropped, those before it go on alone.
"""

from __future__ import annotations

import re

import msgspec

from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.core.money import plain
from dragoman.core.response import Finish
from dragoman.core.usage import Usage, in_tier, merge
from dragoman.dialects.base import Context, Facts, Target
from dragoman.dialects.chat.error import DONE, error_frames, malformed
from dragoman.dialects.chat.finish import failed_finish, read_finish
from dragoman.dialects.chat.frames import response_frames
from dragoman.dialects.chat.mend import Repair, fragment_fix, mend_chunk
from dragoman.dialects.chat.piece import are_pieces, read_piece
from dragoman.dialects.chat.reply_wire import (
    REFUSED,
    REPLY,
    CallWire,
    ChoiceWire,
    CustomWire,
    FunctionWire,
    Oddity,
    ReplyWire,
    Said,
)
from dragoman.dialects.chat.response import is_whole_body, may_report, reported_error
from dragoman.dialects.chat.stream_calls import Calls
from dragoman.dialects.chat.usage import usage_of
from dragoman.dialects.framing.sse import LIMIT, Frame, SseFrames
from dragoman.dialects.openai_errors import known_of, truncated

_LINE_END = re.compile(rb"\r\n|\n|\r")
_exact = REPLY.exact
_AT_ONCE = 16
"""Pieces that are looked at in one go; where one of them is something else, each is looked at alone."""


class ChatRelay:
    """One stream from provider to client; see ``base.Relay``."""

    __slots__ = (
        "_calls",
        "_context",
        "_done",
        "_finishes",
        "_frames",
        "_own",
        "_steady",
        "_tier",
        "_whole",
        "facts",
    )

    def __init__(self, target: Target, context: Context) -> None:
        self.facts = Facts()
        self._context = context
        self._own = target.quirks.flavour == "openai"
        self._frames = SseFrames()
        self._calls: dict[int, Calls] = {}
        self._finishes: dict[int, bool] = {}
        """Which choices have begun, and whether each has finished."""
        self._steady = False
        """Whether the last frame was a piece of text, and another one would change nothing here."""
        self._done = False
        self._tier: str | None = None
        """How the provider says that it serves."""
        self._whole: bytearray | None = bytearray()
        """Bytes of a body that is no event stream (P11); None once it is known to be one."""

    def feed(self, data: bytes) -> bytes:
        """The frames that ``data`` completes."""
        if self._done or self.facts.error is not None or not data:
            return b""
        if self._whole is not None:
            self._whole += data
            if is_whole_body(self._whole) or not self._whole.strip():
                if len(self._whole) > LIMIT:
                    self.facts.error = malformed()
                return b""
            data, self._whole = bytes(self._whole), None
        lone = self._frames.lone(data)
        if lone is not None:
            return self._pass([lone])
        told = self._frames.plain(data)
        if told is not None:
            return self._pass_plain(told)
        try:
            return self._pass(self._frames.feed(data))
        except UpstreamError as error:
            self.facts.error = error
            return b""

    def close(self) -> bytes:
        """The last frame, if it is whole, and a ``[DONE]`` that the provider forgot."""
        if self._is_over():
            return b""
        if self._whole is not None:
            return self._close_whole(bytes(self._whole))
        sent = self._pass(
            [_closed(frame) for frame in self._frames.close() if _is_sound(frame.data)]
        )
        if self._is_over():
            return sent
        if not self.facts.finished:
            self.facts.error = truncated()
            return sent
        self._done = True
        return sent + DONE

    def fail(self, error: GatewayError) -> bytes:
        """The terminal error frame; half a frame that was waiting is forgotten."""
        if self._done:
            return b""
        self._done = True
        house = known_of(self._context)
        if self.facts.content:
            house["partial_content"] = True
        return error_frames(error, house, self._context.flavour)

    def _is_over(self) -> bool:
        return self._done or self.facts.error is not None

    def _close_whole(self, body: bytes) -> bytes:
        if not body.strip():
            self.facts.error = truncated()
            return b""
        try:
            return self._pass(SseFrames().feed(response_frames(body)))
        except UpstreamError as error:
            self.facts.error = error
            return b""

    # ------------------------------------------------------------------ frames

    def _pass(self, frames: list[Frame]) -> bytes:
        sent: list[bytes] = []
        facts = self.facts
        for frame in frames:
            if self._steady and frame.event is None:
                try:
                    read_piece(frame.data)
                except REFUSED:
                    pass
                else:
                    sent.append(frame.raw)
                    continue
            sent.append(self._frame(frame))
            if self._done or facts.error is not None:
                break
        return b"".join(sent)

    def _pass_plain(self, told: list[bytes]) -> bytes:
        """The same of frames of one ``data`` line each; where that may be, several are looked at in one go."""
        sent: list[bytes] = []
        facts = self.facts
        at, end = 0, len(told)
        # Most often the last three are the finish, the usage and [DONE].
        pieces = end - 3 if told[-1][:6] == b"[DONE]" else end
        while at < end:
            if self._steady and at < pieces:
                few = told[at : min(at + _AT_ONCE, pieces)]
                at += len(few)
                if are_pieces(few):
                    sent.append(b"data: %b\n\n" % b"\n\ndata: ".join(few))
                    continue
                sent.append(self._pass([_plain(data) for data in few]))
            else:
                sent.append(self._frame(_plain(told[at])))
                at += 1
            if self._done or facts.error is not None:
                break
        return b"".join(sent)

    def _frame(self, frame: Frame) -> bytes:
        self._steady = False
        data = frame.data
        if not data:
            return _comments(frame.raw)
        if data.startswith(b"[DONE]"):
            return self._end(frame)
        facts = self.facts
        oddity: Oddity = ""
        try:
            chunk = _exact(data)
        except REFUSED:
            found = REPLY.read(data)
            if found is None:
                facts.error = malformed()
                return b""
            chunk, oddity = found
        if frame.event is not None or may_report(chunk):
            error = reported_error(chunk, data, named=frame.event == b"error")
            if error is not None:
                facts.error = error
                return b""
        if facts.id is None:
            facts.id = chunk.id or None
            facts.model = facts.model or chunk.model
        if chunk.service_tier is not None:
            self._tier = chunk.service_tier
        usage = None
        if chunk.usage is not None or chunk.x_groq is not None:
            usage = in_tier(usage_of(chunk), self._tier)
            if usage is not None:
                facts.usage = merge(facts.usage, usage)
        choices = chunk.choices
        if not choices:
            return self._bare(chunk, usage, frame)
        repair = Repair(types=True) if oddity == "loose" else None
        if len(choices) == 1:
            choice = choices[0]
            repair = self._choice(choice, 0, repair)
            self._steady = facts.content and facts.id is not None and _is_a_piece(choice)
            lacks_finish = not self._own and data.rfind(b'"finish_reason"') < 0
        else:
            for place, choice in enumerate(choices):
                repair = self._choice(choice, place, repair)
            lacks_finish = not self._own and data.count(b'"finish_reason"') < len(choices)
        if facts.error is not None:
            return b""
        if lacks_finish:
            repair = repair or Repair()
            repair.finish_reason = True
        if chunk.usage is not None and self._context.include_usage:
            cost = self._cost(usage)
            if cost is not None:
                repair = repair or Repair()
                repair.cost = cost
        if repair is None or oddity == "torn":
            return frame.raw
        return self._mended(frame, repair)

    def _bare(self, chunk: ReplyWire, usage: Usage | None, frame: Frame) -> bytes:
        """A frame without choices: usage, or something of the provider's own."""
        asked = self._context.include_usage
        if chunk.usage is not None and not asked:
            return _comments(frame.raw)
        cost = self._cost(usage) if chunk.usage is not None else None
        if chunk.choices is not None and cost is None:
            return frame.raw
        return self._mended(frame, Repair(choices=chunk.choices is None, cost=cost))

    def _mended(self, frame: Frame, repair: Repair) -> bytes:
        try:
            payload = mend_chunk(frame.data, repair)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return frame.raw  # stranger than any repair here knows: the client gets what there is
        comments = _comments(frame.raw)
        return comments + b"data: " + payload + b"\n\n"

    def _cost(self, usage: Usage | None) -> str | None:
        """The price of a usage, where it has one and the provider does not say it itself."""
        if usage is None or usage.cost is not None or self._context.cost is None:
            return None
        cost = self._context.cost(usage)
        return None if cost is None else plain(cost)

    def _end(self, frame: Frame) -> bytes:
        """``[DONE]``: what comes behind it is nothing to anybody (P6)."""
        if not self._finishes:
            self.facts.error = truncated()
            return b""
        self._done = True
        self.facts.finished = self.facts.over = True
        if self.facts.finish is None:
            self.facts.finish = read_finish(None, has_calls=bool(self._calls))
        return frame.raw

    # ------------------------------------------------------------------ choices

    def _choice(self, choice: ChoiceWire, place: int, repair: Repair | None) -> Repair | None:
        facts, index = self.facts, choice.index
        words = choice.delta if choice.delta is not None else choice.message
        if words is not None:
            if not facts.content:
                facts.content = says_something(words)
            if words.tool_calls:
                repair = self._tools(words.tool_calls, index, place, repair)
            if words.content.__class__ is list:
                repair = repair or Repair()
                repair.types = True
        if index not in self._finishes:
            self._finishes[index] = False
            facts.finished = False
        reason = choice.finish_reason
        if reason:
            facts.error = failed_finish(reason)
            self._finishes[index] = True
            facts.content = True
            facts.finished = all(self._finishes.values())
            if facts.finish is None or index == 0:
                facts.finish = self._finish(reason, words, index)
        return repair

    def _finish(self, reason: str, words: Said | None, index: int) -> Finish:
        legacy = words is not None and words.function_call is not None
        called = index in self._calls or legacy or reason == "function_call"
        return read_finish(reason, has_calls=called)

    def _tools(
        self, fragments: list[CallWire], index: int, place: int, repair: Repair | None
    ) -> Repair | None:
        """Numbers the calls, and notes which fragments lack what a client needs."""
        calls = self._calls.get(index)
        if calls is None:
            calls = self._calls[index] = Calls()
        for at, fragment in enumerate(fragments):
            function = fragment.function
            named: FunctionWire | CustomWire | None = function or fragment.custom
            name = (named.name if named else None) or ""
            arguments = (function.arguments if function else None) or ""
            placed = calls.place(fragment.index, fragment.id or "", name, arguments)
            if placed is None:
                continue
            call, new = placed
            opens = new or bool(fragment.id or name)
            fix = fragment_fix(fragment, call.number, opens=opens, own=self._own)
            if fix is not None:
                repair = repair or Repair()
                repair.calls[place, at] = fix
        return repair


def _plain(data: bytes) -> Frame:
    """The frame that says that in one line."""
    return Frame(data, None, b"data: %b\n\n" % data)


def _is_a_piece(choice: ChoiceWire) -> bool:
    """Whether it says a piece of text, as the next one will then."""
    words = choice.delta
    return choice.index == 0 and words is not None and bool(words.content) and not words.tool_calls


def says_something(words: Said) -> bool:
    """Whether a delta holds anything that a person would read, or a call."""
    return bool(
        words.content
        or words.reasoning_content
        or words.reasoning
        or words.refusal
        or words.tool_calls
        or words.function_call is not None
        or words.reasoning_details
        or words.annotations
        or words.images
        or words.audio
    )


def _comments(raw: bytes) -> bytes:
    """The comment lines of a frame, as a frame of their own; nothing if it has none."""
    if raw[:1] != b":" and b"\n:" not in raw and b"\r:" not in raw:
        return b""
    lines = [line for line in _LINE_END.split(raw) if line.startswith(b":")]
    return b"\n".join(lines) + b"\n\n" if lines else b""


def _closed(frame: Frame) -> Frame:
    """A last frame with the blank line that it lacks (P4)."""
    return Frame(frame.data, frame.event, frame.raw.rstrip(b"\r\n") + b"\n\n")


def _is_sound(data: bytes) -> bool:
    """Whether the last frame is whole: a piece of JSON that broke off is never sent."""
    return not data or data.startswith(b"[DONE]") or REPLY.read(data) is not None


def open_relay(target: Target, context: Context) -> ChatRelay:
    """A relay for one attempt."""
    return ChatRelay(target, context)
