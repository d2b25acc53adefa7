"""The mock as Ollama and as a server of legacy completions: what it would send for a request."""

import json

import pytest

from dragoman.mock import IMMEDIATE, Mock
from dragoman.mock.service import Received

pytestmark = pytest.mark.req("R-MOCK-004")

HI = {"model": "llama3", "messages": [{"role": "user", "content": "hi"}]}
TOOL = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}


@pytest.fixture
def mock():
    return Mock(IMMEDIATE)


def sent(mock, path, body=None):
    """Status, content type and body of the answer."""
    data = b"" if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    play = mock.receive(Received(method, path, "", {}, data)).play
    head, _, rest = b"".join(step.data for step in play.steps).partition(b"\r\n\r\n")
    lines = head.decode().splitlines()
    fields = dict(line.split(": ", 1) for line in lines[1:])
    if "transfer-encoding" in fields:
        whole = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            whole, rest = whole + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        rest = whole
    return int(lines[0].split()[1]), fields["content-type"], rest


def reply(mock, path, body):
    status, _, data = sent(mock, path, body)
    return status, json.loads(data)


def lines(mock, path, body):
    status, kind, data = sent(mock, path, body)
    assert (status, kind) == (200, "application/x-ndjson")
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.decode().removesuffix("\n").split("\n")]


@pytest.mark.parametrize("prefix", ["", "/ollama"])
def test_a_chat_streams_unless_told_not_to(mock, prefix):
    told = lines(mock, f"{prefix}/api/chat", {**HI, "think": True})
    whole = reply(mock, f"{prefix}/api/chat", {**HI, "think": True, "stream": False})[1]
    said = "".join(line["message"]["content"] for line in told)
    assert said == whole["message"]["content"]
    thought = "".join(line["message"].get("thinking", "") for line in told)
    assert thought == whole["message"]["thinking"]
    assert [line["done"] for line in told] == [False] * (len(told) - 1) + [True]
    assert told[-1]["done_reason"] == whole["done_reason"] == "stop"
    assert told[-1]["eval_count"] == whole["eval_count"] > 0
    assert told[-1]["prompt_eval_count"] == whole["prompt_eval_count"] == 5
    assert {line["model"] for line in told} == {"llama3"}


def test_a_prompt_is_answered_in_its_own_shape(mock):
    body = {"model": "llama3", "prompt": "hi", "system": "s"}
    told = lines(mock, "/api/generate", body)
    whole = reply(mock, "/api/generate", {**body, "stream": False})[1]
    assert "".join(line["response"] for line in told) == whole["response"]
    assert "message" not in whole
    assert whole["context"]


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_a_request_without_words_loads_the_model(mock, path):
    _, body = reply(mock, path, {"model": "llama3"})
    assert (body["done"], body["done_reason"]) == (True, "load")


def test_tools_are_called_with_objects_and_their_results_are_read(mock):
    asked = {**HI, "tools": [TOOL], "messages": [{"role": "user", "content": "get_time"}]}
    _, body = reply(mock, "/api/chat", {**asked, "stream": False})
    call = body["message"]["tool_calls"][0]
    assert call["function"] == {"index": 0, "name": "get_time", "arguments": {}}
    assert body["done_reason"] == "stop"
    told = lines(mock, "/api/chat", asked)
    assert told[0]["message"]["tool_calls"][0]["function"]["name"] == "get_time"
    turn = [
        *asked["messages"],
        body["message"],
        {"role": "tool", "tool_name": "get_time", "content": "noon"},
    ]
    answer = reply(mock, "/api/chat", {**asked, "messages": turn, "stream": False})[1]
    assert answer["message"]["content"].startswith("The tool answered: noon")


def test_options_images_and_forms_are_understood(mock):
    short = reply(mock, "/api/chat", {**HI, "stream": False, "options": {"num_predict": 2}})[1]
    assert short["done_reason"] == "length"
    image = {"model": "m", "prompt": "x", "images": ["iVBORw0KGgo="], "stream": False}
    assert "image/png of 8 bytes" in reply(mock, "/api/generate", image)[1]["response"]
    form = {**HI, "stream": False, "format": {"properties": {"a": {"type": "integer"}}}}
    assert json.loads(reply(mock, "/api/chat", form)[1]["message"]["content"]) == {"a": 7}
    loose = {**HI, "stream": False, "format": "json"}
    assert "answer" in json.loads(reply(mock, "/api/chat", loose)[1]["message"]["content"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": ""},
        {"messages": [{"role": "robot"}]},
        {"messages": [{"role": "user", "content": [1]}]},
        {"messages": [{"role": "user", "content": "x", "images": ["data:image/png;base64,AA"]}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}],
                }
            ]
        },
        {"think": "ultra"},
        {"format": "xml"},
        {"options": [1]},
    ],
)
def test_what_go_cannot_read_is_refused_in_a_sentence(mock, wrong):
    status, body = reply(mock, "/api/chat", {**HI, **wrong})
    assert status == 400
    assert isinstance(body["error"], str)


def test_a_script_breaks_a_stream_in_ollamas_words(mock):
    told = lines(mock, "/api/chat", {**HI, "model": "llama3--mock-error-after-2"})
    assert isinstance(told[-1]["error"], str)
    assert not any(line.get("done") for line in told)
    cut = lines(mock, "/api/chat", {**HI, "model": "llama3--mock-done-off"})
    assert not any(line["done"] for line in cut)
    status, body = reply(mock, "/api/chat", {**HI, "model": "llama3--mock-status-404"})
    assert (status, set(body)) == (404, {"error"})
    silent = {**HI, "model": "llama3--mock-usage-off", "stream": False}
    assert "eval_count" not in reply(mock, "/api/chat", silent)[1]
    cached = {**HI, "model": "llama3--mock-cached-9", "stream": False}
    assert "prompt_eval_count" not in reply(mock, "/api/chat", cached)[1]


def test_texts_become_vectors_in_both_forms(mock):
    body = {"model": "nomic", "input": ["a", "b"], "dimensions": 4}
    _, many = reply(mock, "/api/embed", body)
    assert [len(vector) for vector in many["embeddings"]] == [4, 4]
    assert many["prompt_eval_count"] == 2
    _, one = reply(mock, "/api/embeddings", {"model": "nomic", "prompt": "a"})
    assert len(one["embedding"]) > 4
    assert reply(mock, "/api/embed", {"model": "nomic", "input": []})[1]["embeddings"] == []
    for path, wrong in (
        ("/api/embed", {"model": "nomic", "input": [1]}),
        ("/api/embeddings", {"model": "nomic", "prompt": []}),
        ("/api/embed", {"model": "", "input": "a"}),
    ):
        assert reply(mock, path, wrong)[0] == 400


def test_the_models_are_listed(mock):
    status, _, data = sent(mock, "/ollama/api/tags")
    assert status == 200
    assert "gpt-4o" in {row["name"] for row in json.loads(data)["models"]}


def test_there_is_nothing_else(mock):
    assert reply(mock, "/api/pull", {"model": "llama3"})[0] == 404


# --------------------------------------------------------------------------- legacy completions


def test_a_text_completion_is_told_whole_and_streamed(mock):
    body = {"model": "davinci", "prompt": ["hi"], "n": 2, "stop": "zzz"}
    _, whole = reply(mock, "/v1/completions", body)
    assert whole["object"] == "text_completion"
    assert [choice["index"] for choice in whole["choices"]] == [0, 1]
    assert whole["choices"][0]["text"].startswith("You said: hi ")
    assert whole["usage"]["prompt_tokens"] == 1
    asked = {**body, "n": 1, "stream": True, "stream_options": {"include_usage": True}}
    _, kind, data = sent(mock, "/v1/completions", asked)
    assert kind == "text/event-stream"
    events = data.decode().strip().split("\n\n")
    assert events.pop() == "data: [DONE]"
    chunks = [json.loads(event[6:]) for event in events]
    assert chunks[-1]["choices"] == []
    said = "".join(chunk["choices"][0]["text"] for chunk in chunks[:-1])
    assert said == whole["choices"][0]["text"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


def test_what_is_no_prompt_is_refused_in_openais_words(mock):
    for wrong in ({"model": ""}, {"model": "davinci", "prompt": {"a": 1}}):
        status, body = reply(mock, "/v1/completions", wrong)
        assert status == 400
        assert body["error"]["type"] == "invalid_request_error"
    scripted = {"model": "davinci--mock-finish-odd--mock-usage-off", "prompt": [1, 2]}
    body = reply(mock, "/v1/completions", scripted)[1]
    assert body["choices"][0]["finish_reason"] == "odd"
    assert "usage" not in body
