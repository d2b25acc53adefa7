"""The official SDKs, plain and async, against the running gateway.

Their own retries are off: the stories look at what each single answer of the gateway does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import anthropic
import ollama
import openai
import pytest

from clients.blocking import Blocking
from servers import KEY, Server

KINDS = ("plain", "async")


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Where the async clients live: their connections belong to one loop."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@pytest.fixture(scope="session", params=KINDS)
def gpt(request, gateway: Server, loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """OpenAI's client."""
    settings = {"api_key": KEY, "base_url": f"{gateway.url}/v1", "max_retries": 0, "timeout": 30}
    if request.param == "plain":
        with openai.OpenAI(**settings) as client:
            yield client
    else:
        with Blocking(openai.AsyncOpenAI(**settings), loop) as client:
            yield client


@pytest.fixture(scope="session", params=KINDS)
def claude(request, gateway: Server, loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """Anthropic's client."""
    settings = {"api_key": KEY, "base_url": gateway.url, "max_retries": 0, "timeout": 30}
    if request.param == "plain":
        with anthropic.Anthropic(**settings) as client:
            yield client
    else:
        with Blocking(anthropic.AsyncAnthropic(**settings), loop) as client:
            yield client


@pytest.fixture(scope="session", params=KINDS)
def llama(request, gateway: Server, loop: asyncio.AbstractEventLoop) -> Iterator[Any]:
    """Ollama's client, which takes a key as a header; it tries nothing again."""
    settings = {"host": gateway.url, "headers": {"Authorization": f"Bearer {KEY}"}, "timeout": 30}
    if request.param == "plain":
        with ollama.Client(**settings) as client:
            yield client
    else:
        with Blocking(ollama.AsyncClient(**settings), loop) as client:
            yield client
