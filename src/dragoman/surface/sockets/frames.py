"""What is said over a WebSocket of chat, in both directions: JSON objects, each with its ``type``.

A request is every other member of ``chat.completions``, as the body of a POST would have it; it is read no further
here.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from dragoman.core.errors import CallerError

ErrorCode: TypeAlias = Literal[
    "auth",
    "auth_required",
    "bad_json",
    "bad_request",
    "config",
    "internal",
    "rate_limited",
    "stream_error",
    "unknown_type",
]
"""R-ADD-017."""
LONGEST_ID = 128
"""Characters of a request's id."""
_OWN = ("type", "requestId")
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_TEXT = msgspec.json.Decoder(str)
encode = msgspec.json.Encoder().encode


class FrameError(Exception):
    """A message that cannot be taken, in the words of an ``error`` frame."""

    def __init__(self, code: ErrorCode, message: str, request_id: str | UnsetType = UNSET) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message
        self.request_id = request_id


class AuthOk(Struct, frozen=True, rename="camel", tag="auth.ok"):
    """The key is taken."""

    role: str
    tier: str | UnsetType = UNSET
    already: bool | UnsetType = UNSET
    """The connection had this key before."""


class Pong(Struct, frozen=True, rename="camel", tag="pong"):
    """The answer to ``ping``."""

    request_id: str | UnsetType = UNSET


class ChatStart(Struct, frozen=True, rename="camel", tag="chat.start"):
    """The request was let in."""

    request_id: str


class ChatDelta(Struct, frozen=True, rename="camel", tag="chat.delta"):
    """A piece of an answer."""

    request_id: str
    delta: str
    """The piece's text, of the first choice; empty where it says something else."""
    chunk: Raw
    """The whole piece, as a stream of ``/v1/chat/completions`` has it."""


class ChatComplete(Struct, frozen=True, rename="camel", tag="chat.complete"):
    """The end of an answer, and all of it once more."""

    request_id: str
    response: str
    """The text of the first choice."""
    message: dict[str, Any]
    """The whole message of the first choice, with its tool calls."""
    finish_reason: str | None
    usage: Raw | None
    latency_ms: int
    provider_id: str | None
    model: str | None
    headers: dict[str, str]
    """What an answer over HTTP tells beside its body."""
    completion: Raw | UnsetType = UNSET
    """The whole body of an answer that was not streamed."""


class Refused(Struct, frozen=True, rename="camel", tag="error"):
    """What went wrong; the connection stays, unless it is closed with a reason of its own."""

    code: ErrorCode
    message: str
    request_id: str | UnsetType = UNSET
    status: int | UnsetType = UNSET
    """The status that a POST would have got."""
    retry_after: float | UnsetType = UNSET
    """Seconds."""
    error: Raw | UnsetType = UNSET
    """The whole error, as a POST would have got it."""
    headers: dict[str, str] | UnsetType = UNSET


class Auth(Struct, frozen=True):
    """The first message of who has shown no key before."""

    key: str


class Ping(Struct, frozen=True):
    """Wants a sign of life."""

    request_id: str | UnsetType


class Asked(Struct, frozen=True):
    """A chat completion that is asked for."""

    request_id: str | UnsetType
    body: bytes
    """What a POST would have sent."""
    stream: bool


Said: TypeAlias = Auth | Ping | Asked


def read_frame(text: str | bytes) -> Said:
    """What a caller says.

    Raises:
        FrameError: it is no JSON object, or not one that there is.
    """
    try:
        members = _MEMBERS.decode(text)
    except msgspec.ValidationError:
        raise FrameError("bad_request", "A message is one JSON object with a type.") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise FrameError("bad_json", f"The message is no valid JSON: {_why(error)}.") from None
    request_id = _request_id(members)
    kind = _text(members.get("type"))
    match kind:
        case "chat.completions":
            return _asked(members, request_id)
        case "ping":
            return Ping(request_id)
        case "auth":
            key = _text(members.get("apiKey"))
            if not key:
                raise FrameError(
                    "auth", 'An auth message needs the API key: "apiKey": "<key>".', request_id
                )
            return Auth(key)
        case _:
            pass
    told = "none" if kind is None else repr(kind[:80])
    raise FrameError(
        "unknown_type",
        f"The message's type is {told}; there are auth, chat.completions and ping.",
        request_id,
    )


def _asked(members: dict[str, Raw], request_id: str | UnsetType) -> Asked:
    if not _text(members.get("model")):
        raise FrameError(
            "bad_request", "model is missing: say whose answer is wanted.", request_id
        )
    messages = members.get("messages", Raw(b""))
    if not bytes(messages).lstrip().startswith(b"["):
        raise FrameError(
            "bad_request", "messages is missing: it is a list of messages.", request_id
        )
    stream = bytes(members.get("stream", Raw(b""))).strip() == b"true"
    body = {name: value for name, value in members.items() if name not in _OWN}
    if stream:
        body["stream_options"] = _with_usage(members.get("stream_options"))
    return Asked(request_id, encode(body), stream)


def _with_usage(options: Raw | None) -> Raw:
    """The request's own, and that the usage is told: ``chat.complete`` has it."""
    try:
        members = _MEMBERS.decode(options) if options is not None else {}
    except msgspec.DecodeError:
        return options or Raw(b"null")  # what is wrong with it, the request's reader says
    return Raw(encode({**members, "include_usage": True}))


def _request_id(members: dict[str, Raw]) -> str | UnsetType:
    said = members.get("requestId")
    if said is None:
        return UNSET
    found = _text(said)
    if not found or len(found) > LONGEST_ID:
        raise FrameError("bad_request", f"requestId is a text of 1 to {LONGEST_ID} characters.")
    return found


def _text(value: Raw | None) -> str | None:
    if value is None:
        return None
    try:
        return _TEXT.decode(value)
    except msgspec.DecodeError:
        return None


def _why(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error).removeprefix("JSON is malformed: ").rstrip(".")


def refused_by(
    error: CallerError, code: ErrorCode, request_id: str | UnsetType = UNSET
) -> Refused:
    """A refusal of ours as a frame."""
    wait = UNSET if error.retry_after_s is None else round(error.retry_after_s, 3)
    return Refused(code, error.message, request_id, error.status, wait)
