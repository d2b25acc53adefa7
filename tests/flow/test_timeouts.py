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


@pytest.mark.req("R-ADD-025")
@pytest.mark.parametrize(
    ("stream", "last"), [(False, "hang"), (True, "hang"), (True, "hang-after-0")]
)
def test_all_candidates_share_one_time_for_the_first_event(hasty, mock, stream, last):
    tag = f"--mock-length-1{int(stream)}{len(last)}"
    failing = f"openai/gpt-4o-mini--mock-delay-400--mock-status-500{tag}"
    hanging = f"groq/llama-x--mock-{last}{tag}"
    never = f"mistral/mistral-x--mock-ok{tag}"
    name = f"shared{tag}-{last}"
    start = time.monotonic()
    reply = hasty.chat(
        failing,
        stream=stream,
        routing={"fallback": [hanging, never]},
        headers={"x-request-id": name},
    )
    # 0.4 s for the first and 0.7 s for the second would be 1.1 s.
    took = time.monotonic() - start
    assert reply.status == 504, reply.body
    assert 0.6 < took < 1.05
    assert reply.json()["error"]["code"] == "read_timeout"
    asked = [e["model"] for e in mock.ask("GET", "/mock/truth", key=None).json()["requests"]]
    for model, times in ((failing, 1), (hanging, 1), (never, 0)):
        assert asked.count(model.split("/", 1)[1]) == times, model
    row = hasty.row(name)
    assert (row["status"], row["attempts"]) == ("timeout", 2)


def test_a_candidate_that_fails_fast_leaves_its_time_to_the_next(hasty):
    reply = hasty.chat(
        "openai/gpt-4o-mini--mock-status-500--mock-message-fast",
        routing={"fallback": ["groq/llama-x--mock-delay-350"]},
    )
    assert reply.status == 200, reply.body
    assert reply.headers["x-dragoman-attempts"] == "2"


@pytest.mark.req("R-ADD-025")
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "openrouter/openai/gpt-4o-mini"])
def test_pings_alone_are_no_first_event(hasty, model):
    start = time.monotonic()
    reply = hasty.chat(f"{model}--mock-comments-200--mock-chunk-delay-20", stream=True)
    assert time.monotonic() - start < 1.5
    assert reply.status == 504, reply.body
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


@pytest.mark.parametrize("caller", ["chat", "message"])
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"])
def test_a_terminal_frame_is_the_end_though_the_provider_hangs_behind_it(hasty, caller, model):
    # The mock falls silent after so many frames: one more than it has is behind the last of them.
    model += "--mock-hang-after-1000"
    start = time.monotonic()
    reply = getattr(hasty, caller)(
        model, stream=True, text="count", headers={"x-request-id": f"behind-{caller}-{model[:5]}"}
    )
    assert time.monotonic() - start < 0.55, "less than the time between two pieces"
    assert reply.status == 200
    end = b"data: [DONE]" if caller == "chat" else b"message_stop"
    assert end in reply.body
    assert b'"error"' not in reply.body
    row = hasty.row(f"behind-{caller}-{model[:5]}")
    assert row["status"] == "complete"
    assert row["output_tokens"] > 0


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


@pytest.mark.req("R-REL-008")
@pytest.mark.parametrize("stream", [True, False])
def test_a_callers_own_deadline_bounds_candidates_pauses_and_the_stream(hasty, stream):
    hanging = (
        "openai/gpt-4o-mini--mock-hang-after-5" if stream else "openai/gpt-4o-mini--mock-hang"
    )
    name = f"own-{stream}"
    start = time.monotonic()
    reply = hasty.chat(
        hanging,
        stream=stream,
        routing={"fallback": ["groq/llama-x--mock-hang", "mistral/mistral-x--mock-hang"]},
        headers={"x-dragoman-timeout-ms": "300", "x-request-id": name},
    )
    assert 0.25 < time.monotonic() - start < 0.55
    assert reply.status == (200 if stream else 504)
    assert reply.body.count(b'"deadline_exceeded"') == 1
    assert hasty.row(name)["status"] == "timeout"


def test_a_deadline_that_is_none_is_refused(hasty):
    reply = hasty.chat(headers={"x-dragoman-timeout-ms": "soon"})
    assert reply.status == 400
    assert "x-dragoman-timeout-ms" in reply.json()["error"]["message"]
