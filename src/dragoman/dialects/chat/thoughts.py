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


def continues(block: Thought, piece: Thought) -> bool:
    """Whether a piece belongs to the block that is open.

    Encrypted state joins the summary beside it only if both bear one id: OpenRouter gives
    the id to the state alone, and a block that is open can take no id any more.
    """
    if piece.encrypted is not None:
        same = block.index == piece.index and block.id == piece.id
        return same and block.encrypted is None
    if piece.index is None or block.index is None:
        return True
    return block.index == piece.index and block.summary == piece.summary


def shares_index(earlier: Thinking | None, later: Thinking) -> bool:
    """Whether encrypted state is told under the index of the summary before it, as it came."""
    return (
        earlier is not None
        and later.redacted
        and later.id is not None
        and earlier.id is None
        and earlier.summary
        and earlier.encrypted is None
        and earlier.format == later.format
    )


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
