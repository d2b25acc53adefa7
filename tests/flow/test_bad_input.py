"""Bad input gets the right status and one clear sentence in the caller's dialect."""

import socket

import pytest

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
HELLO = [{"role": "user", "content": "hi"}]


def error_of(reply, path):
    """The error object in the dialect's own shape."""
    body = reply.json()
    if path == MESSAGES:
        assert body["type"] == "error"
        assert body["request_id"] == reply.headers["request-id"]
    assert isinstance(body["error"]["message"], str)
    assert isinstance(body["error"]["type"], str)
    assert "Traceback" not in body["error"]["message"]
    assert body["error"]["dragoman"]["request_id"] == reply.headers["x-request-id"]
    return body["error"]


@pytest.mark.req("R-SEC-006", "R-ADD-024", "R-ADD-026")
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "empty"),
        (b"{", 400, "not valid JSON"),
        (b"[]", 400, "JSON object"),
        (b'{"messages": []}', 400, "names no model"),
        (b'{"model": 7}', 400, "model must be a string"),
        (b'{"model": "openai/x", "stream": "yes"}', 400, "stream must be"),
        (b'{"model": "no-such-model-anywhere", "messages": []}', 404, "no-such-model-anywhere"),
        (b'{"model": "openai/x", "a": ' + b"[" * 200_000, 400, "nested too deeply"),
        (b'{"model": "openai/x", "a": NaN}', 400, "not valid JSON"),
    ],
)
def test_a_malformed_request_is_refused_by_name(gateway, path, body, status, says):
    reply = gateway.ask("POST", path, body, headers={"anthropic-version": "2023-06-01"})
    assert reply.status == status, reply.body
    assert says in error_of(reply, path)["message"]


@pytest.mark.req("R-AUTH-001", "R-AUTH-013", "R-ADD-038")
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_missing_and_a_wrong_key_are_401_in_the_dialects_shape(gateway, path):
    missing = gateway.ask("POST", path, {"model": "openai/x"}, key=None)
    assert missing.status == 401
    assert "No API key" in error_of(missing, path)["message"]
    wrong = gateway.ask("POST", path, {"model": "openai/x"}, key="nope nope")
    assert wrong.status == 401
    kind = "authentication_error" if path == MESSAGES else "invalid_request_error"
    assert error_of(wrong, path)["type"] == kind


@pytest.mark.req("R-AUTH-001")
@pytest.mark.parametrize("name", ["x-api-key", "api-key"])
def test_the_key_is_taken_from_every_header_that_carries_one(gateway, name):
    assert gateway.chat(headers={name: "drg_test"}, key=None).status == 200


def test_two_different_keys_are_refused(gateway):
    headers = {"x-api-key": "drg_one1", "authorization": "Bearer drg_two2"}
    assert gateway.chat(headers=headers, key=None).status == 400


def test_one_header_with_two_different_keys_is_refused(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as raw:
        raw.sendall(
            b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
            b"x-api-key: drg_one1\r\nx-api-key: drg_two2\r\n\r\n"
        )
        assert raw.recv(64).startswith(b"HTTP/1.1 400 ")


def test_a_refused_request_is_in_the_ledger_with_what_is_known(gateway):
    reply = gateway.chat(model="no-such-model-anywhere", headers={"x-request-id": "refused-1"})
    assert reply.status == 404
    row = gateway.row("refused-1")
    assert row["status"] == "refused"
    assert row["http_status"] == 404
    assert row["requested_model"] == "no-such-model-anywhere"
    assert row["input_tokens"] is None


def test_a_body_over_the_cap_is_refused_before_it_is_read(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), 5) as raw:
        raw.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
            b"authorization: Bearer drg_test\r\ncontent-length: 99999999999\r\n\r\n{"
        )
        answer = b""
        while b"larger than" not in answer and (piece := raw.recv(65536)):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"larger than" in answer


def test_a_chunked_body_over_the_cap_is_refused_too(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as raw:
        raw.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
            b"authorization: Bearer drg_test\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        answer = b""
        try:
            for _ in range(40):
                raw.sendall(piece)
        except OSError:
            pass
        try:
            answer = raw.recv(65536)
        except OSError:
            pytest.skip("the refusal was lost with the connection, as TCP may")
    assert b" 413 " in answer


def test_a_compressed_body_is_refused(gateway):
    reply = gateway.chat(headers={"content-encoding": "gzip"})
    assert reply.status == 415


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_told_the_right_one(gateway, method):
    reply = gateway.ask(method, CHAT)
    assert reply.status == 405
    assert "POST" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/chat/completions", "the base URL needs /v1"),
        ("/messages", "the base URL needs /v1"),
        ("/embeddings", "the base URL needs /v1"),
        ("/v1/v1/messages", "one /v1 too many"),
        ("/v2/messages", "GET /openapi.json"),
    ],
)
def test_a_wrong_base_url_is_told_as_one(path, told, gateway):
    reply = gateway.ask("POST", path, {"model": "openai/gpt-4o-mini"})
    assert reply.status == 404
    assert told in reply.json()["error"]["message"]


def test_an_unknown_path_is_404_in_the_dialect_of_the_path(gateway):
    assert gateway.ask("GET", "/v1/nope").json()["error"]["type"] == "invalid_request_error"
    assert gateway.ask("POST", "/v1/messages/nope", {}).json()["type"] == "error"


def test_provider_fields_of_the_caller_cannot_redirect_a_call(gateway, mock):
    before = len(mock.ask("GET", "/mock/truth", key=None).json()["requests"])
    for member in ("api_base", "base_url", "api_key", "custom_llm_provider"):
        gateway.chat(**{member: "http://127.0.0.1:9/"})
    after = mock.ask("GET", "/mock/truth", key=None).json()["requests"][before:]
    assert {entry["path"] for entry in after} == {"/openai/v1/chat/completions"}


@pytest.mark.parametrize(
    "host", ["evil.example", "x/#@y", "localhost@evil", "127.0.0.1.nip.io", ""]
)
def test_a_foreign_host_is_refused_in_local_mode(gateway, host):
    reply = gateway.ask("GET", "/v1/models", headers={"host": host})
    assert reply.status in {400, 421}


def test_a_foreign_origin_is_refused_and_ones_own_is_not(gateway):
    evil = {"origin": "https://evil.example"}
    assert gateway.chat(headers=evil).status == 403
    own = {"origin": f"http://127.0.0.1:{gateway.port}"}
    assert gateway.chat(headers=own).status == 200
    assert gateway.ask("OPTIONS", CHAT, headers=own, key=None).status == 204


@pytest.mark.parametrize(
    "path",
    ["//v1/models", "/v1//models", "/v1/models/", "/V1/MODELS", "/v1/usage;x", "/v1/usage/%2e%2e",
     "/health/../v1/usage", "/v1/%75sage/", "/@v1/usage", "http://evil/v1/usage"],
)  # fmt: skip
def test_odd_spellings_of_a_path_open_nothing(gateway, path):
    reply = gateway.ask("GET", path, key=None)
    assert reply.status in {400, 401, 404, 405, 421}, reply.body
