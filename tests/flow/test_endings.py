"""No stream ends in silence: every dialect of callers, every dialect of providers, every way to break.

A provider breaks off before its first words or behind them: its connection is reset, its bytes end,
end within a frame, tell of an error, or simply stop coming. Before words the caller gets an HTTP
error in its own shape; behind them one error in its stream and nothing that says completion (D3).
"""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import pytest

from servers import Server, gateway_server, providers_at

FAULTS = {
    "reset": "upstream_cut",
    "end": "upstream_cut",
    "half": "upstream_cut",
    "error": "upstream_error",
    "stall": "timeout",
}
"""Way to break → how the ledger calls it, where words had gone out."""

POINTS = ("before", "opened", "behind")
"""When it breaks: at once, where the stream has opened without a word, behind words."""


@dataclass(frozen=True)
class Speech:
    """How a provider's stream begins, goes on and tells of an error."""

    kind: str
    words: bytes
    more: bytes
    """A further frame, of which half is sent."""
    error: bytes
    head: bytes = b""
    """What a stream opens with that nobody would read yet, where there is such a thing."""


def _sse(*events: tuple[str, dict]) -> bytes:
    return b"".join(
        (f"event: {name}\n" if name else "").encode() + b"data: %b\n\n" % json.dumps(data).encode()
        for name, data in events
    )


def _chunk(text: str) -> tuple[str, dict]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
    return "", {"id": "c", "object": "chat.completion.chunk", "created": 1, "choices": [choice]}


def _gemini(text: str) -> bytes:
    content = {"role": "model", "parts": [{"text": text}]}
    return _sse(("", {"candidates": [{"index": 0, "content": content}], "responseId": "r"}))


def _delta(text: str, number: int) -> tuple[str, dict]:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "sequence_number": number}
    name = "response.output_text.delta"
    return name, {"type": name, "delta": text, "logprobs": [], **place}


def _responses_head() -> bytes:
    reply = {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "in_progress",
        "model": "m", "output": [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    }  # fmt: skip
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress"}
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    events = [
        {"type": "response.created", "response": reply},
        {"type": "response.in_progress", "response": reply},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", "part": part, **at},
    ]
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    return _sse(*[(event["type"], event) for event in numbered])


def _anthropic_head() -> bytes:
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 1},
    }  # fmt: skip
    start = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    return _sse(
        ("message_start", {"type": "message_start", "message": message}),
        ("content_block_start", start),
    )


def _block(text: str) -> tuple[str, dict]:
    delta = {"type": "text_delta", "text": text}
    return "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}


def _line(text: str) -> bytes:
    said = {"role": "assistant", "content": text}
    line = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": said, "done": False}
    return json.dumps(line).encode() + b"\n"


def _word(text: str) -> bytes:
    line = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "response": text, "done": False}
    return json.dumps(line).encode() + b"\n"


def _prompted(text: str) -> tuple[str, dict]:
    choice = {"index": 0, "text": text, "finish_reason": None, "logprobs": None}
    return "", {"id": "c", "object": "text_completion", "created": 1, "choices": [choice]}


_OVERLOADED = {"type": "overloaded_error", "message": "Overloaded"}
SPEECHES = {
    "chat": Speech(
        "text/event-stream",
        _sse(_chunk("Hel")),
        _sse(_chunk("lo")),
        _sse(("", {"error": {"message": "down", "type": "server_error", "code": 503}})),
        _sse(_chunk("")),
    ),
    "responses": Speech(
        "text/event-stream",
        _responses_head() + _sse(_delta("Hel", 4)),
        _sse(_delta("lo", 5)),
        _sse(
            (
                "error",
                {
                    "type": "error",
                    "code": "server_error",
                    "message": "down",
                    "param": None,
                    "sequence_number": 5,
                },
            )
        ),
        _responses_head(),
    ),
    "anthropic": Speech(
        "text/event-stream",
        _anthropic_head() + _sse(_block("Hel")),
        _sse(_block("lo")),
        _sse(("error", {"type": "error", "error": _OVERLOADED})),
        _anthropic_head(),
    ),
    "gemini": Speech(
        "text/event-stream",
        _gemini("Hel"),
        _gemini("lo"),
        _sse(("", {"error": {"code": 503, "message": "down", "status": "UNAVAILABLE"}})),
    ),
    "ollama": Speech("application/x-ndjson", _line("Hel"), _line("lo"), b'{"error":"down"}\n'),
    "generate": Speech("application/x-ndjson", _word("Hel"), _word("lo"), b'{"error":"down"}\n'),
    "completions": Speech(
        "text/event-stream",
        _sse(_prompted("Hel")),
        _sse(_prompted("lo")),
        _sse(("", {"error": {"message": "down", "type": "server_error", "code": 503}})),
    ),
}
PROVIDERS = {
    "chat": "groq",
    "responses": "openai-responses",
    "anthropic": "anthropic",
    "gemini": "google",
    "ollama": "ollama",
}
PATHS = {
    "/chat/completions": "chat",
    "/v1/completions": "completions",
    "/responses": "responses",
    "/messages": "anthropic",
    ":streamGenerateContent": "gemini",
    "/api/chat": "ollama",
    "/api/generate": "generate",
}


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            line for line in head.lower().split("\r\n") if line.startswith("content-length")
        )
        body = json.loads(await reader.readexactly(int(length.split(":")[1])))
        path = head.split(" ")[1]
        speech = SPEECHES[next(name for end, name in PATHS.items() if end in path)]
        model = body.get("model") or path
        fault = next(name for name in FAULTS if f"-{name}-" in model)
        point = next(point for point in POINTS if f"-{point}" in model)
        writer.write(
            f"HTTP/1.1 200 OK\r\ncontent-type: {speech.kind}\r\nconnection: close\r\n\r\n".encode()
        )
        writer.write({"before": b"", "opened": speech.head, "behind": speech.words}[point])
        await writer.drain()
        await asyncio.sleep(0.03)  # so that the words are under way before the reset
        if fault == "half":
            writer.write(speech.more[: len(speech.more) // 2])
        elif fault == "error":
            writer.write(speech.error)
        await writer.drain()
        if fault == "stall":
            await reader.read()
        elif fault == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
    writer.close()


@contextmanager
def _upstream() -> Iterator[int]:
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(_serve, "127.0.0.1", 0, backlog=512))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        server.close()
        loop.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with _upstream() as port:
        environment = {
            **providers_at(port),
            "GEMINI_API_KEY": "AIza-mock-0123456789",
            "GEMINI_BASE_URL": f"http://127.0.0.1:{port}",
            "MAX_RETRIES": "0",
            "BREAKER_FAILURES": "100000",
            "STREAM_IDLE_TIMEOUT_MS": "700",
            "FIRST_EVENT_TIMEOUT_MS": "900",
        }
        with gateway_server(tmp_path_factory.mktemp("endings"), **environment) as server:
            yield server


# --------------------------------------------------------------------------- callers


def _frames(body: bytes) -> list[str]:
    return [
        line.removeprefix("data:").strip()
        for line in body.decode().splitlines()
        if line.startswith("data:")
    ]


def _chat_ending(body: bytes) -> tuple[str, str | None]:
    frames = _frames(body)
    assert frames[-1] == "[DONE]"
    assert frames.count("[DONE]") == 1
    chunks = [json.loads(frame) for frame in frames[:-1]]
    assert [index for index, chunk in enumerate(chunks) if "error" in chunk] == [len(chunks) - 1]
    choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
    assert all(choice.get("finish_reason") is None for choice in choices)
    said = "".join(
        choice.get("text") or choice.get("delta", {}).get("content") or "" for choice in choices
    )
    return said, chunks[-1]["error"]["message"]


def _responses_ending(body: bytes) -> tuple[str, str | None]:
    events = [json.loads(frame) for frame in _frames(body)]
    names = [event["type"] for event in events]
    assert names[-2:] == ["error", "response.failed"]
    assert names.count("error") == names.count("response.failed") == 1
    assert not {"response.completed", "response.incomplete"} & set(names)
    said = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    return "".join(said), events[-2]["message"]


def _anthropic_ending(body: bytes) -> tuple[str, str | None]:
    events = [json.loads(frame) for frame in _frames(body)]
    names = [event["type"] for event in events]
    assert names[-1] == "error"
    assert not {"message_stop", "message_delta"} & set(names[:-1])
    said = [event["delta"]["text"] for event in events if event["type"] == "content_block_delta"]
    return "".join(said), events[-1]["error"]["message"]


def _gemini_ending(body: bytes) -> tuple[str, str | None]:
    chunks = json.loads(body) if body.startswith(b"[") else [json.loads(f) for f in _frames(body)]
    assert [index for index, chunk in enumerate(chunks) if "error" in chunk] == [len(chunks) - 1]
    candidates = [each for chunk in chunks for each in chunk.get("candidates", ())]
    assert not any("finishReason" in candidate for candidate in candidates)
    parts = [part for each in candidates for part in each.get("content", {}).get("parts", ())]
    return "".join(part.get("text", "") for part in parts), chunks[-1]["error"]["message"]


def _ollama_ending(body: bytes) -> tuple[str, str | None]:
    lines = [json.loads(line) for line in body.splitlines() if line]
    assert [index for index, line in enumerate(lines) if "error" in line] == [len(lines) - 1]
    assert not any(line.get("done") for line in lines)
    said = [
        line.get("response") or line.get("message", {}).get("content") or "" for line in lines[:-1]
    ]
    return "".join(said), lines[-1]["error"]


def _openai_error(error: dict) -> str:
    assert {"message", "type", "code", "param"} <= error["error"].keys()
    return error["error"]["message"]


def _anthropic_error(error: dict) -> str:
    assert error["type"] == "error"
    assert error["error"]["type"].endswith("_error")
    return error["error"]["message"]


def _gemini_error(error: list | dict) -> str:
    found = (error[0] if isinstance(error, list) else error)["error"]
    assert isinstance(found["code"], int)
    assert found["status"]
    return found["message"]


def _ollama_error(error: dict) -> str:
    assert isinstance(error["error"], str)
    return error["error"]


_ERRORS = {
    _anthropic_ending: _anthropic_error,
    _gemini_ending: _gemini_error,
    _ollama_ending: _ollama_error,
}
"""How a dialect, known by the ends of its streams, tells of an error by HTTP; else OpenAI's way."""


@dataclass(frozen=True)
class Asker:
    """A caller's dialect: where and how it asks, and what the end of a broken stream is there."""

    path: str
    body: Callable[[str], dict]
    ending: Callable[[bytes], tuple[str, str | None]]


def _messages(model: str) -> dict:
    return {"model": model, "stream": True, "messages": [{"role": "user", "content": "x"}]}


def _contents(model: str) -> dict:
    del model
    return {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}


ASKERS = {
    "chat": Asker("/v1/chat/completions", _messages, _chat_ending),
    "completions": Asker(
        "/v1/completions",
        lambda model: {"model": model, "stream": True, "prompt": "x"},
        _chat_ending,
    ),
    "responses": Asker(
        "/v1/responses",
        lambda model: {"model": model, "stream": True, "input": "x"},
        _responses_ending,
    ),
    "anthropic": Asker(
        "/v1/messages", lambda model: {**_messages(model), "max_tokens": 9}, _anthropic_ending
    ),
    "gemini": Asker(
        "/v1beta/models/{model}:streamGenerateContent?alt=sse", _contents, _gemini_ending
    ),
    "gemini array": Asker(
        "/v1beta/models/{model}:streamGenerateContent", _contents, _gemini_ending
    ),
    "ollama": Asker("/api/chat", _messages, _ollama_ending),
    "generate": Asker(
        "/api/generate", lambda model: {"model": model, "prompt": "x"}, _ollama_ending
    ),
}


def _broken(house: Server, name: str, provider: str, fault: str, point: str) -> None:
    asker = ASKERS[name]
    model = f"{PROVIDERS[provider]}/m-{fault}-{point}"
    label = f"{name.replace(' ', '_')}.{provider}.{fault}.{point}"
    reply = house.ask(
        "POST",
        asker.path.replace("{model}", model),
        asker.body(model),
        {"x-request-id": label},
    )
    if point == "behind":
        assert reply.status == 200
        said, told = asker.ending(reply.body)
        assert said == "Hel"
        assert told
    else:
        assert reply.status >= 500
        assert _ERRORS.get(asker.ending, _openai_error)(reply.json())


@pytest.mark.req("R-ADD-025", "R-STRM-003")
@pytest.mark.parametrize("name", ASKERS)
def test_every_way_to_break_is_told_once_and_nothing_says_completion(house, name):
    cells = [
        (provider, fault, point)
        for provider in PROVIDERS
        for fault in FAULTS
        for point in POINTS
        if point != "opened" or SPEECHES[provider].head
    ]
    with ThreadPoolExecutor(len(cells)) as pool:
        tries = {cell: pool.submit(_broken, house, name, *cell) for cell in cells}
    wrong = {cell: error for cell, done in tries.items() if (error := done.exception())}
    assert not wrong, "\n".join(f"{cell}: {error!r}" for cell, error in wrong.items())
    rows = {row["request_id"]: row["status"] for row in house.rows(limit=1000)}
    prefix = name.replace(" ", "_")
    for provider, fault, point in cells:
        status = rows[f"{prefix}.{provider}.{fault}.{point}"]
        before = "timeout" if fault == "stall" else "upstream_error"
        assert status == (FAULTS[fault] if point == "behind" else before), (provider, fault, point)
