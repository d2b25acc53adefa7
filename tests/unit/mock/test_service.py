"""The mock without sockets: what it would send for a request."""

import base64
import json
import struct

import pytest

from dragoman.mock import IMMEDIATE, Mock, MockConfig
from dragoman.mock.service import Received

pytestmark = pytest.mark.req("R-MOCK-004")

HI = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
TOOL = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"properties": {"zone": {"type": "string"}}}},
}
CLAUDE = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 2000,
    "messages": [{"role": "user", "content": "hi"}],
}
VERSION = {"anthropic-version": "2023-06-01"}


def exchange(mock, path, body=None, method=None, **headers):
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    target, _, query = path.partition("?")
    request = Received(method or ("GET" if body is None else "POST"), target, query, named, data)
    return mock.receive(request)


def sent(mock, path, body=None, method=None, **headers):
    told = exchange(mock, path, body, method, **headers)
    raw = b"".join(step.data for step in told.play.steps)
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.decode().splitlines()
    fields = dict(line.split(": ", 1) for line in lines[1:])
    if "transfer-encoding" in fields:
        whole, data = b"", rest
        while data:
            size, _, data = data.partition(b"\r\n")
            whole, data = whole + data[: int(size, 16)], data[int(size, 16) + 2 :]
        rest = whole
    return int(lines[0].split()[1]), fields, rest


def reply(mock, path, body=None, **headers):
    status, _, data = sent(mock, path, body, **headers)
    return status, json.loads(data)


def chunks(mock, path="/v1/chat/completions", **more):
    _, fields, data = sent(mock, path, {**HI, "stream": True, **more})
    assert fields["content-type"] == "text/event-stream"
    lines = [line for line in data.decode().split("\n\n") if line.startswith("data: ")]
    assert lines.pop() == "data: [DONE]"
    return [json.loads(line[6:]) for line in lines]


def events(mock, **more):
    _, _, data = sent(mock, "/v1/messages", {**CLAUDE, "stream": True, **more}, **VERSION)
    found = []
    for block in data.decode().split("\n\n"):
        if block and not block.startswith(":"):
            name, line = block.split("\n")
            event = json.loads(line.removeprefix("data: "))
            assert name == f"event: {event['type']}"
            found.append(event)
    return found


@pytest.fixture
def mock():
    return Mock(
        MockConfig(
            **{
                name: getattr(IMMEDIATE, name)
                for name in IMMEDIATE.__struct_fields__
                if name != "seed"
            },
            seed=1,
        )
    )


def test_a_chat_completion_has_every_member_of_openais(mock):
    status, body = reply(mock, "/v1/chat/completions", HI)
    assert status == 200
    assert {
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "service_tier",
        "system_fingerprint",
    } == set(body)
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["choices"][0]["message"]["content"].startswith("You said: hi ")
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] == 5 + 40


def test_a_chat_stream_builds_the_whole_reply(mock):
    whole = reply(mock, "/v1/chat/completions", HI)[1]
    stream = chunks(mock, stream_options={"include_usage": True})
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in stream if c["choices"])
    assert text == whole["choices"][0]["message"]["content"]
    assert stream[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [c["choices"][0]["finish_reason"] for c in stream if c["choices"]][-2:] == [
        None,
        "stop",
    ]
    assert stream[-1]["choices"] == []
    assert stream[-1]["usage"] == whole["usage"]
    assert all(c["usage"] is None for c in stream[:-1])
    assert all("usage" not in c for c in chunks(mock))


def test_choices_come_as_many_as_asked(mock):
    assert [
        c["index"] for c in reply(mock, "/v1/chat/completions", {**HI, "n": 2})[1]["choices"]
    ] == [0, 1]
    assert {c["choices"][0]["index"] for c in chunks(mock, n=2)} == {0, 1}


def test_tool_calls_come_whole_and_in_pieces(mock):
    asked = {"tools": [TOOL], "tool_choice": "required"}
    message = reply(mock, "/v1/chat/completions", {**HI, **asked})[1]["choices"][0]
    call = message["message"]["tool_calls"][0]
    assert (message["finish_reason"], message["message"]["content"]) == ("tool_calls", None)
    assert (call["id"], call["function"]["name"]) == ("call_mock000001000", "get_time")
    stream = [c["choices"][0]["delta"] for c in chunks(mock, **asked)]
    assert stream[0] == {"role": "assistant", "content": None}
    pieces = [each["tool_calls"][0] for each in stream if "tool_calls" in each]
    assert pieces[0] == {
        "index": 0,
        "id": "call_mock000002000",
        "type": "function",
        "function": {"name": "get_time", "arguments": ""},
    }
    assert all(set(piece) == {"index", "function"} for piece in pieces[1:])
    assert (
        "".join(p["function"]["arguments"] for p in pieces)
        == call["function"]["arguments"]
        == '{"zone":"mock zone"}'
    )


@pytest.mark.parametrize(
    ("prefix", "thinking"),
    [
        ("/v1", {"reasoning_content": "The caller says: hi Let me think."}),
        ("/deepseek", {"reasoning_content": "The caller says: hi Let me think."}),
        ("/groq/openai/v1", {"reasoning": "The caller says: hi Let me think."}),
        (
            "/openrouter/api/v1",
            {
                "reasoning": "The caller says: hi Let me think.",
                "reasoning_details": [
                    {
                        "type": "reasoning.text",
                        "text": "The caller says: hi Let me think.",
                        "format": "unknown",
                        "index": 0,
                    }
                ],
            },
        ),
    ],
)
def test_services_spell_thinking_differently(mock, prefix, thinking):
    path = f"{prefix}/chat/completions"
    message = reply(mock, path, {**HI, "reasoning_effort": "low"})[1]["choices"][0]["message"]
    assert {name: message[name] for name in message if name.startswith("reasoning")} == thinking
    member = next(iter(thinking))
    deltas = [
        c["choices"][0]["delta"]
        for c in chunks(mock, path, reasoning_effort="low")
        if c["choices"]
    ]
    assert "".join(delta.get(member, "") for delta in deltas) == thinking[member]


def test_mistral_thinks_in_parts_of_the_content_and_ids_have_nine_signs(mock):
    path = "/mistral/v1/chat/completions"
    message = reply(mock, path, {**HI, "prompt_mode": "reasoning"})[1]["choices"][0]["message"]
    assert [part["type"] for part in message["content"]] == ["thinking", "text"]
    called = reply(
        mock, path, {**HI, "tools": [TOOL], "tool_choice": "any", "prompt_mode": "reasoning"}
    )[1]["choices"][0]["message"]
    assert called["tool_calls"][0]["id"] == "000002000"
    assert [part["type"] for part in called["content"]] == ["thinking"]
    stream = chunks(mock, path, prompt_mode="reasoning", tools=[TOOL], tool_choice="any")
    assert stream[1]["choices"][0]["delta"]["content"][0]["type"] == "thinking"
    assert (
        stream[-2]["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]
        == '{"zone":"mock zone"}'
    )
    assert stream[-1]["usage"]["completion_tokens"] > 0


def test_services_place_usage_differently(mock):
    deepseek = chunks(mock, "/deepseek/chat/completions")[-1]
    assert deepseek["choices"][0]["finish_reason"] == "stop"
    assert deepseek["usage"]["prompt_cache_miss_tokens"] == 5
    router = chunks(mock, "/openrouter/api/v1/chat/completions")[-1]
    assert router["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert router["usage"]["cost"] == pytest.approx(45e-6)
    groq = chunks(mock, "/groq/openai/v1/chat/completions")
    assert groq[-1]["x_groq"]["usage"]["prompt_tokens"] == 5
    assert "x_groq" not in groq[0]
    assert (
        chunks(mock, "/groq/openai/v1/chat/completions", stream_options={"include_usage": True})[
            -1
        ]["usage"]["total_time"]
        == 0.01
    )
    assert reply(mock, "/groq/openai/v1/chat/completions", HI)[1]["x_groq"]["id"].startswith(
        "req_mock"
    )


def test_a_message_has_every_member_of_anthropics(mock):
    status, body = reply(mock, "/v1/messages", CLAUDE, **VERSION)
    assert status == 200
    assert {
        "id",
        "type",
        "role",
        "model",
        "content",
        "stop_reason",
        "stop_sequence",
        "usage",
    } == set(body)
    assert body["content"][0]["text"].startswith("You said: hi ")
    assert (body["stop_reason"], body["stop_sequence"]) == ("end_turn", None)
    assert (body["usage"]["input_tokens"], body["usage"]["output_tokens"]) == (5, 40)


def test_an_anthropic_stream_builds_the_whole_reply(mock):
    asked = {
        "thinking": {"type": "adaptive"},
        "tools": [
            {
                "name": "get_time",
                "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}},
            }
        ],
        "tool_choice": {"type": "any"},
    }
    whole = reply(mock, "/v1/messages", {**CLAUDE, **asked}, **VERSION)[1]
    told = events(mock, **asked)
    assert [event["type"] for event in told[:2]] == ["message_start", "ping"]
    assert [event["type"] for event in told[-2:]] == ["message_delta", "message_stop"]
    built = []
    for event in told:
        match event:
            case {"type": "content_block_start", "content_block": block}:
                built.append(dict(block))
            case {"delta": {"type": "thinking_delta", "thinking": text}}:
                built[-1]["thinking"] += text
            case {"delta": {"type": "signature_delta", "signature": text}}:
                built[-1]["signature"] += text
            case {"delta": {"type": "input_json_delta", "partial_json": text}}:
                built[-1]["json"] = built[-1].get("json", "") + text
    assert built[0] == whole["content"][0]
    assert (
        json.loads(built[1].pop("json")) == whole["content"][1]["input"] == {"zone": "mock zone"}
    )
    assert told[-2]["usage"]["output_tokens"] == whole["usage"]["output_tokens"]
    assert told[-2]["delta"]["stop_reason"] == whole["stop_reason"] == "tool_use"


def test_anthropics_words_stream_in_deltas_and_stop_at_a_sequence(mock):
    asked = {"stop_sequences": ["hi"]}
    told = events(mock, **asked)
    assert (
        "".join(e["delta"]["text"] for e in told if e["type"] == "content_block_delta")
        == "You said: "
    )
    assert told[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "hi"}


def test_cached_tokens_are_part_of_chats_input_and_apart_from_anthropics(mock):
    script = {"x_mock_cached": "2", "x_mock_cache_write": "1"}
    usage = reply(mock, "/v1/chat/completions", HI, **script)[1]["usage"]
    assert (usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]) == (5, 2)
    usage = reply(mock, "/v1/messages", CLAUDE, **script, **VERSION)[1]["usage"]
    assert (
        usage["input_tokens"],
        usage["cache_read_input_tokens"],
        usage["cache_creation_input_tokens"],
    ) == (2, 2, 1)


@pytest.mark.req("R-MOCK-003")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503, 529])
def test_scripted_errors_have_each_dialects_own_body(mock, status):
    code, fields, data = sent(mock, "/v1/chat/completions", HI, x_mock_status=str(status))
    assert code == status
    assert set(json.loads(data)["error"]) == {"message", "type", "param", "code"}
    assert ("retry-after" in fields) == (status == 429)
    code, fields, data = sent(mock, "/v1/messages", CLAUDE, x_mock_status=str(status), **VERSION)
    body = json.loads(data)
    assert (code, body["type"], body["request_id"]) == (status, "error", fields["request-id"])
    assert body["error"]["type"].endswith(("_error", "_large"))


def test_services_have_their_own_errors(mock):
    script = {
        "x_mock_status": "429",
        "x_mock_retry_after": "7",
        "x_mock_message": "slow",
        "x_mock_error_type": "t",
        "x_mock_error_code": "c",
    }
    _, fields, data = sent(mock, "/openrouter/api/v1/chat/completions", HI, **script)
    assert (json.loads(data)["error"], fields["retry-after"]) == (
        {"message": "slow", "code": 429},
        "7",
    )
    assert reply(mock, "/mistral/v1/chat/completions", HI, **script)[1] == {
        "object": "error",
        "message": "slow",
        "type": "t",
        "param": None,
        "code": "c",
    }
    assert (
        "retry-after"
        not in sent(mock, "/v1/x", HI, x_mock_status="429", x_mock_retry_after="none")[1]
    )
    assert (
        reply(mock, "/v1/messages", CLAUDE, x_mock_status="502", **VERSION)[1]["error"]["message"]
        == "The mock fails with 502."
    )


def test_a_status_below_400_is_sent_with_the_usual_answer(mock):
    status, body = reply(mock, "/v1/chat/completions", HI, x_mock_status="202")
    assert (status, body["object"]) == (202, "chat.completion")


def test_an_error_inside_a_stream_is_the_dialects_own(mock):
    _, _, data = sent(mock, "/v1/chat/completions", {**HI, "stream": True}, x_mock_error_after="2")
    assert (
        json.loads(data.split(b"\n\n")[2].removeprefix(b"data: "))["error"]["code"] == "overloaded"
    )
    assert b"[DONE]" not in data
    _, _, data = sent(
        mock, "/v1/messages", {**CLAUDE, "stream": True}, x_mock_error_after="1", **VERSION
    )
    assert data.split(b"\n\n")[1].startswith(
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"'
    )


@pytest.mark.parametrize(
    ("path", "asked", "headers"),
    [("/v1/chat/completions", HI, {}), ("/v1/messages", CLAUDE, VERSION)],
)
def test_usage_ends_and_reasons_may_be_missing_or_odd(mock, path, asked, headers):
    body = reply(mock, path, asked, x_mock_usage="off", x_mock_finish="eos", **headers)[1]
    assert "usage" not in body
    assert "eos" in json.dumps(body)
    body = reply(mock, path, asked, x_mock_finish="null", **headers)[1]
    assert '_reason": null' in json.dumps(body)
    stream = {
        **asked,
        "stream": True,
        **({"stream_options": {"include_usage": True}} if path.endswith("completions") else {}),
    }
    _, _, data = sent(
        mock, path, stream, x_mock_usage="no", x_mock_done="no", x_mock_comments="2", **headers
    )
    assert data.startswith(b": keep-alive\n\n: keep-alive\n\n")
    assert b"usage" not in data
    assert b"[DONE]" not in data
    assert b"message_stop" not in data


def test_words_in_a_frame_are_scripted(mock):
    few = chunks(mock, model="m--mock-words-1000")
    assert len(few) == 3


def test_embeddings_are_unit_vectors_of_the_size_asked_for(mock):
    body = {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 8}
    told = reply(mock, "/v1/embeddings", body)[1]
    assert [row["index"] for row in told["data"]] == [0, 1]
    vector = told["data"][0]["embedding"]
    assert sum(value * value for value in vector) == pytest.approx(1, abs=1e-6)
    assert vector != told["data"][1]["embedding"]
    assert told["usage"] == {"prompt_tokens": 2, "total_tokens": 2}
    packed = reply(mock, "/v1/embeddings", {**body, "encoding_format": "base64"})[1]["data"][0][
        "embedding"
    ]
    assert struct.unpack("<8f", base64.b64decode(packed)) == pytest.approx(vector, abs=1e-6)


def test_embeddings_take_texts_and_tokens_and_know_usual_sizes(mock):
    def size(**body):
        rows = reply(mock, "/v1/embeddings", {"model": "m", **body})[1]["data"]
        return len(rows), len(rows[0]["embedding"])

    assert size(input="a") == (1, 1536)
    assert size(input=[1, 2]) == (1, 1536)
    assert size(input=[[1], [2]], dimensions=4) == (2, 4)
    assert size(model="text-embedding-3-large", input="a") == (1, 3072)
    assert (
        "usage"
        not in reply(mock, "/v1/embeddings", {"model": "m", "input": "a"}, x_mock_usage="off")[1]
    )


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "a"}, "model"),
        ({"model": "m"}, "input"),
        ({"model": "m", "input": []}, "input"),
        ({"model": "m", "input": "a", "dimensions": 9999}, "dimensions"),
    ],
)
def test_bad_embeddings_are_refused(mock, body, param):
    status, told = reply(mock, "/v1/embeddings", body)
    assert (status, told["error"]["param"]) == (400, param)


def test_models_are_listed_in_the_dialect_that_asks(mock):
    listed = reply(mock, "/v1/models")[1]
    assert listed["object"] == "list"
    assert listed["data"][0]["object"] == "model"
    assert reply(mock, "/v1/models", **VERSION)[1]["last_id"] == listed["data"][-1]["id"]
    assert reply(mock, "/openrouter/api/v1/models/openai/gpt-4o")[1]["id"] == "openai/gpt-4o"
    assert reply(mock, "/v1/models/claude", **VERSION)[1]["type"] == "model"


def test_tokens_are_counted_without_an_answer(mock):
    assert reply(
        mock, "/v1/messages/count_tokens", {"model": "m", "messages": HI["messages"]}
    ) == (200, {"input_tokens": 5})


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/chat/completions", b"{", 400),
        ("/v1/chat/completions", b"[]", 400),
        ("/v1/chat/completions", b"\xff", 400),
        ("/v1/chat/completions", {**HI, "stop": 5}, 400),
        (
            "/v1/chat/completions",
            {
                **HI,
                "tools": [{"function": {"name": "f", "parameters": 5}}],
                "tool_choice": "required",
            },
            200,
        ),
        ("/v1/messages", CLAUDE, 400),
        ("/v1/nowhere", HI, 404),
        ("/v1/nowhere", None, 404),
        ("/v1/chat/completions", {**HI, "model": "m--mock-nonsense"}, 400),
    ],
)
def test_bad_requests_are_answered_in_the_dialect(mock, path, body, status):
    code, told = reply(mock, path, body)
    assert code == status
    assert ("error" in told) == (status >= 400)


@pytest.mark.parametrize(
    "header", [{"authorization": "Bearer sk-invalid"}, {"x_api_key": "invalid"}]
)
def test_a_few_keys_are_wrong(mock, header):
    status, body = reply(mock, "/v1/chat/completions", HI, **header)
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.req("R-MOCK-006")
def test_the_same_seed_gives_the_same_fates_and_another_seed_others():
    def fates(seed):
        mock = Mock(MockConfig(base_delay=0, seed=seed, enable_logs=False))
        told = [exchange(mock, "/v1/chat/completions", HI) for _ in range(60)]
        return [(each.status, [step.delay_s for step in each.play.steps]) for each in told]

    assert fates(1) == fates(1)
    assert fates(1) != fates(2)
    unseeded = Mock(IMMEDIATE)
    assert reply(unseeded, "/v1/chat/completions", HI)[0] == 200


@pytest.mark.req("R-MOCK-001", "R-MOCK-003")
def test_the_rates_are_kept_and_the_delay_stays_within_its_variance():
    mock = Mock(
        MockConfig(error_rate=0.3, timeout_rate=0.2, token_speed=0, seed=3, enable_logs=False)
    )
    told = [exchange(mock, "/v1/chat/completions", HI) for _ in range(2000)]
    silent = sum(each.play.ending == "hang" for each in told)
    failed = [each.status for each in told if each.status >= 400]
    assert 320 <= silent <= 480
    assert 0.25 <= len(failed) / (2000 - silent) <= 0.35
    assert set(failed) == {429, 500, 503, 400}
    delays = [each.play.steps[0].delay_s for each in told if each.play.steps]
    assert 0.1 <= min(delays) < 0.12
    assert 0.28 < max(delays) <= 0.3


def test_a_scripted_request_rolls_no_dice_and_keeps_its_own_time():
    mock = Mock(MockConfig(error_rate=1, timeout_rate=1, enable_logs=False))
    told = exchange(mock, "/v1/chat/completions", {**HI, "model": "m--mock-ok"})
    assert told.status == 200
    timed = exchange(mock, "/v1/chat/completions", HI, x_mock_delay="50", x_mock_text="abcd")
    assert timed.play.steps[0].delay_s == pytest.approx(0.05 + 1 / 25)
    paced = exchange(
        mock,
        "/v1/chat/completions",
        {**HI, "stream": True},
        x_mock_delay="0",
        x_mock_chunk_delay="20",
    )
    assert {step.delay_s for step in paced.play.steps} == {0.0, 0.02}


@pytest.mark.req("R-MOCK-002")
def test_the_configuration_is_read_patched_and_reset(mock):
    start = reply(mock, "/mock/config")[1]
    assert reply(mock, "/mock/config", {"errorRate": 1, "seed": 9}) == (
        200,
        {**start, "errorRate": 1, "seed": 9},
    )
    assert reply(mock, "/v1/chat/completions", HI)[0] in {429, 500, 503, 400}
    assert reply(mock, "/mock/config", {"errorRate": 3})[0] == 400
    sent(mock, "/mock/script", {"status": 503})
    assert reply(mock, "/mock/reset", b"") == (200, start)
    assert reply(mock, "/mock/script")[1] == {"scripts": []}
    assert reply(mock, "/v1/chat/completions", HI)[1]["id"] == "chatcmpl-mock000001"


def test_scripts_are_queued_shown_and_cleared(mock):
    assert reply(mock, "/mock/script", [{"status": 503, "times": 2}])[1] == {
        "scripts": [{"status": 503, "times": 2}]
    }
    assert [reply(mock, "/v1/chat/completions", HI)[0] for _ in range(3)] == [503, 503, 200]
    sent(mock, "/mock/script", {"status": 503})
    assert sent(mock, "/mock/script", None, "DELETE")[2] == b'{"scripts":[]}'
    assert reply(mock, "/mock/script", {"nonsense": 1})[0] == 400
    assert reply(mock, "/mock/nowhere")[0] == 404
    assert reply(mock, "/health")[1]["status"] == "ok"


def test_the_truth_has_what_was_billed_and_not_what_was_said(mock):
    lines = []
    mock = Mock(
        MockConfig(base_delay=0, delay_variance=0, error_rate=0, timeout_rate=0, token_speed=0),
        log=lines.append,
    )
    trace = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "authorization": "Bearer secret"}
    for left in (False, True):
        told = exchange(mock, "/v1/chat/completions", HI, x_mock_usage="off", **trace)
        mock.sent(told)
        mock.finish(told, 7, whole=not left, left=left)
    silent = exchange(mock, "/v1/chat/completions", HI, x_mock_hang="yes")
    mock.finish(silent, 0, whole=False, left=True)
    whole, gone, hung = reply(mock, "/mock/truth")[1]["requests"]
    assert (whole["status"], whole["input"], whole["output"], whole["attempt"], whole["left"]) == (
        200,
        5,
        40,
        1,
        None,
    )
    assert (gone["output"], gone["attempt"], gone["left"] is not None) == (7, 2, True)
    assert (hung["status"], hung["input"], hung["script"]) == (None, 0, {"hang": True})
    assert whole["auth"].startswith("authorization:")
    assert "secret" not in json.dumps([whole, lines])
    assert len(reply(mock, "/mock/truth?limit=1")[1]["requests"]) == 1
    assert "5+40 tokens" in lines[0]
    assert lines[0].endswith("whole")
    assert lines[1].endswith("caller left")
    assert reply(mock, "/mock/truth/reset", b"")[1] == {"status": "ok"}
    assert reply(mock, "/mock/truth")[1]["totals"]["requests"] == 0
    mock.finish(exchange(mock, "/health"), 0, whole=True)
    assert len(lines) == 3
