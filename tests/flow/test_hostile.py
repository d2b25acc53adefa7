"""Providers and callers that say what nobody should: the answer is still one clear sentence."""

import os
import time

import pytest

import forge
from raw_upstream import STREAM, raw_upstream
from servers import free_port, gateway_server

LONG = b"x" * 2_000_000
REPLIES = {
    "odd-status": b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n",
    "long-error": b"HTTP/1.1 429 Slow down\r\nretry-after: 60\r\ncontent-length: %d\r\n\r\n"
    % len(LONG)
    + LONG,
    "whole-that-hangs": STREAM + b'{"id": "chatcmpl-1", HANG',
}


@pytest.fixture(scope="module")
def upstream():
    with raw_upstream(REPLIES) as up:
        yield up


@pytest.fixture(scope="module")
def gateway(upstream, tmp_path_factory):
    environment = {
        **upstream.environment(),
        "FIRST_EVENT_TIMEOUT_MS": "900",
        "MAX_RETRIES": "0",
    }
    with gateway_server(tmp_path_factory.mktemp("hostile"), **environment) as server:
        yield server


@pytest.mark.req("R-SEC-006")
@pytest.mark.pitfall(145)
@pytest.mark.parametrize("tail", ["модель", "a\r\nset-cookie: x=1", "a\x00b"])
def test_a_model_name_that_is_no_header_text_is_percent_encoded(gateway, tail):
    reply = gateway.chat(f"openai/{tail}")
    assert reply.status == 200, reply.body
    assert reply.headers["x-dragoman-model"].startswith("openai/")
    assert "%" in reply.headers["x-dragoman-model"]
    assert "set-cookie" not in reply.headers


def test_a_status_that_http_does_not_know_is_a_502(gateway):
    reply = gateway.chat("openai/odd-status")
    assert reply.status == 502
    assert reply.json()["error"]["code"] == "provider_error"


@pytest.mark.req("R-ADD-025")
def test_an_error_with_an_endless_text_keeps_its_status(gateway):
    reply = gateway.chat("openai/long-error")
    assert reply.status == 429
    assert reply.headers["retry-after"] == "60"


def test_a_whole_reply_in_place_of_a_stream_has_no_more_time_than_any_other(gateway):
    start = time.monotonic()
    reply = gateway.chat("openai/whole-that-hangs", stream=True)
    assert time.monotonic() - start < 3
    assert reply.status == 504
    assert reply.json()["error"]["code"] == "read_timeout"


def test_a_query_value_adds_no_parameter_towards_the_provider(gateway, upstream):
    upstream.asked.clear()
    body = {
        "model": "anthropic/m",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "x"}],
    }
    gateway.ask("POST", "/v1/messages?beta=true%26key%3Dstolen%20%23x", body)
    assert upstream.asked == ["POST /v1/messages?beta=true%26key%3Dstolen%20%23x HTTP/1.1"]


@pytest.mark.req("R-SEC-002")
def test_several_workers_that_cannot_start_end_with_a_status_that_says_so(tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "DRAGOMAN_HOME": str(tmp_path),
        "FERNET_KEY": "not-a-key",
    }
    command = ["serve", "--local", "--workers", "2", "--port", str(free_port())]
    done = forge.run(command, env=environment, cwd=tmp_path)
    assert done.returncode not in {0, -9}
    assert "FERNET_KEY" in done.stderr + done.stdout


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "status"), [("openai/gpt-4o-mini", 200), ("nobody/x", 404)])
def test_a_page_of_this_machine_may_read_whole_answers_streams_and_errors(
    gateway, model, status, stream
):
    origin = "http://localhost:3000"
    reply = gateway.chat(model, headers={"origin": origin}, stream=stream)
    assert reply.status == status
    assert reply.headers["access-control-allow-origin"] == origin
    assert "access-control-allow-origin" not in gateway.chat(model, stream=stream).headers
