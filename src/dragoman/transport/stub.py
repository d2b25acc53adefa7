"""A provider inside the process: deterministic, immediate, without network (D20, R-ADD-036).

It answers for ``openai/gpt-4o-mini`` and ``openai/text-embedding-3-small``, so that a first run needs
no provider key. It implements the transport's port: the rest of the house serves it like any
other provider, ledger and limits included.
"""

from __future__ import annotations

import hashlib
import struct

import msgspec

from dragoman.attempt.ports import UpstreamReply, UpstreamRequest

CHAT_MODEL = "gpt-4o-mini"
EMBEDDING_MODEL = "text-embedding-3-small"
DIMENSIONS = 1536
_CREATED = 1_700_000_000
_ANSWER = (
    "Hello! ",
    "This is Dragoman's built-in stub: ",
    "set a provider key to talk to a model.",
)

_encode = msgspec.json.Encoder().encode


class _StubReply:
    """A reply that is already there."""

    def __init__(self, status: int, content_type: str, pieces: list[bytes]) -> None:
        self.status = status
        self.headers = {"content-type": content_type}
        self._pieces = pieces

    async def read(self, limit: int) -> bytes:
        """All of it; a stub's reply is never over a limit."""
        body = b"".join(self._pieces)
        self._pieces = []
        return body[:limit]

    async def next(self) -> bytes | None:
        """The next piece."""
        return self._pieces.pop(0) if self._pieces else None

    async def close(self) -> None:
        """Nothing is open."""


class StubTransport:
    """Answers OpenAI's chat completions and embeddings."""

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """The reply to a request, whole or as a stream."""
        body = msgspec.json.decode(request.body or b"{}")
        embeds = request.url.endswith("/embeddings")
        if str(body.get("model")).removeprefix("openai/") != (
            EMBEDDING_MODEL if embeds else CHAT_MODEL
        ):
            return _unknown(body)
        if embeds:
            return _embeddings(body)
        if body.get("stream"):
            return _stream(body)
        return _whole(body)

    async def close(self) -> None:
        """Nothing is open."""


def _unknown(body: dict[str, object]) -> _StubReply:
    error = {
        "message": f"The stub has no model {str(body.get('model'))[:80]!r} of this kind.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    return _StubReply(404, "application/json", [_encode({"error": error})])


def _words(value: object) -> int:
    """Something countable in place of tokens: the words of every text in the request."""
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, list):
        return sum(map(_words, value))
    if isinstance(value, dict):
        return sum(_words(item) for name, item in value.items() if name in {"content", "text"})
    return 0


def _usage(body: dict[str, object]) -> dict[str, int]:
    prompt = max(1, _words(body.get("messages")))
    answer = len("".join(_ANSWER).split())
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def _id(body: dict[str, object]) -> str:
    return "chatcmpl-" + hashlib.sha256(_encode(body)).hexdigest()[:24]


def _whole(body: dict[str, object]) -> _StubReply:
    message = {"role": "assistant", "content": "".join(_ANSWER), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    reply = {
        "id": _id(body),
        "object": "chat.completion",
        "created": _CREATED,
        "model": body.get("model"),
        "choices": [choice],
        "usage": _usage(body),
    }
    return _StubReply(200, "application/json", [_encode(reply)])


def _stream(body: dict[str, object]) -> _StubReply:
    options = body.get("stream_options")
    wants_usage = isinstance(options, dict) and options.get("include_usage") is True
    frame = {
        "id": _id(body),
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": body.get("model"),
    }
    silent = {"usage": None} if wants_usage else {}

    def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + _encode({**frame, "choices": [choice], **silent}) + b"\n\n"

    pieces = [chunk({"role": "assistant", "content": _ANSWER[0]})]
    pieces += [chunk({"content": text}) for text in _ANSWER[1:]]
    pieces.append(chunk({}, "stop"))
    if wants_usage:
        last = {**frame, "choices": [], "usage": _usage(body)}
        pieces.append(b"data: " + _encode(last) + b"\n\n")
    pieces.append(b"data: [DONE]\n\n")
    return _StubReply(200, "text/event-stream", pieces)


def _embeddings(body: dict[str, object]) -> _StubReply:
    given = body.get("input")
    inputs = (
        given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
    )
    wanted = body.get("dimensions")
    dimensions = wanted if isinstance(wanted, int) and 0 < wanted <= DIMENSIONS else DIMENSIONS
    as_text = body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _vector(_encode(item), dimensions, as_text=as_text),
        }
        for index, item in enumerate(inputs)
    ]
    tokens = max(1, sum(_words(item) or 1 for item in inputs))
    reply = {
        "object": "list",
        "data": data,
        "model": body.get("model"),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return _StubReply(200, "application/json", [_encode(reply)])


def _vector(seed: bytes, dimensions: int, *, as_text: bool) -> list[float] | bytes:
    """A unit-free vector that depends on the text alone; bytes are encoded as base64."""
    noise = hashlib.shake_256(seed).digest(dimensions * 2)
    values = [value / 32768 for value in struct.unpack(f"<{dimensions}h", noise)]
    return struct.pack(f"<{dimensions}f", *values) if as_text else values
