"""A conversation over the gateway's WebSocket, by a client library that nobody here wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from websockets.sync.client import ClientConnection, connect

from servers import KEY, Server

CHAT = "openai/gpt-4o-mini"
ENDS = ("chat.complete", "error")


class Talk:
    """What is said, and what is heard."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def say(self, **message) -> None:
        self.socket.send(json.dumps(message))

    def ask(self, request_id, model=CHAT, text="Hello!", **members) -> None:
        messages = [{"role": "user", "content": text}]
        said = {"model": model, "messages": messages, **members}
        self.say(type="chat.completions", requestId=request_id, **said)

    def hear(self, timeout=20) -> dict:
        return json.loads(self.socket.recv(timeout=timeout))

    def told(self, **message) -> dict:
        """What is answered to a message."""
        self.say(**message)
        return self.hear()

    def answer(self, request_id, **members) -> list[dict]:
        """Every frame of the answer to a request, while no other is under way."""
        self.ask(request_id, **members)
        return self.rest(request_id)

    def rest(self, request_id) -> list[dict]:
        frames: list[dict] = []
        while not frames or frames[-1]["type"] not in ENDS:
            frames.append(self.hear())
        assert {frame["requestId"] for frame in frames} == {request_id}
        return frames


@contextmanager
def talking(server: Server, key: str | None = KEY, path: str = "/ws", **options) -> Iterator[Talk]:
    """A connection; with a key, one that has said it."""
    url = f"ws://127.0.0.1:{server.port}{path}"
    with connect(url, close_timeout=2, max_size=None, **options) as socket:
        talk = Talk(socket)
        if key is not None:
            assert talk.told(type="auth", apiKey=key)["type"] == "auth.ok"
        yield talk
