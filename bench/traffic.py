"""What is asked and answered in the bench: bodies in the shapes that OpenAI and Anthropic send.

The words are our own; members, their order and sizes are those of recorded exchanges, the
padding that OpenAI calls ``obfuscation`` included.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

Family = Literal["chat", "anthropic"]

CHAT_PATH = "/v1/chat/completions"
ANTHROPIC_PATH = "/v1/messages"
PATHS: dict[str, Family] = {CHAT_PATH: "chat", ANTHROPIC_PATH: "anthropic"}

CHUNKS = 30
"""Pieces of text in a stream that comes in one go."""

_SENTENCE = (
    "A harbour pilot boards each ship at the bar and brings it safely to its berth, for the "
    "sands move every winter and no chart printed in spring is true in autumn."
)
_WORDS = _SENTENCE.split()
_CHAT_ID = "chatcmpl-Bq3VtTqk2Y7oWcR0mJfXn5sLdHz1e"
_CHAT_MODEL = "gpt-4o-mini-2024-07-18"
_ANTHROPIC_ID = "msg_01Kd7cVb2Xw9RtYpLq4ZsNh3"
_ANTHROPIC_MODEL = "claude-sonnet-4-5-20250929"
_PADDING = "k3Fq0ZtV9wLm"
_PACE = re.compile(rb"pace (\d+) ms, (\d+) chunks")


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


# --------------------------------------------------------------------------- requests


def question(model: str, *, stream: bool = False, pace: Pace | None = None) -> str:
    """A chat request of ordinary size; a pace tells the paced upstream how to answer."""
    asked = "What does a harbour pilot do, and why can the captain not do it? Two sentences."
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": "You are a patient teacher. Answer in plain words."},
            {"role": "user", "content": f"{asked} {pace}" if pace else asked},
        ],
        "temperature": 0.7,
        "max_tokens": 256,
    }
    if stream:
        body["stream"] = True
    return _dump(body)


@dataclass(frozen=True)
class Pace:
    """How a paced stream comes: its chunks, and the milliseconds between them."""

    every_ms: int
    chunks: int

    def __str__(self) -> str:
        return f"(pace {self.every_ms} ms, {self.chunks} chunks)"


def pace_of(body: bytes) -> Pace | None:
    """The pace that a request asks for; its text reaches the provider in either dialect."""
    found = _PACE.search(body)
    return Pace(int(found[1]), int(found[2])) if found else None


# --------------------------------------------------------------------------- whole replies


def whole(family: Family) -> bytes:
    """A whole reply."""
    text = " ".join(_WORDS)
    if family == "chat":
        message = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return _dump(
            {
                "id": _CHAT_ID,
                "object": "chat.completion",
                "created": 1763650000,
                "model": _CHAT_MODEL,
                "choices": [choice],
                "usage": _chat_usage(),
                "service_tier": "default",
                "system_fingerprint": "fp_560af6e559",
            }
        ).encode()
    return _dump(
        {
            **_message([{"type": "text", "text": text}]),
            "stop_reason": "end_turn",
            "usage": _anthropic_usage(34),
        }
    ).encode()


def _chat_usage() -> dict[str, Any]:
    return {
        "prompt_tokens": 41,
        "completion_tokens": 34,
        "total_tokens": 75,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _anthropic_usage(output: int) -> dict[str, Any]:
    return {
        "input_tokens": 43,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
    }


def _message(content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "model": _ANTHROPIC_MODEL,
        "id": _ANTHROPIC_ID,
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _anthropic_usage(1),
    }


# --------------------------------------------------------------------------- streams


@dataclass(frozen=True)
class Stream:
    """A stream's frames: what opens it, its piece of text number n, what ends it."""

    opening: bytes
    pieces: tuple[bytes, ...]
    ending: bytes

    def piece(self, number: int) -> bytes:
        return self.pieces[number % len(self.pieces)]

    def whole(self, chunks: int) -> bytes:
        return self.opening + b"".join(self.piece(n) for n in range(chunks)) + self.ending


def stream(family: Family) -> Stream:
    """A streamed reply."""
    return _chat_stream() if family == "chat" else _anthropic_stream()


def _chat_frame(choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
    chunk = {
        "id": _CHAT_ID,
        "object": "chat.completion.chunk",
        "created": 1763650000,
        "model": _CHAT_MODEL,
        "service_tier": "default",
        "system_fingerprint": "fp_560af6e559",
        "choices": choices,
        "usage": usage,
        "obfuscation": _PADDING,
    }
    return f"data: {_dump(chunk)}\n\n".encode()


def _chat_stream() -> Stream:
    def delta(said: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": said, "logprobs": None, "finish_reason": finish}
        return _chat_frame([choice])

    return Stream(
        delta({"role": "assistant", "content": "", "refusal": None}),
        tuple(delta({"content": f" {word}"}) for word in _WORDS),
        delta({}, "stop") + _chat_frame([], _chat_usage()) + b"data: [DONE]\n\n",
    )


def _anthropic_frame(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {_dump(event)}\n\n".encode()


def _anthropic_stream() -> Stream:
    def delta(text: str) -> bytes:
        said = {"type": "text_delta", "text": text}
        return _anthropic_frame({"type": "content_block_delta", "index": 0, "delta": said})

    block = {"type": "text", "text": ""}
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    usage = _anthropic_usage(34)
    return Stream(
        _anthropic_frame({"type": "message_start", "message": _message([])})
        + _anthropic_frame({"type": "content_block_start", "index": 0, "content_block": block})
        + _anthropic_frame({"type": "ping"}),
        tuple(delta(f" {word}") for word in _WORDS),
        _anthropic_frame({"type": "content_block_stop", "index": 0})
        + _anthropic_frame({"type": "message_delta", "delta": stop, "usage": usage})
        + _anthropic_frame({"type": "message_stop"}),
    )
