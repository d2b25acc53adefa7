"""Foreign reasoning state in ``encrypted_content``, and back (`dialects.md` §2.3).

A client of this dialect keeps a reasoning item whole and sends it back on the next turn. This
family's own state goes there as it is; that of another family in an envelope (``core.envelope``),
which is left closed on reading and taken out on the same-dialect way.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from dragoman.core.envelope import PREFIX, SEALED, Envelope, is_sealed
from dragoman.core.loss import Loss
from dragoman.core.parts import Thinking
from dragoman.dialects.responses.wire import BAD_JSON, DIALECT, THINKING_FORMAT, encode

_MARK = b'"' + PREFIX.encode()


class _Item(Struct):
    type: str | None = None
    encrypted_content: str | None = None


_ITEM = msgspec.json.Decoder(_Item)
_ITEMS = msgspec.json.Decoder(list[Raw])


def is_native(part: Thinking) -> bool:
    """Whether this family issued the reasoning, by its name or by the chat family's word for it."""
    return part.family == DIALECT or (
        part.family in {None, "chat"} and "openai-responses" in (part.format or "")
    )


def state_of(part: Thinking, envelope: Envelope | None) -> str | None:
    """What goes into ``encrypted_content`` for a client; None where there is no state to bring back."""
    if is_native(part):
        return part.encrypted
    return (envelope.seal(part) or None) if envelope is not None else None


def received(part: Thinking) -> Thinking | None:
    """The part as a client sent it back: this family's own, in its envelope, or nobody's.

    An item without state and words points at what its provider has stored, and is this family's.
    """
    if is_sealed(part.encrypted):
        return replace(part, family=SEALED, redacted=True, id=None)
    if part.encrypted is not None:
        alone = not part.text
        return replace(part, family=DIALECT, format=THINKING_FORMAT, redacted=alone)
    if part.text:
        return Thinking(part.text)
    return replace(part, family=DIALECT, format=THINKING_FORMAT) if part.id else None


def without_sealed(items: Raw) -> tuple[Raw, tuple[Loss, ...]]:
    """A caller's own items without reasoning in envelopes; every other value stays as it came."""
    if bytes(items).find(_MARK) < 0:  # ``in`` tries to make a number of the mark first
        return items, ()
    try:
        every = _ITEMS.decode(items)
    except BAD_JSON:  # The provider says best what is wrong with it.
        return items, ()
    gone = [place for place, item in enumerate(every) if _is_sealed(item)]
    if not gone:
        return items, ()
    kept = [item for place, item in enumerate(every) if place not in gone]
    losses = tuple(Loss(f"input[{place}]", "reasoning of another family") for place in gone)
    return Raw(encode(kept)), losses


def _is_sealed(item: Raw) -> bool:
    """Whether an item is reasoning in an envelope."""
    try:
        found = _ITEM.decode(item)
    except BAD_JSON:
        return False
    return found.type == "reasoning" and is_sealed(found.encrypted_content)
