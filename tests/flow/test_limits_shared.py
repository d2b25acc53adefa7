"""Limits that several processes hold together: workers of one host, gateways on one Redis, and a Redis that goes."""

import asyncio
import json
import select
import socket
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from cryptography.fernet import Fernet

from databases import a_database
from redis_server import URL, redis_prefix
from servers import gateway_server, new_api_key, until

pytestmark = pytest.mark.req("R-TIER-005")
CHAT = {
    "model": "openai/gpt-4o-mini",
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 5,
}


def fire(ports, key, times, at_once=16):
    """How many requests got which status, spread over the gateways and over new connections."""
    body = json.dumps(CHAT).encode()
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
        % (key.encode(), len(body), body)
    )
    found: Counter[int] = Counter()
    left = times

    async def one(port):
        nonlocal left
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left > 0:
            left -= 1
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            found[int(head[9:12])] += 1
        writer.close()

    async def everybody():
        await asyncio.gather(*(one(ports[number % len(ports)]) for number in range(at_once)))

    asyncio.run(everybody())
    return found


@contextmanager
def gate(url):
    """A way to a server that can be shut and opened; its port and a switch."""
    target = (urlsplit(url).hostname or "127.0.0.1", urlsplit(url).port or 6379)
    is_open = threading.Event()
    is_open.set()
    over = threading.Event()

    def carry(one):
        with one, suppress(OSError), socket.create_connection(target) as other:
            while is_open.is_set() and not over.is_set():
                ready, _, _ = select.select([one, other], [], [], 0.02)
                for each in ready:
                    data = each.recv(65536)
                    if not data:
                        return
                    (other if each is one else one).sendall(data)

    def listen(server):
        server.settimeout(0.05)
        while not over.is_set():
            with suppress(TimeoutError):
                taken, _ = server.accept()
                if is_open.is_set():
                    threading.Thread(target=carry, args=(taken,), daemon=True).start()
                else:
                    taken.close()

    with socket.create_server(("127.0.0.1", 0), backlog=256) as server:
        thread = threading.Thread(target=listen, args=(server,), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1], is_open
        finally:
            over.set()
            thread.join(5)


def readiness(server):
    return server.ask("GET", "/ready", key=None).json()


def test_four_workers_of_one_host_hold_a_limit_together(tmp_path):
    with gateway_server(tmp_path, "--workers", "4") as server:
        assert readiness(server)["limits"] == "host"
        key = new_api_key(server, "--name", "a", "--rpm", "100")
        assert 99 <= fire([server.port], key, 800)[200] <= 101
        key = new_api_key(server, "--name", "b", "--rpm", "10000")
        began = time.monotonic()
        found = fire([server.port], key, 11_000)
        assert time.monotonic() - began < 58, "the window has moved on"
        assert 9_900 <= found[200] <= 10_000
        assert found[200] + found[429] == 11_000
        key = new_api_key(server, "--name", "c", "--tpm", "700")
        each = server.chat(text="hi", max_tokens=5).json()["usage"]["total_tokens"]
        admitted = fire([server.port], key, 300)[200]
        assert 0 < admitted * each <= 700, f"{admitted} of {each}"
        assert not (tmp_path / "home" / "limits").exists()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.gate)])
def url(request, tmp_path):
    """The URL of a database with our tables."""
    with a_database(request.param, tmp_path) as made:
        yield made


def test_four_gateways_on_one_redis_hold_a_limit_together_and_go_on_without_it(tmp_path, url):
    with ExitStack() as stack:
        prefix = stack.enter_context(redis_prefix())
        port, is_open = stack.enter_context(gate(URL))
        environment = {
            "DATABASE_URL": url,
            "FERNET_KEY": Fernet.generate_key().decode(),
            "REDIS_URL": f"redis://127.0.0.1:{port}",
            "REDIS_PREFIX": prefix,
        }
        servers = []
        for number in range(4):
            folder = tmp_path / str(number)
            folder.mkdir()
            servers.append(stack.enter_context(gateway_server(folder, **environment)))
        ports = [server.port for server in servers]
        assert {readiness(server)["limits"] for server in servers} == {"redis"}
        key = new_api_key(servers[0], "--name", "a", "--rpm", "100")
        assert 99 <= fire(ports, key, 600)[200] <= 101
        key = new_api_key(servers[0], "--name", "b", "--rpm", "10000")
        began = time.monotonic()
        found = fire(ports, key, 10_800)
        assert time.monotonic() - began < 58, "the window has moved on"
        assert 9_900 <= found[200] <= 10_000
        assert found[200] + found[429] == 10_800

        # Processes have to have seen one another, for each to know its part.
        time.sleep(6)
        is_open.clear()
        key = new_api_key(servers[0], "--name", "c", "--rpm", "100")
        # One after the other: whoever is refused at once would ask in the place of those who wait.
        found = sum((fire([port], key, 150) for port in ports), Counter())
        assert found[200] == 100
        assert found[429] == 500
        for server in servers:
            told = readiness(server)
            assert (told["status"], told["limits"]) == ("ready", "alone")
            text = server.ask("GET", "/metrics", key=None).body
            assert b"dragoman_limits_shared 0.0" in text

        is_open.set()
        until(lambda: {readiness(server)["limits"] for server in servers} == {"redis"}, 10)
        key = new_api_key(servers[0], "--name", "d", "--rpm", "100")
        assert 99 <= fire(ports, key, 600)[200] <= 101
        assert b"dragoman_limits_shared 1.0" in servers[0].ask("GET", "/metrics", key=None).body


def test_a_stream_holds_its_place_for_all_workers(tmp_path):
    with gateway_server(tmp_path, "--workers", "3") as server:
        key = new_api_key(server, "--name", "a", "--concurrency", "1")
        found = fire([server.port], key, 1500, at_once=50)
        assert set(found) == {200, 429}
        assert found[200] > 0
        assert until(lambda: server.chat(key=key).status == 200, 5)


@pytest.mark.parametrize(
    ("kind", "places"),
    [
        ("redis", 1000),
        ("host", 12),
        pytest.param("redis", 12, marks=pytest.mark.gate),
        pytest.param("host", 1000, marks=pytest.mark.gate),
    ],
)
def test_whoever_asks_one_after_the_other_never_waits_for_a_place_of_their_own(
    tmp_path, kind, places
):
    wide = [f"--{name}=2000000000" for name in ("rps", "rpm", "rpd", "tpm", "tpd")]
    with ExitStack() as stack:
        options, environment = ("--workers", "2"), {}
        if kind == "redis":
            prefix = stack.enter_context(redis_prefix())
            options, environment = (), {"REDIS_URL": URL, "REDIS_PREFIX": prefix}
        server = stack.enter_context(gateway_server(tmp_path, *options, **environment))
        assert readiness(server)["limits"] == kind
        key = new_api_key(server, "--name", "a", *wide, "--concurrency", str(places))
        assert fire([server.port], key, 2000, at_once=10) == {200: 2000}
