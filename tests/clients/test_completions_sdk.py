"""OpenAI's own client asking for legacy completions: natively, and of models that only chat."""

from __future__ import annotations

import json

import openai
import pytest

OWN = ("openai/gpt-3.5-turbo-instruct", "ollama/llama3.2", "deepseek/deepseek-chat")
TRANSLATED = ("anthropic/claude-sonnet-4-5", "groq/llama-3.3-70b-versatile")
every_way = pytest.mark.parametrize("model", [*OWN, *TRANSLATED])
translated = pytest.mark.parametrize("model", TRANSLATED)


@every_way
def test_a_whole_completion_has_a_text_counts_and_an_end(gpt, model):
    answer = gpt.completions.create(model=model, prompt="Once upon a time", max_tokens=100)
    assert answer.object == "text_completion"
    assert answer.choices[0].text.startswith("You said: Once upon a time")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.id
    assert answer.created > 0


@every_way
def test_a_stream_says_the_same(gpt, model):
    asked = {"model": model, "prompt": "Rivers"}
    whole = gpt.completions.create(**asked)
    chunks = list(gpt.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1


@pytest.mark.pitfall(21)
@every_way
def test_usage_is_streamed_to_whom_asks(gpt, model):
    asked = {"model": model, "prompt": "Rivers", "stream": True}
    options = {"include_usage": True}
    chunks = list(gpt.completions.create(**asked, stream_options=options))
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert all(chunk.choices for chunk in gpt.completions.create(**asked))


@every_way
def test_bounds_and_stops_hold(gpt, model):
    short = gpt.completions.create(model=model, prompt="Hi", max_tokens=4)
    assert short.choices[0].finish_reason == "length"
    stopped = gpt.completions.create(model=model, prompt=["a b c"], stop="b", temperature=0)
    assert "b" not in stopped.choices[0].text


def test_what_exists_below_a_conversation_goes_where_it_is_understood(gpt):
    asked = {"prompt": ["one", "two"], "suffix": "z", "echo": True, "best_of": 1}
    assert gpt.completions.create(model=OWN[0], **asked).choices
    assert gpt.completions.create(model=OWN[0], prompt=[1, 2, 3]).choices


@pytest.mark.req("R-ADD-024")
@translated
@pytest.mark.parametrize(
    ("param", "members"),
    [
        ("prompt", {"prompt": ["one", "two"]}),
        ("prompt", {"prompt": [1, 2, 3]}),
        ("prompt", {"prompt": [[1], [2]]}),
        ("suffix", {"prompt": "a", "suffix": "z"}),
        ("echo", {"prompt": "a", "echo": True}),
    ],
)
def test_what_no_chat_model_does_is_refused_by_name(gpt, model, param, members):
    with pytest.raises(openai.BadRequestError) as caught:
        gpt.completions.create(model=model, **members)
    assert caught.value.param == param
    assert caught.value.code == "unsupported_feature"


@every_way
def test_an_error_is_openais(gpt, model):
    with pytest.raises(openai.NotFoundError) as caught:
        gpt.completions.create(model=f"{model}--mock-status-404", prompt="Hi")
    assert caught.value.code == "model_not_found"
    assert caught.value.body["dragoman"]["provider"] == model.partition("/")[0]


@pytest.mark.pitfall(13)
@pytest.mark.pitfall(14)
@every_way
@pytest.mark.parametrize("script", ["error-after-5", "cut-900--mock-cut-mode-end"])
def test_a_stream_that_breaks_raises_after_what_was_said(gpt, model, script):
    stream = gpt.completions.create(model=f"{model}--mock-{script}", prompt="Go on", stream=True)
    said = []
    with pytest.raises(openai.APIError):
        said.extend(chunk for chunk in stream)
    assert not any(choice.finish_reason for chunk in said for choice in chunk.choices)


def test_what_is_lost_on_the_way_is_told(gateway):
    body = {"model": TRANSLATED[0], "prompt": "Hi", "best_of": 3, "logit_bias": {"5": 1}}
    reply = gateway.ask("POST", "/v1/completions", body)
    assert reply.status == 200
    assert "best_of;action=dropped" in reply.headers["x-dragoman-dropped"]
    assert "logit_bias;action=dropped" in reply.headers["x-dragoman-dropped"]
    assert json.loads(reply.body)["choices"][0]["logprobs"] is None
