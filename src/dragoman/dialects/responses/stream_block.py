"""A part of an answer on its way into a stream, and what waits to be told of it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from dragoman.core.events import Cited
from dragoman.core.parts import Part, Refusal, Text, Thinking, ToolCall
from dragoman.dialects.members import Object


class Block:
    """A part on its way out, and what was said of it while another had the floor."""

    __slots__ = (
        "encrypted",
        "head",
        "held",
        "notes",
        "pieces",
        "signature",
        "stopped",
        "whole",
    )

    def __init__(self, part: Part, *, whole: bool = False) -> None:
        self.head = part
        self.whole = whole
        """A call that is told in one piece, once its arguments are all there."""
        self.held: list[str | Cited] = []
        self.pieces: list[str] = []
        """What has been told of it."""
        self.notes: list[Any] = []
        self.signature = part.signature if isinstance(part, Thinking) else None
        self.encrypted = part.encrypted if isinstance(part, Thinking) else None
        self.stopped = False

    @property
    def has_words(self) -> bool:
        """Whether there is anything to tell yet: nothing opens for a text without words."""
        match self.head:
            case Text() | Refusal():
                return bool(self.held)
            case Thinking():
                state = self.signature is not None or self.encrypted is not None
                return bool(self.held) or (self.stopped and state)
            case _:
                return self.stopped or not self.whole

    def thought(self) -> Thinking:
        """The thought with everything that has come for it."""
        assert isinstance(self.head, Thinking)
        return replace(
            self.head,
            text="".join(self.pieces),
            signature=self.signature,
            encrypted=self.encrypted,
        )


ARGUED = {
    "function": ("arguments", "function_call_arguments"),
    "custom": ("input", "custom_tool_call_input"),
}
"""The member and the events of a call's words."""


def named(part: ToolCall) -> Object:
    """The name that OpenAI repeats at the end of a function's arguments."""
    return {"name": part.name} if part.kind == "function" else {}
