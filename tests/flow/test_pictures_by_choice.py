"""Pictures that a provider could fetch itself are fetched here, where the operator has named it (R-IMG-001)."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from raw_upstream import KEY, WHOLE
from servers import gateway_server

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
DATA = base64.b64encode(PNG).decode()
CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


@pytest.fixture
def site():
    """A host of pictures that is a provider as well, and keeps what it was asked."""
    asked: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            """Says nothing."""

        def answer(self, kind: str, body: bytes):
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            asked.append((self.path, b""))
            self.answer("image/png", PNG)

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            asked.append((self.path, body))
            claude = self.path.endswith("/messages")
            self.answer("application/json", json.dumps(CLAUDE).encode() if claude else WHOLE)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1], asked
    server.shutdown()
    server.server_close()
    thread.join(5)


def environment(port: int, **more: str) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "ANTHROPIC_API_KEY": "sk-ant-mock-0123456789abcdef0123456789abcdef",
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
        **more,
    }


def chat_body(url: str, model: str) -> bytes:
    """Spelled as no encoder would, so that it is seen whether anything else is written anew."""
    return (
        b'{"model": "%s",  "temperature":1.0, "max_tokens": 9, "messages":[{"role":"user" , '
        b'"content":[{"type":"text","text":"What?"}, {"type":"image_url","image_url":{"url":"%s"}}]}],'
        b' "metadata":{ "a" :"b"}}' % (model.encode(), url.encode())
    )


def posts(asked):
    return [(path, body) for path, body in asked if body]


@pytest.mark.req("R-IMG-001")
def test_a_named_provider_gets_bytes_and_everything_else_as_it_came(site, tmp_path):
    port, asked = site
    settings = environment(port, IMAGE_FETCH_PROVIDERS="openai", IMAGE_FETCH_ALLOW_PRIVATE="true")
    url = f"http://127.0.0.1:{port}/a.png"
    with gateway_server(tmp_path, **settings) as server:
        reply = server.ask("POST", "/v1/chat/completions", chat_body(url, "openai/gpt-4o"))
        assert reply.status == 200, reply.body
        [(path, sent)] = posts(asked)
        assert path == "/v1/chat/completions"
        assert f'"url":"data:image/png;base64,{DATA}"'.encode() in sent
        assert b'"temperature":1.0' in sent
        assert b'"metadata":{ "a" :"b"}' in sent
        assert "messages[0].content[1]" in reply.headers["x-dragoman-dropped"]
        asked.clear()
        claude = {
            "model": "anthropic/claude-sonnet-4-5",
            "max_tokens": 9,
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image", "source": {"type": "url", "url": url}}],
                }
            ],
        }
        assert server.ask("POST", "/v1/messages", claude).status == 200
        [(path, sent)] = posts(asked)
        assert url.encode() in sent, "nobody has named anthropic"
        assert ("/a.png", b"") not in asked
        asked.clear()
        translated = {**claude, "model": "openai/gpt-4o"}
        assert server.ask("POST", "/v1/messages", translated).status == 200
        [(path, sent)] = posts(asked)
        assert DATA.encode() in sent
        assert url.encode() not in sent


@pytest.mark.req("R-IMG-001", "R-IMG-004")
def test_an_address_inside_is_refused_on_this_way_as_well(site, tmp_path):
    port, asked = site
    settings = environment(port, IMAGE_FETCH_PROVIDERS="*")
    with gateway_server(tmp_path, **settings) as server:
        url = f"http://127.0.0.1:{port}/a.png"
        reply = server.ask("POST", "/v1/chat/completions", chat_body(url, "openai/gpt-4o"))
        assert reply.status == 400, reply.body
        assert reply.json()["error"]["param"] == "messages[0].content[1]"
        assert asked == []
        plain = server.chat("openai/gpt-4o", "Look at http://x.example/")
        assert plain.status == 200


@pytest.mark.req("R-IMG-001")
def test_unless_a_provider_is_named_addresses_pass(site, tmp_path):
    port, asked = site
    url = f"http://127.0.0.1:{port}/a.png"
    body = chat_body(url, "openai/gpt-4o")
    with gateway_server(tmp_path, **environment(port)) as server:
        reply = server.ask("POST", "/v1/chat/completions", body)
        assert reply.status == 200, reply.body
        [(_, sent)] = posts(asked)
        assert url.encode() in sent
        assert len(asked) == 1
