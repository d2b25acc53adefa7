"""Writing Gemini's answers, whole and streamed, byte by byte as Google does.

A stream is the whole answer in pieces, each an object of the same shape: as events if ``alt=sse``
is asked for, else as the elements of one array (`dialects.md` §1.4).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dragoman.mock.answer import Answer, ToolCall, pieces
from dragoman.mock.ask import Ask, Json, tokens
from dragoman.mock.embeddings import MODELS, embed
from dragoman.mock.gemini_request import counted, seal, texts
from dragoman.mock.reply import Frame, Reply, json_reply
from dragoman.mock.script import Script

__all__ = ["count", "error_frame", "listing", "row", "stream", "vectors", "whole"]

_quoted = msgspec.json.Encoder().encode
_END = b"\r\n\r\n"
_KIND = "application/json; charset=UTF-8"


def whole(ask: Ask, said: Answer, script: Script, number: int) -> Reply:
    """One object."""
    parts = [_thought(said.thinking)] if said.thinking else []
    parts += [_text(said.text)] if said.text else []
    parts += _calls(said)
    spent = said.billed.output
    body = _chunk(
        ask, said, script, number, b",".join(parts), (said.billed.thinking, spent), end=True
    )
    return Reply(status=200, frames=((body, spent),), content_type=_KIND, billed=said.billed)


def stream(ask: Ask, said: Answer, script: Script, number: int, *, array: bool) -> Reply:
    """The same answer in pieces."""
    chunks = tuple(_chunks(ask, said, script, number))
    if array:
        last = len(chunks) - 1
        frames = tuple(
            (
                (b",\r\n" if place else b"[")
                + data
                + (b"]" if script.done and place == last else b""),
                spent,
            )
            for place, (data, spent) in enumerate(chunks)
        )
    else:
        comments: list[Frame] = [(b": keep-alive" + _END, 0)] * script.comments
        frames = (*comments, *((b"data: " + data + _END, spent) for data, spent in chunks))
    return Reply(
        status=200,
        frames=frames,
        content_type=_KIND if array else "text/event-stream",
        streamed=True,
        billed=said.billed,
    )


def error_frame(body: bytes, *, array: bool, first: bool) -> bytes:
    """An error inside a stream: the body of one."""
    if array:
        return (b"[" if first else b",\r\n") + body + b"]"
    return b"data: " + body + _END


def _chunks(ask: Ask, said: Answer, script: Script, number: int) -> Iterator[Frame]:
    """The objects of a stream; what is counted in each is what has been said so far."""
    thought = spent = 0
    for piece in pieces(said.thinking, script.words):
        new = tokens(piece) * ask.n
        thought, spent = thought + new, spent + new
        part = b'{"text":%b,"thought":true}' % _quoted(piece)
        yield _chunk(ask, said, script, number, part, (thought, spent), end=False), new
    for piece in pieces(said.text, script.words):
        new = tokens(piece) * ask.n
        spent += new
        yield _chunk(ask, said, script, number, _text(piece), (thought, spent), end=False), new
    for call, part in zip(said.calls, _calls(said), strict=True):
        new = (tokens(call.name) + tokens(call.arguments)) * ask.n
        spent += new
        yield _chunk(ask, said, script, number, part, (thought, spent), end=False), new
    if script.done:
        counts = (said.billed.thinking, said.billed.output)
        last = b'{"text":""}'
        if said.thinking and not said.calls:
            # The signature of what was thought comes in a part without words.
            last = b'{"text":"","thoughtSignature":%b}' % _quoted(seal(said.thinking))
        yield _chunk(ask, said, script, number, last, counts, end=True), 0


def _chunk(
    ask: Ask,
    said: Answer,
    script: Script,
    number: int,
    parts: bytes,
    counts: tuple[int, int],
    *,
    end: bool,
) -> bytes:
    reason = script.finish or ("MAX_TOKENS" if said.end == "length" else "STOP")
    ended = b',"finishReason":' + _quoted(reason) if end and reason != "null" else b""
    candidates = b",".join(
        b'{"content":{"parts":[%b],"role":"model"}%b,"index":%d}' % (parts, ended, index)
        for index in range(ask.n)
    )
    used = b',"usageMetadata":' + _usage(said, *counts) if script.usage else b""
    return b'{"candidates":[%b]%b,"modelVersion":%b,"responseId":"mock%06d"}' % (
        candidates,
        used,
        _quoted(ask.model),
        number,
    )


def _usage(said: Answer, thought: int, spent: int) -> bytes:
    """What it took: the prompt with what the cache gave, the candidates without the thoughts."""
    asked, cached = said.billed.input, said.billed.cached
    return (
        b'{"promptTokenCount":%d,"candidatesTokenCount":%d,"totalTokenCount":%d%b%b,'
        b'"promptTokensDetails":[{"modality":"TEXT","tokenCount":%d}]}'
        % (
            asked,
            spent - thought,
            asked + spent,
            b',"thoughtsTokenCount":%d' % thought if thought else b"",
            b',"cachedContentTokenCount":%d' % cached if cached else b"",
            asked,
        )
    )


def _text(text: str) -> bytes:
    return b'{"text":%b}' % _quoted(text)


def _thought(text: str) -> bytes:
    return b'{"text":%b,"thought":true,"thoughtSignature":%b}' % (
        _quoted(text),
        _quoted(seal(text)),
    )


def _calls(said: Answer) -> list[bytes]:
    """The calls; of several at once the first alone is signed."""
    return [_call(call, signed=not place) for place, call in enumerate(said.calls)]


def _call(call: ToolCall, *, signed: bool) -> bytes:
    proof = b',"thoughtSignature":' + _quoted(seal(call.name)) if signed else b""
    return b'{"functionCall":{"id":"fc%b","name":%b,"args":%b}%b}' % (
        call.id.encode(),
        _quoted(call.name),
        call.arguments.encode(),
        proof,
    )


# --------------------------------------------------------------------------- beside answers


def count(body: Json, model: str) -> Reply:
    """How many tokens a request has."""
    return json_reply(200, b'{"totalTokens":%d}' % counted(body, model))


def vectors(
    body: Json, model: str, script: Script, number: int, seed: int, *, batch: bool
) -> Reply:
    """The vectors of the chat dialect's list, in Google's words."""
    found, size = texts(body, batch=batch)
    asked: Json = {"model": model, "input": found}
    if size is not None:
        asked["dimensions"] = size
    made = embed(asked, script, number, seed)
    rows = [{"values": row["embedding"]} for row in msgspec.json.decode(made.frames[0][0])["data"]]
    told = {"embeddings": rows} if batch else {"embedding": rows[0]}
    return Reply(status=200, frames=((_quoted(told), 0),), content_type=_KIND, billed=made.billed)


def listing() -> bytes:
    """The models that are there."""
    return b'{"models":[%b]}' % b",".join(row(name) for name in ("gemini-2.5-flash", *MODELS))


def row(name: str) -> bytes:
    """One model."""
    return _quoted(
        {
            "name": f"models/{name}",
            "version": "001",
            "displayName": name,
            "inputTokenLimit": 1048576,
            "outputTokenLimit": 65536,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }
    )
