"""Ollama's own client, plain and async, to a model of Ollama's and to translated ones.

The client is a strict parser where it looks at all: it decodes every line of a stream, wants
arguments as objects, and takes a stream that ends too early for a whole one. The mock's
answers are deterministic, so a whole answer and a streamed one must say the same.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import ollama
import pytest
from pydantic import BaseModel

from replay import Answer, replaying
from servers import KEY, gateway_server, providers_at

OWN = "ollama/llama3.2:3b"
TRANSLATED = ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "mistral/mistral-large-latest")
every_way = pytest.mark.parametrize("model", [OWN, *TRANSLATED])
THINKERS = (OWN, "anthropic/claude-sonnet-4-5", "openrouter/openai/gpt-5-mini")

PIXEL = b"\x89PNG\r\n\x1a\n" + bytes(58)


def user(text: str, **more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text, **more}]


def get_weather(location: str, days: int) -> str:
    """The weather at a place.

    Args:
        location: where
        days: how many of them
    """
    return f"{days} days of rain in {location}"


def get_time(zone: str) -> str:
    """The time in a zone.

    Args:
        zone: its name
    """
    return f"noon in {zone}"


class City(BaseModel):
    """What a structured answer is parsed into."""

    name: str
    degrees: int


# --------------------------------------------------------------------------- words


@pytest.mark.req("R-SURF-043", "R-XLATE-041")
@every_way
def test_a_whole_answer_has_words_counts_and_an_end(llama, model):
    answer = llama.chat(model=model, messages=user("Hello there"))
    assert answer.message.role == "assistant"
    assert "You said: Hello there" in answer.message.content
    assert answer.done is True
    assert answer.done_reason == "stop"
    assert answer.prompt_eval_count > 0
    assert answer.eval_count > 0
    assert answer.model == model.partition("/")[2]
    assert answer.created_at.startswith("2")


@pytest.mark.pitfall(121)
@every_way
def test_a_stream_says_the_same_in_lines_and_ends_once(llama, model):
    asked = {"model": model, "messages": user("Tell me of rivers")}
    whole = llama.chat(**asked)
    lines = list(llama.chat(**asked, stream=True))
    assert "".join(line.message.content for line in lines) == whole.message.content
    assert [line.done for line in lines] == [False] * (len(lines) - 1) + [True]
    assert len(lines) > 5
    assert lines[-1].done_reason == "stop"
    assert lines[-1].eval_count == whole.eval_count
    assert len({(line.model, line.created_at) for line in lines} if model != OWN else {1}) == 1


@pytest.mark.pitfall(121)
@pytest.mark.pitfall(9)
@every_way
def test_a_request_that_does_not_say_so_streams(gateway, model):
    reply = gateway.ask("POST", "/api/chat", {"model": model, "messages": user("Hi")})
    assert reply.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in reply.body.decode().removesuffix("\n").split("\n")]
    assert lines[-1]["done"] is True
    whole = {"model": model, "messages": user("Hi"), "stream": False}
    told = gateway.ask("POST", "/api/chat", whole)
    assert told.headers["content-type"].startswith("application/json")
    assert told.json()["done"] is True


@every_way
def test_options_bound_and_stop_the_answer(llama, model):
    short = llama.chat(model=model, messages=user("Hi"), options={"num_predict": 4})
    assert short.done_reason == "length"
    said = llama.chat(model=model, messages=user("a b c"), options={"stop": ["b"], "seed": 1})
    assert "b" not in said.message.content
    assert said.done_reason == "stop"


@every_way
def test_a_conversation_with_instructions_reaches_the_model(llama, model):
    messages = [
        {"role": "system", "content": "Be brief."},
        *user("one"),
        {"role": "assistant", "content": "two"},
        *user("three"),
    ]
    assert "You said: three" in llama.chat(model=model, messages=messages).message.content


# --------------------------------------------------------------------------- thinking, images, form


@pytest.mark.parametrize("model", THINKERS)
def test_thinking_is_told_apart_from_the_answer(llama, model):
    asked = {"model": model, "messages": user("Hm"), "think": True}
    whole = llama.chat(**asked)
    assert whole.message.thinking
    lines = list(llama.chat(**asked, stream=True))
    assert "".join(line.message.thinking or "" for line in lines) == whole.message.thinking
    assert "".join(line.message.content for line in lines) == whole.message.content
    quiet = llama.chat(model=model, messages=user("Hm"), think=False)
    assert not quiet.message.thinking


@pytest.mark.pitfall(168)
@every_way
def test_an_image_is_seen(llama, model):
    seen = llama.chat(model=model, messages=user("Look", images=[PIXEL])).message.content
    assert "I see 1 image(s)" in seen
    assert "66 bytes" in seen


@every_way
def test_a_structured_answer_is_parsed(llama, model):
    asked = {"model": model, "messages": user("Where"), "format": City.model_json_schema()}
    assert City.model_validate_json(llama.chat(**asked).message.content).degrees == 7
    lines = llama.chat(**asked, stream=True)
    City.model_validate_json("".join(line.message.content for line in lines))
    if not model.startswith("anthropic/"):  # Anthropic has no JSON without a schema
        loose = llama.chat(model=model, messages=user("Where? In JSON."), format="json")
        assert isinstance(json.loads(loose.message.content), dict)


# --------------------------------------------------------------------------- tools


@pytest.mark.pitfall(37)
@pytest.mark.pitfall(45)
@every_way
def test_tools_are_called_and_their_results_come_back_in_order(llama, model):
    asked = {"model": model, "tools": [get_weather, get_time]}
    opening = user("Use get_weather and get_time")
    first = llama.chat(**asked, messages=opening)
    calls = first.message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]
    assert calls[0].function.arguments["days"] == 7
    assert first.done_reason == "stop"
    known = {"get_weather": get_weather, "get_time": get_time}
    results = [
        {
            "role": "tool",
            "tool_name": call.function.name,
            "content": known[call.function.name](**call.function.arguments),
        }
        for call in calls
    ]
    second = llama.chat(**asked, messages=[*opening, first.message, *results])
    expected = " | ".join(result["content"] for result in results)
    assert f"The tool answered: {expected}" in second.message.content


@every_way
def test_streamed_calls_are_those_of_the_whole_answer(llama, model):
    asked = {"model": model, "tools": [get_weather, get_time]}
    messages = user("Use get_weather and get_time")
    whole = llama.chat(**asked, messages=messages).message.tool_calls
    lines = list(llama.chat(**asked, messages=messages, stream=True))
    streamed = [call for line in lines for call in line.message.tool_calls or ()]
    assert [call.function for call in streamed] == [call.function for call in whole]
    assert lines[-1].done_reason == "stop"


# --------------------------------------------------------------------------- generate


@every_way
def test_a_prompt_is_answered_whole_and_streamed(llama, model):
    asked = {"model": model, "prompt": "Once", "system": "Be brief."}
    whole = llama.generate(**asked)
    assert "You said: Once" in whole.response
    assert whole.done is True
    assert whole.eval_count > 0
    lines = list(llama.generate(**asked, stream=True))
    assert "".join(line.response for line in lines) == whole.response
    assert lines[-1].done_reason == "stop"


@every_way
def test_a_prompt_may_have_images_and_a_form(llama, model):
    assert "66 bytes" in llama.generate(model=model, prompt="Look", images=[PIXEL]).response
    told = llama.generate(model=model, prompt="Where", format=City.model_json_schema())
    assert City.model_validate_json(told.response).degrees == 7


def test_only_ollama_fills_in_before_a_suffix_and_loads_models(llama):
    assert llama.generate(model=OWN, prompt="a", suffix="z").done
    assert llama.generate(model=OWN, prompt="").done_reason == "load"
    assert llama.chat(model=OWN).done_reason == "load"
    for ask in (
        lambda: llama.generate(model=TRANSLATED[0], prompt="a", suffix="z"),
        lambda: llama.generate(model=TRANSLATED[0]),
        lambda: llama.chat(model=TRANSLATED[0]),
    ):
        with pytest.raises(ollama.ResponseError) as caught:
            ask()
        assert caught.value.status_code == 400


# --------------------------------------------------------------------------- errors


@pytest.mark.req("R-ADD-024")
@every_way
def test_an_error_is_a_sentence_with_its_status(llama, gateway, model):
    with pytest.raises(ollama.ResponseError) as caught:
        llama.chat(model=f"{model}--mock-status-404", messages=user("Hi"))
    assert caught.value.status_code == 404
    assert "does not exist" in caught.value.error
    body = {"model": f"{model}--mock-status-404", "messages": user("Hi")}
    told = gateway.ask("POST", "/api/chat", body).json()
    assert isinstance(told["error"], str)
    assert told["dragoman"]["code"] == "model_not_found"
    assert told["dragoman"]["provider"] == model.partition("/")[0]


def test_a_request_that_is_wrong_names_what_is(llama):
    with pytest.raises(ollama.ResponseError) as caught:
        llama.chat(model="nowhere/x", messages=user("Hi"))
    assert caught.value.status_code == 404
    with pytest.raises(ollama.ResponseError) as caught:
        llama.chat(model=TRANSLATED[0], messages=user("Hi"), options={"temperature": "hot"})
    assert "options.temperature" in caught.value.error


@pytest.mark.pitfall(13)
@every_way
@pytest.mark.parametrize(
    "script", ["error-after-5", "cut-900--mock-cut-mode-end", "cut-900--mock-cut-mode-reset"]
)
def test_a_stream_that_breaks_raises_after_what_was_said(llama, model, script):
    lines = llama.chat(model=f"{model}--mock-{script}", messages=user("Go on"), stream=True)
    said: list[Any] = []
    with pytest.raises(ollama.ResponseError):
        said.extend(line for line in lines)
    assert not any(line.done for line in said)


@pytest.mark.pitfall(14)
def test_a_stream_without_its_last_line_raises(llama):
    lines = llama.chat(model=f"{OWN}--mock-done-off", messages=user("Go on"), stream=True)
    with pytest.raises(ollama.ResponseError, match="ended before"):
        list(lines)


# --------------------------------------------------------------------------- embeddings


def test_texts_become_vectors_in_either_form(llama):
    answer = llama.embed(model="ollama/nomic-embed-text", input=["one", "two"], dimensions=8)
    assert [len(vector) for vector in answer.embeddings] == [8, 8]
    assert answer.prompt_eval_count > 0
    old = llama.embeddings(model="ollama/nomic-embed-text", prompt="one")
    assert len(old.embedding) > 8


def test_a_chat_caller_gets_ollamas_vectors_from_the_compatible_endpoint(gateway):
    body = {"model": "ollama/nomic-embed-text", "input": "one", "dimensions": 8}
    reply = gateway.ask("POST", "/v1/embeddings", body)
    assert reply.status == 200
    assert len(reply.json()["data"][0]["embedding"]) == 8


@pytest.mark.parametrize("prefix", ["", "/v5"])
def test_the_router_is_the_same_under_its_number(gateway, prefix):
    body = {"model": OWN, "messages": user("Hi"), "stream": False}
    assert gateway.ask("POST", f"{prefix}/api/chat", body).json()["done"] is True
    asked = {"model": OWN, "prompt": "Hi", "stream": False}
    assert gateway.ask("POST", f"{prefix}/api/generate", asked).json()["response"]


# --------------------------------------------------------------------------- what a provider sends


def test_a_providers_odd_lines_reach_the_client_sound(tmp_path):
    lines = (
        b'{"model":"odd","created_at":"2026-01-01T00:00:00.123456789Z",'
        b'"message":{"role":"assistant","content":"\xc3\xa4 "},"done":false}\n'
        b"\n\r\n"
        b'{"model":"odd","created_at":"2026-01-01T00:00:01Z",'
        b'"message":{"role":"assistant","content":"\xe2\x82\xac"},"done":false,"new":[1]}\r\n'
        b'{"model":"odd","created_at":"2026-01-01T00:00:02Z","message":{"role":"assistant",'
        b'"content":""},"done_reason":"stop","done":true,"eval_count":2}'
    )
    with replaying() as upstream:
        kind = "application/x-ndjson"
        upstream.answers["odd"] = Answer(lines, content_type=kind, streamed=True)
        own = providers_at(upstream.port)
        with gateway_server(tmp_path, OLLAMA_BASE_URL=own["OLLAMA_BASE_URL"]) as gateway:
            headers = {"Authorization": f"Bearer {KEY}"}
            asked = {"model": "ollama/odd", "messages": user("Hi"), "keep_alive": "5m"}
            with ollama.Client(host=gateway.url, headers=headers, timeout=30) as client:
                said = list(client.chat(**asked, stream=True, options={"num_ctx": 2048}))
        assert "".join(line.message.content for line in said) == "ä €"
        assert said[-1].eval_count == 2
        seen = upstream.sent_for("odd")[0]
        assert seen.target == "/ollama/api/chat"
        assert "authorization" not in seen.named
        assert seen.json()["keep_alive"] == "5m"
        assert seen.json()["options"] == {"num_ctx": 2048}


def test_images_go_to_ollama_as_bare_base64(gateway):
    url = "data:image/png;base64," + base64.b64encode(PIXEL).decode()
    parts = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    reply = gateway.chat(model=OWN, text=parts)
    assert reply.status == 200, reply.body
    assert "66 bytes" in reply.json()["choices"][0]["message"]["content"]
