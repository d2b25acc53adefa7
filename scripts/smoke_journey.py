"""Walks through a fresh gateway as a user would: health, a whole answer, a stream, the ledger."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import tempfile
from pathlib import Path

from serving import gateway

KEY = {"authorization": "Bearer drg_smoke", "content-type": "application/json"}
CHAT = {
    "model": "openai/gpt-4o-mini",
    "messages": [{"role": "user", "content": "Say hello."}],
}


def ask(port: int, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    """One request; the status and the whole body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, json.dumps(body) if body else None, KEY)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def expect(condition: object, what: str) -> None:
    """Ends the journey where something is not as it should be."""
    if not condition:
        sys.exit(f"Smoke user journey failed: {what}")
    print(f"ok: {what}")


def main() -> int:
    """The journey."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"USE_STUB_ADAPTERS": "true", "LOG_LEVEL": "warn"}
    with tempfile.TemporaryDirectory() as home, gateway(port, Path(home), **environment):
        status, body = ask(port, "GET", "/health")
        expect(status == 200 and json.loads(body)["status"] == "healthy", "GET /health is healthy")
        status, body = ask(port, "POST", "/v1/chat/completions", CHAT)
        expect(status == 200, "a chat completion is answered")
        expect(json.loads(body)["choices"][0]["message"]["content"], "it has content")
        status, body = ask(port, "POST", "/v1/chat/completions", {**CHAT, "stream": True})
        expect(status == 200, "a streamed chat completion is answered")
        expect(body.rstrip().endswith(b"data: [DONE]"), "the stream ends with [DONE]")
        status, body = ask(port, "GET", "/v1/usage")
        expect(json.loads(body)["requests"] == 2, "the ledger knows both requests")
    print("Smoke user journey completed successfully.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
