"""Reasoning on a chat wire: its five spellings, and opaque state that must come back.

Text is ``reasoning_content`` (DeepSeek, vLLM) or ``reasoning`` (Groq, OpenRouter), never both
added up (P181). Signatures and encrypted reasoning travel in OpenRouter's
``reasoning_details``, which SDKs keep as an extra member (§2.3): one entry, or several
fragments, for each block, told apart by ``index``. ``format`` says whose state it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from dragoman.core.parts import Thinking
from dragoman.dialects.chat.reply_wire import Detail, Said

FAMILY_OF_FORMAT: dict[str, str] = {
    "anthropic-claude-v1": "anthropic",
    "openai-responses-v1": "responses",
    "azure-openai-responses-v1": "responses",
    "google-gemini-v1": "gemini",
}
"""Which dialect's state a format names; every other format belongs to the chat provider itself."""

FORMAT_OF_FAMILY: dict[str, str] = {
    "anthropic": "anthropic-claude-v1",
    "responses": "openai-responses-v1",
    "gemini": "google-gemini-v1",
}


def family_of(form: str | None) -> str:
    """The dialect family that issued reasoning of this format."""
    return FAMILY_OF_FORMAT.get(form or "", "chat")


def format_of(thinking: Thinking) -> str | None:
    """The format under which a chat client is shown this reasoning."""
    return thinking.format or FORMAT_OF_FAMILY.get(thinking.family or "")


@dataclass(slots=True)
class Thought:
    """A piece of reasoning, and the block that it belongs to, where ``index`` tells."""

    text: str = ""
    signature: str | None = None
    encrypted: str | None = None
    id: str | None = None
    form: str | None = None
    summary: bool = False
    index: int | None = None

    @property
    def redacted(self) -> bool:
        """Whether there is nothing of it but what is encrypted."""
        return self.encrypted is not None and not self.text

    def head(self) -> Thinking:
        """The part that this piece opens, without what deltas repeat."""
        return Thinking(
            id=self.id, format=self.form, family=family_of(self.form), summary=self.summary
        )


def thoughts(said: Said) -> list[Thought]:
    """The reasoning in a delta or a message, each text once (P97)."""
    flat = said.reasoning_content or said.reasoning or ""
    details = said.reasoning_details
    if not details:
        return [Thought(text=flat)] if flat else []
    pieces = [piece for detail in details if (piece := _piece(detail)) is not None]
    if flat and "".join(piece.text for piece in pieces) != flat:
        # The details hold other words than the text beside them: the text is what was said.
        for piece in pieces:
            piece.text = ""
        first = next((piece for piece in pieces if piece.encrypted is None), None)
        if first is None:
            pieces.insert(0, Thought(text=flat))
        else:
            first.text = flat
    return [piece for piece in pieces if piece.text or piece.signature or piece.encrypted]


def _piece(detail: Detail) -> Thought | None:
    """One entry of ``reasoning_details``; members may be missing (P97)."""
    match detail.type:
        case "reasoning.text":
            piece = Thought(text=detail.text or "", signature=detail.signature or None)
        case "reasoning.summary":
            piece = Thought(text=detail.summary or "", summary=True)
        case "reasoning.encrypted":
            piece = Thought(encrypted=detail.data or None)
        case _:
            return None  # reasoning.server_tool_call and later inventions say no thought
    piece.id, piece.form, piece.index = detail.id, detail.format, detail.index
    return piece


def continues(open_part: Thought, piece: Thought) -> bool:
    """Whether a piece belongs to the block that is open."""
    if piece.index is None or open_part.index is None:
        return piece.encrypted is None
    if piece.encrypted is not None:
        return open_part.index == piece.index and open_part.encrypted is None
    return open_part.index == piece.index and open_part.summary == piece.summary


def details_of(thinking: Thinking, index: int) -> list[dict[str, object]]:
    """The entries that bring a block's opaque state back; none if it has none."""
    form = format_of(thinking)
    entries: list[dict[str, object]] = []
    common = {"format": form} | ({"id": thinking.id} if thinking.id else {}) | {"index": index}
    if thinking.redacted:
        return [{"type": "reasoning.encrypted", "data": thinking.encrypted or "", **common}]
    if thinking.summary:
        entries.append({"type": "reasoning.summary", "summary": thinking.text, **common})
    elif thinking.signature is not None or form is not None:
        signature = {} if thinking.signature is None else {"signature": thinking.signature}
        entries.append({"type": "reasoning.text", "text": thinking.text, **signature, **common})
    if thinking.encrypted is not None:
        entries.append({"type": "reasoning.encrypted", "data": thinking.encrypted, **common})
    return entries
