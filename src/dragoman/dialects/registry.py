"""The dialects by the name of their family."""

from __future__ import annotations

from dragoman.core.provider import Family, Operation
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.anthropic.count_tokens import patch_count_tokens, tap_count
from dragoman.dialects.base import Context, Dialect, Relay, Target, Unary, Undo
from dragoman.dialects.chat import CHAT
from dragoman.dialects.chat.embeddings import asked_encoding, patch_embeddings, tap_embeddings
from dragoman.dialects.gemini import GEMINI
from dragoman.dialects.gemini.count_tokens import patch_count
from dragoman.dialects.gemini.count_tokens import tap_count as tap_gemini_count
from dragoman.dialects.gemini.embeddings import (
    patch_embeddings as patch_gemini_embeddings,
)
from dragoman.dialects.gemini.embeddings import (
    tap_embeddings as tap_gemini_embeddings,
)
from dragoman.dialects.translate import Translation

DIALECTS: dict[Family, Dialect] = {"chat": CHAT, "anthropic": ANTHROPIC, "gemini": GEMINI}

UNARY: dict[tuple[Operation, Family], Unary] = {
    ("embeddings", "chat"): Unary(
        patch_embeddings, lambda body, members: tap_embeddings(body, asked_encoding(members))
    ),
    ("count_tokens", "anthropic"): Unary(patch_count_tokens, lambda body, _: tap_count(body)),
    ("embeddings", "gemini"): Unary(patch_gemini_embeddings, tap_gemini_embeddings),
    ("count_tokens", "gemini"): Unary(patch_count, lambda body, _: tap_gemini_count(body)),
}
"""What a family serves besides completions, on the same-dialect way."""


def open_relay(
    caller: Dialect, provider: Dialect, target: Target, context: Context, undo: Undo
) -> Relay:
    """The way back of a stream: frame by frame within one family, by events across two."""
    if caller.family == provider.family:
        return caller.relay(target, context)
    return Translation(provider.stream_reader(target, undo), caller.stream_writer(context))
