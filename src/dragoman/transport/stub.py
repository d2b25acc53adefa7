"""A provider inside the process: deterministic, immediate, without network (D20, R-ADD-036).

It answers for ``openai/gpt-4o-mini`` and ``openai/text-embedding-3-small``, so that a first run needs
no provider key. It implements the transport's port: the rest of the house serves it like any
other provider, ledger and limits included.
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Callable, Mapping
from typing import assert_never

import msgspec

from dragoman.attempt.ports import UpstreamReply, UpstreamRequest
from dragoman.transport.pour import pour_by_next
from dragoman.transport.stub_answer import Refusal, ToolCall, Words, answer, halves

CHAT_MODEL = "gpt-4o-mini"
EMBEDDING_MODEL = "text-embedding-3-small"
DIMENSIONS = 1536

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

    async def pour(self, take: Callable[[bytes], bool]) -> bytes | None:
        """Each piece to ``take``, until it refuses one."""
        return await pour_by_next(self.next, take)

    async def close(self) -> None:
        """Nothing is open."""


class StubTransport:
    """Answers OpenAI's chat completions and embeddings."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """The reply to a request, whole or as a stream."""
        body = msgspec.json.decode(request.body or b"{}")
        embeds = request.url.endswith("/embeddings")
        if str(body.get("model")).removeprefix("openai/") != (
            EMBEDDING_MODEL if embeds else CHAT_MODEL
        ):
            return _refused(_unknown(body))
        if embeds:
            return _embeddings(body)
        said = answer(body)
        if isinstance(said, Refusal):
            return _refused(said)
        if body.get("stream"):
            return _stream(body, said, int(self._wall()))
        return _whole(body, said, int(self._wall()))

    async def close(self) -> None:
        """Nothing is open."""


def _unknown(body: dict[str, object]) -> Refusal:
    model = str(body.get("model"))[:80]
    return Refusal(
        f"The stub has no model {model!r} of this kind.", "model", "model_not_found", status=404
    )


def _refused(why: Refusal) -> _StubReply:
    error = {
        "message": why.message,
        "type": "invalid_request_error",
        "param": why.param,
        "code": why.code,
    }
    return _StubReply(why.status, "application/json", [_encode({"error": error})])


def _words(value: object) -> int:
    """Something countable in place of tokens: the words of every text in the request."""
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, list):
        return sum(map(_words, value))
    if isinstance(value, dict):
        return sum(_words(item) for name, item in value.items() if name in {"content", "text"})
    return 0


def _usage(body: dict[str, object], said: Words | ToolCall) -> dict[str, int]:
    prompt = max(1, _words(body.get("messages")))
    text = "".join(said.pieces) if isinstance(said, Words) else f"{said.name} {said.given}"
    told = len(text.split())
    return {"prompt_tokens": prompt, "completion_tokens": told, "total_tokens": prompt + told}


def _id(body: dict[str, object]) -> str:
    return "chatcmpl-" + hashlib.sha256(_encode(body)).hexdigest()[:24]


def _whole(body: dict[str, object], said: Words | ToolCall, created: int) -> _StubReply:
    message: dict[str, object] = {"role": "assistant", "content": None, "refusal": None}
    match said:
        case Words():
            message["content"] = "".join(said.pieces)
        case ToolCall():
            message["tool_calls"] = [{"id": said.id, **_call(said, said.name, said.given)}]
        case _:
            assert_never(said)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(said)}
    reply = {
        "id": _id(body),
        "object": "chat.completion",
        "created": created,
        "model": body.get("model"),
        "choices": [choice],
        "usage": _usage(body, said),
    }
    return _StubReply(200, "application/json", [_encode(reply)])


def _finish(said: Words | ToolCall) -> str:
    return "stop" if isinstance(said, Words) else "tool_calls"


def _call(said: ToolCall, name: str, given: str) -> dict[str, object]:
    if said.custom:
        return {"type": "custom", "custom": {"name": name, "input": given}}
    return {"type": "function", "function": {"name": name, "arguments": given}}


def _stream(body: dict[str, object], said: Words | ToolCall, created: int) -> _StubReply:
    """A stream tells its usage to whoever asks: the caller, or the house that keeps the accounts.

    As at OpenAI, the frames before it say ``usage: null`` only to a caller that has asked.
    """
    options = body.get("stream_options")
    asked = isinstance(options, dict) and options.get("include_usage") is True
    frame = {
        "id": _id(body),
        "object": "chat.completion.chunk",
        "created": created,
        "model": body.get("model"),
    }
    silent = {"usage": None} if asked else {}

    def chunk(delta: Mapping[str, object], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + _encode({**frame, "choices": [choice], **silent}) + b"\n\n"

    pieces = [chunk(delta) for delta in _deltas(said)]
    pieces.append(chunk({}, _finish(said)))
    last = {**frame, "choices": [], "usage": _usage(body, said)}
    pieces.append(b"data: " + _encode(last) + b"\n\n")
    pieces.append(b"data: [DONE]\n\n")
    return _StubReply(200, "text/event-stream", pieces)


def _deltas(said: Words | ToolCall) -> list[dict[str, object]]:
    """What is said piece by piece: the role and the call's name come with the first."""
    match said:
        case Words():
            deltas: list[dict[str, object]] = [{"content": text} for text in said.pieces]
            return [{"role": "assistant", **deltas[0]}, *deltas[1:]]
        case ToolCall():
            opened = {"index": 0, "id": said.id, **_call(said, said.name, "")}
            kind, member = ("custom", "input") if said.custom else ("function", "arguments")
            deltas = [
                {"tool_calls": [{"index": 0, kind: {member: text}}]} for text in halves(said.given)
            ]
            return [{"role": "assistant", "content": None, "tool_calls": [opened]}, *deltas]
        case _:
            assert_never(said)


def _embeddings(body: dict[str, object]) -> _StubReply:
    given = body.get("input")
    if given is None:
        return _refused(
            Refusal("Missing required parameter: 'input'.", "input", "missing_required_parameter")
        )
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
