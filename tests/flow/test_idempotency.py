"""An Idempotency-Key: of any number of equal requests one call, and one answer for all of them."""

import http.client
import json
import signal
import threading
import time
import uuid
from contextlib import closing, contextmanager

import pytest

from servers import asked, gateway_server, new_api_key, providers_at, until

MESSAGES = [{"role": "user", "content": "Hello!"}]


def new_key():
    return uuid.uuid4().hex


def named(what):
    """A model's name that no other test has."""
    return f"gpt-4o-mini--mock-text-{uuid.uuid4().hex}--mock-{what}"


def at_once(count, ask):
    """The replies to ``count`` requests that are sent at the same time."""
    replies = [None] * count
    ready = threading.Barrier(count)

    def one(number):
        ready.wait(30)
        replies[number] = ask()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert None not in replies
    return replies


@contextmanager
def left_after(port, body, headers, size):
    """A request whose caller leaves once it has read so many bytes."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        sent = {
            "authorization": "Bearer drg_test",
            "content-type": "application/json",
            **headers,
        }
        connection.request("POST", "/v1/chat/completions", json.dumps(body), sent)
        if size:
            yield connection.getresponse().read1(size)
        else:
            time.sleep(0.3)
            yield b""


@pytest.mark.req("M4")
@pytest.mark.parametrize("stream", [False, True])
def test_a_hundred_equal_requests_at_once_are_one_call(mock, gateway, stream):
    model = named("delay-300")
    headers = {"idempotency-key": new_key()}
    replies = at_once(100, lambda: gateway.chat(f"openai/{model}", headers=headers, stream=stream))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    assert len({reply.headers["content-type"] for reply in replies}) == 1
    assert {reply.headers["x-dragoman-model"] for reply in replies} == {f"openai/{model}"}
    assert asked(mock, model) == 1
    first = [reply for reply in replies if "idempotent-replayed" not in reply.headers]
    assert len(first) == 1
    call_id = first[0].headers["x-dragoman-call-id"]
    again = [reply for reply in replies if reply is not first[0]]
    assert {reply.headers["x-dragoman-replay-of"] for reply in again} == {call_id}
    rows = [row for row in gateway.rows(limit=1000) if row["requested_model"] == f"openai/{model}"]
    assert [(row["call_id"], row["status"]) for row in rows] == [(call_id, "complete")]


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/messages", "/v1/responses", "/api/chat"])
def test_what_was_answered_is_given_again(mock, gateway, path):
    bodies = {
        "/v1/embeddings": {"model": "openai/text-embedding-3-small", "input": "hi"},
        "/v1/messages": {"model": "openai/gpt-4o-mini", "max_tokens": 9, "messages": MESSAGES},
        "/v1/responses": {"model": "openai/gpt-4o-mini", "input": "hi", "stream": True},
        "/api/chat": {"model": "openai/gpt-4o-mini", "messages": MESSAGES},
    }
    headers = {"idempotency-key": new_key()}
    first = gateway.ask("POST", path, bodies[path], headers)
    second = gateway.ask("POST", path, bodies[path], headers)
    assert first.status == second.status == 200
    assert first.body == second.body
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["x-dragoman-replay-of"] == first.headers["x-dragoman-call-id"]
    kept = (
        "content-type",
        "x-dragoman-model",
        "x-dragoman-provider",
        "x-dragoman-requested-model",
    )
    assert [first.headers[name] for name in kept] == [second.headers[name] for name in kept]


@pytest.mark.req("M4")
def test_what_is_given_again_has_no_row_and_its_line_in_the_log_says_whose_answer_it_is(gateway):
    headers = {"idempotency-key": new_key()}
    first, again = (gateway.chat(headers=headers) for _ in range(2))
    calls = [reply.headers["x-dragoman-call-id"] for reply in (first, again)]
    rows = {row["call_id"] for row in gateway.rows(limit=1000)}
    assert [call in rows for call in calls] == [True, False]
    lines = until(
        lambda: (
            (
                found := {
                    line["call_id"]: line
                    for line in map(json.loads, gateway.log.read_text().splitlines())
                    if line.get("call_id") in calls
                }
            )
            and len(found) == 2
            and found
        )
    )
    assert "replay_of" not in lines[calls[0]]
    assert lines[calls[1]]["replay_of"] == calls[0]


@pytest.mark.req("M5")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat"])
def test_another_body_with_the_same_key_is_refused_in_the_callers_dialect(gateway, path):
    headers = {"idempotency-key": new_key()}
    body = {"model": "openai/gpt-4o-mini", "max_tokens": 9, "messages": MESSAGES}
    assert gateway.ask("POST", path, body, headers).status == 200
    reply = gateway.ask("POST", path, {**body, "max_tokens": 10}, headers)
    # Ollama's dialect has no 422.
    assert reply.status == (400 if path == "/api/chat" else 422)
    assert reply.headers["x-error-code"] == "idempotency_key_reused"
    error = reply.json()["error"]
    if path == "/api/chat":
        assert "Idempotency-Key" in error
    else:
        assert "Idempotency-Key" in error["message"]
    assert gateway.ask("POST", path, body, headers).headers["idempotent-replayed"] == "true"


@pytest.mark.req("M5")
def test_a_key_counts_for_one_caller_and_one_route(mock, gateway):
    model = named("words-2")
    headers = {"idempotency-key": new_key()}
    body = {"model": f"openai/{model}", "max_tokens": 50, "messages": MESSAGES}
    for path, key in [
        ("/v1/chat/completions", "drg_test"),
        ("/v1/chat/completions", "drg_other"),
        ("/v1/messages", "drg_test"),
    ]:
        reply = gateway.ask("POST", path, body, headers, key=key)
        assert reply.status == 200
        assert "idempotent-replayed" not in reply.headers
    assert asked(mock, model) == 3


@pytest.mark.req("M5")
@pytest.mark.parametrize("fault", ["status-500", "status-429", "cut-400", "status-400"])
def test_a_failure_is_not_kept(mock, gateway, fault):
    model = named(f"{fault}--mock-length-400")
    headers = {"idempotency-key": new_key()}
    first = gateway.chat(f"openai/{model}", headers=headers, stream=True)
    before = asked(mock, model)
    assert b'"error"' in first.body
    second = gateway.chat(f"openai/{model}", headers=headers, stream=True)
    assert "idempotent-replayed" not in second.headers
    assert asked(mock, model) > before


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_goes_on_without_its_caller(mock, gateway, stream):
    model = named("chunk-delay-100" if stream else "delay-1000")
    headers = {"idempotency-key": new_key()}
    body = {"model": f"openai/{model}", "messages": MESSAGES, "stream": stream}
    with left_after(gateway.port, body, headers, 60 if stream else 0) as begin:
        pass
    again = gateway.ask("POST", "/v1/chat/completions", body, headers)
    assert again.status == 200
    assert again.body.startswith(begin)
    assert asked(mock, model) == 1
    assert mock_entry(mock, model)["left"] is None
    rows = [row for row in gateway.rows(limit=1000) if row["requested_model"] == f"openai/{model}"]
    assert [row["status"] for row in rows] == ["complete"]


def mock_entry(mock, model):
    entries = mock.ask("GET", "/mock/truth", key=None).json()["requests"]
    return next(entry for entry in entries if entry["model"] == model)


def test_a_call_that_nobody_comes_back_for_ends_with_the_window(mock, tmp_path):
    settings = {"RESUME_WINDOW_S": "0.5", **providers_at(mock.port)}
    with gateway_server(tmp_path, **settings) as server:
        model = named("delay-4000")
        headers = {"idempotency-key": new_key()}
        body = {"model": f"openai/{model}", "messages": MESSAGES}
        with left_after(server.port, body, headers, 0):
            pass
        deadline = time.monotonic() + 5
        while mock_entry(mock, model)["left"] is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert mock_entry(mock, model)["left"] is not None
        rows = [row for row in server.rows() if row["requested_model"] == f"openai/{model}"]
        assert [row["status"] for row in rows] == ["client_cut"]
        # And the key is free.
        reply = server.ask("POST", "/v1/chat/completions", body, headers)
        assert reply.status == 200
        assert asked(mock, model) == 2


def test_what_was_answered_outlives_the_process_and_a_kill_frees_the_key(mock, tmp_path):
    settings = providers_at(mock.port)
    kept, cut = {"idempotency-key": new_key()}, {"idempotency-key": new_key()}
    model = named("delay-3000")
    body = {"model": f"openai/{model}", "messages": MESSAGES}
    with gateway_server(tmp_path, **settings) as server:
        first = server.chat(headers=kept)
        with left_after(server.port, body, cut, 0):
            assert asked(mock, model) == 1
            server.stop(signal.SIGKILL)
    database = (tmp_path / "home" / "dragoman.db").read_bytes()
    wal = tmp_path / "home" / "dragoman.db-wal"
    stored = database + (wal.read_bytes() if wal.exists() else b"")
    assert b"kept_answers" in stored
    text = first.json()["choices"][0]["message"]["content"]
    assert text.encode() not in stored
    assert b"Hello!" not in stored
    with gateway_server(tmp_path, **settings) as server:
        again = server.chat(headers=kept)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.body == first.body
        started = time.monotonic()
        reply = server.ask("POST", "/v1/chat/completions", body, cut, timeout=60)
        assert reply.status == 200
        assert "idempotent-replayed" not in reply.headers
        assert time.monotonic() - started < 25
        assert asked(mock, model) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_workers_share_their_keys(mock, tmp_path, stream):
    with gateway_server(tmp_path, "--workers", "2", **providers_at(mock.port)) as server:
        model = named("delay-500")
        headers = {"idempotency-key": new_key()}
        replies = at_once(
            40, lambda: server.chat(f"openai/{model}", headers=headers, stream=stream)
        )
        assert {reply.status for reply in replies} == {200}
        assert len({reply.body for reply in replies}) == 1
        assert asked(mock, model) == 1
        other = server.chat(f"openai/{model}", "another", headers=headers, stream=stream)
        assert other.status == 422


def test_who_keeps_nothing_refuses_the_key(mock, tmp_path):
    settings = {"ALLOW_CLIENT_STORAGE": "false", **providers_at(mock.port)}
    with gateway_server(tmp_path, **settings) as server:
        reply = server.chat(headers={"idempotency-key": new_key()})
        assert reply.status == 400
        assert reply.headers["x-error-code"] == "storage_not_allowed"
        assert server.chat().status == 200


@pytest.mark.parametrize("key", ["", "a" * 256, "ä"])
def test_a_key_that_is_none_is_refused(gateway, key):
    reply = gateway.chat(headers={"idempotency-key": key.encode("utf-8").decode("latin-1")})
    assert reply.status == 400
    assert reply.headers["x-error-code"] == "invalid_idempotency_key"


def test_a_limit_counts_what_is_given_again(gateway):
    key = new_api_key(gateway, "--name", "few", "--rpm", "2")
    headers = {"idempotency-key": new_key()}
    replies = [gateway.chat(headers=headers, key=key) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert replies[1].headers["idempotent-replayed"] == "true"


def test_what_waits_or_is_refused_for_a_key_is_no_stain_on_the_provider(mock, gateway):
    model = named("words-3")
    headers = {"idempotency-key": new_key()}
    gateway.chat(f"openai/{model}", headers=headers)
    refused = gateway.chat(f"openai/{model}", "another", headers=headers)
    row = gateway.row(refused.headers["x-request-id"])
    assert (row["status"], row["http_status"], row["provider"]) == ("refused", 422, None)
