"""Writing OpenAI Responses answers, whole and streamed, byte by byte as OpenAI does.

Order of a stream (`dialects.md` §1.2): ``response.created``, ``response.in_progress``, each item
with its beginning, its deltas and its end, the response once more with everything in it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dragoman.mock.answer import Answer, Billed, ToolCall, pieces
from dragoman.mock.ask import Ask, tokens
from dragoman.mock.chat import Setting
from dragoman.mock.invoice import amount, spelled
from dragoman.mock.persona import Persona
from dragoman.mock.reply import Frame, Headers, Reply
from dragoman.mock.responses_request import sealed

__all__ = ["error_frame", "stream", "whole"]

_quoted = msgspec.json.Encoder().encode


def whole(ask: Ask, said: Answer, setting: Setting) -> Reply:
    """A ``response``."""
    items = b",".join(item for _, item in _items(said, setting))
    body = _response(ask, said, setting, _status(said, setting), items)
    return Reply(
        status=200,
        frames=((body + b"\n", said.billed.output),),
        headers=_headers(setting.number),
        billed=said.billed,
    )


def stream(ask: Ask, said: Answer, setting: Setting) -> Reply:
    """The same answer as events."""
    comments: list[Frame] = [(setting.persona.comment, 0)] * setting.script.comments
    return Reply(
        status=200,
        frames=(*comments, *_Lines(setting.persona).events(ask, said, setting)),
        headers=_headers(setting.number),
        content_type="text/event-stream; charset=utf-8",
        streamed=True,
        billed=said.billed,
    )


def error_frame(body: bytes) -> bytes:
    """An error inside a stream, as OpenAI sends it: nested, and the response failed behind it."""
    error = bytes(msgspec.json.decode(body, type=dict[str, msgspec.Raw])["error"])
    return (
        b'event: error\ndata: {"type":"error","sequence_number":9,"error":%b}\n\n'
        b'event: response.failed\ndata: {"type":"response.failed","sequence_number":10,"response":'
        b'{"id":"resp_mock","object":"response","created_at":1,"status":"failed","model":"mock",'
        b'"output":[],"error":%b}}\n\n' % (error, error)
    )


# --------------------------------------------------------------------------- the response


def _response(ask: Ask, said: Answer, setting: Setting, status: bytes, items: bytes) -> bytes:
    script, number = setting.script, setting.number
    why = b'{"reason":"max_output_tokens"}' if status == b"incomplete" else b"null"
    over = status != b"in_progress"
    used = _usage(said.billed, setting) if script.usage and over else b"null"
    return (
        b'{"id":"resp_mock%06d","object":"response","created_at":%d,"status":"%b",'
        b'"background":false,"error":null,"incomplete_details":%b,"instructions":null,'
        b'"max_output_tokens":%b,"model":%b,"output":[%b],"parallel_tool_calls":%b,'
        b'"previous_response_id":null,"reasoning":{"effort":null,"summary":null},'
        b'"service_tier":"default","store":false,"temperature":1.0,'
        b'"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":[],"top_p":1.0,'
        b'"truncation":"disabled","usage":%b,"user":null,"metadata":{}}'
        % (
            number,
            setting.now,
            status,
            why,
            _quoted(ask.max_tokens),
            _quoted(ask.model),
            items,
            _quoted(ask.parallel),
            used,
        )
    )


def _status(said: Answer, setting: Setting) -> bytes:
    finish = setting.script.finish
    cut = said.end == "length" or finish in {"length", "incomplete"}
    return b"incomplete" if cut else b"completed"


def _usage(billed: Billed, setting: Setting) -> bytes:
    counts = (
        b'{"input_tokens":%d,"input_tokens_details":{"cached_tokens":%d},"output_tokens":%d,'
        b'"output_tokens_details":{"reasoning_tokens":%d},"total_tokens":%d'
        % (
            billed.input,
            billed.cached,
            billed.output,
            billed.thinking,
            billed.input + billed.output,
        )
    )
    if setting.persona.name == "openrouter":
        return counts + b',"cost":%b}' % spelled(amount(billed, setting.rates)).encode()
    return counts + b"}"


# --------------------------------------------------------------------------- items


def _items(said: Answer, setting: Setting) -> Iterator[tuple[bytes, bytes]]:
    """The id and the whole of each item."""
    number = setting.number
    if said.thinking:
        own = b"rs_mock%06d" % number
        yield own, _reasoning(own, said.thinking)
    if said.text or not said.calls:
        own = b"msg_mock%06d" % number
        yield own, _message(own, said.text, _status(said, setting))
    for call in said.calls:
        own = b"fc_mock" + call.id.encode()
        yield own, _call(own, call, b"completed", call.arguments)


def _reasoning(own: bytes, text: str) -> bytes:
    return (
        b'{"id":"%b","type":"reasoning","summary":[{"type":"summary_text","text":%b}],'
        b'"encrypted_content":"%b"}' % (own, _quoted(text), sealed(text).encode())
    )


def _message(own: bytes, text: str, status: bytes) -> bytes:
    return b'{"id":"%b","type":"message","status":"%b","content":[%b],"role":"assistant"}' % (
        own,
        status,
        _text(text),
    )


def _text(text: str) -> bytes:
    return b'{"type":"output_text","annotations":[],"logprobs":[],"text":%b}' % _quoted(text)


def _call(own: bytes, call: ToolCall, status: bytes, arguments: str) -> bytes:
    return (
        b'{"id":"%b","type":"function_call","status":"%b","arguments":%b,'
        b'"call_id":"call_mock%b","name":%b}'
        % (own, status, _quoted(arguments), call.id.encode(), _quoted(call.name))
    )


# --------------------------------------------------------------------------- events


class _Lines:
    """Numbers the events of one stream; OpenRouter leaves their names out."""

    def __init__(self, as_: Persona) -> None:
        self._named = as_.name != "openrouter"
        self._done = as_.name == "openrouter"
        self._sequence = 0

    def _event(self, kind: bytes, members: bytes, weight: int = 0) -> Frame:
        name = b"event: %b\n" % kind if self._named else b""
        line = b'%bdata: {"type":"%b",%b,"sequence_number":%d}\n\n' % (
            name,
            kind,
            members,
            self._sequence,
        )
        self._sequence += 1
        return line, weight

    def events(self, ask: Ask, said: Answer, setting: Setting) -> Iterator[Frame]:
        """All of them."""
        begun = b'"response":%b' % _response(ask, said, setting, b"in_progress", b"")
        yield self._event(b"response.created", begun)
        yield self._event(b"response.in_progress", begun)
        whole = list(_items(said, setting))
        words = setting.script.words
        for index, (own, item) in enumerate(whole):
            if own.startswith(b"rs_"):
                inner = self._thought(own, index, said.thinking, words)
            elif own.startswith(b"msg_"):
                inner = self._words(own, index, said.text, words)
            else:
                place = index - len(whole) + len(said.calls)
                inner = self._arguments(own, index, said.calls[place])
            yield from inner
            yield self._event(
                b"response.output_item.done", b'"output_index":%d,"item":%b' % (index, item)
            )
        status = _status(said, setting)
        if setting.script.finish == "null" or not setting.script.done:
            return
        items = b",".join(item for _, item in whole)
        end = b'"response":%b' % _response(ask, said, setting, status, items)
        yield self._event(b"response." + status, end)
        if self._done:
            yield b"data: [DONE]\n\n", 0

    def _added(self, index: int, item: bytes) -> Frame:
        return self._event(
            b"response.output_item.added", b'"output_index":%d,"item":%b' % (index, item)
        )

    def _thought(self, own: bytes, index: int, text: str, words: int) -> Iterator[Frame]:
        yield self._added(index, b'{"id":"%b","type":"reasoning","summary":[]}' % own)
        place = b'"item_id":"%b","output_index":%d,"summary_index":0' % (own, index)
        subject = b"response.reasoning_summary"
        part = b'{"type":"summary_text","text":%b}'
        yield self._event(subject + b"_part.added", b'%b,"part":%b' % (place, part % b'""'))
        for piece in pieces(text, words):
            delta = b'%b,"delta":%b' % (place, _quoted(piece))
            yield self._event(subject + b"_text.delta", delta, tokens(piece))
        yield self._event(subject + b"_text.done", b'%b,"text":%b' % (place, _quoted(text)))
        yield self._event(subject + b"_part.done", b'%b,"part":%b' % (place, part % _quoted(text)))

    def _words(self, own: bytes, index: int, text: str, words: int) -> Iterator[Frame]:
        yield self._added(
            index,
            b'{"id":"%b","type":"message","status":"in_progress","content":[],"role":"assistant"}'
            % own,
        )
        place = b'"item_id":"%b","output_index":%d,"content_index":0' % (own, index)
        yield self._event(b"response.content_part.added", b'%b,"part":%b' % (place, _text("")))
        for piece in pieces(text, words):
            delta = b'%b,"delta":%b,"logprobs":[]' % (place, _quoted(piece))
            yield self._event(b"response.output_text.delta", delta, tokens(piece))
        told = b'%b,"text":%b,"logprobs":[]' % (place, _quoted(text))
        yield self._event(b"response.output_text.done", told)
        yield self._event(b"response.content_part.done", b'%b,"part":%b' % (place, _text(text)))

    def _arguments(self, own: bytes, index: int, call: ToolCall) -> Iterator[Frame]:
        yield self._added(index, _call(own, call, b"in_progress", ""))
        place = b'"item_id":"%b","output_index":%d' % (own, index)
        middle = len(call.arguments) // 2
        for piece in (call.arguments[:middle], call.arguments[middle:]):
            if piece:
                delta = b'%b,"delta":%b' % (place, _quoted(piece))
                yield self._event(b"response.function_call_arguments.delta", delta, tokens(piece))
        told = b'%b,"arguments":%b' % (place, _quoted(call.arguments))
        yield self._event(b"response.function_call_arguments.done", told)


def _headers(number: int) -> Headers:
    return (("x-request-id", f"req_mock{number:06d}"), ("openai-processing-ms", "1"))
