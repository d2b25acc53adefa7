"""The usage that a provider does not tell, estimated where the operator wants that (D25): for the ledger alone.

A quarter of the bytes, as tokens are counted for who has no counter (D38): of the request as it was sent, and of
the words that came back, without what frames wrap around them. Media count a flat figure, for the bytes of a
picture say nothing about its tokens. What was told stays as it was told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from dragoman.attempt.aside import aside
from dragoman.attempt.estimate import PER_MEDIUM
from dragoman.attempt.prepare import Prepared
from dragoman.core.call import Status
from dragoman.core.errors import GatewayError
from dragoman.core.events import Event, PartDelta, PartStart
from dragoman.core.parts import Media, Part, Refusal, Text, Thinking, ToolCall
from dragoman.core.provider import Operation
from dragoman.core.usage import Usage, tokens_of_size
from dragoman.dialects.base import Facts

_SAID = frozenset({"text", "arguments"})
"""Of what grows in a part: signatures and sealed thoughts are no words."""
_LONG = 2048
_INLINE = re.compile(rb'[",][A-Za-z0-9+/\\_-]{%d,}' % _LONG)
"""Base64 in JSON, alone or behind ``;base64,``: nothing that is said goes on for so long without a space."""


class Words:
    """How much has come back of one try, in bytes of words."""

    __slots__ = ("facts", "size")

    def __init__(self, size: int | None = 0) -> None:
        self.size: int | None = size
        """None: there are none to be counted, as an embedding has none, or they could not be read."""
        self.facts: Facts | None = None
        """Of a stream."""

    def hear(self, events: list[Event]) -> None:
        """Counts what is said in a stream."""
        size = self.size or 0
        for event in events:
            if isinstance(event, PartDelta):
                if event.field in _SAID:
                    size += _bytes(event.text)
            elif isinstance(event, PartStart):
                size += size_of(event.head)
        self.size = size

    def came(self, status: Status) -> bool:
        """Whether something came back for certain, of a try that ended so."""
        if status == "hedge_lost":
            return False
        return status == "complete" or (self.facts is not None and self.facts.content)


async def words_of(
    body: bytes, told: Usage | None, operation: Operation, prepared: Prepared
) -> Words | None:
    """The words of a whole reply; None where they are of no use, as its usage was told or nothing was used."""
    if operation == "embeddings":
        return Words(None)
    if operation != "chat":
        return None
    if told is not None and told.input is not None and told.output is not None:
        return None
    return Words(await aside(len(body), partial(_size_of_reply, body, prepared)))


def _size_of_reply(body: bytes, prepared: Prepared) -> int | None:
    try:
        reply = prepared.provider.read_response(body, prepared.target, prepared.outgoing.undo)
    except GatewayError:
        return None
    return sum(size_of(part) for choice in reply.choices for part in choice.parts)


def size_of(part: Part) -> int:
    """The bytes of words in a part of an answer."""
    match part:
        case Text() | Refusal() | Thinking():
            return _bytes(part.text)
        case ToolCall():
            return _bytes(part.arguments)
        case Media():
            return _bytes(part.transcript or "")
        case _:
            return 0


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def completed(told: Usage | None, sent: Sequence[bytes], words: int | None) -> Usage | None:
    """What was told, with an estimate of what was not; None where nothing is missing.

    Args:
        told: by the provider.
        sent: the bodies of the requests.
        words: bytes of what came back, None where nothing is known of it.
    """
    told = told or Usage()
    read, written = told.input, told.output
    if read is None:
        read = sum(map(_tokens_sent, sent))
    if written is None and words is not None:
        written = tokens_of_size(words)
    if (read, written) == (told.input, told.output):
        return None
    return replace(told, input=read, output=written)


def _tokens_sent(body: bytes) -> int:
    if len(body) <= _LONG:
        return tokens_of_size(len(body))
    text, media = _INLINE.subn(b"", body)
    return tokens_of_size(len(text)) + media * PER_MEDIUM
