"""OpenAI's legacy text completions: what is asked, and the bytes of the answer."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dragoman.mock.answer import Answer, pieces
from dragoman.mock.ask import Ask, Json, Refused, tokens
from dragoman.mock.chat import Setting, usage
from dragoman.mock.reply import Frame, Reply

__all__ = ["read_prompt", "stream", "whole"]

_quoted = msgspec.json.Encoder().encode
_FINISH = {"stop": b"stop", "length": b"length", "tools": b"stop"}


def read_prompt(body: Json) -> Ask:
    """What the request asks for; token ids are told apart by their numbers."""
    if not isinstance(model := body.get("model"), str) or not model:
        raise Refused("you must provide a model parameter", param="model")
    prompt = body.get("prompt", "<|endoftext|>")
    if isinstance(prompt, list):
        prompt = prompt[0] if len(prompt) == 1 and isinstance(prompt[0], str) else repr(prompt)
    if not isinstance(prompt, str):
        raise Refused("Invalid type for 'prompt'.", param="prompt")
    ask = Ask(model=model, prompt=prompt, stream=body.get("stream") is True)
    ask.input = tokens(prompt) + tokens(str(body.get("suffix") or ""))
    options = body.get("stream_options")
    ask.include_usage = isinstance(options, dict) and options.get("include_usage") is True
    ask.n = int(body.get("n") or 1)
    ask.max_tokens = body.get("max_tokens")
    stop = body.get("stop")
    ask.stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    return ask


def whole(ask: Ask, said: Answer, setting: Setting) -> Reply:
    """A ``text_completion``."""
    choices = b",".join(
        _choice(said.text, index, _reason(said, setting)) for index in range(ask.n)
    )
    used = b""
    if setting.script.usage:
        used = b',"usage":' + usage(said.billed, setting.persona, setting.rates)
    body = _head(ask, setting) + b'"choices":[%b]%b}\n' % (choices, used)
    return Reply(
        status=200,
        frames=((body, said.billed.output),),
        headers=(("x-request-id", f"req_mock{setting.number:06d}"),),
        billed=said.billed,
    )


def stream(ask: Ask, said: Answer, setting: Setting) -> Reply:
    """The same answer as events."""
    return Reply(
        status=200,
        frames=tuple(_frames(ask, said, setting)),
        headers=(("x-request-id", f"req_mock{setting.number:06d}"),),
        content_type="text/event-stream",
        streamed=True,
        billed=said.billed,
    )


def _frames(ask: Ask, said: Answer, setting: Setting) -> Iterator[Frame]:
    head = b"data: " + _head(ask, setting)
    null = b',"usage":null' if ask.include_usage else b""
    script = setting.script
    for index in range(ask.n):
        for piece in pieces(said.text, script.words):
            line = head + b'"choices":[%b]%b}\n\n' % (_choice(piece, index, b"null"), null)
            yield line, tokens(piece)
        last = _choice("", index, _reason(said, setting))
        yield head + b'"choices":[%b]%b}\n\n' % (last, null), 0
    if ask.include_usage and script.usage:
        used = usage(said.billed, setting.persona, setting.rates)
        yield head + b'"choices":[],"usage":%b}\n\n' % used, 0
    if script.done:
        yield b"data: [DONE]\n\n", 0


def _head(ask: Ask, setting: Setting) -> bytes:
    return b'{"id":"cmpl-mock%06d","object":"text_completion","created":%d,"model":%b,' % (
        setting.number,
        setting.now,
        _quoted(ask.model),
    )


def _choice(text: str, index: int, reason: bytes) -> bytes:
    return b'{"text":%b,"index":%d,"logprobs":null,"finish_reason":%b}' % (
        _quoted(text),
        index,
        reason,
    )


def _reason(said: Answer, setting: Setting) -> bytes:
    if setting.script.finish is not None:
        return _quoted(setting.script.finish)
    return b'"%b"' % _FINISH[said.end]
