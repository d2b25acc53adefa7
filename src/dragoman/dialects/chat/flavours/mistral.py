"""Mistral: thinking is a content chunk, documents and sounds are bare strings."""

from __future__ import annotations

from dragoman.core.parts import Thinking
from dragoman.dialects.chat.flavours.flavour import Flavour, Members, Recalled


def recall(thoughts: tuple[Thinking, ...]) -> Recalled:
    """Thinking chunks before the text, never folded into it (P203)."""
    chunks: list[Members] = []
    for thought in thoughts:
        if not thought.text:
            continue
        chunk: Members = {"type": "thinking", "thinking": [{"type": "text", "text": thought.text}]}
        if thought.signature is not None and thought.format is None:  # only its own has no format
            chunk["signature"] = thought.signature
        chunks.append({**chunk, "closed": True})
    return Recalled(parts=tuple(chunks))


MISTRAL = Flavour(
    name="mistral",
    knobs=frozenset({"top_k", "repetition_penalty"}),
    extras=frozenset({"metadata", "prompt_cache_key", "prediction"}),
    tiers={"auto": "auto", "default": "standard_only", "standard_only": "standard_only"},
    result_media=True,
    names=False,
    prefill=True,
    details=frozenset({"auto", "low", "high"}),
    documents="document_url",
    document_urls=True,
    audio="bare",
    recalls=True,
    recall=recall,
)
