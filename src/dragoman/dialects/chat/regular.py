"""The shape of nearly every whole reply: one decode reads it, and says that nothing about it is odd.

What is checked here by types need not be looked at again: one choice with words of its own, each count one that
may be charged, no failure told anywhere. Whatever is otherwise is none of these, and read by ``reply_wire``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from dragoman.core.response import Finish, FinishReason
from dragoman.core.usage import LARGEST, Usage
from dragoman.dialects.chat.finish import read_finish
from dragoman.dialects.chat.reply_wire import CallWire, Said, TokenDetails, UsageWire
from dragoman.dialects.chat.usage import read_usage

Count = Annotated[int, Meta(ge=0, le=LARGEST)]
"""What ``core.usage.count`` leaves as it is."""


class _Details(TokenDetails, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    accepted_prediction_tokens: Count | None = None
    rejected_prediction_tokens: Count | None = None
    image_tokens: Count | None = None


class _Usage(UsageWire, gc=False):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    prompt_cache_hit_tokens: Count | None = None
    num_cached_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    reasoning_tokens: Count | None = None


class _Call(CallWire, gc=False, kw_only=True):
    type: Literal["function", "custom"]


class _Message(Said, gc=False):
    content: str | None = None
    tool_calls: list[_Call] | None = None  # type: ignore[assignment]  # never added to


class _Choice(Struct, gc=False):
    message: _Message
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter"]
    index: int = 0
    delta: None = None
    error: None = None


class _Groq(Struct, gc=False):
    """Groq's corner, which has its usage at the top as well."""

    usage: None = None
    error: None = None


class Regular(Struct, gc=False):
    """A whole reply that is passed on as it came."""

    choices: tuple[_Choice]
    id: str | None = None
    model: str | None = None
    created: float | None = None
    usage: _Usage | None = None
    error: None = None
    x_groq: _Groq | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None

    def told(self) -> tuple[Usage | None, Finish]:
        """What it says of the call: its usage, and why its answer ended."""
        choice = self.choices[0]
        message, reason = choice.message, choice.finish_reason
        usage = None if self.usage is None else read_usage(self.usage, checked=True)
        if message.tool_calls or message.function_call is not None or reason == "tool_calls":
            called = bool(message.tool_calls or message.function_call)
            return usage, read_finish(reason, has_calls=called)
        return usage, _ENDS[reason]


_WORDS: tuple[FinishReason, ...] = ("stop", "length", "content_filter")
_ENDS = {word: read_finish(word, has_calls=False) for word in _WORDS}
"""The ends of answers that call nothing."""

read_regular = msgspec.json.Decoder(Regular).decode
"""The regular reply in a body; a body that holds none is refused as ``reply_wire.REFUSED``."""
