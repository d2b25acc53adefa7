"""What a dialect is: a record of pure functions and three small state machines.

A dialect reads what a caller or a provider wrote into the canonical words of ``core`` and
writes those words as its own. It does no I/O, reads no clock, rolls no dice, logs nothing
and looks nothing up: facts about the target come in ``Target``, ids and times in ``Context``.

Two ways lead through a dialect:

- *translated*: ``read_request`` of the caller's dialect → ``write_request`` of the
  provider's; back by ``read_response``/``write_response`` or by a ``StreamReader`` whose events
  feed a ``StreamWriter``. What the target cannot say becomes a ``Loss`` or a ``CallerError``
  (`dialects.md` §5).
- *same dialect*: ``patch_request`` replaces top-level members of the caller's own JSON and
  leaves every nested value byte for byte (D2); back, a ``Relay`` passes whole frames on as
  they came, reads what accounting needs, and mends only what D1 lists.

Any bytes into any reader give events or an ``UpstreamError`` (a ``CallerError`` for
``read_request``), never another exception.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

from msgspec import Raw, Struct

from dragoman.core.capability import Capability
from dragoman.core.envelope import Envelope
from dragoman.core.errors import GatewayError, UpstreamError
from dragoman.core.events import Event
from dragoman.core.loss import Loss
from dragoman.core.provider import Family, Quirks
from dragoman.core.request import EmbeddingRequest, Request
from dragoman.core.response import Embeddings, Finish, Response
from dragoman.core.usage import Usage

__all__ = [
    "Context",
    "Counter",
    "Dialect",
    "Embedder",
    "Embodied",
    "ErrorContext",
    "ErrorReply",
    "Facts",
    "Outgoing",
    "Relay",
    "StreamReader",
    "StreamWriter",
    "Tapped",
    "Target",
    "Unary",
    "Undo",
    "Written",
]


class Target(Struct, frozen=True):
    """Whom a request is written for."""

    provider: str
    model: str
    """The provider's own id, which replaces the caller's string."""
    quirks: Quirks = Quirks()
    capability: Capability = Capability()
    reserved_output: int = 4096
    """Tokens to send where the target demands a bound and the caller gave none (D27)."""
    stream: bool = False


class Undo(Struct, frozen=True):
    """What ``write_request`` changed and a reader of the reply has to change back."""

    tool_names: dict[str, str] = {}
    """Name sent → the caller's own name (P57)."""
    json_tool: str | None = None
    """The forced tool that stands for a JSON schema: its call becomes text (P64)."""
    custom_tools: frozenset[str] = frozenset()
    """Free-text tools that were wrapped as functions ``{"input": text}`` (P67)."""
    stop: tuple[str, ...] = ()
    """Sequences that end the answer here, where the provider knows none (P113)."""


class Outgoing(Struct, frozen=True):
    """A request ready for the provider, and what writing it cost."""

    body: bytes
    losses: tuple[Loss, ...] = ()
    adjusted: tuple[str, ...] = ()
    """``member=value`` for what was filled in because the target demands it (D27)."""
    undo: Undo = Undo()
    headers: dict[str, str] = {}


class Context(Struct, frozen=True):
    """What a writer must know of the caller it writes for.

    Ids that a provider did not give are derived from ``call_id`` (hex digits), times from
    ``created`` (Unix seconds). ``cost`` prices a usage, where a price is known.
    """

    call_id: str
    created: int
    model: str
    """The id that was sent; written where the provider wrote none (D4)."""
    request: Request | None = None
    """The caller's request, on the translated way."""
    include_usage: bool = False
    """Whether a chat caller asked for usage in its stream."""
    cost: Callable[[Usage], Decimal | None] | None = None
    envelope: Envelope | None = None
    """Wraps reasoning state of other families for the caller; without it the state stays behind."""
    request_id: str = ""
    """What the caller knows the request by; told in an error inside a stream, as ``trace_id``."""
    trace_id: str = ""
    flavour: str = ""
    """The caller's own variant of its family, which spells errors differently (OpenRouter's)."""
    array: bool = False
    """A Gemini caller without ``alt=sse``: the stream is one JSON array (P10)."""


class Written(Struct, frozen=True):
    """A whole reply in the caller's dialect."""

    body: bytes
    losses: tuple[Loss, ...] = ()


class Tapped(Struct, frozen=True):
    """A whole reply of the same dialect: its bytes, mended if need be, and what they said."""

    body: bytes
    usage: Usage | None = None
    finish: Finish | None = None
    id: str | None = None
    model: str | None = None
    """Which model has answered, where the provider says so."""


class ErrorContext(Struct, frozen=True):
    """What R-ADD-024 adds to an error body."""

    request_id: str
    trace_id: str = ""
    fallback: bool | None = None
    """Whether another provider or model was tried than the first; None where none was."""
    flavour: str = ""
    """As in ``Context``."""


def own_status(error: GatewayError) -> int:
    """The status of most dialects' replies: the error's own."""
    return error.status


class ErrorReply(Struct, frozen=True):
    """An error as an HTTP response: status, body, content type."""

    status: int
    body: bytes
    content_type: str = "application/json"


@dataclass(slots=True)
class Facts:
    """What a stream has said so far, for the gate, accounting and health.

    ``content``: something that a person would read, or a tool call, has come.
    ``finished``: the provider ended the answer regularly; end of file is no surprise now.
    ``over``: the frame after which nothing counts has come; the end of file may be long in coming.
    ``error``: the provider reported a failure inside the stream.
    ``model``: which one answers, where the provider says so.
    """

    content: bool = False
    finished: bool = False
    over: bool = False
    finish: Finish | None = None
    usage: Usage | None = None
    error: UpstreamError | None = None
    id: str | None = None
    model: str | None = None
    losses: tuple[Loss, ...] = ()


class StreamReader(Protocol):
    """Provider's bytes → events, however the bytes are cut. One for each attempt."""

    def feed(self, data: bytes) -> list[Event]:
        """Events that ``data`` completes. After a ``Failure`` or ``End`` everything is ignored."""
        ...

    def close(self) -> list[Event]:
        """The end of the bytes: what was still open, then ``End``; or ``Failure`` if it was cut."""
        ...


class StreamWriter(Protocol):
    """Events → the caller's bytes. One for each caller."""

    losses: list[Loss]
    """What of the answer could not be said so far (D6)."""

    def send(self, event: Event) -> bytes:
        """The frames that the event makes due, perhaps none, always whole.

        ``Failure`` gives the one terminal error frame and closes the writer (D3).
        """
        ...


class Relay(Protocol):
    """Provider's stream → caller's stream, whichever way; what attempt drives."""

    facts: Facts

    def feed(self, data: bytes) -> bytes:
        """Whole frames for the caller; empty while none is complete.

        If the provider reports a failure in the stream, ``facts.error`` is set and the terminal
        error frame is **not** among the returned bytes: attempt decides whether it may still
        go to another candidate, and calls ``fail`` if not.
        """
        ...

    def close(self) -> bytes:
        """The provider's regular end of bytes; sets ``facts.error`` if it came too early."""
        ...

    def fail(self, error: GatewayError) -> bytes:
        """The one terminal error frame of the caller's dialect; nothing follows it."""
        ...


class Embodied(Struct, frozen=True):
    """Which media providers of a family take as bytes alone, though a caller may give an address."""

    kinds: frozenset[Literal["image", "audio", "video", "document"]] = frozenset()
    but: tuple[str, ...] = ()
    """Beginnings of addresses that they read themselves all the same."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """A wire family, as functions; see the module's first lines for how they play together."""

    family: Family
    content_type: str
    """Of whole replies."""
    stream_content_type: str
    heartbeat: bytes | None
    """What may be sent into an idle stream, None if the family's clients break on anything (P15)."""
    read_request: Callable[[bytes], Request]
    write_request: Callable[[Request, Target], Outgoing]
    patch_request: Callable[[dict[str, Raw], Target], Outgoing]
    read_response: Callable[[bytes, Target, Undo], Response]
    write_response: Callable[[Response, Context], Written]
    tap_response: Callable[[bytes, Target, Context], Tapped]
    """Raises ``UpstreamError`` where a 200 holds an error or no reply at all (P140, P11)."""
    stream_reader: Callable[[Target, Undo], StreamReader]
    stream_writer: Callable[[Context], StreamWriter]
    relay: Callable[[Target, Context], Relay]
    read_error: Callable[[int, dict[str, str], bytes], UpstreamError]
    write_error: Callable[[GatewayError, ErrorContext], ErrorReply]
    response_frames: Callable[[bytes], bytes]
    """A whole reply of this family as a stream of it, for a provider that ignored ``stream`` (P11)."""
    framing: Literal["sse", "ndjson"] = "sse"
    """How the family's streams are cut."""
    no_stream: bytes = b"{[<"
    """What no stream of the family begins with: such a reply is whole although a stream was asked
    for, or no reply at all (P11)."""
    steps: frozenset[str] = frozenset()
    """The request steps that a provider of this family may name (``Quirks.steps``)."""
    error_status: Callable[[GatewayError], int] = own_status
    """The status of ``write_error``'s reply, for who needs nothing else of it."""
    embodied: Embodied | None = None
    """What attempt fetches before ``write_request``, which refuses an address of that kind."""


@dataclass(frozen=True, slots=True)
class Embedder:
    """Embeddings across families (`dialects.md` §3.3), as four functions.

    The request of a caller that asks for one vector alone (Gemini's ``embedContent``, Ollama's
    ``/api/embeddings``) has ``single`` set, and gets its answer in that form.
    """

    read_request: Callable[[bytes], EmbeddingRequest]
    write_request: Callable[[EmbeddingRequest, Target], Outgoing]
    """Raises ``CallerError`` for what the target cannot embed (token ids, unknown dimensions)."""
    read_response: Callable[[bytes, Target], Embeddings]
    write_response: Callable[[Embeddings, EmbeddingRequest, Context], Written]
    most: int | None = None
    """Inputs that one request of the family may hold; more are split, in order (P202)."""


@dataclass(frozen=True, slots=True)
class Counter:
    """Counting the tokens of a request across families, as four functions."""

    read_request: Callable[[bytes], Request]
    write_request: Callable[[Request, Target], Outgoing] | None
    """None: providers of the family have no counter."""
    read_response: Callable[[bytes], int]
    write_response: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Unary:
    """An operation that is one question and one answer, both of one family."""

    patch: Callable[[dict[str, Raw], Target], Outgoing]
    tap: Callable[[bytes, dict[str, Raw]], Tapped]
    """Takes the reply and the caller's own members."""
