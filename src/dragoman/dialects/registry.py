"""The dialects by the name of their family."""

from __future__ import annotations

from dragoman.core.provider import Family, Operation
from dragoman.dialects.anthropic import ANTHROPIC
from dragoman.dialects.anthropic.count_tokens import COUNTER as ANTHROPIC_COUNTER
from dragoman.dialects.anthropic.count_tokens import patch_count_tokens, read_count, tap_count
from dragoman.dialects.base import (
    Context,
    Counter,
    Dialect,
    Embedder,
    Relay,
    StreamReader,
    Target,
    Unary,
    Undo,
)
from dragoman.dialects.chat import CHAT
from dragoman.dialects.chat.embedder import EMBEDDER as CHAT_EMBEDDER
from dragoman.dialects.chat.embeddings import asked_encoding, patch_embeddings, tap_embeddings
from dragoman.dialects.completions import completions
from dragoman.dialects.gemini import GEMINI
from dragoman.dialects.gemini import count_tokens as gemini_count
from dragoman.dialects.gemini import embeddings as gemini_embeddings
from dragoman.dialects.ollama import GENERATE, OLLAMA
from dragoman.dialects.ollama import embeddings as ollama_embeddings
from dragoman.dialects.overheard import Beside, Hearer, Overheard
from dragoman.dialects.responses import RESPONSES
from dragoman.dialects.responses import count_tokens as responses_count
from dragoman.dialects.translate import Translation

DIALECTS: dict[Family, Dialect] = {
    "chat": CHAT,
    "responses": RESPONSES,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
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
    ("embeddings", "gemini"): Unary(
        gemini_embeddings.patch_embeddings, gemini_embeddings.tap_embeddings
    ),
    ("count_tokens", "responses"): Unary(
        responses_count.patch_count_tokens, lambda body, _: responses_count.tap_count(body)
    ),
    ("count_tokens", "gemini"): Unary(
        gemini_count.patch_count, lambda body, _: gemini_count.tap_count(body)
    ),
}
"""What a family serves besides completions, on the same-dialect way."""

EMBEDDERS: dict[Family, Embedder] = {
    "chat": CHAT_EMBEDDER,
    "gemini": gemini_embeddings.EMBEDDER,
    "ollama": ollama_embeddings.EMBEDDER,
}
"""Embeddings across families: the caller's reader, the provider's writer, and back."""

COUNTERS: dict[Family, Counter] = {
    "anthropic": ANTHROPIC_COUNTER,
    "responses": responses_count.COUNTER,
    "gemini": gemini_count.COUNTER,
}
"""Counting the tokens of a request across families."""


def counter_of(family: Family) -> Counter:
    """The family's counter; one that its providers cannot be asked for, where it has none of its own."""
    found = COUNTERS.get(family)
    if found is not None:
        return found
    return Counter(DIALECTS[family].read_request, None, read_count, _write_count)


def _write_count(tokens: int) -> bytes:
    """As OpenAI tells the input tokens of a response's request."""
    return b'{"object":"response.input_tokens","input_tokens":%d}' % tokens


def open_relay(
    caller: Dialect,
    provider: Dialect,
    target: Target,
    context: Context,
    undo: Undo,
    hear: Hearer | None = None,
) -> Relay:
    """The way back of a stream: frame by frame within one family, by events across two.

    ``hear`` gets the events of the stream, which within one family are read for it alone.
    """
    if caller.family == provider.family:
        relay = caller.relay(target, context)
        return relay if hear is None else Beside(relay, provider.stream_reader(target, undo), hear)
    reader = provider.stream_reader(target, undo)
    heard: StreamReader = reader if hear is None else Overheard(reader, hear)
    return Translation(heard, caller.stream_writer(context))
