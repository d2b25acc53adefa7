"""Google's and Ollama's own clients on their routers, towards providers of other dialects."""

from __future__ import annotations

import json
from typing import Any

import ollama
import pytest
from google import genai
from google.genai import errors, types

from clients.blocking import Blocking
from servers import KEY

MODELS = ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "groq/llama-3.3-70b-versatile")
every_way = pytest.mark.parametrize("model", MODELS)
PARAMETERS = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
}
OLLAMA_TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Weather", "parameters": PARAMETERS},
}
GOOGLE_TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather", description="Weather", parameters_json_schema=PARAMETERS
        )
    ]
)
ASKED = "Please use get_weather"
MISSING = "openai/gpt-4o-mini--mock-status-404"

# Google's client subclasses aiohttp's session, which warns of that.
pytestmark = [
    pytest.mark.req("R-SURF-041", "R-SURF-047"),
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
]


@pytest.fixture(scope="module", params=("plain", "async"))
def gemini(request, gateway, loop) -> Any:
    options = types.HttpOptions(base_url=f"{gateway.url}/v2")
    with genai.Client(api_key=KEY, http_options=options) as client:
        if request.param == "plain":
            yield client
        else:
            with Blocking(client.aio, loop) as awaited:
                yield awaited


@pytest.fixture(scope="module", params=("plain", "async"))
def llama(request, gateway, loop) -> Any:
    settings = {
        "host": f"{gateway.url}/v5",
        "headers": {"Authorization": f"Bearer {KEY}"},
        "timeout": 30,
    }
    if request.param == "plain":
        with ollama.Client(**settings) as client:
            yield client
    else:
        with Blocking(ollama.AsyncClient(**settings), loop) as client:
            yield client


@every_way
def test_googles_client_whole_and_streamed_say_the_same(gemini, model):
    asked = {"model": model, "contents": "Hello there"}
    whole = gemini.models.generate_content(**asked)
    assert "You said: Hello there" in whole.text
    chunks = list(gemini.models.generate_content_stream(**asked))
    assert "".join(chunk.text or "" for chunk in chunks) == whole.text
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP


@every_way
def test_googles_client_streams_a_tool_loop_of_two_turns(gemini, model):
    def streamed(contents: list[types.Content]) -> list[types.Part]:
        chunks = gemini.models.generate_content_stream(
            model=model, contents=contents, config={"tools": [GOOGLE_TOOL]}
        )
        return [
            part
            for chunk in chunks
            for candidate in chunk.candidates or ()
            for part in (candidate.content and candidate.content.parts) or ()
        ]

    turns = [types.Content(role="user", parts=[types.Part(text=ASKED)])]
    parts = streamed(turns)
    (call,) = [part.function_call for part in parts if part.function_call]
    assert (call.name, call.args) == ("get_weather", {"location": "mock location"})
    result = types.FunctionResponse(id=call.id, name=call.name, response={"output": "rain"})
    turns += [
        types.Content(role="model", parts=parts),
        types.Content(role="user", parts=[types.Part(function_response=result)]),
    ]
    told = "".join(part.text or "" for part in streamed(turns))
    assert told.startswith("The tool answered: ")
    assert "rain" in told


def test_googles_client_raises_refusals(gemini, gateway):
    for model in ("no-such-model", MISSING):
        with pytest.raises(errors.ClientError) as caught:
            gemini.models.generate_content(model=model, contents="x")
        assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    options = types.HttpOptions(base_url=f"{gateway.url}/v2")
    with (
        genai.Client(api_key="nonsense", http_options=options) as stranger,
        pytest.raises(errors.ClientError) as caught,
    ):
        stranger.models.generate_content(model=MODELS[0], contents="x")
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")


@every_way
def test_ollamas_client_whole_and_streamed_say_the_same(llama, model):
    asked = {"model": model, "messages": [{"role": "user", "content": "Hello there"}]}
    whole = llama.chat(**asked)
    assert "You said: Hello there" in whole.message.content
    lines = list(llama.chat(**asked, stream=True))
    assert "".join(line.message.content for line in lines) == whole.message.content
    assert [line.done for line in lines] == [False] * (len(lines) - 1) + [True]


@every_way
def test_ollamas_client_streams_a_tool_loop_of_two_turns(llama, model):
    def streamed(messages: list[dict[str, Any]]) -> list[ollama.Message]:
        lines = llama.chat(model=model, messages=messages, tools=[OLLAMA_TOOL], stream=True)
        return [line.message for line in lines]

    turns: list[dict[str, Any]] = [{"role": "user", "content": ASKED}]
    (call,) = [call for said in streamed(turns) for call in said.tool_calls or ()]
    assert call.function.name == "get_weather"
    assert dict(call.function.arguments) == {"location": "mock location"}
    turns += [
        {"role": "assistant", "content": "", "tool_calls": [json.loads(call.model_dump_json())]},
        {"role": "tool", "tool_name": "get_weather", "content": "rain"},
    ]
    assert "".join(said.content or "" for said in streamed(turns)) == "The tool answered: rain"


def test_ollamas_client_raises_refusals(llama, gateway):
    said = [{"role": "user", "content": "x"}]
    for model in ("no-such-model", MISSING):
        with pytest.raises(ollama.ResponseError) as caught:
            llama.chat(model=model, messages=said)
        assert caught.value.status_code == 404
        with pytest.raises(ollama.ResponseError) as caught:
            list(llama.chat(model=model, messages=said, stream=True))
        assert caught.value.status_code == 404
    stranger = {"Authorization": "Bearer nonsense"}
    with (
        ollama.Client(host=f"{gateway.url}/v5", headers=stranger) as client,
        pytest.raises(ollama.ResponseError) as caught,
    ):
        client.chat(model=MODELS[0], messages=said)
    assert caught.value.status_code == 401
