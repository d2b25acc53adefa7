"""The shape of nearly every chunk of a stream: a piece of text that changes nothing but the text.

One decode reads it, and says by its types that nothing about it is odd, has to be mended, ends or is counted.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from dragoman.dialects.chat.reply_wire import REFUSED, Said


class _Delta(Said, gc=False):
    content: str | None = None
    tool_calls: None = None
    function_call: None = None


class _Choice(Struct, gc=False):
    delta: _Delta
    finish_reason: None
    """Said to be none: where it is not said at all, a client may miss it."""
    index: Literal[0] = 0
    message: None = None
    error: None = None


class Piece(Struct, gc=False):
    """A chunk that is passed on as it came, where its stream is under way."""

    choices: tuple[_Choice]
    id: str | None = None
    model: str | None = None
    created: float | None = None
    usage: None = None
    error: None = None
    x_groq: None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None


_decoder = msgspec.json.Decoder(Piece)
_read_lines = _decoder.decode_lines
read_piece = _decoder.decode
"""The piece in a frame; a frame that holds none is refused as ``reply_wire.REFUSED``."""


def are_pieces(told: list[bytes]) -> bool:
    """Whether each of these frames holds a piece, looked at in one go; none of them has a line end.

    No value goes on in the next line: no text holds a line end, and between ``}`` and ``{`` no value does.
    So as many values as lines are one in each.
    """
    lines = b"\n".join(told)
    if lines[:1] != b"{" or lines[-1:] != b"}" or lines.count(b"}\n{") != len(told) - 1:
        return False
    try:
        return len(_read_lines(lines)) == len(told)
    except REFUSED:
        return False
