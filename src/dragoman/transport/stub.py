"""A provider inside the process: deterministic, immediate, without network (D20, R-ADD-036).

It answers for ``openai/gpt-4o-mini`` and ``openai/text-embedding-3-small``, so that a first run needs
no provider key. It implements the transport's port: the rest of the house serves it like any
other provider, ledger and limits included.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
import time
from collections.abc import Callable, Mapping
from typing import assert_never

import msgspec
from msgspec import Struct

from dragoman.attempt.ports import Again, UpstreamReply, UpstreamRequest
from dragoman.transport.pour import pour_by_next
from dragoman.transport.stub_answer import Refusal, ToolCall, Words, answer, halves
from dragoman.transport.stub_limits import Ended, bounded, bounds, tokens

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

    def at_hand(self) -> bytes | None:
        """None: what is there is told by ``next`` alone."""
        return None

    def is_over(self) -> bool:
        """False, as that is told by ``next`` alone."""
        return False

    async def pour(self, take: Callable[[bytes], bool]) -> bytes | None:
        """Each piece to ``take``, until it refuses one."""
        return await pour_by_next(self.next, take)

    async def close(self) -> None:
        """Nothing is open."""


class StubTransport:
    """Answers OpenAI's chat completions and embeddings.

    The words of an answer follow from its request alone; its id is new each time, as a provider's is.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: secrets.token_hex(12),
    ) -> None:
        self._wall = wall
        self._new_id = new_id

    async def send(self, request: UpstreamRequest, again: Again | None = None) -> UpstreamReply:
        """The reply to a request, whole or as a stream."""
        del again  # there is no connection that could be stale
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
        within = bounds(body)
        if isinstance(within, Refusal):
            return _refused(within)
        ended = bounded(said, within)
        mark = self._new_id()
        told = _Told(mark, int(self._wall()), body.get("model"), (ended,) * within.choices)
        usage = _usage(body, told)
        return _stream(body, told, usage) if body.get("stream") else _whole(told, usage)

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


def _count(value: object) -> int:
    """The tokens of every text in the request."""
    if isinstance(value, str):
        return tokens(value)
    if isinstance(value, list):
        return sum(map(_count, value))
    if isinstance(value, dict):
        return sum(_count(item) for name, item in value.items() if name in {"content", "text"})
    return 0


class _Told(Struct, frozen=True):
    """An answer with all its choices."""

    mark: str
    created: int
    model: object
    choices: tuple[Ended, ...]

    def head(self, kind: str) -> dict[str, object]:
        """What an answer and each of its chunks begin with."""
        start = {"id": f"chatcmpl-{self.mark}", "object": kind, "created": self.created}
        return {**start, "model": self.model}


def _usage(body: dict[str, object], told: _Told) -> dict[str, int]:
    prompt = max(1, _count(body.get("messages")))
    spent = sum(each.tokens for each in told.choices)
    return {"prompt_tokens": prompt, "completion_tokens": spent, "total_tokens": prompt + spent}


def _whole(told: _Told, usage: dict[str, int]) -> _StubReply:
    choices = [
        {
            "index": index,
            "message": _message(ended.said, _call_id(told, index)),
            "logprobs": None,
            "finish_reason": ended.finish,
        }
        for index, ended in enumerate(told.choices)
    ]
    reply = {**told.head("chat.completion"), "choices": choices, "usage": usage}
    return _StubReply(200, "application/json", [_encode(reply)])


def _message(said: Words | ToolCall, call_id: str) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": None, "refusal": None}
    match said:
        case Words():
            message["content"] = "".join(said.pieces)
        case ToolCall():
            message["tool_calls"] = [{"id": call_id, **_call(said, said.name, said.given)}]
        case _:
            assert_never(said)
    return message


def _call_id(told: _Told, index: int) -> str:
    return f"call_{told.mark}{index:02x}"


def _call(said: ToolCall, name: str, given: str) -> dict[str, object]:
    if said.custom:
        return {"type": "custom", "custom": {"name": name, "input": given}}
    return {"type": "function", "function": {"name": name, "arguments": given}}


def _stream(body: dict[str, object], told: _Told, usage: dict[str, int]) -> _StubReply:
    """A stream tells its usage to whoever asks: the caller, or the house that keeps the accounts.

    As at OpenAI, the frames before it say ``usage: null`` only to a caller that has asked, and the
    pieces of several choices come by turns.
    """
    options = body.get("stream_options")
    asked = isinstance(options, dict) and options.get("include_usage") is True
    frame = told.head("chat.completion.chunk")
    silent = {"usage": None} if asked else {}

    def chunk(index: int, delta: Mapping[str, object], finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + _encode({**frame, "choices": [choice], **silent}) + b"\n\n"

    deltas = [
        _deltas(ended.said, _call_id(told, index)) for index, ended in enumerate(told.choices)
    ]
    pieces = [
        chunk(index, delta)
        for turn in zip(*deltas, strict=True)
        for index, delta in enumerate(turn)
    ]
    pieces += [chunk(index, {}, ended.finish) for index, ended in enumerate(told.choices)]
    pieces.append(b"data: " + _encode({**frame, "choices": [], "usage": usage}) + b"\n\n")
    pieces.append(b"data: [DONE]\n\n")
    return _StubReply(200, "text/event-stream", pieces)


def _deltas(said: Words | ToolCall, call_id: str) -> list[dict[str, object]]:
    """What is said piece by piece: the role and the call's name come with the first."""
    match said:
        case Words():
            deltas: list[dict[str, object]] = [{"content": text} for text in said.pieces or ("",)]
            return [{"role": "assistant", **deltas[0]}, *deltas[1:]]
        case ToolCall():
            opened = {"index": 0, "id": call_id, **_call(said, said.name, "")}
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
    spent = max(1, sum(_count(item) or 1 for item in inputs))
    reply = {
        "object": "list",
        "data": data,
        "model": body.get("model"),
        "usage": {"prompt_tokens": spent, "total_tokens": spent},
    }
    return _StubReply(200, "application/json", [_encode(reply)])


def _vector(seed: bytes, dimensions: int, *, as_text: bool) -> list[float] | bytes:
    """A unit-free vector that depends on the text alone; bytes are encoded as base64."""
    noise = hashlib.shake_256(seed).digest(dimensions * 2)
    values = [value / 32768 for value in struct.unpack(f"<{dimensions}h", noise)]
    return struct.pack(f"<{dimensions}f", *values) if as_text else values
