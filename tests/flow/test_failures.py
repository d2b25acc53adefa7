"""What an upstream does wrong, and what the caller is told of it."""

import json
import time

import pytest

CHAT_MODEL = "openai/gpt-4o-mini"
CLAUDE = "anthropic/claude-sonnet-4-5"


@pytest.fixture
def affordable():
    """Retries are three a second for an idle provider: what the tests before have spent comes back."""
    time.sleep(1.1)


def scripted(model, **script):
    return model + "".join(
        f"--mock-{name.replace('_', '-')}-{value}" for name, value in script.items()
    )


def truth(mock, model):
    every = mock.ask("GET", "/mock/truth", key=None).json()["requests"]
    return [entry for entry in every if entry["model"] == model.split("/", 1)[1]]


def chat_frames(body):
    return [frame.removeprefix("data: ") for frame in body.decode().split("\n\n") if frame.strip()]


@pytest.mark.req("R-REL-003", "R-ADD-025", "R-ADD-027")
@pytest.mark.parametrize(
    ("upstream", "told"),
    [(400, 400), (404, 404), (401, 502), (403, 502), (402, 502), (413, 413), (422, 422)],
)
def test_a_providers_refusal_is_told_once_and_not_retried(gateway, mock, upstream, told):
    model = scripted(CHAT_MODEL, status=upstream, message=f"no{upstream}")
    reply = gateway.chat(model)
    assert reply.status == told, reply.body
    assert len(truth(mock, model)) == 1
    assert reply.headers["x-dragoman-attempts"] == "1"
    if upstream in {400, 404, 422}:
        assert f"no{upstream}" in reply.json()["error"]["message"]


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_trouble_is_retried_at_most_twice_and_then_told(gateway, mock, status):
    model = scripted(CHAT_MODEL, status=status, message=f"trouble{status}")
    reply = gateway.chat(model)
    assert reply.status == status
    assert reply.headers["x-should-retry"] == "false"
    assert 1 <= len(truth(mock, model)) <= 3


@pytest.mark.usefixtures("affordable")
@pytest.mark.parametrize(
    ("said", "tries"),
    [
        ({"x-dragoman-max-attempts": "1"}, 1),
        ({"x-litellm-num-retries": "0"}, 1),
        ({"x-portkey-retry-count": "1"}, 2),
        ({"cf-aig-max-attempts": "1"}, 1),
        ({"x-litellm-num-retries": "0", "x-dragoman-max-attempts": "2"}, 2),
    ],
)
def test_a_header_bounds_the_tries_as_the_body_does(gateway, mock, said, tries):
    name = "-".join(f"{key}{value}" for key, value in said.items()).replace("--", "-")
    model = scripted(CHAT_MODEL, status=503, message=f"tries{name}")
    for stream in (False, True):
        before = len(truth(mock, model))
        reply = gateway.chat(model, headers=said, stream=stream)
        assert reply.status == 503, reply.body
        assert len(truth(mock, model)) - before == tries
        time.sleep(1.1)


def test_a_header_of_tries_that_is_no_number_is_the_callers_error(gateway):
    reply = gateway.message(headers={"x-dragoman-max-attempts": "soon"})
    assert reply.status == 400
    assert "x-dragoman-max-attempts must be a whole number" in reply.json()["error"]["message"]


@pytest.mark.usefixtures("affordable")
def test_a_passing_trouble_is_survived(gateway, mock):
    model = scripted(CHAT_MODEL, status=503, times=1)
    reply = gateway.chat(model)
    assert reply.status == 200, reply.body
    assert reply.headers["x-dragoman-attempts"] == "2"
    assert [entry["status"] for entry in truth(mock, model)] == [503, 200]


@pytest.mark.pitfall(12)
@pytest.mark.parametrize("status", [400, 429, 500])
@pytest.mark.parametrize("model", [CHAT_MODEL, CLAUDE])
def test_an_error_before_the_first_byte_of_a_stream_has_its_status(gateway, model, status):
    reply = gateway.chat(scripted(model, status=status), stream=True)
    assert reply.status == status
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.json()["error"]["message"]


@pytest.mark.pitfall(12)
@pytest.mark.usefixtures("affordable")
def test_a_streams_first_error_is_still_before_the_answer(gateway, mock):
    model = scripted(CHAT_MODEL, error_after=0, times=1)
    reply = gateway.chat(model, stream=True)
    assert reply.status == 200
    assert chat_frames(reply.body)[-1] == "[DONE]"
    assert b'"error":' not in reply.body
    assert reply.headers["x-dragoman-attempts"] == "2"


@pytest.mark.parametrize("after", ["17", "0", "-5", "1000000000", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_rate_limit_reaches_the_caller_with_its_retry_after(gateway, after):
    model = scripted(CHAT_MODEL, status=429, retry_after=after)
    start = time.monotonic()
    reply = gateway.chat(model)
    assert time.monotonic() - start < 10
    assert reply.status == 429
    if after == "17":
        assert reply.headers["retry-after"] == "17"
    assert "x-should-retry" not in reply.headers


@pytest.mark.req("R-REL-008", "R-STRM-005")
@pytest.mark.pitfall(13, 14, 158)
@pytest.mark.parametrize("mode", ["close", "reset", "end"])
@pytest.mark.parametrize("cut", [450, 700, 777, 901])
def test_a_cut_chat_stream_ends_with_one_error_and_done(gateway, mode, cut):
    model = scripted(CHAT_MODEL, cut=cut, cut_mode=mode, length=2000)
    reply = gateway.chat(model, stream=True)
    if reply.status != 200:
        assert reply.status >= 500
        return
    frames = chat_frames(reply.body)
    assert frames[-1] == "[DONE]"
    failure = json.loads(frames[-2])
    assert failure["error"]["message"]
    chunks = [json.loads(frame) for frame in frames[:-2]]
    assert not any("error" in chunk for chunk in chunks)
    assert not any(choice["finish_reason"] for chunk in chunks for choice in chunk["choices"])


@pytest.mark.pitfall(13, 14, 158)
@pytest.mark.parametrize("mode", ["close", "reset", "end"])
@pytest.mark.parametrize("model", [CLAUDE, CHAT_MODEL])
def test_a_cut_stream_raises_for_an_anthropic_caller(gateway, mode, model):
    reply = gateway.message(scripted(model, cut=900, cut_mode=mode, length=4000), stream=True)
    if reply.status != 200:
        assert reply.status >= 500
        return
    assert reply.body.count(b"event: error\n") == 1
    assert reply.body.rstrip().split(b"\n\n")[-1].startswith(b"event: error\n")
    assert b"message_stop" not in reply.body


def test_an_error_inside_a_stream_is_passed_on_and_never_replayed(gateway, mock):
    model = scripted(CHAT_MODEL, error_after=4, length=800)
    reply = gateway.chat(model, stream=True)
    assert json.loads(chat_frames(reply.body)[-2])["error"]["message"]
    assert len(truth(mock, model)) == 1


@pytest.mark.pitfall(11)
@pytest.mark.parametrize("body", ["empty", "garbage", "html"])
@pytest.mark.parametrize("stream", [False, True])
def test_garbage_is_a_bad_gateway_and_never_an_answer(gateway, body, stream):
    reply = gateway.chat(scripted(CHAT_MODEL, body=body), stream=stream)
    assert reply.status == 502, reply.body
    assert b"<html" not in reply.body.lower()


def test_a_wrong_content_length_is_a_bad_gateway(gateway):
    assert gateway.chat(scripted(CHAT_MODEL, content_length=50)).status == 502


@pytest.mark.usefixtures("affordable")
@pytest.mark.parametrize("mode", ["close", "reset"])
def test_a_connection_that_drops_before_the_answer_is_retried(gateway, mode):
    assert gateway.chat(scripted(CHAT_MODEL, drop=mode, times=1)).status == 200
    assert gateway.chat(scripted(CHAT_MODEL, drop=mode)).status == 502


@pytest.mark.pitfall(1, 5)
@pytest.mark.parametrize("size", [1, 7])
def test_a_stream_in_tiny_pieces_is_the_same_stream(gateway, size):
    whole = gateway.chat(scripted(CHAT_MODEL, length=300, text="größe 🐉 ü"), stream=True)
    sliced = gateway.chat(
        scripted(CHAT_MODEL, length=300, text="größe 🐉 ü", slice=size), stream=True
    )

    def said(reply):
        chunks = [json.loads(frame) for frame in chat_frames(reply.body)[:-1]]
        return [choice["delta"] for chunk in chunks for choice in chunk["choices"]]

    assert said(whole) == said(sliced)


@pytest.mark.usefixtures("affordable")
def test_every_attempt_and_its_end_is_in_the_ledger(gateway):
    again = scripted(CHAT_MODEL, status=503, times=1, length=9)
    gateway.chat(again, headers={"x-request-id": "twice"})
    row = gateway.row("twice")
    assert (row["status"], row["attempts"]) == ("complete", 2)
    assert row["input_tokens"] > 0
    gateway.chat(
        scripted(CHAT_MODEL, cut=900, length=4000), stream=True, headers={"x-request-id": "cut"}
    )
    assert gateway.row("cut")["status"] == "upstream_cut"
    gateway.chat(scripted(CHAT_MODEL, status=400), headers={"x-request-id": "bad"})
    assert gateway.row("bad")["status"] == "upstream_error"


@pytest.mark.req("R-USE-011")
@pytest.mark.parametrize("caller", ["chat", "message"])
@pytest.mark.parametrize(
    "fault", [{"cut": 1200}, {"cut": 1200, "cut_mode": "end"}, {"error_after": 6}]
)
@pytest.mark.parametrize("model", [CLAUDE, CHAT_MODEL])
def test_nobody_guesses_what_a_cut_stream_has_written(gateway, model, fault, caller):
    """Anthropic's first frame says an output of 1 or so, which is no count of anything (D25)."""
    name = "-".join(["null", caller, model[:4], *map(str, fault.values())])
    reply = getattr(gateway, caller)(
        scripted(model, length=4000, **fault), stream=True, headers={"x-request-id": name}
    )
    assert reply.status == 200
    row = gateway.row(name)
    assert row["status"] in {"upstream_cut", "upstream_error"}
    assert row["output_tokens"] is None
    assert row["cost_usd"] is None
    if model == CLAUDE:
        assert row["input_tokens"] > 0
    else:
        assert row["input_tokens"] is None


def test_a_redirect_is_told_and_not_followed(gateway, mock):
    model = scripted(CHAT_MODEL, status=307)
    reply = gateway.chat(model)
    assert reply.status == 502
    assert "307" in reply.json()["error"]["message"]
    assert len(truth(mock, model)) == 1
