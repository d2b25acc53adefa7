"""Writing OpenAI chat answers, whole and streamed, byte by byte as the services write them.

Order of a stream (`dialects.md` §1.1): the role with empty content, thinking, words or calls,
an empty delta with the finish reason, usage, ``[DONE]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

import msgspec
from msgspec import Struct, structs

from dragoman.mock.answer import Answer, Billed, ToolCall, pieces
from dragoman.mock.ask import Ask, tokens
from dragoman.mock.invoice import Rates, amount, spelled
from dragoman.mock.persona import Persona
from dragoman.mock.reply import Frame, Headers, Reply
from dragoman.mock.script import Script

__all__ = ["Setting", "error_frame", "stream", "usage", "whole"]

_quoted = msgspec.json.Encoder().encode
_DONE = b"data: [DONE]\n\n"
_FINISH = {"stop": b"stop", "length": b"length", "tools": b"tool_calls"}


class Setting(Struct, frozen=True):
    """Beside what is asked and said: the service, the script, the request's number, Unix seconds."""

    persona: Persona
    script: Script
    number: int
    now: int
    rates: Rates = Rates()


def whole(ask: Ask, said: Answer, setting: Setting) -> Reply:
    """A ``chat.completion``."""
    as_, script, number = setting.persona, setting.script, setting.number
    choices = b",".join(
        b'{"index":%d,"message":%b,"logprobs":null,"finish_reason":%b}'
        % (index, _message(said, as_), _finish(said, script))
        for index in range(ask.n)
    )
    used = b',"usage":' + usage(said.billed, as_, setting.rates) if script.usage else b""
    body = (
        b'{"id":"chatcmpl-mock%06d","object":"chat.completion","created":%d,"model":%b,'
        b'"choices":[%b]%b%b}\n'
        % (number, setting.now, _quoted(ask.model), choices, used, _extra(as_, number))
    )
    return Reply(
        status=200,
        frames=((body, said.billed.output),),
        headers=_headers(number),
        billed=said.billed,
    )


def stream(ask: Ask, said: Answer, setting: Setting) -> Reply:
    """The same answer as ``chat.completion.chunk`` events."""
    as_, script = setting.persona, setting.script
    lines = _Lines(ask, setting)
    frames: list[Frame] = [(as_.comment, 0)] * script.comments
    for index in range(ask.n):
        frames.extend(_choice(lines, said, setting, index))
    frames.extend(_last(lines, ask, said, setting))
    return Reply(
        status=200,
        frames=tuple(frames),
        headers=_headers(setting.number),
        content_type="text/event-stream",
        streamed=True,
        billed=said.billed,
    )


def error_frame(body: bytes) -> bytes:
    """An error inside a stream: its body as an event, then the usual end of the family."""
    return b"data: " + body + b"\n\n"


def usage(billed: Billed, as_: Persona, rates: Rates) -> bytes:
    """The usage object of a service; OpenRouter's says what it costs."""
    counts = (
        b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
        b'"prompt_tokens_details":{"cached_tokens":%d,"audio_tokens":0},'
        b'"completion_tokens_details":{"reasoning_tokens":%d,"audio_tokens":0}'
        % (
            billed.input,
            billed.output,
            billed.input + billed.output,
            billed.cached,
            billed.thinking,
        )
    )
    match as_.name:
        case "openrouter":
            cost = spelled(amount(billed, rates)).encode()
            return counts + b',"cost":%b,"is_byok":false}' % cost
        case "groq":
            return counts + b',"queue_time":0.001,"total_time":0.01}'
        case "deepseek":
            missed = billed.input - billed.cached
            return counts + (
                b',"prompt_cache_hit_tokens":%d,"prompt_cache_miss_tokens":%d}'
                % (billed.cached, missed)
            )
        case _:
            return counts + b"}"


class _Lines:
    """The unchanging members of every chunk of one stream, and a writer for the rest."""

    def __init__(self, ask: Ask, setting: Setting) -> None:
        as_, number = setting.persona, setting.number
        # Groq names the request on its last chunk alone.
        extra = b"" if as_.name == "groq" else _extra(as_, number)
        self._head = (
            b'data: {"id":"chatcmpl-mock%06d","object":"chat.completion.chunk","created":%d,'
            b'"model":%b%b,"choices":[' % (number, setting.now, _quoted(ask.model), extra)
        )
        null = ask.include_usage and as_.usage == "asked" and setting.script.usage
        self._tail = b'],"usage":null}\n\n' if null else b"]}\n\n"

    def delta(self, index: int, delta: bytes) -> bytes:
        """One more piece of a choice; mistralai's client needs the explicit null (D40)."""
        return b'%b{"index":%d,"delta":{%b},"logprobs":null,"finish_reason":null}%b' % (
            self._head,
            index,
            delta,
            self._tail,
        )

    def finish(self, index: int, reason: bytes, more: bytes) -> bytes:
        """The end of a choice, with members beside ``choices``."""
        tail = b"]%b}\n\n" % more if more else self._tail
        return b'%b{"index":%d,"delta":{},"logprobs":null,"finish_reason":%b}%b' % (
            self._head,
            index,
            reason,
            tail,
        )

    def usage(self, used: bytes, choice: bytes = b"") -> bytes:
        """A chunk for usage alone."""
        return b'%b%b],"usage":%b}\n\n' % (self._head, choice, used)


def _choice(lines: _Lines, said: Answer, setting: Setting, index: int) -> Iterator[Frame]:
    script, as_ = setting.script, setting.persona
    yield lines.delta(index, b'"role":"assistant","content":%b' % _opening(said)), 0
    role = b'"role":"assistant",' if as_.role_with_every_chunk else b""
    for piece in pieces(said.thinking, script.words):
        yield lines.delta(index, role + _thought(piece, as_)), tokens(piece)
    for piece in pieces(said.text, script.words):
        yield lines.delta(index, b'%b"content":%b' % (role, _quoted(piece))), tokens(piece)
    for place, call in enumerate(said.calls):
        yield from _call(lines, call, as_, index, place)
    more = b""
    if script.usage and as_.usage == "finish":
        more = b',"usage":' + usage(said.billed, as_, setting.rates)
    if script.usage and as_.usage == "groq":
        more = b',"x_groq":{"id":"req_mock","usage":%b}' % usage(said.billed, as_, setting.rates)
    yield lines.finish(index, _finish(said, script), more), 0


def _opening(said: Answer) -> bytes:
    return b"null" if said.calls and not said.text else b'""'


def _call(lines: _Lines, call: ToolCall, as_: Persona, index: int, place: int) -> Iterator[Frame]:
    """The first delta names the call, later ones carry its arguments in pieces."""
    halves = [call.arguments] if as_.whole_calls else _halved(call.arguments)
    first = halves[0] if as_.whole_calls else ""
    yield (
        lines.delta(
            index,
            b'"tool_calls":[{"index":%d,"id":"%b","type":"function","function":'
            b'{"name":%b,"arguments":%b}}]'
            % (place, _call_id(call, as_), _quoted(call.name), _quoted(first)),
        ),
        tokens(call.name) + tokens(first),
    )
    if not as_.whole_calls:
        for half in halves:
            fragment = b'"tool_calls":[{"index":%d,"function":{"arguments":%b}}]'
            yield lines.delta(index, fragment % (place, _quoted(half))), tokens(half)


def _halved(text: str) -> list[str]:
    middle = len(text) // 2
    return [half for half in (text[:middle], text[middle:]) if half]


def _last(lines: _Lines, ask: Ask, said: Answer, setting: Setting) -> Iterator[Frame]:
    script, as_ = setting.script, setting.persona
    used = usage(said.billed, as_, setting.rates)
    told = b""
    if script.usage and as_.usage == "last":
        empty = b'{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}'
        told = lines.usage(used, empty)
    elif script.usage and ask.include_usage and as_.usage in {"asked", "groq"}:
        told = lines.usage(used)
        if script.usage_told == "growing":
            half = structs.replace(said.billed, output=said.billed.output // 2, thinking=0)
            yield lines.usage(usage(half, as_, setting.rates)), 0
    if told and script.usage_told != "behind":
        yield told, 0
    if script.done:
        yield _DONE, 0
    if told and script.usage_told == "behind":
        yield told, 0


def _message(said: Answer, as_: Persona) -> bytes:
    text = b"null" if said.calls and not said.text else _quoted(said.text)
    thought = b""
    if said.thinking and as_.thinking == "parts":
        text = b'[{"type":"thinking","thinking":[{"type":"text","text":%b}]}%b]' % (
            _quoted(said.thinking),
            b',{"type":"text","text":%b}' % text if said.text else b"",
        )
    elif said.thinking:
        thought = b"," + _thought(said.thinking, as_)
    calls = b""
    if said.calls:
        calls = b',"tool_calls":[%b]' % b",".join(
            b'{"id":"%b","type":"function","function":{"name":%b,"arguments":%b}}'
            % (_call_id(call, as_), _quoted(call.name), _quoted(call.arguments))
            for call in said.calls
        )
    return b'{"role":"assistant","content":%b,"refusal":null%b%b}' % (text, thought, calls)


def _thought(text: str, as_: Persona) -> bytes:
    """Thinking in the spelling of the service, as members of a message or a delta."""
    words = _quoted(text)
    match as_.thinking:
        case "reasoning_content":
            return b'"reasoning_content":' + words
        case "reasoning":
            return b'"reasoning":' + words
        case "details":
            return (
                b'"reasoning":%b,"reasoning_details":[{"type":"reasoning.text","text":%b,'
                b'"format":"unknown","index":0}]' % (words, words)
            )
        case "parts":
            return (
                b'"content":[{"type":"thinking","thinking":[{"type":"text","text":%b}]}]' % words
            )
        case _:
            assert_never(as_.thinking)


def _call_id(call: ToolCall, as_: Persona) -> bytes:
    """Mistral's ids are nine letters and digits, the others' begin with ``call_``."""
    return call.id.encode() if as_.name == "mistral" else b"call_mock" + call.id.encode()


def _finish(said: Answer, script: Script) -> bytes:
    if script.finish is not None:
        return b"null" if script.finish == "null" else _quoted(script.finish)
    return b'"%b"' % _FINISH[said.end]


def _extra(as_: Persona, number: int) -> bytes:
    match as_.name:
        case "openrouter":
            return b',"provider":"Mock"'
        case "groq":
            return b',"system_fingerprint":"fp_mock","x_groq":{"id":"req_mock%06d"}' % number
        case "openai":
            return b',"service_tier":"default","system_fingerprint":"fp_mock"'
        case _:
            return b""


def _headers(number: int) -> Headers:
    return (("x-request-id", f"req_mock{number:06d}"), ("openai-processing-ms", "1"))
