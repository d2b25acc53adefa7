"""The dialects by the name of their family."""

from __future__ import annotations

from dragoman.core.provider import Family
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.base import Context, Dialect, Relay, Target, Undo
from dragoman.dialects.chat import CHAT
from dragoman.dialects.translate import Translation

DIALECTS: dict[Family, Dialect] = {"chat": CHAT, "anthropic": ANTHROPIC}


def open_relay(
    caller: Dialect, provider: Dialect, target: Target, context: Context, undo: Undo
) -> Relay:
    """The way back of a stream: frame by frame within one family, by events across two."""
    if caller.family == provider.family:
        return caller.relay(target, context)
    return Translation(provider.stream_reader(target, undo), caller.stream_writer(context))
