"""Mistral's own client, plain and async, on ``/v1`` with tools, towards translated models too.

It wants ``function.name`` in every delta of a call, as Mistral sends a call in one piece. So do Groq,
Gemini and Ollama; towards providers whose calls come in several pieces the call is asked for whole,
and the answer streams.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from mistralai.client import Mistral

from clients.blocking import Blocking
from servers import KEY

SAID = [{"role": "user", "content": "Please use get_weather"}]
TRANSLATED = ("anthropic/claude-sonnet-4-5", "google/gemini-2.5-flash")
IN_ONE_PIECE = (
    "mistral/mistral-large-latest",
    "groq/llama-3.3-70b-versatile",
    "google/gemini-2.5-flash",
    "ollama/llama3.2",
)
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
    },
}


class Chat(NamedTuple):
    """The client's two ways to ask; ``stream`` yields what is to be entered."""

    complete: Any
    stream: Any

    def streamed(self, **asked: Any) -> list[Any]:
        with self.stream(**asked) as events:
            return [choice.delta for event in events for choice in event.data.choices]


@pytest.fixture(params=("plain", "async"))
def chat(request, gateway, loop) -> Iterator[Chat]:
    client = Mistral(api_key=KEY, server_url=gateway.url)
    if request.param == "plain":
        with client:
            yield Chat(client.chat.complete, client.chat.stream)
    else:
        with Blocking(client, loop):
            waited = Blocking(client.chat, loop)
            yield Chat(waited.complete_async, waited.stream_async)


def turns_after(call: Any) -> list[Any]:
    """The conversation with the call and its result."""
    asked = {"role": "assistant", "content": "", "tool_calls": [call.model_dump()]}
    result = {"role": "tool", "tool_call_id": call.id, "name": "get_weather", "content": "rain"}
    return [*SAID, asked, result]


def told(deltas: list[Any]) -> str:
    return "".join(delta.content or "" for delta in deltas)


@pytest.mark.parametrize("model", TRANSLATED)
def test_a_call_that_came_whole_is_answered_in_a_stream(chat, model):
    asked = {"model": model, "tools": [TOOL]}
    (call,) = chat.complete(**asked, messages=SAID).choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"location": "mock location"}
    answer = told(chat.streamed(**asked, messages=turns_after(call)))
    assert answer.startswith("The tool answered: ")
    assert "rain" in answer


@pytest.mark.parametrize("model", TRANSLATED)
def test_words_stream_as_they_are_told_whole(chat, model):
    asked = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    whole = chat.complete(**asked).choices[0].message.content
    assert told(chat.streamed(**asked)) == whole


@pytest.mark.parametrize("model", IN_ONE_PIECE)
def test_a_call_that_its_provider_sends_in_one_piece_streams_in_both_turns(chat, model):
    asked = {"model": model, "tools": [TOOL]}
    deltas = chat.streamed(**asked, messages=SAID)
    (call,) = [call for delta in deltas for call in delta.tool_calls or ()]
    assert json.loads(call.function.arguments) == {"location": "mock location"}
    answer = told(chat.streamed(**asked, messages=turns_after(call)))
    assert answer == "The tool answered: rain"
