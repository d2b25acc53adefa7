"""Each grammar takes a right stream, and names what is wrong with a spoilt one."""

import json

import pytest

from dragoman.conformance.anthropic import Anthropic
from dragoman.conformance.chat import Chat
from dragoman.conformance.gemini import Gemini
from dragoman.conformance.ollama import Ollama
from dragoman.conformance.parts import Broken
from dragoman.conformance.responses import Responses


def sse(*events, named=False, end=""):
    text = ""
    for event in events:
        text += f"event: {event['type']}\n" if named else ""
        text += f"data: {json.dumps(event)}\n\n"
    return (text + end).encode()


def chunk(delta, finish=None, **members):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice], **members}


USED = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
CHAT = (chunk({"role": "assistant", "content": "Hi"}), chunk({}, "stop", usage=USED))
MESSAGE = (
    {"type": "message_start", "message": {}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 1},
    },
    {"type": "message_stop"},
)
WHOLE = {
    "object": "response",
    "id": "r",
    "model": "m",
    "created_at": 1,
    "status": "completed",
    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}],
}
RESPONSE = (
    {"type": "response.created", "sequence_number": 0},
    {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0},
    {
        "type": "response.output_text.delta",
        "sequence_number": 2,
        "output_index": 0,
        "delta": "Hi",
    },
    {"type": "response.output_item.done", "sequence_number": 3, "output_index": 0},
    {"type": "response.completed", "sequence_number": 4, "response": WHOLE},
)
CONTENT = {
    "candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 2},
}
LINE = {"model": "m", "created_at": "2025-01-01T00:00:00Z", "message": {"content": "Hi"}}
LAST = {**LINE, "message": {"content": ""}, "done": True, "done_reason": "stop", "eval_count": 1}


def lines(*each):
    return b"".join(json.dumps(line).encode() + b"\n" for line in each)


DONE = "data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("surface", "data"),
    [
        (Chat(), sse(*CHAT, end=DONE)),
        (Anthropic(), sse(*MESSAGE, named=True)),
        (Responses(), sse(*RESPONSE, named=True)),
        (Gemini(), sse(CONTENT)),
        (Ollama(), lines({**LINE, "done": False}, LAST)),
    ],
)
def test_a_right_stream_is_read(surface, data):
    told = surface.stream(data)
    assert (told.text, told.finish) == ("Hi", "stop")


@pytest.mark.parametrize(
    ("surface", "data", "why"),
    [
        (Chat(), sse(*CHAT), "does not end with"),
        (Chat(), sse(*CHAT, end=DONE + DONE), "more than once"),
        (Chat(), sse(CHAT[0], end=DONE), "no finish"),
        (Chat(), sse(CHAT[0], chunk({}, "stop"), end=DONE), "usage"),
        (Chat(), sse(*CHAT, end=DONE)[:-1], "middle of an event"),
        (Chat(), sse(*reversed(CHAT), end=DONE), "words follow"),
        (Anthropic(), sse(*MESSAGE), "an event named ''"),
        (Anthropic(), sse(*MESSAGE[:-1], named=True), "does not end with"),
        (Anthropic(), sse(*MESSAGE[1:], named=True), "the first event"),
        (Anthropic(), sse(*MESSAGE[:3], *MESSAGE[4:], named=True), "within a block"),
        (Responses(), sse(*RESPONSE[:-1], named=True), "the stream ends with"),
        (Responses(), sse(*RESPONSE[:1], *RESPONSE[2:], named=True), "numbered"),
        (Gemini(), sse(CONTENT, CONTENT), "content follows"),
        (Gemini(), sse({**CONTENT, "usageMetadata": None}), "usageMetadata"),
        (Ollama(), lines({**LINE, "done": False}), "not done"),
        (Ollama(), lines(LAST, LAST), "more than one"),
        (Ollama(), lines(LAST)[:-1], "middle of a line"),
    ],
)
def test_a_spoilt_stream_is_told(surface, data, why):
    with pytest.raises(Broken, match=why.replace("[", r"\[")):
        surface.stream(data)
