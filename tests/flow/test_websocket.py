"""Chat over a WebSocket: what is said and answered, told apart, and never lost on the way."""

import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from servers import KEY, until
from talking import CHAT, talking

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"location": {"type": "string"}},
            "required": ["location"],
        },
    },
}


@pytest.mark.req("R-WS-001", "R-WS-002", "R-ADD-017")
def test_who_says_its_key_is_let_in_and_told_its_role(gateway):
    with talking(gateway, key=None) as talk:
        assert talk.told(type="auth", apiKey=KEY) == {"type": "auth.ok", "role": "user"}
        assert talk.told(type="auth", apiKey=KEY)["already"] is True
        other = talk.told(type="auth", apiKey="drg_another")
        assert (other["type"], other["code"]) == ("error", "auth")


@pytest.mark.req("R-WS-002", "R-ADD-017")
def test_a_bad_key_and_a_chat_without_any_are_refused_and_a_good_key_may_follow(gateway):
    with talking(gateway, key=None) as talk:
        talk.ask("ws-early")
        early = talk.hear()
        assert (early["code"], early["requestId"]) == ("auth_required", "ws-early")
        assert talk.told(type="auth", apiKey="nonsense")["code"] == "auth"
        assert talk.told(type="auth")["code"] == "auth"
        assert talk.told(type="auth", apiKey=KEY)["type"] == "auth.ok"


def test_who_tries_keys_is_let_go(gateway):
    with talking(gateway, key=None) as talk:
        codes = [talk.told(type="auth", apiKey=f"wrong {n}")["code"] for n in range(3)]
        assert codes == ["auth"] * 3
        with pytest.raises(ConnectionClosed) as closed:
            talk.hear()
        assert closed.value.rcvd.code == 1008


@pytest.mark.parametrize(
    "options",
    [
        {"additional_headers": {"Authorization": f"Bearer {KEY}"}},
        {"additional_headers": {"x-api-key": KEY}},
        {"path": f"/ws?key={KEY}"},
        {"subprotocols": ["dragoman.chat", f"openai-insecure-api-key.{KEY}"]},
    ],
    ids=["bearer", "x-api-key", "query", "subprotocol"],
)
def test_a_key_may_come_with_the_handshake(gateway, options):
    with talking(gateway, key=None, **options) as talk:
        assert talk.answer("ws-at-once")[-1]["type"] == "chat.complete"
        if "subprotocols" in options:
            assert talk.socket.subprotocol == "dragoman.chat", "never the key"
    assert f"key={KEY}" not in gateway.log.read_text()


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"additional_headers": {"Authorization": "Bearer nonsense"}}, 401),
        ({"additional_headers": {"Authorization": f"Bearer {KEY}", "x-api-key": "drg_b"}}, 400),
        ({"path": f"/ws?key={KEY}", "subprotocols": ["openai-insecure-api-key.drg_b"]}, 400),
    ],
    ids=["bad", "two", "two places"],
)
def test_a_bad_key_in_the_handshake_opens_nothing(gateway, options, status):
    with pytest.raises(InvalidStatus) as refused, talking(gateway, key=None, **options):
        pass
    response = refused.value.response
    assert response.status_code == status
    assert json.loads(response.body)["error"]["message"]


@pytest.mark.req("R-WS-003", "R-WS-007")
def test_a_ping_gets_a_pong(gateway):
    with talking(gateway) as talk:
        assert talk.told(type="ping") == {"type": "pong"}
        assert talk.told(type="ping", requestId="p1") == {"type": "pong", "requestId": "p1"}


@pytest.mark.req("R-WS-004", "R-WS-005", "R-WS-006")
def test_a_whole_answer_is_the_one_of_a_post_and_stands_in_the_ledger(gateway):
    posted = gateway.chat(text="What is over there?").json()
    with talking(gateway) as talk:
        start, end = talk.answer("ws-whole", text="What is over there?")
    assert start == {"type": "chat.start", "requestId": "ws-whole"}
    choice = posted["choices"][0]
    assert end["type"] == "chat.complete"
    assert end["response"] == choice["message"]["content"]
    assert end["message"] == choice["message"] == end["completion"]["choices"][0]["message"]
    assert end["finishReason"] == "stop"
    assert end["usage"] == posted["usage"]
    assert end["providerId"] == "openai"
    assert isinstance(end["latencyMs"], int)
    assert end["headers"]["x-dragoman-cost-usd"]
    row = gateway.row("ws-whole")
    assert (row["status"], row["http_status"]) == ("complete", 200)
    assert row["output_tokens"] == posted["usage"]["completion_tokens"]
    # A line of the log is written a moment after what it tells.
    assert until(lambda: '"route":"/ws"' in gateway.log.read_text(), 5)


@pytest.mark.req("R-WS-010")
@pytest.mark.parametrize("model", [CHAT, "anthropic/claude-sonnet-4-5"])
def test_the_pieces_of_a_stream_come_to_the_whole_answer(gateway, model):
    with talking(gateway) as talk:
        start, *deltas, end = talk.answer(f"ws-{model[:6]}", model=model, stream=True)
        whole = talk.answer("ws-again", model=model)[-1]
    assert start["type"] == "chat.start"
    assert {delta["type"] for delta in deltas} == {"chat.delta"}
    assert len(deltas) > 3
    assert "".join(delta["delta"] for delta in deltas) == end["response"] == whole["response"]
    assert end["message"]["content"] == end["response"]
    assert (end["finishReason"], end["usage"]["total_tokens"]) == (
        "stop",
        whole["usage"]["total_tokens"],
    )
    assert deltas[0]["chunk"]["object"] == "chat.completion.chunk"
    assert "completion" not in end
    row = gateway.row(f"ws-{model[:6]}")
    assert row["stream"] is True
    assert row["output_tokens"] == end["usage"]["completion_tokens"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [CHAT, "anthropic/claude-sonnet-4-5"])
def test_tool_calls_are_not_lost(gateway, model, stream):
    model = f"{model}--mock-tool-calls-get_weather"
    said = {"tools": [TOOL], "temperature": 0.2, "tool_choice": "required", "stream": stream}
    with talking(gateway) as talk:
        end = talk.answer("ws-tools", model=model, text="get_weather in Rome", **said)[-1]
    calls = end["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["get_weather"]
    assert json.loads(calls[0]["function"]["arguments"])["location"]
    assert calls[0]["id"]
    assert calls[0]["type"] == "function"
    assert end["finishReason"] == "tool_calls"


def test_a_request_without_an_id_is_given_one(gateway):
    with talking(gateway) as talk:
        said = {"model": CHAT, "messages": [{"role": "user", "content": "hi"}]}
        start = talk.told(type="chat.completions", **said)
        end = talk.hear()
    assert start["requestId"] == end["requestId"]
    assert gateway.row(start["requestId"])["status"] == "complete"


WRONG = [
    ("{", "bad_json"),
    ('{"type": "ping"} x', "bad_json"),
    ("[" * 5000, "bad_request"),
    ('{"type": "chat.completions", "model": "m", "messages": ' + "[" * 5000, "bad_json"),
    ("[]", "bad_request"),
    ("1", "bad_request"),
    (b'{"type": "ping"}', "bad_request"),
    ("{}", "unknown_type"),
    ('{"type": 1}', "unknown_type"),
    ('{"type": "subscribe"}', "unknown_type"),
    ('{"type": "ping", "requestId": 7}', "bad_request"),
    ('{"type": "ping", "requestId": "' + "x" * 200 + '"}', "bad_request"),
    ('{"type": "chat.completions", "messages": []}', "bad_request"),
    ('{"type": "chat.completions", "model": "m"}', "bad_request"),
    ('{"type": "chat.completions", "model": "m", "messages": "hi"}', "bad_request"),
    ('{"type": "chat.completions", "model": "openai/gpt-4o-mini", "messages": []}', "bad_request"),
    ('{"type": "chat.completions", "model": "nobody/has-it", "messages": [{}]}', "bad_request"),
]


@pytest.mark.req("R-WS-009", "R-ADD-017")
def test_what_makes_no_sense_is_told_and_the_connection_stays(gateway):
    with talking(gateway) as talk:
        for message, code in WRONG:
            talk.socket.send(message)
            frame = talk.hear()
            if frame["type"] == "chat.start":
                frame = talk.hear()
            assert (frame["type"], frame["code"]) == ("error", code), message[:80]
            assert frame["message"]
        assert talk.told(type="ping") == {"type": "pong"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_of_the_provider_is_told_with_its_whole_story(gateway, stream):
    with talking(gateway) as talk:
        end = talk.answer(f"ws-down-{stream}", model=f"{CHAT}--mock-status-500", stream=stream)[-1]
    assert end["code"] == ("stream_error" if stream else "internal")
    assert end["status"] >= 500
    assert end["error"]["message"] == end["message"]
    assert end["error"]["dragoman"]["request_id"] == f"ws-down-{stream}"
    assert gateway.row(f"ws-down-{stream}")["status"] == "upstream_error"


def test_a_stream_that_breaks_off_ends_with_an_error(gateway):
    with talking(gateway) as talk:
        model = f"{CHAT}--mock-error-after-4"
        start, *deltas, end = talk.answer("ws-broken", model=model, stream=True)
        assert talk.told(type="ping") == {"type": "pong"}
    assert start["type"] == "chat.start"
    assert any(delta["delta"] for delta in deltas)
    assert (end["type"], end["code"]) == ("error", "stream_error")
    assert end["error"]["message"]


def test_requests_of_one_connection_run_beside_each_other_and_are_told_apart(gateway):
    with talking(gateway) as talk:
        talk.ask("ws-slow", model=f"{CHAT}--mock-delay-700", stream=True)
        talk.ask("ws-quick", text="Be quick")
        talk.ask("ws-slow", text="the same id again")
        heard = [talk.hear()]
        while not any(
            frame["requestId"] == "ws-slow" and frame["type"] == "chat.complete" for frame in heard
        ):
            heard.append(talk.hear())
    ends = {(frame["requestId"], frame["type"]): frame for frame in heard}
    assert ("ws-quick", "chat.complete") in ends
    assert heard[-1]["requestId"] == "ws-slow"
    assert heard[-1]["response"]
    assert ends["ws-slow", "error"]["code"] == "bad_request"


def test_more_requests_than_a_connection_may_have_are_refused(gateway):
    with talking(gateway) as talk:
        for number in range(34):
            talk.ask(f"ws-many-{number}", model=f"{CHAT}--mock-delay-1500")
        refused = [frame for frame in (talk.hear() for _ in range(34)) if frame["type"] == "error"]
        assert [frame["requestId"] for frame in refused] == ["ws-many-32", "ws-many-33"]
        assert {frame["code"] for frame in refused} == {"rate_limited"}


@pytest.mark.req("R-WS-001")
def test_a_plain_request_is_told_that_it_is_a_websocket(gateway):
    assert gateway.ask("GET", "/ws", key=None).status == 401
    reply = gateway.ask("GET", "/ws")
    assert reply.status == 426
    assert reply.headers["upgrade"] == "websocket"
    assert reply.json()["error"]["code"] == "upgrade_required"


def test_elsewhere_there_is_no_websocket(gateway):
    with pytest.raises(InvalidStatus) as refused, talking(gateway, path="/v1/realtime"):
        pass
    assert refused.value.response.status_code == 404
