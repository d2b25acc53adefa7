"""The command talks to whatever speaks OpenAI's chat; here that is the mock."""

import asyncio
import contextlib
import io
import json
import threading

import pytest

from dragoman.cli.gateway import Gateway, GatewayRefusal, spoken
from dragoman.mock import Script, open_mock

pytestmark = pytest.mark.req("R-CLI-008")


@pytest.fixture
def upstream():
    """A mock on a thread of its own."""
    ready = threading.Event()
    told = []

    async def serve():
        async with open_mock() as mock:
            ended = asyncio.Event()
            told.extend((mock, asyncio.get_running_loop(), ended))
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(5)
    mock, loop, ended = told
    yield mock
    loop.call_soon_threadsafe(ended.set)
    thread.join()


def test_without_a_model_nothing_is_asked_and_nothing_chosen(dragoman):
    code, out, err = dragoman("chat", "hi")
    assert (code, out) == (2, "")
    assert "--model" in err
    code, out, _ = dragoman("chat", "hi", "--json")
    assert code == 2
    assert "--model" in json.loads(out)["error"]["message"]


@pytest.mark.parametrize("way", ["--stream", "--no-stream"])
def test_the_answer_is_printed_and_the_foot_told_apart(dragoman, upstream, way):
    code, out, err = dragoman("chat", "hello you", "-m", "gpt-4o", "--base-url", upstream.url, way)
    assert code == 0
    assert out.startswith("You said: hello you ")
    assert out.endswith("\n")
    assert err == "7 + 40 tokens\n"


@pytest.mark.req("R-REL-006")
@pytest.mark.parametrize("way", ["--stream", "--no-stream"])
def test_a_failure_is_told_at_once_and_nothing_is_asked_twice(dragoman, upstream, way):
    model = "gpt-4o--mock-status-503"
    code, out, err = dragoman("chat", "hi", "-m", model, "--base-url", upstream.url, way)
    assert (code, out) == (1, "")
    assert err.startswith("The gateway answered 503: ")
    assert len(upstream.mock.truth.entries) == 1


def test_the_request_is_what_was_said(dragoman, upstream, monkeypatch):
    monkeypatch.setenv("DRAGOMAN_BASE_URL", f"{upstream.url}/v1/")
    monkeypatch.setenv("DRAGOMAN_API_KEY", "k")
    monkeypatch.setattr("sys.stdin", io.StringIO("from a pipe"))
    code, out, err = dragoman(
        "chat", "-", "-m", "gpt-4o", "--system", "Be brief.", "--max-tokens", "3"
    )
    assert (code, out) == (0, "You said: fr\n")
    assert err == "14 + 3 tokens, ended by length\n"
    assert upstream.mock.truth.entries[0].auth.startswith("authorization:")


def test_json_has_everything_that_was_told(dragoman, upstream):
    code, out, _ = dragoman("chat", "hi", "-m", "gpt-4o", "--base-url", upstream.url, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["text"].startswith("You said: hi")
    assert (told["model"], told["finish_reason"], told["request_id"]) == (
        "gpt-4o",
        "stop",
        "req_mock000001",
    )
    assert told["usage"]["total_tokens"] == 45
    assert told["cost_usd"] is None


@pytest.mark.parametrize("way", ["--stream", "--no-stream", "--json"])
def test_an_error_is_told_as_the_gateway_says_it(dragoman, upstream, way):
    upstream.mock.scripts.add([Script(status=429, message="Too fast.")])
    code, out, err = dragoman("chat", "hi", "-m", "gpt-4o", "--base-url", upstream.url, way)
    assert code == 1
    assert "answered 429: Too fast." in (
        json.loads(out)["error"]["message"] if way == "--json" else err
    )


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Script(error_after=3, message="Overheated."), "broke off: Overheated."),
        (Script(done=False), "broke off before its end"),
        (Script(cut=900), "broke off"),
        (Script(cut=900, cut_mode="reset"), "broke off"),
        (Script(drop="close"), "broke off"),
        (Script(body="garbage"), "broke off"),
        (Script(body="data: {\n\n"), "not JSON"),
    ],
)
def test_a_stream_that_is_cut_never_ends_quietly(dragoman, upstream, script, words):
    upstream.mock.scripts.add([script])
    code, _, err = dragoman("chat", "hi", "-m", "gpt-4o", "--base-url", upstream.url)
    assert code == 1
    assert words in err


def test_a_whole_answer_that_is_no_json_is_told(dragoman, upstream):
    upstream.mock.scripts.add([Script(body="html"), Script(status=502, body="html")])
    address = ("-m", "gpt-4o", "--base-url", upstream.url, "--no-stream")
    assert "not JSON" in dragoman("chat", "hi", *address)[2]
    assert "answered 502: <html>" in dragoman("chat", "hi", *address)[2]


def test_no_gateway_and_no_address_are_told_with_what_to_do(dragoman):
    code, _, err = dragoman("chat", "hi", "-m", "m", "--base-url", "http://127.0.0.1:9")
    assert code == 1
    assert "dragoman serve --local" in err
    assert "no address" in dragoman("chat", "hi", "-m", "m", "--base-url", "nowhere")[2]


def test_an_interrupted_answer_ends_with_130(dragoman, monkeypatch):
    @contextlib.contextmanager
    def stream(*_):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(Gateway, "stream", stream)
    assert dragoman("chat", "hi", "-m", "m")[0] == 130


def test_a_gateways_headers_are_told_at_the_foot(dragoman, monkeypatch):
    headers = {
        "x-dragoman-model": "openai/gpt-4o",
        "x-dragoman-cost-usd": "0.0001",
        "x-dragoman-dropped": "seed",
    }
    reply = {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}
    monkeypatch.setattr(Gateway, "complete", lambda *_: (reply, headers))
    _, out, err = dragoman("chat", "hi", "-m", "m", "--no-stream")
    assert (out, err) == ("yes\n", "openai/gpt-4o, 0.0001 USD, dropped: seed\n")


def test_words_are_found_in_text_parts_and_refusals():
    assert spoken({"content": "a"}) == "a"
    assert spoken({"content": None, "refusal": "no"}) == "no"
    assert spoken({"content": [{"type": "thinking"}, {"type": "text", "text": "a"}]}) == "a"
    assert spoken({}) == ""


def test_a_ready_gateway_is_told_from_none(upstream):
    assert not Gateway("http://127.0.0.1:9", "").is_ready()
    assert not Gateway(upstream.url, "").is_ready()
    with pytest.raises(GatewayRefusal):
        Gateway("ftp://x", "")


def test_https_is_spoken_where_the_address_says_so(upstream):
    port = upstream.url.rsplit(":", 1)[1]
    with pytest.raises(GatewayRefusal, match="broke off"):
        Gateway(f"https://127.0.0.1:{port}", "", timeout_s=2).complete({"model": "m"})


@pytest.mark.parametrize("way", [("chat", "hi", "-m", "gpt-4o"), ("tiers", "list"), ("usage",)])
@pytest.mark.parametrize(
    "key", ["drg_canary\n\nKey canary for 'me'", "drg_canary\x00", "drg_canäry"]
)
def test_what_is_no_key_is_refused_and_never_shown(dragoman, way, key):
    code, out, err = dragoman(*way, "--key", key, "--base-url", "http://127.0.0.1:9")
    assert (code, out) == (1, "")
    assert "no key" in err
    assert "drg_can" not in err


def test_a_line_s_end_behind_a_key_is_not_the_key_s(dragoman, upstream):
    asked = ("chat", "hi", "-m", "gpt-4o", "--base-url", upstream.url)
    assert dragoman(*asked, "--key", "drg_test\r\n")[0] == 0


def test_a_check_of_conformance_shows_no_key_either(dragoman, upstream):
    code, out, err = dragoman("conformance", upstream.url, "--key", "drg_canary\n\nKey")
    assert (code, out) == (2, "")
    assert "no key" in err
    assert "canary" not in err
