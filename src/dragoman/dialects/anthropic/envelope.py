"""Foreign reasoning state in a ``thinking`` block, and back (`dialects.md` §2.3).

A client of this dialect keeps ``signature`` and ``data`` as opaque text and sends them back
on the next turn. State that another family issued travels there in an envelope that names
its issuer, so that it is unwrapped byte for byte towards that family and never shown to
another. Anthropic's own signatures are never wrapped.
"""

from __future__ import annotations

import base64

import msgspec
from msgspec import Struct

from dragoman.core.parts import Thinking
from dragoman.dialects.anthropic.wire import BAD_JSON, DIALECT, encode

PREFIX = "drg1."


class _State(Struct, frozen=True, omit_defaults=True):
    """What has to come back, beside the words themselves."""

    f: str
    s: str | None = None
    e: str | None = None
    r: bool = False
    i: str | None = None
    o: str | None = None
    y: bool = False


_STATE = msgspec.json.Decoder(_State)


def is_native(part: Thinking) -> bool:
    """Whether Anthropic issued the reasoning, by its family or by the chat family's word for it."""
    return part.family == DIALECT or (
        part.family is None and (part.format or "").startswith(DIALECT)
    )


def wrap(part: Thinking) -> str:
    """The envelope of a foreign part's state; empty if it has none worth keeping."""
    if part.signature is None and part.encrypted is None:
        return ""
    state = _State(
        f=part.family or "",
        s=part.signature,
        e=part.encrypted,
        r=part.redacted,
        i=part.id,
        o=part.format,
        y=part.summary,
    )
    return PREFIX + base64.urlsafe_b64encode(encode(state)).decode().rstrip("=")


def opened(part: Thinking) -> Thinking:
    """The part as its issuer knows it: out of its envelope, if it is in one of ours.

    Reasoning without any state of its own belongs to nobody and no provider takes it back (P93).
    """
    sealed = part.encrypted if part.redacted else part.signature
    if not sealed:
        return Thinking(part.text)
    if not sealed.startswith(PREFIX):
        return part
    body = sealed.removeprefix(PREFIX)
    try:
        state = _STATE.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (*BAD_JSON, ValueError):  # binascii.Error is one
        return part
    return Thinking(
        text=part.text,
        signature=state.s,
        encrypted=state.e,
        redacted=state.r,
        id=state.i,
        format=state.o,
        family=state.f or None,
        summary=state.y,
    )
