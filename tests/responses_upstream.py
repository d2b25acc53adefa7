"""A provider that keeps responses itself, for flow tests, and one of chat that repeats what it was told.

Written by hand, they share nothing with ours. What an account has made is shown to that account alone.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

KEYS = ("sk-own-a123456789abcdef0123456789abcdef012", "sk-own-b123456789abcdef0123456789abcdef012")


@dataclass
class Account:
    """What one key has made."""

    responses: dict[str, dict] = field(default_factory=dict)
    inputs: dict[str, list] = field(default_factory=list)


@dataclass
class ResponsesUpstream:
    """The accounts by key, and what was asked for: method, target, body."""

    port: int = 0
    accounts: dict[str, Account] = field(
        default_factory=lambda: {key: Account({}, {}) for key in KEYS}
    )
    asked: list[tuple[str, str, dict]] = field(default_factory=list)
    made: int = 0
    left: threading.Event = field(default_factory=threading.Event)
    """Whoever read a slow replay has closed the connection."""

    def environment(self, keys: int = 1) -> dict[str, str]:
        """Settings of a gateway whose OpenAI is this one."""
        return {
            "OPENAI_API_KEY": ",".join(KEYS[:keys]),
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.port}/v1",
            "GROQ_API_KEY": "gsk_own0123456789abcdef0123456789abcdef",
            "GROQ_BASE_URL": f"http://127.0.0.1:{self.port}/groq",
        }

    def create(self, account: Account, body: dict) -> tuple[int, dict]:
        """A new response."""
        previous = body.get("previous_response_id")
        if previous is not None and previous not in account.responses:
            return 400, refusal(f"Previous response with id '{previous}' not found.")
        given = body.get("input", [])
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        before = account.inputs.get(previous, []) if previous else []
        if previous:
            before = [*before, *account.responses[previous]["output"]]
        self.made += 1
        name = f"resp_own{self.made:04}"
        message = {
            "id": f"msg_own{self.made:04}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [
                {
                    "type": "output_text",
                    "text": f"{len(before) + len(items)} items",
                    "annotations": [],
                }
            ],
        }
        response = {
            "id": name,
            "object": "response",
            "created_at": 1,
            "status": "queued" if body.get("background") else "completed",
            "background": bool(body.get("background")),
            "model": body["model"],
            "output": [] if body.get("background") else [message],
            "parallel_tool_calls": True,
            "previous_response_id": previous,
            "store": body.get("store") is not False,
            "tool_choice": "auto",
            "tools": [],
            "usage": {
                "input_tokens": 3,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": 2,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 5,
            },
        }
        conversation = body.get("conversation")
        if conversation is not None:
            response["conversation"] = {"id": conversation}
        if response["store"]:
            account.responses[name] = response
            account.inputs[name] = [*before, *items]
        return 200, response


def refusal(message: str) -> dict:
    return {
        "error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    }


def frames(response: dict) -> bytes:
    """The response as a stream."""
    start = {**response, "status": "in_progress", "output": [], "usage": None}
    (item,) = response["output"]
    text = item["content"][0]["text"]
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    blank = {**item["content"][0], "text": ""}
    events = [
        ("response.created", {"response": start}),
        ("response.in_progress", {"response": start}),
        (
            "response.output_item.added",
            {"output_index": 0, "item": {**item, "content": [], "status": "in_progress"}},
        ),
        ("response.content_part.added", {**at, "part": blank}),
        ("response.output_text.delta", {**at, "delta": text, "logprobs": []}),
        ("response.output_text.done", {**at, "text": text, "logprobs": []}),
        ("response.content_part.done", {**at, "part": item["content"][0]}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": response}),
    ]
    return b"".join(
        f"event: {name}\ndata: {json.dumps({'type': name, 'sequence_number': number, **more})}\n\n".encode()
        for number, (name, more) in enumerate(events)
    )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream: ResponsesUpstream

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        if self.path.endswith("/chat/completions"):
            self._repeat(body)
            return
        account = self._account("POST", body)
        path = urlsplit(self.path).path
        if path == "/v1/responses":
            status, response = self.upstream.create(account, body)
            if status == 200 and body.get("stream") and body["model"] == "hangs":
                self._begin(frames(response), 6)
                self.connection.recv(1)
            elif status == 200 and body.get("stream"):
                self._send(200, frames(response), "text/event-stream")
            else:
                self._send(status, response)
            return
        name = path.split("/")[3]
        found = account.responses.get(name)
        if found is None:
            self._send(404, refusal(f"Response with id '{name}' not found."))
        elif not found["background"]:
            self._send(400, refusal("Cannot cancel a synchronous response."))
        else:
            found["status"] = "cancelled"
            self._send(200, found)

    def _repeat(self, body: dict) -> None:
        """Says, as its answer, the messages that it got."""
        self.upstream.asked.append(("POST", self.path, body))
        told = json.dumps([[item["role"], item["content"]] for item in body["messages"]])
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        head = {"id": "chatcmpl-7", "created": 1, "model": body["model"]}
        if not body.get("stream"):
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": told},
                "finish_reason": "stop",
            }
            whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
            self._send(200, whole)
            return
        half = len(told) // 2
        deltas = [
            {"role": "assistant", "content": ""},
            {"content": told[:half]},
            {"content": told[half:]},
        ]
        choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
        chunks = [{"choices": [choice]} for choice in choices]
        chunks.append({"choices": [], "usage": usage})
        lines = [
            json.dumps({**head, "object": "chat.completion.chunk", **chunk}) for chunk in chunks
        ]
        said = "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"])
        self._send(200, said.encode(), "text/event-stream")

    def do_GET(self) -> None:
        account = self._account("GET", {})
        parts = urlsplit(self.path).path.split("/")
        if parts[2] == "models":
            self._send(200, {"object": "list", "data": [{"id": "gpt-5-mini", "object": "model"}]})
            return
        found = account.responses.get(parts[3])
        if found is None:
            self._send(404, refusal(f"Response with id '{parts[3]}' not found."))
        elif len(parts) > 4:
            items = list(reversed(account.inputs[parts[3]]))
            self._send(200, {"object": "list", "data": items, "has_more": False})
        elif "stream=true" in self.path and found["model"] in {"broken", "slow"}:
            self._begin(frames(found))
            if found["model"] == "slow":
                self.connection.recv(1)
                self.upstream.left.set()
        elif "stream=true" in self.path and found["model"] == "short":
            self._send(200, frames(found).split(b"\n\n")[0] + b"\n\n", "text/event-stream")
        elif "stream=true" in self.path:
            after = parse_qs(urlsplit(self.path).query).get("starting_after", ["-1"])
            cut = frames(found).split(b"\n\n")[:-1][int(after[0]) + 1 :]
            self._send(200, b"".join(frame + b"\n\n" for frame in cut), "text/event-stream")
        else:
            self._send(200, found)

    def _begin(self, stream: bytes, count: int = 1) -> None:
        """Sends the first frames, and no more."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(stream)))
        self.end_headers()
        self.wfile.write(b"\n\n".join([*stream.split(b"\n\n")[:count], b""]))
        self.wfile.flush()
        self.close_connection = True

    def do_DELETE(self) -> None:
        account = self._account("DELETE", {})
        name = self.path.split("/")[3]
        if account.responses.pop(name, None) is None:
            self._send(404, refusal(f"Response with id '{name}' not found."))
        else:
            self._send(200, {"id": name, "object": "response", "deleted": True})

    def _account(self, method: str, body: dict) -> Account:
        self.upstream.asked.append((method, self.path, body))
        return self.upstream.accounts[self.headers["authorization"].removeprefix("Bearer ")]

    def _send(self, status: int, said: dict | bytes, kind: str = "application/json") -> None:
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def responses_upstream() -> Iterator[ResponsesUpstream]:
    """Serves on loopback while the block runs."""
    upstream = ResponsesUpstream()
    handler = type("Handler", (_Handler,), {"upstream": upstream})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    upstream.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield upstream
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
