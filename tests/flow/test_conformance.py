"""The conformance checks hold our own gateway, and catch a server that is none."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dragoman.conformance.checks import SURFACES, TITLES, check, is_held
from dragoman.conformance.link import Link
from servers import KEY


def findings(url, *names, titles=TITLES):
    models = {**dict.fromkeys(SURFACES, "openai/gpt-4o-mini")}
    models["embeddings"] = "openai/text-embedding-3-small"
    return list(check(Link(url, KEY), names or SURFACES, models, titles))


@pytest.mark.parametrize("name", SURFACES)
def test_our_gateway_holds_every_check_of(gateway, name):
    found = findings(gateway.url, name)
    assert [each for each in found if each.verdict == "fail"] == []
    assert is_held(found)
    assert sum(each.verdict == "pass" for each in found) > (10 if name != "embeddings" else 0)


@pytest.mark.parametrize(
    "model",
    ["google/gemini-2.5-flash", "anthropic/claude-sonnet-4-5", "ollama/llama3.2"],
)
def test_every_surface_holds_before_any_familys_provider(gateway, model):
    """Also before its own, which refuses what it does not know."""
    models = {**dict.fromkeys(SURFACES, model), "embeddings": "openai/text-embedding-3-small"}
    found = list(check(Link(gateway.url, KEY), SURFACES, models, TITLES))
    assert [each for each in found if each.verdict == "fail"] == []


@pytest.mark.parametrize("name", SURFACES)
def test_a_gateway_without_any_provider_holds_every_check_of(lonely, name):
    assert [each for each in findings(lonely.url, name) if each.verdict == "fail"] == []


class Careless(BaseHTTPRequestHandler):
    """Answers everything with 200 and a reply that no dialect has."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        data = json.dumps({"answer": "Hello!"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST  # noqa: N815 - the library calls it so

    def log_message(self, *_):
        pass


class Absent(Careless):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - the library calls it so


@pytest.fixture
def served():
    opened = []

    def serve(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        opened.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server in opened:
        server.shutdown()
        server.server_close()


def test_a_careless_server_passes_nothing(served):
    found = findings(served(Careless))
    assert {each.surface for each in found} == set(SURFACES)
    assert [each for each in found if each.verdict == "pass"] == []
    assert not is_held(found)


def test_what_is_not_there_is_not_offered(served):
    found = findings(served(Absent))
    assert {each.verdict for each in found} == {"not offered"}
    assert not is_held(found)
