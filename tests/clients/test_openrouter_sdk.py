"""OpenRouter's own client, plain and async, on its router, towards other providers.

It checks each reply against its own types. The gateway has no key of OpenRouter's, which would be
asked first on its own router.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from openrouter import OpenRouter, errors

from clients.blocking import Blocking
from servers import KEY, Server, gateway_server, providers_at

MODELS = (
    "openai/gpt-4o-mini",
    "anthropic/claude-sonnet-4-5",
    "google/gemini-2.5-flash",
    "groq/llama-3.3-70b-versatile",
)
every_way = pytest.mark.parametrize("model", MODELS)
HELLO = [{"role": "user", "content": "Hello"}]
SAID = [{"role": "user", "content": "Please use get_weather"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
    },
}


class Client(NamedTuple):
    """The client's ways to ask."""

    send: Any
    embed: Any
    models: Any

    def streamed(self, **asked: Any) -> list[Any]:
        with self.send(**asked, stream=True) as events:
            return [choice.delta for event in events for choice in event.choices]


@pytest.fixture(scope="module")
def gate(mock, tmp_path_factory) -> Iterator[Server]:
    settings = providers_at(mock.port)
    del settings["OPENROUTER_API_KEY"], settings["OPENROUTER_BASE_URL"]
    with gateway_server(tmp_path_factory.mktemp("openrouter"), **settings) as server:
        yield server


@pytest.fixture(scope="module", params=("plain", "async"))
def router(request, gate, loop) -> Iterator[Client]:
    client = OpenRouter(api_key=KEY, server_url=f"{gate.url}/v6", timeout_ms=30_000)
    if request.param == "plain":
        with client:
            yield Client(client.chat.send, client.embeddings.generate, client.models.list)
    else:
        with Blocking(client, loop):
            chat, embeddings = Blocking(client.chat, loop), Blocking(client.embeddings, loop)
            models = Blocking(client.models, loop)
            yield Client(chat.send_async, embeddings.generate_async, models.list_async)


def told(deltas: list[Any]) -> str:
    return "".join(delta.content or "" for delta in deltas)


@every_way
def test_a_whole_answer_and_a_stream_say_the_same(router, model):
    whole = router.send(model=model, messages=HELLO)
    assert whole.choices[0].message.content.startswith("You said: Hello")
    assert whole.usage.total_tokens > 0
    streamed = told(router.streamed(model=model, messages=HELLO))
    assert streamed == whole.choices[0].message.content


@every_way
def test_a_tool_loop_of_two_turns_streams(router, model):
    asked = {"model": model, "tools": [TOOL]}
    deltas = router.streamed(**asked, messages=SAID)
    pieces = [call for delta in deltas for call in delta.tool_calls or ()]
    (name,) = [piece.function.name for piece in pieces if piece.function.name]
    written = "".join(piece.function.arguments or "" for piece in pieces)
    assert (name, json.loads(written)) == ("get_weather", {"location": "mock location"})
    made = {"name": name, "arguments": written}
    call = {"id": pieces[0].id, "type": "function", "function": made}
    turns = [
        *SAID,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": pieces[0].id, "content": "rain"},
    ]
    answer = told(router.streamed(**asked, messages=turns))
    assert answer.startswith("The tool answered: ")
    assert "rain" in answer


@every_way
def test_refusals_are_of_their_own_kind(router, gate, model):
    for status, kind in (
        (404, errors.NotFoundResponseError),
        (429, errors.TooManyRequestsResponseError),
    ):
        scripted = f"{model}--mock-status-{status}--mock-retry-after-30"
        with pytest.raises(kind) as caught:
            router.send(model=scripted, messages=HELLO)
        assert caught.value.status_code == status
        with pytest.raises(kind):
            router.streamed(model=scripted, messages=HELLO)
    with (
        OpenRouter(api_key="nonsense", server_url=f"{gate.url}/v6") as stranger,
        pytest.raises(errors.UnauthorizedResponseError),
    ):
        stranger.chat.send(model=model, messages=HELLO)


def test_vectors(router):
    found = router.embed(model="openai/text-embedding-3-small", input=["a", "b"])
    assert len(found.data) == 2


def test_the_list_of_models(router):
    found = {model.id: model for model in router.models().result.data}
    model = found["anthropic/claude-sonnet-4-5"]
    assert "image" in model.architecture.input_modalities
    assert float(model.pricing.completion) > float(model.pricing.prompt) > 0
    assert model.links.details == "/v1/models/anthropic/claude-sonnet-4-5"
    assert "tools" in model.supported_parameters
