"""The mock as Google's Gemini: what it would send for a request."""

import json

import pytest

from dragoman.mock import IMMEDIATE, Mock
from dragoman.mock.service import Received

pytestmark = pytest.mark.req("R-MOCK-004")

HI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
TOOL = {
    "functionDeclarations": [
        {
            "name": "get_time",
            "parameters": {"type": "OBJECT", "properties": {"zone": {"type": "STRING"}}},
        }
    ]
}
MODEL = "/gemini/v1beta/models/gemini-2.5-flash"


@pytest.fixture
def mock():
    return Mock(IMMEDIATE)


def sent(mock, path, body=None, **headers):
    """Status, content type and body of the answer."""
    data = b"" if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    path, _, query = path.partition("?")
    play = mock.receive(Received(method, path, query, headers, data)).play
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


def reply(mock, path, body, **headers):
    status, _, data = sent(mock, path, body, **headers)
    return status, json.loads(data)


def chunks(mock, body, model=MODEL):
    status, kind, data = sent(mock, f"{model}:streamGenerateContent?alt=sse", body)
    assert (status, kind) == (200, "text/event-stream")
    assert data.endswith(b"\r\n\r\n")
    frames = data.decode().removesuffix("\r\n\r\n").split("\r\n\r\n")
    assert all(frame.startswith("data: ") for frame in frames)
    return [json.loads(frame[6:]) for frame in frames]


def parts(one):
    return one["candidates"][0]["content"]["parts"]


def words(found, *, thought=False):
    return "".join(part["text"] for part in found if bool(part.get("thought")) is thought)


def test_an_answer_is_the_same_whole_as_events_and_as_an_array(mock):
    asked = {**HI, "generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
    _, whole = reply(mock, f"{MODEL}:generateContent", asked)
    told = chunks(mock, asked)
    _, kind, data = sent(mock, f"{MODEL}:streamGenerateContent", asked)
    assert kind.startswith("application/json")
    array = json.loads(data)
    for streamed in (told, array):
        said = [part for one in streamed for part in parts(one)]
        assert words(said) == words(parts(whole)) != ""
        assert words(said, thought=True) == words(parts(whole), thought=True) != ""
        assert streamed[-1]["candidates"][0]["finishReason"] == "STOP"
        assert streamed[-1]["usageMetadata"] == whole["usageMetadata"]
        assert [one["candidates"][0].get("finishReason") for one in streamed[:-1]] == [None] * (
            len(streamed) - 1
        )
    used = whole["usageMetadata"]
    assert used["thoughtsTokenCount"] > 0
    total = used["promptTokenCount"] + used["candidatesTokenCount"] + used["thoughtsTokenCount"]
    assert used["totalTokenCount"] == total


@pytest.mark.pitfall(98)
def test_a_call_is_signed_and_its_signature_is_checked_when_it_comes_back(mock):
    asked = {**HI, "tools": [TOOL], "contents": [{"parts": [{"text": "get_time"}]}]}
    _, first = reply(mock, f"{MODEL}:generateContent", asked)
    call = parts(first)[0]
    assert call["functionCall"]["args"] == {"zone": "mock zone"}
    assert parts(chunks(mock, asked)[0])[0]["functionCall"]["name"] == "get_time"
    result = {"functionResponse": {"name": "get_time", "response": {"output": "noon"}}}

    def again(part):
        turns = [{"role": "model", "parts": [part]}, {"role": "user", "parts": [result]}]
        body = {**asked, "contents": [*asked["contents"], *turns]}
        return reply(mock, f"{MODEL}:generateContent", body)

    assert parts(again(call)[1])[0]["text"].startswith("The tool answered: noon")
    assert again({**call, "thoughtSignature": "skip_thought_signature_validator"})[0] == 200
    status, refused = again({**call, "thoughtSignature": "c2ln"})
    assert (status, refused["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_settings_images_and_forms_are_understood(mock):
    def asked(settings, *more):
        body = {"contents": [{"parts": [{"text": "x"}, *more]}], "generationConfig": settings}
        return reply(mock, f"{MODEL}:generateContent", body)[1]

    short = asked({"maxOutputTokens": 2, "candidateCount": 2})
    assert [one["finishReason"] for one in short["candidates"]] == ["MAX_TOKENS"] * 2
    image = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
    assert "image/png of 8 bytes" in parts(asked({}, image))[0]["text"]
    snake = {"max_output_tokens": 2, "thinking_config": {"include_thoughts": True}}
    assert parts(asked(snake))[0]["thought"]
    json_mime = {"responseMimeType": "application/json"}
    own = {"type": "OBJECT", "properties": {"a": {"type": "ARRAY", "items": {"type": "INTEGER"}}}}
    assert json.loads(parts(asked({**json_mime, "responseSchema": own}))[0]["text"]) == {"a": [7]}
    plain = {"properties": {"a": {"type": "integer"}}, "additionalProperties": False}
    form = {**json_mime, "responseJsonSchema": plain}
    assert json.loads(parts(asked(form))[0]["text"]) == {"a": 7}


@pytest.mark.pitfall(50, 51, 60, 72, 116, 178, 179, 198, 199)
@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": []},
        {"contents": []},
        {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]},
        {"contents": [{"parts": []}]},
        {"contents": [{"parts": [{}]}]},
        {
            "contents": [
                {"role": "user", "parts": [{"text": "x"}]},
                {"role": "model", "parts": [{"text": "y"}]},
            ]
        },
        {"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f"}}]}]},
        {"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {}}}]}]},
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "?"}}]}]},
        {"contents": [{"parts": [{"inlineData": {"data": "AAAA"}}]}]},
        {"generationConfig": {"max_tokens": 1}},
        {"generationConfig": {"seed": 2**40}},
        {"generationConfig": {"stopSequences": list("abcdef")}},
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}},
        {"generationConfig": {"responseJsonSchema": {}}},
        {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
        {"tools": [TOOL], "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}},
        {
            "tools": [TOOL],
            "toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["x"]}},
        },
        {"tools": [{"functionDeclarations": [{"name": "1f"}]}]},
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"$ref": "#"}}]}]},
        {
            "tools": [TOOL],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
            "generationConfig": {"responseMimeType": "application/json"},
        },
    ],
)
def test_what_google_refuses_is_refused_in_its_words(mock, wrong):
    status, body = reply(mock, f"{MODEL}:generateContent", {**HI, **wrong})
    assert status == 400, body
    assert next(iter(body)) == "error"
    assert (body["error"]["code"], body["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_a_choice_forces_and_bounds_the_tools(mock):
    other = {"functionDeclarations": [{"name": "other", "parametersJsonSchema": {}}]}
    forced = {"mode": "ANY", "allowedFunctionNames": ["other"]}
    body = {**HI, "tools": [TOOL, other], "toolConfig": {"functionCallingConfig": forced}}
    _, told = reply(mock, f"{MODEL}:generateContent", body)
    assert [part["functionCall"]["name"] for part in parts(told)] == ["other"]


def test_a_script_travels_in_the_path_and_breaks_a_stream_in_geminis_words(mock):
    told = chunks(mock, HI, f"{MODEL}--mock-error-after-2")
    assert (len(told), told[-1]["error"]["status"]) == (3, "UNAVAILABLE")
    for count in (0, 2):
        path = f"{MODEL}--mock-error-after-{count}:streamGenerateContent"
        array = json.loads(sent(mock, path, HI)[2])
        assert (len(array), "error" in array[-1]) == (count + 1, True)
    cut = chunks(mock, HI, f"{MODEL}--mock-done-off--mock-usage-off")
    assert not any("finishReason" in one["candidates"][0] for one in cut)
    assert not any("usageMetadata" in one for one in cut)
    path = f"{MODEL}--mock-status-429--mock-retry-after-7:generateContent"
    status, body = reply(mock, path, HI)
    assert (status, body["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert body["error"]["details"][0]["retryDelay"] == "7s"
    cached = reply(mock, f"{MODEL}--mock-cached-3:generateContent", HI)[1]
    assert cached["usageMetadata"]["cachedContentTokenCount"] == 3


def test_a_wrong_key_is_a_bad_request(mock):
    for path, headers in (("", {"x-goog-api-key": "invalid"}), ("?key=invalid", {})):
        status, body = reply(mock, f"{MODEL}:generateContent{path}", HI, **headers)
        assert status == 400
        assert body["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def test_tokens_are_counted_in_both_forms(mock):
    spent = reply(mock, f"{MODEL}:generateContent", HI)[1]["usageMetadata"]["promptTokenCount"]
    inner = {"generateContentRequest": {**HI, "model": "models/m"}}
    for body in (HI, inner):
        assert reply(mock, f"{MODEL}:countTokens", body)[1] == {"totalTokens": spent}
    for wrong in ({**HI, **inner}, {"generateContentRequest": HI}):
        assert reply(mock, f"{MODEL}:countTokens", wrong)[0] == 400


@pytest.mark.pitfall(202)
def test_texts_become_vectors_alone_and_in_batches(mock):
    one = {"content": {"parts": [{"text": "a"}]}, "outputDimensionality": 4}
    _, alone = reply(mock, f"{MODEL}:embedContent", one)
    row = {**one, "model": "models/m"}
    _, many = reply(mock, f"{MODEL}:batchEmbedContents", {"requests": [row, row]})
    assert many["embeddings"] == [alone["embedding"]] * 2
    assert len(alone["embedding"]["values"]) == 4
    for wrong in ([], [one], [row] * 101):
        assert reply(mock, f"{MODEL}:batchEmbedContents", {"requests": wrong})[0] == 400


def test_the_models_are_listed(mock):
    found = json.loads(sent(mock, "/gemini/v1beta/models?pageSize=1000")[2])["models"]
    assert "models/gemini-2.5-flash" in {row["name"] for row in found}
    assert json.loads(sent(mock, MODEL)[2])["name"] == "models/gemini-2.5-flash"


def test_there_is_nothing_else(mock):
    assert reply(mock, f"{MODEL}:tune", HI)[0] == 404
