"""A network in which every address is a trap; run in a network namespace of its own by ``test_ssrf``.

There all addresses of both families are this machine's: whatever the gateway connects to, somebody
listens there and writes it down. A server of pictures stands at one public address, so that the
trap is known to work: what is fetched from it arrives. Names are answered by a resolver of ours.
"""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from replay import Answer, replaying
from servers import KEY, gateway_server
from ssrf_urls import denied_urls

PUBLIC = "8.8.8.8"
PORTS = (22, 25, 80, 443, 2375, 5432, 6379, 8080, 8443, 11434)
FILES = {
    "png": b"\x89PNG\r\n\x1a\n" + bytes(64),
    "pdf": b"%PDF-1.7\n" + bytes(64),
    "wav": b"RIFF\0\0\0\0WAVEfmt " + bytes(64),
    "mp4": b"\0\0\0\x18ftypmp42" + bytes(64),
}
NAMES: dict[str, list[str]] = {
    "public.example": [PUBLIC],
    "loopback.example": ["127.0.0.1"],
    "inner.example": ["10.0.0.5"],
    "metadata.example": ["169.254.169.254"],
    "mixed.example": [PUBLIC, "127.0.0.1"],
    "mixed6.example": [PUBLIC, "::1"],
    "mapped.example": ["::ffff:169.254.169.254"],
    "nat64.example": ["64:ff9b::a9fe:a9fe"],
    "sixtofour.example": ["2002:7f00:1::"],
    "local.example": ["fd00:ec2::254"],
}
TARGETS = {"gemini": "google/gemini-2.5-flash", "ollama": "ollama/llava"}


class Trap:
    """Everything that listens; ``hits`` are connections to where nobody may go."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        self.served = 0
        self.redirects = denied_urls()
        """``/to/<number>`` leads to each of them."""

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = writer.get_extra_info("sockname")[:2]
        if (address, port) != (PUBLIC, 80):
            self.hits.append(f"{address}:{port}")
            writer.close()
            return
        self.served += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            target = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
            head, body = "200 OK", FILES.get(target[-3:], b"")
            if target.startswith("/to/"):
                place = self.redirects[int(target[4:])].encode("utf-8").decode("latin-1")
                place = "".join(letter for letter in place if letter not in "\r\n\0")
                head, body = f"302 Found\r\nlocation: {place}", b""
            said = f"HTTP/1.1 {head}\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(said.encode("latin-1") + body)
            await writer.drain()
        writer.close()

    async def serve(self, ready: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        for port in PORTS:
            for host, family in (("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6)):
                await asyncio.start_server(self.accept, host, port, family=family)
        await loop.create_datagram_endpoint(_Resolver, ("127.0.0.1", 53))
        ready.set()
        await asyncio.Event().wait()


class _Resolver(asyncio.DatagramProtocol):
    """Knows ``NAMES``, and that there is no other."""

    def connection_made(self, transport) -> None:
        self._transport = transport

    def datagram_received(self, data, addr) -> None:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode("latin-1"))
            at += 1 + data[at]
        question = data[12 : at + 5]
        (kind,) = struct.unpack(">H", data[at + 1 : at + 3])
        known = NAMES.get(".".join(labels).lower())
        version = {1: 4, 28: 6}.get(kind)
        records = [
            struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(address.packed)) + address.packed
            for address in map(ipaddress.ip_address, known or ())
            if address.version == version
        ]
        flags = 0x8180 if known is not None else 0x8183
        head = data[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
        self._transport.sendto(head + question + b"".join(records), addr)


# --------------------------------------------------------------------------- requests


def _chat(part):
    def made(url, model):
        content = [{"type": "text", "text": "x"}, part(url)]
        messages = [{"role": "user", "content": content}]
        return "/v1/chat/completions", {"model": model, "messages": messages}

    return made


def _responses(part):
    def made(url, model):
        content = [{"type": "input_text", "text": "x"}, part(url)]
        items = [{"role": "user", "content": content}]
        return "/v1/responses", {"model": model, "input": items}

    return made


def _anthropic(part, path="/v1/messages", **more):
    def made(url, model):
        words = {"type": "text", "text": "x"}
        messages = [{"role": "user", "content": [part(url), words]}]
        return path, {"model": model, "messages": messages, **more}

    return made


def _anthropic_result(url, model):
    image = {"type": "image", "source": {"type": "url", "url": url}}
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [image]}
    return "/v1/messages", {
        "model": model,
        "max_tokens": 9,
        "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
        ],
    }


def _gemini(url, model):
    parts = [{"text": "x"}, {"fileData": {"mimeType": "image/png", "fileUri": url}}]
    return f"/v1beta/models/{model}:generateContent", {
        "contents": [{"role": "user", "parts": parts}]
    }


def _ollama(url, model):
    message = {"role": "user", "content": "x", "images": [url]}
    return "/api/chat", {"model": model, "stream": False, "messages": [message]}


def _generate(url, model):
    return "/api/generate", {"model": model, "stream": False, "prompt": "x", "images": [url]}


def _image(url):
    return {"type": "image", "source": {"type": "url", "url": url}}


def _document(url):
    return {"type": "document", "source": {"type": "url", "url": url}}


class Surface(NamedTuple):
    """One place in one dialect where a caller may write an address."""

    dialect: str
    made: Callable[[str, str], tuple[str, object]]
    targets: tuple[str, ...]
    """Families of providers, other than the caller's own, which would be sent the address itself."""
    file: str = "png"
    """What may stand there; empty where the dialect knows no addresses, and its reader refuses them."""


_BOTH = ("gemini", "ollama")

SURFACES = {
    "chat": Surface(
        "chat", _chat(lambda url: {"type": "image_url", "image_url": {"url": url}}), _BOTH
    ),
    "chat-file": Surface(
        "chat",
        _chat(lambda url: {"type": "file", "file": {"file_data": url, "filename": "a.pdf"}}),
        ("gemini",),
        "pdf",
    ),
    "chat-video": Surface(
        "chat",
        _chat(lambda url: {"type": "video_url", "video_url": {"url": url}}),
        ("gemini",),
        "mp4",
    ),
    "responses": Surface(
        "responses",
        _responses(lambda url: {"type": "input_image", "detail": "auto", "image_url": url}),
        _BOTH,
    ),
    "responses-file": Surface(
        "responses",
        _responses(lambda url: {"type": "input_file", "file_url": url}),
        ("gemini",),
        "pdf",
    ),
    "anthropic": Surface("anthropic", _anthropic(_image, max_tokens=9), _BOTH),
    "anthropic-document": Surface(
        "anthropic", _anthropic(_document, max_tokens=9), ("gemini",), "pdf"
    ),
    "anthropic-result": Surface("anthropic", _anthropic_result, ("gemini",)),
    "anthropic-count": Surface(
        "anthropic", _anthropic(_image, "/v1/messages/count_tokens"), ("gemini",)
    ),
    "gemini": Surface("gemini", _gemini, ("ollama",)),
    "ollama": Surface("ollama", _ollama, ("gemini",), ""),
    "generate": Surface("generate", _generate, ("gemini",), ""),
}

CASES = [(name, family) for name, each in SURFACES.items() for family in each.targets]

GEMINI_REPLY = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}
    ],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
    "totalTokens": 2,
}
OLLAMA_REPLY = {
    "model": "llava",
    "message": {"role": "assistant", "content": "Hi"},
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 1,
    "eval_count": 1,
}


def _ask(port, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(
            "POST",
            path,
            json.dumps(body).encode(),
            {"content-type": "application/json", "authorization": f"Bearer {KEY}"},
        )
        reply = connection.getresponse()
        return reply.status, reply.read().decode("utf-8", "replace")
    finally:
        connection.close()


def _urls(trap: Trap) -> list[str]:
    names = [name for name in NAMES if name != "public.example"]
    redirects = [f"http://{PUBLIC}/to/{number}" for number in range(0, len(trap.redirects), 4)]
    return [*denied_urls(), *(f"https://{name}/x.png" for name in names), *redirects]


def tell(folder: Path) -> dict[str, object]:
    """What came of all requests."""
    trap = Trap()
    ready = threading.Event()
    threading.Thread(target=lambda: asyncio.run(trap.serve(ready)), daemon=True).start()
    assert ready.wait(10), "the trap does not listen"
    with replaying() as provider:
        provider.answers = {
            "": Answer(json.dumps(GEMINI_REPLY).encode()),
            "llava": Answer(json.dumps(OLLAMA_REPLY).encode()),
        }
        environment = {
            "GEMINI_API_KEY": "AIza-mock-0123456789",
            "GEMINI_BASE_URL": provider.url,
            "OLLAMA_BASE_URL": provider.url,
        }
        told: dict[str, object] = {}
        with gateway_server(folder, **environment) as server, ThreadPoolExecutor(4) as pool:
            for name, family in CASES:
                made, file = SURFACES[name].made, SURFACES[name].file
                # A member that holds bytes as well takes none for an empty file.
                urls = [url for url in _urls(trap) if url]
                start = len(trap.hits), _posts(provider)
                requests = [made(url, TARGETS[family]) for url in urls]
                replies = pool.map(lambda each: _ask(server.port, *each), requests)
                answers = [[url, *reply] for url, reply in zip(urls, replies, strict=True)]
                case = {"answers": answers, "hits": trap.hits[start[0] :]}
                case["upstream"] = _posts(provider) - start[1]
                served = trap.served
                fine = [
                    _ask(server.port, *made(f"http://{host}/x.{file}", TARGETS[family]))
                    for host in (PUBLIC, "public.example")
                ]
                case["fine"] = fine
                case["served"] = trap.served - served
                case["upstream_fine"] = _posts(provider) - start[1] - case["upstream"]
                told[f"{name}-{family}"] = case
            log = server.log.read_text()
    told["log"] = log
    return told


def _posts(provider) -> int:
    return sum(seen.method == "POST" for seen in provider.seen)


def main() -> None:
    folder = Path(sys.argv[1])
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    for command in (
        "ip link set lo up",
        "ip route add local default dev lo",
        "ip -6 route add local default dev lo",
        f"mount --bind {resolver} {Path('/etc/resolv.conf').resolve()}",
    ):
        subprocess.run(command.split(), check=True)
    (folder / "told.json").write_text(json.dumps(tell(folder)))


if __name__ == "__main__":
    main()
