"""A provider that is silent: before its head, before its first words, and in between."""

import json
import time

import pytest

from servers import gateway_server, providers_at


@pytest.fixture(scope="module")
def hasty(mock, tmp_path_factory):
    environment = {
        **providers_at(mock.port),
        "FIRST_EVENT_TIMEOUT_MS": "700",
        "STREAM_IDLE_TIMEOUT_MS": "600",
        "STREAM_WRITE_TIMEOUT_MS": "800",
        "MAX_RETRIES": "0",
    }
    with gateway_server(tmp_path_factory.mktemp("hasty"), **environment) as server:
        yield server


@pytest.mark.req("R-ADD-025")
@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_never_answers_is_a_504_in_time(hasty, stream):
    start = time.monotonic()
    reply = hasty.chat("openai/gpt-4o-mini--mock-hang-on", stream=stream)
    assert reply.status == 504
    assert 0.5 < time.monotonic() - start < 1.5
    assert reply.json()["error"]["code"] == "read_timeout"


def test_silence_inside_a_stream_ends_it_with_an_error(hasty):
    start = time.monotonic()
    reply = hasty.chat("openai/gpt-4o-mini--mock-hang-after-5", stream=True)
    assert 0.4 < time.monotonic() - start < 2
    frames = [f.removeprefix("data: ") for f in reply.body.decode().split("\n\n") if f]
    assert frames[-1] == "[DONE]"
    assert json.loads(frames[-2])["error"]["code"] == "stream_timeout"
    model = "anthropic/claude-sonnet-4-5--mock-hang-after-6"
    told = hasty.message(model, stream=True, headers={"x-request-id": "silent"})
    assert told.body.count(b"event: error\n") == 1
    assert b"message_stop" not in told.body
    assert hasty.row("silent")["status"] == "timeout"


def test_a_finished_stream_that_stays_open_is_not_waited_for(hasty):
    start = time.monotonic()
    reply = hasty.chat("openai/gpt-4o-mini--mock-done-off", stream=True)
    assert time.monotonic() - start < 7
    assert reply.body.rstrip().endswith(b"data: [DONE]")
    assert b'"error"' not in reply.body


def test_a_caller_that_does_not_read_is_let_go(hasty, mock):
    import socket

    model = "openai/gpt-4o-mini--mock-length-6000000--mock-words-400"
    body = json.dumps(
        {"model": model, "stream": True, "messages": [{"role": "user", "content": "x"}]}
    ).encode()
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", hasty.port))
        raw.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
            b"authorization: Bearer drg_test\r\nx-request-id: unread\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        time.sleep(2.5)
        row = hasty.row("unread")
    assert row["status"] == "client_cut"
