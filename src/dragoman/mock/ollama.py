"""Writing Ollama's answers, whole and streamed, byte by byte as its server does.

A stream is a line for each piece of thinking or text, one with all calls, and a last one that says
``done`` and counts; a whole answer is that last line with everything in it (`dialects.md` §1.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import msgspec

from dragoman.mock.answer import Answer, Billed, pieces
from dragoman.mock.ask import Ask, Json, Refused, tokens
from dragoman.mock.embeddings import MODELS, embed
from dragoman.mock.ollama_request import inputs, read_generate, read_messages
from dragoman.mock.reply import Frame, Reply, json_reply
from dragoman.mock.script import Script

__all__ = ["Shape", "error_frame", "loaded", "read", "stream", "tags", "vectors", "whole"]

Shape: TypeAlias = Literal["chat", "generate"]

_quoted = msgspec.json.Encoder().encode
_NDJSON = "application/x-ndjson"
_TIMES = b'"total_duration":5043500667,"load_duration":5025959'


def read(body: Json, shape: Shape) -> Ask | None:
    """What is asked; None for a request that only loads the model."""
    return read_messages(body) if shape == "chat" else read_generate(body)


def loaded(body: Json, shape: Shape) -> Reply:
    """The answer to a request without words."""
    head = _head(str(body["model"]))
    return json_reply(200, head + _said(shape, "") + b',"done":true,"done_reason":"load"}')


def whole(ask: Ask, said: Answer, script: Script, shape: Shape) -> Reply:
    """One object."""
    words = _said(shape, said.text, said.thinking, _calls(said))
    body = _head(ask.model) + words + _last(said, script, shape)
    return Reply(
        status=200,
        frames=((body, said.billed.output),),
        content_type="application/json; charset=utf-8",
        billed=said.billed,
    )


def stream(ask: Ask, said: Answer, script: Script, shape: Shape) -> Reply:
    """The same answer as lines."""
    return Reply(
        status=200,
        frames=tuple(_lines(ask, said, script, shape)),
        content_type=_NDJSON,
        streamed=True,
        billed=said.billed,
    )


def error_frame(body: bytes) -> bytes:
    """An error inside a stream: the body of one, as a line."""
    return body + b"\n"


def _lines(ask: Ask, said: Answer, script: Script, shape: Shape) -> Iterator[Frame]:
    head = _head(ask.model)
    going_on = b',"done":false}\n'
    for piece in pieces(said.thinking, script.words):
        yield head + _said(shape, "", piece) + going_on, tokens(piece)
    for piece in pieces(said.text, script.words):
        yield head + _said(shape, piece) + going_on, tokens(piece)
    if said.calls:
        spent = sum(tokens(call.name) + tokens(call.arguments) for call in said.calls)
        yield head + _said(shape, "", "", _calls(said)) + going_on, spent
    if script.done:
        yield head + _said(shape, "") + _last(said, script, shape) + b"\n", 0


def _head(model: str) -> bytes:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return b'{"model":%b,"created_at":"%b123Z",' % (_quoted(model), now.encode())


def _said(shape: Shape, text: str, thinking: str = "", calls: bytes = b"") -> bytes:
    thought = b',"thinking":' + _quoted(thinking) if thinking else b""
    if shape == "generate":
        return b'"response":' + _quoted(text) + thought
    told = b',"tool_calls":[%b]' % calls if calls else b""
    return b'"message":{"role":"assistant","content":%b%b%b}' % (_quoted(text), thought, told)


def _calls(said: Answer) -> bytes:
    """The calls; ids are as new to Ollama as they are random."""
    return b",".join(
        b'{"id":"call_%b","function":{"index":%d,"name":%b,"arguments":%b}}'
        % (call.id.encode(), place, _quoted(call.name), call.arguments.encode())
        for place, call in enumerate(said.calls)
    )


def _last(said: Answer, script: Script, shape: Shape) -> bytes:
    reason = script.finish or ("length" if said.end == "length" else "stop")
    context = b',"context":[128006,882,128007]' if shape == "generate" else b""
    counts = _counts(said.billed) if script.usage else b""
    return b',"done":true,"done_reason":%b%b,%b%b}' % (_quoted(reason), context, _TIMES, counts)


def _counts(billed: Billed) -> bytes:
    """The counts with their times; what comes from a cache is not evaluated, and zero is left out."""
    told = b""
    if evaluated := billed.input - billed.cached:
        told += b',"prompt_eval_count":%d,"prompt_eval_duration":325953000' % evaluated
    if billed.output:
        told += b',"eval_count":%d,"eval_duration":4709213000' % billed.output
    return told


def vectors(body: Json, script: Script, number: int, seed: int, *, old: bool) -> Reply:
    """The vectors of the chat dialect's list, in Ollama's words."""
    texts = inputs(body)
    asked: Json = {"model": body.get("model"), "input": texts or [""]}
    if body.get("dimensions") is not None:
        asked["dimensions"] = body["dimensions"]
    made = embed(asked, script, number, seed)
    rows = msgspec.json.decode(made.frames[0][0])["data"]
    found = [row["embedding"] for row in rows][: len(texts)]
    if old:
        if not found:
            raise Refused("prompt is required")
        return json_reply(200, _quoted({"embedding": found[0]}))
    told = {"model": body["model"], "embeddings": found, "total_duration": 14143917}
    spent = made.billed.input
    return Reply(
        status=200,
        frames=((_quoted({**told, "load_duration": 1019500, "prompt_eval_count": spent}), 0),),
        billed=made.billed,
    )


def tags() -> Reply:
    """The models that are there."""
    rows = [
        {
            "name": name,
            "model": name,
            "modified_at": "2026-01-01T00:00:00Z",
            "size": 3825819519,
            "digest": "0" * 64,
            "details": {"format": "gguf", "family": "llama", "parameter_size": "8B"},
        }
        for name in MODELS
    ]
    return json_reply(200, _quoted({"models": rows}))
