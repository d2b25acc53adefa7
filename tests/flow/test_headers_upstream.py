"""What reaches a provider, and what reaches nobody (D9, K8).

The provider here only writes down what it gets; the gateway in front of it holds credentials
that are looked for afterwards wherever they have no business.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dragoman import __version__
from replay import Answer, Seen, Upstream, replaying
from servers import KEY, Server, gateway_server, providers_at

PROVIDER_KEY = "sk-canaryPROVIDER0123456789abcdefCANARY"
CLAUDE_KEY = "sk-ant-canaryPROVIDER0123456789abcdefCANARY"
PLAIN_KEY = "canaryPROVIDERwithoutanyform42"
"""Not every provider's keys look like keys: Mistral's do not."""
TRACE = "0af7651916cd43dd8448eb211c80319c"
HELLO = [{"role": "user", "content": "Hello"}]

CHAT_REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
CHAT_STREAM = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}]}\n\n'
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
    b'[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
ENVIRONMENT = {
    "OPENAI_API_KEY": PROVIDER_KEY,
    "ANTHROPIC_API_KEY": CLAUDE_KEY,
    "MISTRAL_API_KEY": PLAIN_KEY,
}


def json_answer(body, status=200) -> Answer:
    return Answer(json.dumps(body).encode(), status)


@pytest.fixture(scope="module")
def provider():
    with replaying() as upstream:
        upstream.answers = {
            "chat": json_answer(CHAT_REPLY),
            "claude": json_answer(MESSAGE),
            "flow": Answer(CHAT_STREAM, content_type="text/event-stream", streamed=True),
        }
        yield upstream


@pytest.fixture(scope="module")
def front(provider, tmp_path_factory):
    folder = tmp_path_factory.mktemp("front")
    environment = {**providers_at(provider.port), **ENVIRONMENT}
    with gateway_server(folder, **environment) as server:
        yield server


def sent(provider: Upstream, reply, model: str) -> Seen:
    """The one request that went to the provider, once it has answered."""
    assert reply.status == 200, reply.body
    return provider.sent_for(model)[-1]


FORWARDED = {
    "host",
    "content-length",
    "connection",
    "content-type",
    "accept",
    "accept-encoding",
    "user-agent",
    "traceparent",
}
"""All that HTTP needs and D9 allows, beside the credential."""

NEVER = {
    "cookie": "session=secret-cookie",
    "x-stainless-lang": "python",
    "x-stainless-retry-count": "0",
    "x-stainless-helper-method": "stream",
    "x-forwarded-for": "203.0.113.9",
    "x-forwarded-proto": "https",
    "forwarded": "for=203.0.113.9",
    "x-real-ip": "203.0.113.9",
    "openai-organization": "org-secret",
    "openai-project": "proj-secret",
    "x-goog-api-key": "drg_test",
    "api-key": "drg_test",
    "x-dragoman-strict": "false",
    "x-dragoman-anything": "at all",
    "x-request-id": "callers-label",
    "x-custom": "whatever",
    "referer": "https://caller.example",
    "tracestate": "vendor=secret",
    "baggage": "user=secret",
    "proxy-authorization": "Basic c2VjcmV0",
}


@pytest.mark.req("R-OBS-004")
def test_a_chat_provider_gets_our_headers_and_no_others(front, provider):
    reply = front.chat("openai/chat", headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
    got = sent(provider, reply, "chat").named
    assert got["user-agent"] == f"dragoman/{__version__}"
    assert got["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert got["content-type"] == "application/json"
    assert got["host"] == f"127.0.0.1:{provider.port}"
    version, trace, span, flags = got["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert span != "b7ad6b7169203331"
    assert set(got) <= FORWARDED | {"authorization"}


def test_a_trace_of_our_own_is_begun_where_the_caller_has_none(front, provider):
    reply = front.chat("openai/chat")
    got = sent(provider, reply, "chat").named
    assert got["traceparent"].split("-")[1] == reply.headers["x-trace-id"]


def test_anthropic_gets_its_own_credential_and_version(front, provider):
    reply = front.message("anthropic/claude")
    got = sent(provider, reply, "claude").named
    assert got["x-api-key"] == CLAUDE_KEY
    assert got["anthropic-version"] == "2023-06-01"
    assert "authorization" not in got
    assert set(got) <= FORWARDED | {"x-api-key", "anthropic-version"}


@pytest.mark.req("R-SEC-004")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("model", ["openai/chat", "anthropic/claude"])
def test_nothing_of_the_callers_own_headers_reaches_a_provider(front, provider, path, model):
    body = {"model": model, "max_tokens": 5, "messages": HELLO}
    reply = front.ask("POST", path, body, headers={**NEVER, "authorization": f"Bearer {KEY}"})
    request = sent(provider, reply, model.partition("/")[2])
    assert not set(request.named) & set(NEVER)
    assert KEY not in str(request.headers)
    assert "secret" not in str(request.headers)
    assert "203.0.113.9" not in str(request.headers)


FAMILY = {
    "anthropic-version": "2099-01-01",
    "anthropic-beta": "tools-of-tomorrow",
    "openai-beta": "assistants=v9",
    "http-referer": "https://caller.example",
    "x-title": "Caller",
    "x-goog-api-client": "gl-python",
}


def test_headers_of_a_family_reach_that_family_and_only_from_its_own_clients(front, provider):
    body = {"model": "", "max_tokens": 5, "messages": HELLO}

    def got(path, model):
        reply = front.ask("POST", path, {**body, "model": model}, headers=FAMILY)
        named = sent(provider, reply, model.partition("/")[2]).named
        return {name: named[name] for name in FAMILY if name in named}

    assert got("/v1/messages", "anthropic/claude") == {
        "anthropic-version": "2099-01-01",
        "anthropic-beta": "tools-of-tomorrow",
    }
    assert got("/v1/chat/completions", "openai/chat") == {"openai-beta": "assistants=v9"}
    assert got("/v1/chat/completions", "anthropic/claude") == {"anthropic-version": "2023-06-01"}
    assert got("/v1/messages", "openai/chat") == {}


def test_openrouter_learns_whose_program_it_serves_and_nobody_else_does(front, provider):
    reply = front.chat("openrouter/chat", headers=FAMILY)
    got = sent(provider, reply, "chat").named
    assert got["http-referer"] == "https://caller.example"
    assert got["x-title"] == "Caller"
    reply = front.chat("groq/chat", headers=FAMILY)
    assert not {"http-referer", "x-title"} & set(sent(provider, reply, "chat").named)


def test_a_query_reaches_its_own_family_and_a_key_in_it_nobody(front, provider):
    body = {"model": "anthropic/claude", "max_tokens": 5, "messages": HELLO}
    reply = front.ask("POST", "/v1/messages?beta=true&key=drg_test&x=1", body)
    assert sent(provider, reply, "claude").target.endswith("/v1/messages?beta=true")
    body["model"] = "openai/chat"
    reply = front.ask("POST", "/v1/messages?beta=true", body)
    assert "?" not in sent(provider, reply, "chat").target


def test_a_query_cannot_smuggle_another_one(front, provider):
    body = {"model": "anthropic/claude", "max_tokens": 5, "messages": HELLO}
    reply = front.ask("POST", "/v1/messages?beta=true%26key%3Ddrg_test%0d%0ax:y", body)
    target = sent(provider, reply, "claude").target
    assert "key=" not in target
    assert "\n" not in target


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_stream_is_asked_for_uncompressed(front, provider, path):
    body = {"model": "openai/flow", "max_tokens": 5, "messages": HELLO, "stream": True}
    got = sent(provider, front.ask("POST", path, body), "flow").named
    assert got["accept-encoding"] == "identity"
    assert got["accept"] == "text/event-stream"


# ------------------------------------------------------------------ secrets


FAILURES = (400, 401, 403, 404, 422, 429, 500)
PROMPT = "the-prompt-is-a-CANARY-9b1f"


def error_body(text: str) -> dict:
    return {"error": {"message": text, "type": "invalid_request_error", "code": "invalid_api_key"}}


def echoing(status: int, keys: str = f"{PROVIDER_KEY} or {CLAUDE_KEY}") -> Answer:
    """A provider that writes the gateway's keys into its errors, as some do."""
    text = f"Incorrect API key provided: {keys}."
    return json_answer(error_body(text), status)


def stream_that_tells(kind: str) -> Answer:
    text = json.dumps(error_body(f"the key {PROVIDER_KEY} or {CLAUDE_KEY} is no good"))
    if kind == "chat":
        data = CHAT_STREAM.split(b"\n\n", 1)[0] + b"\n\ndata: " + text.encode() + b"\n\n"
    else:
        begun = {"type": "message_start", "message": {**MESSAGE, "content": []}}
        block = {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": "Hi"},
        }
        frames = [begun, block, {"type": "error", **json.loads(text)}]
        data = b"".join(
            b"event: %b\ndata: %b\n\n" % (frame["type"].encode(), json.dumps(frame).encode())
            for frame in frames
        )
    return Answer(data, content_type="text/event-stream", streamed=True)


def stored_key(folder: Path) -> str:
    """A key made on the command line, as an operator makes one."""
    made = subprocess.run(
        [sys.executable, "-m", "dragoman", "keys", "create", "--name", "canary", "--json"],
        env={"PATH": "/usr/bin:/bin", "DRAGOMAN_HOME": str(folder / "home"), "MODE": "local"},
        capture_output=True,
        check=True,
        timeout=60,
    )
    return json.loads(made.stdout)["key"]


def say_everything(server: Server, provider: Upstream, key: str) -> list[bytes]:
    """Every kind of request that holds a secret; the bodies of the answers that are errors."""
    errors: list[bytes] = []
    prompt = [{"role": "user", "content": PROMPT}]
    for status in FAILURES:
        provider.answers[f"bad{status}"] = echoing(status)
        provider.answers[f"plain{status}"] = echoing(status, PLAIN_KEY)
    for kind in ("chat", "anthropic"):
        provider.answers[f"torn{kind}"] = stream_that_tells(kind)
    good = {"openai/chat", "anthropic/claude", "openai/flow"}
    names = ["openai/tornchat", "anthropic/tornanthropic", *sorted(good), f"openai/{PROMPT}"]
    failing = ("openai/bad", "anthropic/bad", "mistral/plain")
    names += [f"{name}{status}" for name in failing for status in FAILURES]
    for path in ("/v1/chat/completions", "/v1/messages"):
        for model in names:
            stream = "torn" in model or "flow" in model
            body = {"model": model, "max_tokens": 9, "messages": prompt, "stream": stream}
            reply = server.ask("POST", path, body, key=key)
            if model not in good and PROMPT not in model:
                errors.append(reply.body)
        for wrong in (
            {"model": "openai/chat", "messages": PROMPT},
            {"model": "anthropic/claude", "messages": [{"role": PROMPT, "content": 7}]},
            {"model": "openai/chat", "messages": [{"role": "user", "content": {"x": PROMPT}}]},
            {"model": "nothing-like-it", "messages": prompt},
        ):
            reply = server.ask("POST", path, wrong, key=key)
            errors.append(reply.body)
        errors.append(server.ask("POST", path, b'{"model":"' + PROMPT.encode(), key=key).body)
    errors.append(server.ask("GET", "/v1/models", key=key + "x").body)
    errors.append(server.ask("GET", "/v1/models", headers={"x-api-key": key[:-1] + "~"}).body)
    return errors


@pytest.mark.req("R-SEC-004", "R-SEC-006", "R-OBS-007", "R-AUTH-006", "R-AUTH-007", "R-ADD-034")
def test_no_secret_is_in_a_log_a_metric_an_error_or_a_file(provider, tmp_path):
    key = stored_key(tmp_path)
    environment = {**providers_at(provider.port), **ENVIRONMENT, "LOG_LEVEL": "debug"}
    with gateway_server(tmp_path, **environment) as server:
        errors = say_everything(server, provider, key)
        pages = [
            server.ask("GET", page, key=key).body
            for page in (
                "/metrics",
                "/health",
                "/v1/usage?group=request&limit=1000",
                "/openapi.json",
            )
        ]
    places = {f"error {place}": body for place, body in enumerate(errors)}
    places |= {f"page {place}": body for place, body in enumerate(pages)}
    places |= {
        str(path.relative_to(tmp_path)): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    assert len(errors) > 40
    assert any(name.endswith(".db") for name in places), sorted(places)
    assert b"dragoman_requests_total" in places["page 0"]
    secrets = {
        "a provider's key": PROVIDER_KEY,
        "Anthropic's key": CLAUDE_KEY,
        "Mistral's key": PLAIN_KEY,
        "the caller's key": key,
        "its secret part": key.rpartition("_")[2],
    }
    found = [
        f"{what} is in {where}: …{text_around(body, secret)}…"
        for what, secret in secrets.items()
        for where, body in places.items()
        if secret.encode() in body
    ]
    assert found == []


@pytest.mark.req("R-OBS-007", "R-OBS-008")
def test_no_prompt_is_in_a_log_a_metric_or_a_file_and_none_is_echoed(provider, tmp_path):
    environment = {**providers_at(provider.port), **ENVIRONMENT, "LOG_LEVEL": "debug"}
    prompt = [{"role": "user", "content": PROMPT}]
    wrong = (
        {"model": "openai/chat", "max_tokens": 9, "messages": PROMPT},
        {
            "model": "anthropic/claude",
            "max_tokens": 9,
            "messages": [{"role": 7, "content": PROMPT}],
        },
        {"model": "anthropic/claude", "max_tokens": PROMPT, "messages": prompt},
        {
            "model": "openai/chat",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": {PROMPT: 1}}],
        },
        {"model": "nothing-like-it", "max_tokens": 9, "messages": prompt},
        {"model": "openai/chat", "max_tokens": 9, "messages": prompt, "tools": PROMPT},
    )
    with gateway_server(tmp_path, **environment) as server:
        for path in ("/v1/chat/completions", "/v1/messages"):
            for model, stream in (
                ("openai/chat", False),
                ("openai/flow", True),
                ("anthropic/claude", False),
            ):
                body = {"model": model, "max_tokens": 9, "messages": prompt, "stream": stream}
                assert server.ask("POST", path, body).status == 200
            for body in wrong:
                reply = server.ask("POST", path, body)
                assert reply.status == 200 or PROMPT.encode() not in reply.body, reply.body
        assert PROMPT.encode() not in server.ask("GET", "/metrics").body
    places = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "gateway.log" and path.stat().st_size for path in places)
    assert [str(path) for path in places if PROMPT.encode() in path.read_bytes()] == []


def text_around(body: bytes, secret: str) -> str:
    place = body.index(secret.encode())
    return body[max(0, place - 60) : place + 12].decode("utf-8", "replace")
