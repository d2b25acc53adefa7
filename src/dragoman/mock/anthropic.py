"""Writing Anthropic Messages answers, whole and streamed, byte by byte as Anthropic does.

Order of a stream (`dialects.md` §1.3): ``message_start``, a ping, each block with its start,
deltas and stop, ``message_delta`` with the stop reason and usage, ``message_stop``.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dragoman.mock.answer import Answer, Billed, pieces
from dragoman.mock.anthropic_request import signature
from dragoman.mock.ask import Ask, tokens
from dragoman.mock.reply import Frame, Headers, Reply
from dragoman.mock.script import Script

__all__ = ["error_frame", "stream", "whole"]

_quoted = msgspec.json.Encoder().encode
_STOPS = {"stop": b"end_turn", "length": b"max_tokens", "tools": b"tool_use"}
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def whole(ask: Ask, said: Answer, script: Script, number: int) -> Reply:
    """A ``message``."""
    used = b',"usage":' + _usage(said.billed, said.billed.output) if script.usage else b""
    body = (
        b'{"id":"msg_mock%06d","type":"message","role":"assistant","model":%b,"content":[%b],'
        b'"stop_reason":%b,"stop_sequence":%b%b}'
        % (
            number,
            _quoted(ask.model),
            b",".join(_blocks(said)),
            _reason(said, script),
            _stop(said),
            used,
        )
    )
    return Reply(
        status=200,
        frames=((body, said.billed.output),),
        headers=_headers(number),
        billed=said.billed,
    )


def stream(ask: Ask, said: Answer, script: Script, number: int) -> Reply:
    """The same answer as named events."""
    comments: list[Frame] = [(b": keep-alive\n\n", 0)] * script.comments
    return Reply(
        status=200,
        frames=(*comments, *_events(ask, said, script, number)),
        headers=_headers(number),
        content_type="text/event-stream; charset=utf-8",
        streamed=True,
        billed=said.billed,
    )


def error_frame(body: bytes) -> bytes:
    """An error inside a stream."""
    return b"event: error\ndata: " + body + b"\n\n"


def _events(ask: Ask, said: Answer, script: Script, number: int) -> Iterator[Frame]:
    used = b',"usage":' + _usage(said.billed, 1) if script.usage else b""
    yield _event(
        b"message_start",
        b'"message":{"id":"msg_mock%06d","type":"message","role":"assistant","model":%b,'
        b'"content":[],"stop_reason":null,"stop_sequence":null%b}'
        % (number, _quoted(ask.model), used),
    )
    yield _PING, 0
    index = 0
    if said.thinking:
        yield from _thinking(said.thinking, script, index)
        index += 1
    if said.text or not said.calls:
        yield from _text(said.text, script, index)
        index += 1
    for call in said.calls:
        head = b'{"type":"tool_use","id":"toolu_mock%b","name":%b,"input":{}}'
        yield _opened(index, head % (call.id.encode(), _quoted(call.name)))
        # Anthropic's first delta of a call's arguments is empty (189 of the recordings).
        middle = len(call.arguments) // 2
        for piece in ("", call.arguments[:middle], call.arguments[middle:]):
            delta = b'{"type":"input_json_delta","partial_json":%b}' % _quoted(piece)
            yield _delta(index, delta, tokens(piece))
        yield _closed(index)
        index += 1
    final = b',"usage":' + _usage(said.billed, said.billed.output) if script.usage else b""
    yield _event(
        b"message_delta",
        b'"delta":{"stop_reason":%b,"stop_sequence":%b}%b'
        % (_reason(said, script), _stop(said), final),
    )
    if script.done:
        yield b'event: message_stop\ndata: {"type":"message_stop"}\n\n', 0


def _thinking(thinking: str, script: Script, index: int) -> Iterator[Frame]:
    yield _opened(index, b'{"type":"thinking","thinking":"","signature":""}')
    for piece in pieces(thinking, script.words):
        delta = b'{"type":"thinking_delta","thinking":%b}' % _quoted(piece)
        yield _delta(index, delta, tokens(piece))
    proof = b'{"type":"signature_delta","signature":"%b"}' % signature(thinking).encode()
    yield _delta(index, proof, 0)
    yield _closed(index)


def _text(text: str, script: Script, index: int) -> Iterator[Frame]:
    yield _opened(index, b'{"type":"text","text":""}')
    for piece in pieces(text, script.words):
        delta = b'{"type":"text_delta","text":%b}' % _quoted(piece)
        yield _delta(index, delta, tokens(piece))
    yield _closed(index)


def _event(name: bytes, members: bytes) -> Frame:
    return b'event: %b\ndata: {"type":"%b",%b}\n\n' % (name, name, members), 0


def _opened(index: int, block: bytes) -> Frame:
    return _event(b"content_block_start", b'"index":%d,"content_block":%b' % (index, block))


def _delta(index: int, delta: bytes, weight: int) -> Frame:
    # The spaces before the last brace are Anthropic's own (recordings).
    line = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b   }\n\n'
    return line % (index, delta), weight


def _closed(index: int) -> Frame:
    return _event(b"content_block_stop", b'"index":%d' % index)


def _blocks(said: Answer) -> Iterator[bytes]:
    if said.thinking:
        yield b'{"type":"thinking","thinking":%b,"signature":"%b"}' % (
            _quoted(said.thinking),
            signature(said.thinking).encode(),
        )
    if said.text or not said.calls:
        yield b'{"type":"text","text":%b}' % _quoted(said.text)
    for call in said.calls:
        yield b'{"type":"tool_use","id":"toolu_mock%b","name":%b,"input":%b}' % (
            call.id.encode(),
            _quoted(call.name),
            call.arguments.encode(),
        )


def _usage(billed: Billed, output: int) -> bytes:
    """Input without what came from, or went into, the cache (P125)."""
    return (
        b'{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,'
        b'"output_tokens":%d,"service_tier":"standard"}'
        % (
            billed.input - billed.cached - billed.cache_write,
            billed.cache_write,
            billed.cached,
            output,
        )
    )


def _reason(said: Answer, script: Script) -> bytes:
    if script.finish is not None:
        return b"null" if script.finish == "null" else _quoted(script.finish)
    return b'"stop_sequence"' if said.stop is not None else b'"%b"' % _STOPS[said.end]


def _stop(said: Answer) -> bytes:
    return b"null" if said.stop is None else _quoted(said.stop)


def _headers(number: int) -> Headers:
    return (("request-id", f"req_mock{number:06d}"),)
