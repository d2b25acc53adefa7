"""Foreign reasoning state in a ``thinking`` block, and back (`dialects.md` §2.3).

A client of this dialect keeps ``signature`` and ``data`` as opaque text and sends them back
on the next turn. Anthropic's own state goes there as it is; that of another family in an
envelope (``core.envelope``), which is left closed on reading and taken out on the
same-dialect way, for Anthropic refuses a signature that it did not issue.
"""

from __future__ import annotations

from msgspec import Raw
from msgspec.structs import replace

from dragoman.core.envelope import PREFIX, SEALED, Envelope, is_sealed
from dragoman.core.loss import Loss
from dragoman.core.parts import Thinking
from dragoman.dialects.anthropic import wire
from dragoman.dialects.anthropic.wire import DIALECT, encode

_MARK = b'"' + PREFIX.encode()


def is_native(part: Thinking) -> bool:
    """Whether Anthropic issued the reasoning, by its family or by the chat family's word for it."""
    return part.family == DIALECT or (
        part.family is None and (part.format or "").startswith(DIALECT)
    )


def wrap(part: Thinking, envelope: Envelope | None) -> str:
    """The envelope of a foreign part's state; empty if it is nobody's, or nobody could open it."""
    return "" if envelope is None else envelope.seal(part)


def received(part: Thinking) -> Thinking:
    """The part as a client sent it back: Anthropic's own, in its envelope, or nobody's.

    Reasoning without any state of its own belongs to nobody, and Anthropic does not take it (P93).
    """
    state = part.encrypted if part.redacted else part.signature
    if not state:
        return Thinking(part.text)
    return replace(part, family=SEALED, format=None) if is_sealed(state) else part


def without_sealed(messages: Raw) -> tuple[Raw, tuple[Loss, ...]]:
    """A caller's own messages without blocks in envelopes; every other value stays as it came."""
    if bytes(messages).find(_MARK) < 0:  # ``in`` tries to make a number of the mark first
        return messages, ()
    try:
        return _without_sealed(messages)
    except wire.WireError:  # The provider says best what is wrong with it.
        return messages, ()


def _without_sealed(messages: Raw) -> tuple[Raw, tuple[Loss, ...]]:
    losses: list[Loss] = []
    kept: list[Raw] = []
    for number, message in enumerate(wire.items(messages, "messages")):
        members = wire.members(message, f"messages[{number}]")
        content = members.get("content", wire.NULL)
        if not wire.starts_with(content, b"["):
            kept.append(message)
            continue
        blocks = wire.items(content, f"messages[{number}].content")
        gone = [place for place, block in enumerate(blocks) if _is_sealed(block)]
        losses += [
            Loss(f"messages[{number}].content[{place}]", "reasoning of another family")
            for place in gone
        ]
        if not gone:
            kept.append(message)
        elif left := [block for place, block in enumerate(blocks) if place not in gone]:
            kept.append(Raw(encode({**members, "content": left})))
    return Raw(encode(kept)), tuple(losses)


def _is_sealed(block: Raw) -> bool:
    """Whether a block is a thought in an envelope."""
    name = {"thinking": "signature", "redacted_thinking": "data"}.get(wire.kind(block) or "")
    if name is None:
        return False
    return bytes(wire.members(block, "content").get(name, wire.NULL)).startswith(_MARK)
