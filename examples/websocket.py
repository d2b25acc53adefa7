# ruff: noqa: INP001, T201  a program to read and copy; it prints
"""Chat over the gateway's WebSocket: a key, a ping, an answer, a stream, two requests at once.

    pip install websockets
    TEST_API_KEY=drg_test python examples/websocket.py

``TEST_API_KEY`` is the key, ``DRAGOMAN_BASE_URL`` and ``DRAGOMAN_MODEL`` choose where and what. It ends with 1
where something is not as docs/websocket.md says.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from websockets.sync.client import ClientConnection, connect

URL = os.environ.get("DRAGOMAN_BASE_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("TEST_API_KEY") or os.environ.get("DRAGOMAN_API_KEY", "drg_test")
MODEL = os.environ.get("DRAGOMAN_MODEL", "openai/gpt-4o-mini")


def say(socket: ClientConnection, **message: Any) -> None:
    """Sends one message."""
    socket.send(json.dumps(message))


def ask(socket: ClientConnection, request_id: str, text: str, **members: Any) -> None:
    """Asks for a chat completion; ``members`` are those that a POST would have."""
    messages = [{"role": "user", "content": text}]
    asked = {"requestId": request_id, "model": MODEL, "messages": messages, **members}
    say(socket, type="chat.completions", **asked)


def hear(socket: ClientConnection, expected: str) -> dict[str, Any]:
    """The next frame, which has to be of this type."""
    frame: dict[str, Any] = json.loads(socket.recv(timeout=60))
    if frame["type"] != expected:
        sys.exit(f"{expected} was expected, and this came: {frame}")
    return frame


def main() -> None:
    """Goes through all of it once."""
    with connect(f"{URL.replace('http', 'ws', 1)}/ws", max_size=None) as socket:
        say(socket, type="auth", apiKey=KEY)
        print("role:", hear(socket, "auth.ok")["role"])

        say(socket, type="ping")
        hear(socket, "pong")

        ask(socket, "whole", "Hello!")
        hear(socket, "chat.start")
        whole = hear(socket, "chat.complete")
        print(whole["response"])
        print(whole["usage"]["total_tokens"], "tokens of", whole["providerId"])

        ask(socket, "stream", "Tell me a story", stream=True)
        hear(socket, "chat.start")
        frame: dict[str, Any] = json.loads(socket.recv(timeout=60))
        while frame["type"] == "chat.delta":
            print(frame["delta"], end="", flush=True)
            frame = json.loads(socket.recv(timeout=60))
        print()
        if frame["type"] != "chat.complete":
            sys.exit(f"The stream ended so: {frame}")

        # Two at once: their frames come mixed, and each says whose it is.
        for request_id in ("one", "two"):
            ask(socket, request_id, f"Say {request_id}")
        answers: dict[str, str] = {}
        while len(answers) < 2:
            frame = json.loads(socket.recv(timeout=60))
            if frame["type"] == "error":
                sys.exit(f"{frame['requestId']} failed: {frame['message']}")
            if frame["type"] == "chat.complete":
                answers[frame["requestId"]] = frame["response"]
        print(*(answers[request_id] for request_id in ("one", "two")), sep="\n")


if __name__ == "__main__":
    main()
