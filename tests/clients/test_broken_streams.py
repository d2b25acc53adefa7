"""A stream that breaks raises in every SDK and never ends quietly (D3, P13, P14).

The upstream breaks in every way it can, behind either dialect; plain and async clients read it
by hand and by the SDK's own accumulator. A quiet end would hand a cut answer to a program as if
it were whole.
"""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import openai
import pytest

HELLO = [{"role": "user", "content": "Tell me a long story"}]
MODELS = (
    "openai/gpt-4o-mini",
    "anthropic/claude-sonnet-4-5",
    "groq/llama-3.3-70b-versatile",
    "openrouter/openai/gpt-4o",
    "mistral/mistral-large-latest",
    "deepseek/deepseek-chat",
)
BREAKS = {
    "cut clean": "--mock-cut-1900--mock-cut-mode-end",
    "closed": "--mock-cut-1900--mock-cut-mode-close",
    "reset": "--mock-cut-1900--mock-cut-mode-reset",
    "error in the stream": "--mock-error-after-8",
    "no finish and no end": "--mock-finish-null--mock-done-off",
}
every_break = pytest.mark.parametrize("script", BREAKS.values(), ids=BREAKS)
every_way = pytest.mark.parametrize("model", MODELS)


def broken(model: str, script: str) -> str:
    return f"{model}--mock-length-3000{script}"


def told_again(error: Any) -> str:
    """The message, wherever the SDK puts it."""
    return str(getattr(error, "message", "") or error)


@pytest.mark.req("R-REL-008", "R-STRM-005", "R-PY-013")
@pytest.mark.pitfall(13, 14, 158)
@every_break
@every_way
def test_openais_sdk_raises_while_it_reads(gpt, model, script):
    said: list[str] = []
    finished: list[str] = []
    stream = gpt.chat.completions.create(model=broken(model, script), messages=HELLO, stream=True)
    with pytest.raises(openai.APIError) as caught:
        for chunk in stream:
            said += [choice.delta.content or "" for choice in chunk.choices]
            finished += [choice.finish_reason for choice in chunk.choices if choice.finish_reason]
    assert "".join(said).startswith("You said: ")
    assert finished == []
    assert told_again(caught.value)
    assert caught.value.body["dragoman"]["request_id"].startswith("req_")


@every_break
@pytest.mark.parametrize("model", MODELS[:2])
def test_openais_accumulator_raises_too(gpt, model, script):
    with (
        pytest.raises(openai.APIError),
        gpt.chat.completions.stream(model=broken(model, script), messages=HELLO) as stream,
    ):
        stream.get_final_completion()


@pytest.mark.req("R-REL-008", "R-XLATE-039")
@pytest.mark.pitfall(13, 14, 158)
@every_break
@every_way
def test_anthropics_sdk_raises_while_it_reads(claude, model, script):
    kinds: list[str] = []
    stream = claude.messages.create(
        model=broken(model, script), messages=HELLO, max_tokens=4000, stream=True
    )
    with pytest.raises(anthropic.APIStatusError) as caught:
        kinds.extend(event.type for event in stream)
    assert "content_block_delta" in kinds
    assert "message_stop" not in kinds
    assert caught.value.body["type"] == "error"
    assert caught.value.body["request_id"].startswith("req_")
    assert told_again(caught.value)


@every_break
@pytest.mark.parametrize("model", MODELS[:2])
def test_anthropics_accumulator_raises_too(claude, model, script):
    with (
        pytest.raises(anthropic.APIStatusError),
        claude.messages.stream(
            model=broken(model, script), messages=HELLO, max_tokens=4000
        ) as stream,
    ):
        stream.get_final_message()


def test_an_error_in_a_stream_keeps_the_providers_words(gpt, claude):
    """``overloaded`` is what both SDKs' users look for."""
    script = "--mock-error-after-8--mock-message-too-busy-today"
    for model in MODELS[:2]:
        with pytest.raises(openai.APIError, match="too-busy-today"):
            list(
                gpt.chat.completions.create(
                    model=broken(model, script), messages=HELLO, stream=True
                )
            )
        with pytest.raises(anthropic.APIStatusError, match="too-busy-today"):
            list(
                claude.messages.create(
                    model=broken(model, script), messages=HELLO, max_tokens=4000, stream=True
                )
            )


@pytest.mark.parametrize("script", [BREAKS["reset"], BREAKS["closed"]])
@pytest.mark.parametrize("model", MODELS[:2])
def test_calls_that_break_in_the_middle_of_their_arguments_raise(gpt, claude, model, script):
    """Half of a tool's arguments must never be taken for all of them."""
    name = f"{model}--mock-tool-calls-40{script}"
    schema = {"type": "object", "properties": {"note": {"type": "string", "minLength": 300}}}
    function = {"name": "take_note", "parameters": schema}
    with pytest.raises(openai.APIError):
        list(
            gpt.chat.completions.create(
                model=name,
                messages=HELLO,
                tools=[{"type": "function", "function": function}],
                stream=True,
            )
        )
    with (
        pytest.raises(anthropic.APIStatusError),
        claude.messages.stream(
            model=name,
            messages=HELLO,
            max_tokens=4000,
            tools=[{"name": "take_note", "input_schema": schema}],
        ) as stream,
    ):
        stream.get_final_message()


@pytest.mark.pitfall(22)
@pytest.mark.parametrize("model", MODELS[:2])
def test_a_stream_that_the_provider_itself_ended_is_whole_without_a_reason_too(gpt, claude, model):
    """``[DONE]`` and ``message_stop`` are the provider's word that nothing is missing."""
    name = f"{model}--mock-text-that is all--mock-finish-null"
    chunks = list(gpt.chat.completions.create(model=name, messages=HELLO, stream=True))
    said = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(said) == "that is all"
    with claude.messages.stream(model=name, messages=HELLO, max_tokens=40) as stream:
        assert stream.get_final_text() == "that is all"


def test_many_streams_at_once_break_each_on_its_own(gateway, loop):
    """Whole and broken streams side by side on one connection pool: no one's end is another's."""

    async def read(client: openai.AsyncOpenAI, number: int) -> str:
        script = list(BREAKS.values())[number % 4] if number % 2 else ""
        model = f"{MODELS[number % 4 // 2]}--mock-message-{number}--mock-length-3000{script}"
        question = {"role": "user", "content": f"number {number} of forty"}
        text = ""
        async for chunk in await client.chat.completions.create(
            model=model, messages=[question], stream=True
        ):
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
        return text

    async def story() -> list[Any]:
        settings = {"api_key": "drg_test", "base_url": f"{gateway.url}/v1", "max_retries": 0}
        async with openai.AsyncOpenAI(**settings) as client:
            return await asyncio.gather(
                *(read(client, number) for number in range(40)), return_exceptions=True
            )

    for number, ended in enumerate(loop.run_until_complete(story())):
        if number % 2:
            assert isinstance(ended, openai.APIError), number
        else:
            assert ended.startswith(f"You said: number {number} of forty ")
            assert len(ended) == 3000
