"""The SDKs of OpenAI's kin, each as its provider's users hold it: Groq's on its router, Mistral's on ``/v1``.

OpenAI's client stands in for OpenRouter's on that router, as OpenRouter tells its users to.
"""

from __future__ import annotations

import json

import groq
import openai
import pytest
from mistralai.client import Mistral
from mistralai.client.errors import SDKError

from clients.blocking import Blocking
from servers import KEY

SAID = [{"role": "user", "content": "Please use get_weather"}]
MODELS = ("groq/llama-3.3-70b-versatile", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5")
every_way = pytest.mark.parametrize("model", MODELS)
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
        },
    },
}
LATER = "--mock-retry-after-30"


@pytest.fixture(params=["groq", "async groq", "openrouter", "async openrouter"])
def kin(request, gateway, loop):
    """A client and the module that holds its errors."""
    own, module, base = (
        ("Groq", groq, "/v4") if "groq" in request.param else ("OpenAI", openai, "/v6")
    )
    settings = {"api_key": KEY, "base_url": gateway.url + base, "max_retries": 0, "timeout": 30}
    if "async" not in request.param:
        with getattr(module, own)(**settings) as client:
            yield client, module
    else:
        with Blocking(getattr(module, f"Async{own}")(**settings), loop) as client:
            yield client, module


@pytest.fixture
def mistral(gateway):
    with Mistral(api_key=KEY, server_url=gateway.url) as client:
        yield client


def told(chunks):
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


@every_way
def test_kin_whole_and_streamed_say_the_same(kin, model):
    asked = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    whole = kin[0].chat.completions.create(**asked)
    assert whole.choices[0].message.content.startswith("You said: Hello")
    chunks = kin[0].chat.completions.create(**asked, stream=True)
    assert told(chunks) == whole.choices[0].message.content


@every_way
def test_kin_answers_with_a_tools_result_in_a_second_turn(kin, model):
    asked = {"model": model, "tools": [TOOL]}
    message = kin[0].chat.completions.create(**asked, messages=SAID).choices[0].message
    (call,) = message.tool_calls
    assert json.loads(call.function.arguments) == {"location": "mock location"}
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    turns = [*SAID, message.model_dump(exclude_none=True), result]
    chunks = kin[0].chat.completions.create(**asked, messages=turns, stream=True)
    assert told(chunks) == "The tool answered: rain"


@every_way
def test_kin_raises_each_refusal_as_its_own_kind(kin, model):
    client, module = kin
    for status, kind in ((404, module.NotFoundError), (429, module.RateLimitError)):
        with pytest.raises(kind):
            client.chat.completions.create(
                model=f"{model}--mock-status-{status}{LATER}", messages=SAID
            )
    with pytest.raises(module.AuthenticationError):
        client.chat.completions.create(
            model=model, messages=SAID, extra_headers={"Authorization": "Bearer nonsense"}
        )


@every_way
def test_mistrals_client_whole_and_streamed_say_the_same(mistral, model):
    """Each chunk of its stream must hold ``finish_reason``, be it null."""
    asked = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    whole = mistral.chat.complete(**asked).choices[0].message.content
    assert whole.startswith("You said: Hello")
    with mistral.chat.stream(**asked) as events:
        assert told([event.data for event in events]) == whole


@every_way
def test_mistrals_client_answers_with_a_tools_result_in_a_second_turn(mistral, model):
    asked = {"model": model, "tools": [TOOL]}
    message = mistral.chat.complete(**asked, messages=SAID).choices[0].message
    (call,) = message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "name": "get_weather", "content": "rain"}
    with mistral.chat.stream(**asked, messages=[*SAID, message, result]) as events:
        assert told([event.data for event in events]) == "The tool answered: rain"


@every_way
def test_mistrals_client_raises_refusals(mistral, gateway, model):
    for status in (404, 429):
        with pytest.raises(SDKError) as caught:
            mistral.chat.complete(model=f"{model}--mock-status-{status}{LATER}", messages=SAID)
        assert caught.value.status_code == status
    with Mistral(api_key="nonsense", server_url=gateway.url) as stranger:
        with pytest.raises(SDKError) as caught:
            stranger.chat.complete(model=model, messages=SAID)
        assert caught.value.status_code == 401


@every_way
def test_mistrals_client_awaited_says_the_same_streams_its_tool_loop_and_raises(
    gateway, loop, model
):
    """Its client reads streamed calls in one piece alone, as Mistral and Groq send them."""

    async def story():
        async with Mistral(api_key=KEY, server_url=gateway.url) as client:

            async def streamed(messages):
                asked = {"model": model, "tools": [TOOL], "messages": messages}
                async with await client.chat.stream_async(**asked) as events:
                    return [event.data async for event in events]

            hello = [{"role": "user", "content": "Hello"}]
            whole = await client.chat.complete_async(model=model, messages=hello)
            assert told(await streamed(hello)) == whole.choices[0].message.content

            with pytest.raises(SDKError) as caught:
                await client.chat.complete_async(model=f"{model}--mock-status-404", messages=hello)
            assert caught.value.status_code == 404
            if not model.startswith("groq/"):
                return

            chunks = await streamed(SAID)
            deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
            calls = [call for delta in deltas for call in delta.tool_calls or ()]
            written = "".join(call.function.arguments or "" for call in calls)
            assert "location" in json.loads(written)
            (name,) = {call.function.name for call in calls if call.function.name}
            asked = {"name": name, "arguments": written}
            turn = {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": calls[0].id, "type": "function", "function": asked}],
            }
            result = {"role": "tool", "tool_call_id": calls[0].id, "name": name, "content": "rain"}
            assert told(await streamed([*SAID, turn, result])) == "The tool answered: rain"

    loop.run_until_complete(story())
