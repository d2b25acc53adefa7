"""Google's own client, plain and async, to a provider of its own dialect and to translated ones."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from clients.blocking import Blocking
from servers import KEY, gateway_server, providers_at

OWN, TRANSLATED = "google/gemini-2.5-flash", "openai/gpt-4o-mini"
MODELS = (OWN, TRANSLATED, "anthropic/claude-sonnet-4-5")
every_way = pytest.mark.parametrize("model", MODELS)
CALL = {
    "functionCall": {"name": "get_weather", "args": {"city": "Oslo"}},
    "thoughtSignature": "c2ln",
}
PIXEL = b"\x89PNG\r\n\x1a\n" + bytes(58)
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="get_weather",
            description="The weather at a place",
            parameters=types.Schema(
                type="OBJECT", properties={"city": types.Schema(type="STRING")}, required=["city"]
            ),
        )
    ]
)

# The client subclasses aiohttp's session, which warns of that.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


def said(*parts: dict[str, Any], finish: str | None = "STOP") -> dict[str, Any]:
    one = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    if finish is not None:
        one["finishReason"] = finish
    return {
        "candidates": [one],
        "usageMetadata": usage,
        "modelVersion": "gemini",
        "responseId": "x",
    }


class Google(BaseHTTPRequestHandler):
    """Answers as Gemini does, by what the request says."""

    protocol_version = "HTTP/1.1"
    asked: list[dict[str, Any]] = []  # noqa: RUF012 - shared by the requests of a session

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(body)
        if "fail-" in self.path:
            status = int(self.path.split("fail-")[1][:3])
            error = {"code": status, "message": "no such luck", "status": "INVALID_ARGUMENT"}
            return self._send(status, json.dumps({"error": error}).encode())
        if "countTokens" in self.path:
            return self._send(200, b'{"totalTokens": 7}')
        if "batchEmbedContents" in self.path:
            vectors = [{"values": [0.5, 0.25]} for _ in body["requests"]]
            return self._send(200, json.dumps({"embeddings": vectors}).encode())
        parts = [CALL] if "tools" in body else [{"text": "Hello, "}, {"text": "world"}]
        if any("functionResponse" in p for c in body["contents"] for p in c["parts"]):
            parts = [{"text": "It rains"}]
        if "responseMimeType" in body.get("generationConfig", {}):
            parts = [{"text": '{"a": 1}'}]
        if "streamGenerateContent" not in self.path:
            return self._send(200, json.dumps(said(*parts)).encode())
        chunks = [said(part, finish=None) for part in parts]
        if "cut" not in self.path:
            chunks.append(said({"text": ""}))
        data = b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in chunks)
        return self._send(200, data, "text/event-stream")

    def _send(self, status: int, data: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture(scope="module")
def gate(mock, tmp_path_factory) -> Iterator[str]:
    """A gateway whose Google is the one above, and whose other providers are the mock."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Google)
    Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    settings = {"GEMINI_API_KEY": "AIza-mock-0123456789", "GEMINI_BASE_URL": base}
    folder = tmp_path_factory.mktemp("genai")
    with gateway_server(folder, **(providers_at(mock.port) | settings)) as up:
        yield up.url
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module", params=("plain", "async"))
def gemini(request, gate, loop) -> Any:
    """Google's client."""
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=gate))
    return client if request.param == "plain" else Blocking(client.aio, loop)


@pytest.mark.req("R-SURF-009")
@every_way
def test_a_whole_answer(gemini, model):
    answer = gemini.models.generate_content(
        model=model,
        contents="Hi",
        config={"system_instruction": "Be kind", "max_output_tokens": 50},
    )
    assert answer.text
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata.prompt_token_count > 0


@every_way
def test_a_stream(gemini, model):
    chunks = list(gemini.models.generate_content_stream(model=model, contents="Hi"))
    assert "".join(chunk.text or "" for chunk in chunks)
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata.total_token_count > 0


@every_way
def test_a_call_and_its_result(gemini, model):
    forced = {"function_calling_config": {"mode": "ANY"}}
    first = gemini.models.generate_content(
        model=model, contents="Weather?", config={"tools": [TOOL], "tool_config": forced}
    )
    call = first.function_calls[0]
    assert call.name == "get_weather"
    result = types.Part.from_function_response(name=call.name, response={"output": "rain"})
    second = gemini.models.generate_content(
        model=model,
        contents=[
            types.Content(role="user", parts=[types.Part(text="Weather?")]),
            first.candidates[0].content,
            types.Content(role="user", parts=[result]),
        ],
        config={"tools": [TOOL]},
    )
    assert second.candidates[0].content.parts
    if model == OWN:
        model_turn = Google.asked[-1]["contents"][1]["parts"][0]
        assert base64.urlsafe_b64decode(model_turn["thoughtSignature"]) == b"sig"


@every_way
def test_a_picture(gemini, model):
    picture = types.Part.from_bytes(data=PIXEL, mime_type="image/png")
    assert gemini.models.generate_content(model=model, contents=["What is it?", picture]).text


def test_structured_output(gemini):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    answer = gemini.models.generate_content(
        model=OWN,
        contents="a?",
        config={"response_mime_type": "application/json", "response_json_schema": schema},
    )
    assert json.loads(answer.text) == {"a": 1}


@pytest.mark.parametrize(
    ("status", "seen"), [(400, 400), (404, 404), (429, 429), (500, 500), (401, 502)]
)
def test_failures_have_their_status(gemini, status, seen):
    with pytest.raises(errors.APIError) as caught:
        gemini.models.generate_content(model=f"google/fail-{status}", contents="x")
    assert caught.value.code == seen


def test_an_unknown_model_is_told_in_geminis_words(gemini):
    with pytest.raises(errors.ClientError) as caught:
        gemini.models.generate_content(model="nobody/nothing", contents="x")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


@pytest.mark.pitfall(13, 14)
@pytest.mark.parametrize("model", ["google/cut", f"{TRANSLATED}--mock-length-3000--mock-cut-1900"])
def test_a_cut_raises(gemini, model):
    with pytest.raises(errors.APIError):
        list(gemini.models.generate_content_stream(model=model, contents="Tell me a long story"))


def test_counting(gemini):
    assert gemini.models.count_tokens(model=OWN, contents="x").total_tokens == 7


@pytest.mark.parametrize("model", [OWN, "google/text-embedding-004"])
def test_vectors(gemini, model):
    vectors = gemini.models.embed_content(model=model, contents="a").embeddings
    assert [vector.values for vector in vectors] == [[0.5, 0.25]]


def test_several_vectors(gemini):
    model = "google/text-embedding-004"
    vectors = gemini.models.embed_content(model=model, contents=["a", "b"]).embeddings
    assert [vector.values for vector in vectors] == [[0.5, 0.25]] * 2


@pytest.fixture(scope="module", params=("plain", "async"))
def checked(request, gateway, loop) -> Any:
    """The same client where the mock plays Google, which checks what it signed."""
    client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=gateway.url))
    return client if request.param == "plain" else Blocking(client.aio, loop)


THINKING = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)


def thought_and_text(content: types.Content) -> tuple[str, str]:
    told = [part for part in content.parts if part.text]
    return (
        "".join(part.text for part in told if part.thought),
        "".join(part.text for part in told if not part.thought),
    )


@pytest.mark.pitfall(98)
@pytest.mark.parametrize("model", [OWN, "anthropic/claude-sonnet-4-5"])
def test_thoughts_are_told_and_their_signatures_come_back(checked, model):
    """The providers that the mock plays refuse a signature that is not their own."""
    first = checked.models.generate_content(
        model=model, contents="Hi", config={"thinking_config": THINKING, "max_output_tokens": 4000}
    )
    turn = first.candidates[0].content
    thought, text = thought_and_text(turn)
    assert thought
    assert text
    assert any(part.thought_signature for part in turn.parts)
    second = checked.models.generate_content(
        model=model,
        contents=[
            types.Content(role="user", parts=[types.Part(text="Hi")]),
            turn,
            types.Content(role="user", parts=[types.Part(text="And now?")]),
        ],
        config={"thinking_config": THINKING, "max_output_tokens": 4000},
    )
    assert "And now?" in second.text


@pytest.mark.parametrize("model", [OWN, "anthropic/claude-sonnet-4-5", "deepseek/deepseek-chat"])
def test_thoughts_stream_before_the_words(checked, model):
    config = {"thinking_config": THINKING, "max_output_tokens": 4000}
    chunks = list(
        checked.models.generate_content_stream(model=model, contents="Hi", config=config)
    )
    parts = [
        part for chunk in chunks for part in (chunk.candidates[0].content.parts or []) if part.text
    ]
    kinds = [bool(part.thought) for part in parts]
    assert True in kinds
    assert kinds == sorted(kinds, reverse=True)
    assert chunks[-1].usage_metadata.thoughts_token_count or model.startswith("anthropic")


@pytest.mark.parametrize("model", [OWN, TRANSLATED, "anthropic/claude-sonnet-4-5"])
def test_a_schema_is_kept_by_every_provider(checked, model):
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "integer"},
            "b": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["a", "b"],
    }
    own = types.Schema(
        type="OBJECT",
        properties={"a": types.Schema(type="INTEGER")},
        required=["a"],
    )
    for form in ({"response_json_schema": schema}, {"response_schema": own}):
        config = {"response_mime_type": "application/json", **form}
        told = json.loads(
            checked.models.generate_content(model=model, contents="a?", config=config).text
        )
        assert told["a"] == 7
