"""Every dialect of callers through the gateway to a provider that nobody here wrote.

It is a published mock of several providers (`independent/package.json`), found by
``INDEPENDENT_UPSTREAM_URL`` or installed and started here. What it thinks of a provider's wire is
its authors' reading, not ours: where the two disagree, one of them is wrong.
"""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import anthropic
import ollama
import openai
import pytest
from google import genai

from lacking import lacking
from servers import KEY, Server, free_port, gateway_server, providers_at

HERE = Path(__file__).parent / "independent"
CACHE = Path(__file__).resolve().parents[2] / ".dev" / "independent"
HELLO = "hello"
SAID = "Good morning, captain. The tide is high until noon."
DEEP = "It is 11 metres deep."
SCHEMA = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
MODELS = (
    "openai/gpt-4o-mini",
    "openai-responses/gpt-4o-mini",
    "anthropic/claude-sonnet-4-5",
    "google/gemini-2.5-flash",
    "ollama/llama3.1",
    "openrouter/openai/gpt-4o-mini",
)

pytestmark = [
    pytest.mark.gate,
    pytest.mark.timeout(300),
    # A word of the upstream's own, which passes to Google's client as it is.
    pytest.mark.filterwarnings("ignore:FUNCTION_CALL is not a valid FinishReason"),
]


def _installed() -> Path:
    """The program, installed by its lock file once."""
    npm = shutil.which("npm")
    if npm is None:
        lacking("npm is not here to install the independent upstream with")
    CACHE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, CACHE / name)
    subprocess.run([npm, "ci", "--no-fund", "--no-audit"], cwd=CACHE, check=True, timeout=200)
    return CACHE / "node_modules" / ".bin" / "llmock"


@pytest.fixture(scope="module")
def upstream(tmp_path_factory) -> Iterator[str]:
    given = os.environ.get("INDEPENDENT_UPSTREAM_URL")
    if given:
        yield given.rstrip("/")
        return
    program, port = _installed(), free_port()
    log = tmp_path_factory.mktemp("independent") / "log"
    command = [program, "--port", str(port), "--fixtures", HERE / "answers.json", "--strict"]
    with log.open("wb") as lines:
        process = subprocess.Popen(command, stdout=lines, stderr=lines)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=2)
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def house(upstream, tmp_path_factory) -> Iterator[Server]:
    environment = {
        **providers_at(0),
        "OPENAI_BASE_URL": f"{upstream}/v1",
        "OPENROUTER_BASE_URL": f"{upstream}/v1",
        "ANTHROPIC_BASE_URL": upstream,
        "GEMINI_API_KEY": "AIza-mock-0123456789",
        "GEMINI_BASE_URL": upstream,
        "OLLAMA_BASE_URL": upstream,
    }
    with gateway_server(tmp_path_factory.mktemp("gateway"), **environment) as server:
        yield server


def _chat(client, model: str) -> str:
    whole = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": HELLO}]
    )
    assert whole.choices[0].message.content == SAID
    assert whole.choices[0].finish_reason == "stop"
    with client.chat.completions.stream(
        model=model, messages=[{"role": "user", "content": HELLO}]
    ) as stream:
        stream.until_done()
        assert stream.get_final_completion().choices[0].message.content == SAID
    messages = [{"role": "user", "content": "How deep is the harbour?"}]
    tools = [{"type": "function", "function": {"name": "depth", "parameters": SCHEMA}}]
    with client.chat.completions.stream(model=model, messages=messages, tools=tools) as stream:
        stream.until_done()
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "depth",
        {"place": "harbour"},
    )
    messages += [
        {"role": "assistant", "tool_calls": [call.model_dump(include={"id", "type", "function"})]},
        {"role": "tool", "tool_call_id": call.id, "content": "11"},
    ]
    messages[1]["tool_calls"][0]["function"].pop("parsed_arguments", None)
    done = client.chat.completions.create(model=model, messages=messages, tools=tools)
    return done.choices[0].message.content


def _responses(client, model: str) -> str:
    assert client.responses.create(model=model, input=HELLO).output_text == SAID
    with client.responses.stream(model=model, input=HELLO) as stream:
        stream.until_done()
        assert stream.get_final_response().output_text == SAID
    given = [{"role": "user", "content": "How deep is the harbour?"}]
    tools = [{"type": "function", "name": "depth", "parameters": SCHEMA, "strict": False}]
    with client.responses.stream(model=model, input=given, tools=tools) as stream:
        stream.until_done()
        output = stream.get_final_response().output
    (call,) = [item for item in output if item.type == "function_call"]
    assert (call.name, json.loads(call.arguments)) == ("depth", {"place": "harbour"})
    given += [
        {
            "type": "function_call",
            "call_id": call.call_id,
            "name": call.name,
            "arguments": call.arguments,
        },
        {"type": "function_call_output", "call_id": call.call_id, "output": "11"},
    ]
    return client.responses.create(model=model, input=given, tools=tools).output_text


def _messages(client, model: str) -> str:
    asked = {"model": model, "max_tokens": 100}
    hello = [{"role": "user", "content": HELLO}]
    assert client.messages.create(messages=hello, **asked).content[0].text == SAID
    with client.messages.stream(messages=hello, **asked) as stream:
        assert stream.get_final_text() == SAID
    tools = [{"name": "depth", "input_schema": SCHEMA}]
    messages = [{"role": "user", "content": "How deep is the harbour?"}]
    with client.messages.stream(messages=messages, tools=tools, **asked) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "tool_use"
    (call,) = [block for block in message.content if block.type == "tool_use"]
    assert (call.name, call.input) == ("depth", {"place": "harbour"})
    use = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "11"}
    messages += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    return client.messages.create(messages=messages, tools=tools, **asked).content[0].text


def _gemini(client, model: str) -> str:
    assert client.models.generate_content(model=model, contents=HELLO).text == SAID
    pieces = client.models.generate_content_stream(model=model, contents=HELLO)
    assert "".join(piece.text or "" for piece in pieces) == SAID
    declared = {"name": "depth", "parameters_json_schema": SCHEMA}
    config = {
        "tools": [{"function_declarations": [declared]}],
        "automatic_function_calling": {"disable": True},
    }
    asked = {"role": "user", "parts": [{"text": "How deep is the harbour?"}]}
    chunks = list(
        client.models.generate_content_stream(model=model, contents=[asked], config=config)
    )
    (call,) = [each for chunk in chunks for each in chunk.function_calls or ()]
    assert (call.name, call.args) == ("depth", {"place": "harbour"})
    said = {"role": "model", "parts": [{"function_call": call.model_dump(exclude_none=True)}]}
    response = {"id": call.id, "name": "depth", "response": {"result": 11}}
    heard = {"role": "user", "parts": [{"function_response": response}]}
    done = client.models.generate_content(
        model=model, contents=[asked, said, heard], config=config
    )
    return done.text


def _ollama(client, model: str) -> str:
    hello = [{"role": "user", "content": HELLO}]
    assert client.chat(model, hello).message.content == SAID
    pieces = list(client.chat(model, hello, stream=True))
    assert "".join(piece.message.content or "" for piece in pieces) == SAID
    assert pieces[-1].done
    tools = [{"type": "function", "function": {"name": "depth", "parameters": SCHEMA}}]
    messages = [{"role": "user", "content": "How deep is the harbour?"}]
    pieces = list(client.chat(model, messages, tools=tools, stream=True))
    (call,) = [each for piece in pieces for each in piece.message.tool_calls or ()]
    assert (call.function.name, dict(call.function.arguments)) == ("depth", {"place": "harbour"})
    messages += [
        {"role": "assistant", "content": "", "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_name": "depth", "content": "11"},
    ]
    return client.chat(model, messages, tools=tools).message.content


def _openai(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY)


PROGRAMS = {
    "chat": (_openai, _chat),
    "responses": (_openai, _responses),
    "anthropic": (lambda url: anthropic.Anthropic(base_url=url, api_key=KEY), _messages),
    "gemini": (
        lambda url: genai.Client(api_key=KEY, http_options={"base_url": url}),
        _gemini,
    ),
    "ollama": (
        lambda url: ollama.Client(host=url, headers={"authorization": f"Bearer {KEY}"}),
        _ollama,
    ),
}
"""Dialect → how its official client is made, and the conversation that it holds."""


@pytest.mark.req("R-TEST-010")
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("dialect", PROGRAMS)
def test_a_conversation_with_a_tool_in_whole_and_in_streams(house, dialect, model):
    make, talk = PROGRAMS[dialect]
    client = make(house.url)
    try:
        assert talk(client, model) == DEEP
    finally:
        (client._client if dialect == "ollama" else client).close()
