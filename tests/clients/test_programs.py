"""Programs that people build agents with: a streamed tool loop of two turns through a foreign provider."""

from __future__ import annotations

import asyncio
from importlib import import_module
from types import ModuleType

import pytest

from lacking import lacking
from servers import KEY

pytestmark = [pytest.mark.gate, pytest.mark.filterwarnings("default")]


def program(name: str) -> ModuleType:
    """The package of a program that may not be installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        lacking(f"{name} is not installed: it belongs to the long gate's programs")


def get_weather(location: str) -> str:
    """The weather at a place."""
    return f"rain in {location}"


@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_langchain(gateway, client):
    if client == "openai":
        module = program("langchain_openai")
        model = module.ChatOpenAI(
            model="anthropic/claude-sonnet-4-5", api_key=KEY, base_url=f"{gateway.url}/v1"
        )
    else:
        module = program("langchain_anthropic")
        model = module.ChatAnthropic(
            model="openai/gpt-4o-mini", api_key=KEY, base_url=gateway.url, max_tokens=500
        )
    from langchain_core.messages import HumanMessage, ToolMessage

    bound = model.bind_tools([get_weather])
    turns = [HumanMessage("Please use get_weather")]
    first = None
    for chunk in bound.stream(turns):
        first = chunk if first is None else first + chunk
    (call,) = first.tool_calls
    result = ToolMessage(get_weather(**call["args"]), tool_call_id=call["id"])
    said = "".join(chunk.text for chunk in bound.stream([*turns, first, result]))
    assert said == "The tool answered: rain in mock location"


@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_pydantic_ai(gateway, client):
    ai = program("pydantic_ai")
    # Each SDK has its own HTTP library; left to itself, pydantic-ai keeps a client that nobody closes.
    http = program("httpx" if client == "openai" else "httpx2")

    def model_over(http):
        if client == "openai":
            from pydantic_ai.models.openai import OpenAIChatModel
            from pydantic_ai.providers.openai import OpenAIProvider

            base = f"{gateway.url}/v1"
            provider = OpenAIProvider(api_key=KEY, base_url=base, http_client=http)
            return OpenAIChatModel("anthropic/claude-sonnet-4-5", provider=provider)
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        provider = AnthropicProvider(api_key=KEY, base_url=gateway.url, http_client=http)
        return AnthropicModel("openai/gpt-4o-mini", provider=provider)

    async def ask() -> str:
        async with http.AsyncClient() as opened:
            agent = ai.Agent(model_over(opened), tools=[get_weather])
            async with agent.run_stream("Please use get_weather") as run:
                return await run.get_output()

    assert asyncio.run(ask()) == "The tool answered: rain in mock location"
