"""A completion as an ordered stream of events, the same in both directions.

Invariants, held by ``fold.check`` in tests and relied on by every writer:

- ``Start`` is first and comes once; ``End`` or ``Failure`` is last, and nothing follows it.
- Part numbers are unique and rise within a choice. ``PartDelta`` stands between the
  ``PartStart`` and the ``PartStop`` of its part. Several parts may be open at once, as the
  chat dialect interleaves tool calls (P39); a writer that cannot say so holds back every part
  but the oldest open one.
- Every choice has one ``Finish`` after its last part has stopped, unless there is a ``Failure``.
- ``UsageNote`` may come anywhere before the end; later numbers replace earlier ones.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from dragoman.core.errors import GatewayError
from dragoman.core.parts import Citation, Ext, Part
from dragoman.core.response import Finish
from dragoman.core.usage import Usage


class Start(Struct, frozen=True, gc=False):
    """The answer begins; ids are the provider's, and ``usage`` is what it already says."""

    id: str = ""
    model: str = ""
    created: int | None = None
    usage: Usage | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None


class PartStart(Struct, frozen=True, gc=False):
    """A part opens.

    ``head`` holds what is known at once: the tool call with its id and name and no
    arguments, the thinking part with its opaque data, or a whole part that comes in
    one piece (redacted thinking, media, opaque); no text is in it that deltas repeat.
    """

    part: int
    head: Part
    choice: int = 0


class PartDelta(Struct, frozen=True, gc=False):
    """More of an open part; ``field`` says which member of it grows.

    ``text``: words of text, refusal, thinking; ``arguments``: JSON text of a call;
    ``signature`` and ``encrypted``: opaque data of thinking, the whole of it in one delta.
    """

    part: int
    text: str
    field: Literal["text", "arguments", "signature", "encrypted"] = "text"
    choice: int = 0


class Cited(Struct, frozen=True, gc=False):
    """A citation joins an open text part."""

    part: int
    citation: Citation
    choice: int = 0


class PartStop(Struct, frozen=True, gc=False):
    """A part is complete."""

    part: int
    choice: int = 0


class LogprobNote(Struct, frozen=True, gc=False):
    """Log probabilities of what was just said, in OpenAI's shape as JSON text."""

    logprobs: bytes
    choice: int = 0


class UsageNote(Struct, frozen=True, gc=False):
    """What the provider says was consumed so far, cumulative."""

    usage: Usage


class Finished(Struct, frozen=True, gc=False):
    """A choice is over."""

    finish: Finish
    choice: int = 0
    ext: Ext | None = None


class Ping(Struct, frozen=True, gc=False):
    """A sign of life without content."""


class Failure(Struct, frozen=True):
    """The stream broke; nothing that says completion may follow (D3)."""

    error: GatewayError


class End(Struct, frozen=True, gc=False):
    """The answer is complete."""


Event: TypeAlias = (
    Start
    | PartStart
    | PartDelta
    | Cited
    | PartStop
    | LogprobNote
    | UsageNote
    | Finished
    | Ping
    | Failure
    | End
)
