"""A caller that leaves: the upstream sees it within 200 ms, and the ledger has the row."""

import http.client
import json
import socket
import struct
import time

import pytest

from servers import gateway_server, providers_at

WITHIN_S = 0.2


def connect(gateway, path, body, request_id):
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    headers = {
        "authorization": "Bearer drg_test",
        "content-type": "application/json",
        "x-request-id": request_id,
    }
    connection.request("POST", path, json.dumps(body), headers)
    return connection


def leave(connection, *, rudely=False):
    """Closes the connection; its time."""
    if rudely:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    now = time.time()
    if connection.sock is not None:
        connection.sock.shutdown(socket.SHUT_RDWR) if not rudely else None
        connection.sock.close()
    connection.close()
    return now


def entry_of(mock, model):
    for entry in mock.ask("GET", "/mock/truth", key=None).json()["requests"]:
        if entry["model"] == model.split("/", 1)[1]:
            return entry
    return None


def wait_for(condition, seconds=3.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    pytest.fail("it did not happen in time")


WAYS = [
    ("/v1/chat/completions", "openai/gpt-4o-mini"),
    ("/v1/chat/completions", "anthropic/claude-sonnet-4-5"),
    ("/v1/messages", "anthropic/claude-sonnet-4-5"),
    ("/v1/messages", "openai/gpt-4o-mini"),
]


def request_body(model, **members):
    messages = [{"role": "user", "content": "Tell me a long story."}]
    return {"model": model, "max_tokens": 4000, "messages": messages, **members}


@pytest.mark.req("R-XLATE-038", "R-USE-011")
@pytest.mark.pitfall(16)
@pytest.mark.parametrize("rudely", [False, True])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "model"), WAYS)
def test_leaving_before_the_headers_closes_the_upstream(
    gateway, mock, path, model, stream, rudely
):
    tag = f"{len(path)}{int(stream)}{int(rudely)}"
    model = f"{model}--mock-delay-5000--mock-length-{tag}"
    request_id = f"gone-head-{path[-8:].replace('/', '.')}-{model[:5]}-{stream}-{rudely}"
    connection = connect(gateway, path, request_body(model, stream=stream), request_id)
    wait_for(lambda: entry_of(mock, model))
    left = leave(connection, rudely=rudely)
    entry = wait_for(lambda: (e := entry_of(mock, model)) and e["ended"] and e)
    assert entry["ended"] - left < WITHIN_S
    row = wait_for(lambda: [r for r in gateway.rows() if r["request_id"] == request_id])[0]
    assert row["status"] == "client_cut"
    assert row["attempts"] == 1


@pytest.mark.parametrize(("path", "model"), WAYS)
def test_leaving_in_a_stream_closes_the_upstream(gateway, mock, path, model):
    model = f"{model}--mock-chunk-delay-50--mock-length-6000"
    model += "0" * WAYS.index((path, model.split("--")[0]))
    request_id = f"gone-stream-{path[-8:].replace('/', '.')}-{model[:5]}"
    connection = connect(gateway, path, request_body(model, stream=True), request_id)
    response = connection.getresponse()
    assert response.status == 200
    response.read(200)
    left = leave(connection)
    response.close()
    entry = wait_for(lambda: (e := entry_of(mock, model)) and e["ended"] and e)
    assert entry["left"]
    assert entry["ended"] - left < WITHIN_S
    row = wait_for(lambda: [r for r in gateway.rows() if r["request_id"] == request_id])[0]
    assert row["status"] == "client_cut"


def test_leaving_in_the_middle_of_the_upload_is_nobodys_failure(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as caller:
        caller.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer drg_test\r\n"
            b"x-request-id: gone-uploading\r\ncontent-type: application/json\r\n"
            b'content-length: 5000\r\n\r\n{"model":'
        )
        time.sleep(0.2)
    row = wait_for(lambda: [r for r in gateway.rows() if r["request_id"] == "gone-uploading"])[0]
    assert row["status"] == "client_cut"


def test_leaving_between_two_retries_starts_no_further_attempt(gateway, mock):
    model = "groq/llama-x--mock-status-429--mock-retry-after-3"
    connection = connect(gateway, "/v1/chat/completions", request_body(model), "gone-between")
    wait_for(lambda: (e := entry_of(mock, model)) and e["ended"])
    time.sleep(0.2)
    leave(connection)
    wait_for(lambda: [r for r in gateway.rows() if r["request_id"] == "gone-between"])
    time.sleep(3.2)
    every = mock.ask("GET", "/mock/truth", key=None).json()["requests"]
    assert sum(entry["model"] == model.split("/", 1)[1] for entry in every) == 1


def test_a_provider_that_bills_all_the_same_is_read_to_its_end(mock, tmp_path):
    """``on_disconnect = "drain"`` (D18): the caller leaves, and the ledger has what was generated."""
    (tmp_path / "dragoman.toml").write_text(
        f"""
        format = 1
        [[providers]]
        name = "billed"
        dialect = "chat"
        base_url = "http://127.0.0.1:{mock.port}/openai/v1"
        on_disconnect = "drain"
        """
    )
    where = {"DRAGOMAN_CONFIG": str(tmp_path / "dragoman.toml"), **providers_at(mock.port)}
    with gateway_server(tmp_path, **where) as server:
        model = "billed/gpt-4o--mock-chunk-delay-40--mock-length-500"
        body = request_body(model, stream=True)
        connection = connect(server, "/v1/chat/completions", body, "drained")
        response = connection.getresponse()
        assert response.status == 200
        response.read(200)
        leave(connection)
        response.close()
        entry = wait_for(lambda: (e := entry_of(mock, model)) and e["ended"] and e, 15)
        assert not entry["left"]
        row = wait_for(lambda: [r for r in server.rows() if r["request_id"] == "drained"], 5)[0]
        assert row["status"] == "client_cut"
        assert row["output_tokens"] == entry["output"] > 100
