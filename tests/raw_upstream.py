"""A provider of raw bytes behind a real gateway: what it answers is chosen by the model's name.

It says what no HTTP library would say, and remembers the targets that it was asked for.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

KEY = "sk-mock-0123456789abcdef0123456789abcdef"
WHOLE = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
).encode()
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


@dataclass
class RawUpstream:
    """The listening socket, the replies by model, and the request lines and keys that came."""

    port: int
    replies: dict[str, bytes]
    asked: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    """What stood in ``authorization``."""

    def environment(self) -> dict[str, str]:
        """Settings of a gateway whose providers are this one."""
        return {
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.port}/v1",
            "ANTHROPIC_API_KEY": "sk-ant-mock-0123456789abcdef0123456789abcdef",
            "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{self.port}",
        }

    def serve(self, connection: socket.socket) -> None:
        """Answers requests on one connection; a reply that ends in ``HANG`` is never finished."""
        with connection, suppress(OSError), connection.makefile("rb") as reading:
            while line := reading.readline():
                self.asked.append(line.decode().strip())
                length = 0
                while (header := reading.readline()).strip():
                    if header.lower().startswith(b"content-length:"):
                        length = int(header.split(b":")[1])
                    elif header.lower().startswith(b"authorization:"):
                        self.keys.append(header.split(b":", 1)[1].decode().strip())
                body = json.loads(reading.read(length) or b"{}")
                reply = self.replies.get(str(body.get("model")))
                if reply is None:
                    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                    reply = head + b"content-length: %d\r\n\r\n" % len(WHOLE) + WHOLE
                connection.sendall(reply.removesuffix(b"HANG"))
                if reply.endswith(b"HANG"):
                    reading.read()
                if b"connection: close" in reply:
                    return


@contextmanager
def raw_upstream(replies: dict[str, bytes]) -> Iterator[RawUpstream]:
    """Serves on loopback while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        upstream = RawUpstream(listening.getsockname()[1], replies)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threading.Thread(
                        target=upstream.serve, args=(connection,), daemon=True
                    ).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield upstream
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)
