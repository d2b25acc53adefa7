"""The official SDKs read streams whose events have ids, and get the same answer for the same key."""

from __future__ import annotations

import asyncio
import uuid

import anthropic
import groq
import ollama
import openai
import pytest
from google import genai
from google.genai import types
from mistralai.client import Mistral

from servers import KEY

MODEL = "openai/gpt-4o-mini"
HELLO = [{"role": "user", "content": "Hello"}]
# Google's client subclasses aiohttp's session, which warns of that.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


def headers():
    return {"idempotency-key": uuid.uuid4().hex, "x-dragoman-resumable": "true"}


def of_openai(url, sent):
    with openai.OpenAI(api_key=KEY, base_url=f"{url}/v1", default_headers=sent) as client:
        chunks = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def of_openai_responses(url, sent):
    with openai.OpenAI(api_key=KEY, base_url=f"{url}/v1", default_headers=sent) as client:
        events = client.responses.create(model=MODEL, input="Hello", stream=True)
        return "".join(
            event.delta for event in events if event.type == "response.output_text.delta"
        )


def of_openai_async(url, sent):
    async def story():
        settings = {"api_key": KEY, "base_url": f"{url}/v1", "default_headers": sent}
        async with openai.AsyncOpenAI(**settings) as client:
            chunks = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
            return "".join([c.choices[0].delta.content or "" async for c in chunks if c.choices])

    return asyncio.run(story())


def of_anthropic(url, sent):
    with (
        anthropic.Anthropic(api_key=KEY, base_url=url, default_headers=sent) as client,
        client.messages.stream(model=MODEL, max_tokens=50, messages=HELLO) as stream,
    ):
        return "".join(stream.text_stream)


def of_anthropic_async(url, sent):
    async def story():
        async with (
            anthropic.AsyncAnthropic(api_key=KEY, base_url=url, default_headers=sent) as client,
            client.messages.stream(model=MODEL, max_tokens=50, messages=HELLO) as stream,
        ):
            return "".join([text async for text in stream.text_stream])

    return asyncio.run(story())


def of_groq(url, sent):
    with groq.Groq(api_key=KEY, base_url=f"{url}/v4", default_headers=sent) as client:
        chunks = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def of_mistral(url, sent):
    with Mistral(api_key=KEY, server_url=url) as client:
        events = client.chat.stream(model=MODEL, messages=HELLO, http_headers=sent)
        return "".join(event.data.choices[0].delta.content or "" for event in events)


def _google(url, sent):
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=url, headers=sent))


def of_google(url, sent):
    del sent["x-dragoman-resumable"]
    with _google(url, sent) as client:
        chunks = client.models.generate_content_stream(model=MODEL, contents="Hello")
        return "".join(chunk.text or "" for chunk in chunks)


def of_google_async(url, sent):
    del sent["x-dragoman-resumable"]

    async def story():
        async with _google(url, sent).aio as client:
            chunks = await client.models.generate_content_stream(model=MODEL, contents="Hello")
            return "".join([chunk.text or "" async for chunk in chunks])

    return asyncio.run(story())


def of_ollama(url, sent):
    with ollama.Client(host=url, headers={"Authorization": f"Bearer {KEY}", **sent}) as client:
        parts = client.chat(MODEL, HELLO, stream=True)
        return "".join(part.message.content or "" for part in parts)


CLIENTS = (
    of_openai,
    of_openai_responses,
    of_openai_async,
    of_anthropic,
    of_anthropic_async,
    of_groq,
    of_mistral,
    of_google,
    of_google_async,
    of_ollama,
)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__[3:])
def test_a_stream_with_ids_is_read_and_given_again(gateway, client):
    sent = headers()
    first = client(gateway.url, dict(sent))
    assert first
    assert client(gateway.url, dict(sent)) == first
