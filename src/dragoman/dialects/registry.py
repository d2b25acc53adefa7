"""The dialects by the name of their family."""

from __future__ import annotations

from dragoman.core.provider import Family, Operation
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.anthropic.count_tokens import patch_count_tokens, tap_count
from dragoman.dialects.base import Context, Dialect, Relay, Target, Unary, Undo
from dragoman.dialects.chat import CHAT
from dragoman.dialects.chat.embeddings import asked_encoding, patch_embeddings, tap_embeddings
from dragoman.dialects.completions import completions
from dragoman.dialects.ollama import GENERATE, OLLAMA
from dragoman.dialects.ollama import embeddings as ollama_embeddings
from dragoman.dialects.translate import Translation

DIALECTS: dict[Family, Dialect] = {
    "chat": CHAT,
    "anthropic": ANTHROPIC,
    "ollama": OLLAMA,
    "generate": GENERATE,
    "completions": completions(CHAT.read_error, CHAT.write_error),
}

UNARY: dict[tuple[Operation, Family], Unary] = {
    ("embeddings", "chat"): Unary(
        patch_embeddings, lambda body, members: tap_embeddings(body, asked_encoding(members))
    ),
    ("embeddings", "ollama"): Unary(
        ollama_embeddings.patch_embeddings, ollama_embeddings.tap_embeddings
    ),
    ("count_tokens", "anthropic"): Unary(patch_count_tokens, lambda body, _: tap_count(body)),
}
"""What a family serves besides completions, on the same-dialect way."""


def open_relay(
    caller: Dialect, provider: Dialect, target: Target, context: Context, undo: Undo
) -> Relay:
    """The way back of a stream: frame by frame within one family, by events across two."""
    if caller.family == provider.family:
        return caller.relay(target, context)
    return Translation(provider.stream_reader(target, undo), caller.stream_writer(context))
