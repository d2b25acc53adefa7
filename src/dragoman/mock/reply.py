"""An answer as bytes, before anything goes wrong with it."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from dragoman.mock.answer import NOTHING, Billed

__all__ = ["Frame", "Headers", "Reply", "json_reply"]

Headers: TypeAlias = tuple[tuple[str, str], ...]

Frame: TypeAlias = tuple[bytes, int]
"""Bytes of the body that are sent together, and the output tokens that they hold."""


class Reply(Struct, frozen=True):
    """Status, headers beyond the usual, and the body's frames; whole replies have one."""

    status: int
    frames: tuple[Frame, ...]
    headers: Headers = ()
    content_type: str = "application/json"
    streamed: bool = False
    billed: Billed = NOTHING
    """Input is billed with the head, output as it goes out."""


def json_reply(status: int, body: bytes, headers: Headers = ()) -> Reply:
    """A whole reply that bills nothing."""
    return Reply(status=status, frames=((body, 0),), headers=headers)
