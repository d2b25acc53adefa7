"""The mock over real sockets: the faults arrive at a caller as they were ordered."""

import asyncio
import contextlib
import json
import time

import pytest

from dragoman.mock import IMMEDIATE, MockConfig, open_mock
from dragoman.mock.config import changed

pytestmark = pytest.mark.req("R-MOCK-003", "R-MOCK-004")

HI = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def request(body=None, path="/v1/chat/completions", method=None, **headers):
    data = b"" if body is None else json.dumps(body).encode()
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    verb = method or ("GET" if body is None else "POST")
    return (
        f"{verb} {path} HTTP/1.1\r\nhost: mock\r\ncontent-length: {len(data)}\r\n{lines}\r\n".encode()
        + data
    )


@contextlib.asynccontextmanager
async def connected(running):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(running.url.rsplit(":", 1)[1]))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def read_reply(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    fields = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
    if "content-length" in fields:
        return head, await reader.readexactly(int(fields["content-length"]))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return head, body


async def ask(running, body=None, path="/v1/chat/completions", **headers):
    async with connected(running) as (reader, writer):
        writer.write(request(body, path, **headers))
        head, data = await read_reply(reader)
        return int(head.split()[1]), data


async def everything(running, body=HI, **headers):
    """All bytes until the mock ends the connection, and how it did."""
    async with connected(running) as (reader, writer):
        writer.write(request(body, **headers))
        got = b""
        try:
            while data := await asyncio.wait_for(reader.read(65536), 5):
                got += data
        except ConnectionResetError:
            return got, "reset"
        return got, "closed"


async def settled(running, count=1):
    """The truth, once so many requests are over."""
    for _ in range(200):
        entries = [entry for entry in running.mock.truth.entries if entry.ended]
        if len(entries) >= count:
            return entries
        await asyncio.sleep(0.01)
    raise AssertionError("The mock did not notice the end of the request.")


def test_a_connection_is_kept_and_pipelined_requests_are_answered_in_order():
    async def story():
        async with open_mock() as running, connected(running) as (reader, writer):
            slow = request(HI, x_mock_delay="30", x_mock_text="first")
            second, third = (request(HI, x_mock_text=word) for word in ("second", "third"))
            writer.write(slow[:20])
            await asyncio.sleep(0.01)
            writer.write(slow[20:] + second + third)
            texts = []
            for _ in range(3):
                _, body = await read_reply(reader)
                texts.append(json.loads(body)["choices"][0]["message"]["content"])
            assert texts == ["first", "second", "third"]

    asyncio.run(story())


def test_a_caller_that_waits_for_the_go_ahead_gets_it():
    async def story():
        async with open_mock() as running, connected(running) as (reader, writer):
            head, _, body = request(HI, expect="100-continue").partition(b"\r\n\r\n")
            writer.write(head + b"\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            assert (await read_reply(reader))[0].startswith("HTTP/1.1 200")

    asyncio.run(story())


@pytest.mark.parametrize(("raw", "status"), [(b"nonsense\r\n\r\n", b"400"), (None, b"413")])
def test_what_is_not_http_or_too_large_is_refused(raw, status, monkeypatch):
    monkeypatch.setattr("dragoman.mock.connection._LARGEST_BODY", 10)

    async def story():
        async with open_mock() as running, connected(running) as (reader, writer):
            writer.write(raw or request(HI))
            assert (await reader.read()).startswith(b"HTTP/1.1 " + status)

    asyncio.run(story())


def test_garbage_after_a_request_ends_the_connection_without_a_second_answer():
    async def story():
        async with open_mock() as running, connected(running) as (reader, writer):
            writer.write(request(HI, x_mock_delay="30") + b"\x00\x01\r\n\r\n")
            assert b"400" not in await reader.read()

    asyncio.run(story())


@pytest.mark.parametrize("mode", ["close", "reset"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_arrives_at_the_byte(mode, stream):
    async def story():
        async with open_mock() as running:
            got, ended = await everything(
                running, {**HI, "stream": stream}, x_mock_cut="50", x_mock_cut_mode=mode
            )
            assert ended == {"close": "closed", "reset": "reset"}[mode]
            body = got.partition(b"\r\n\r\n")[2]
            assert len(body.partition(b"\r\n")[2].removesuffix(b"\r\n") if stream else body) == 50
            (entry,) = await settled(running)
            assert (entry.whole, entry.left, entry.status) == (False, None, 200)

    asyncio.run(story())


@pytest.mark.parametrize(("how", "ended"), [("close", "closed"), ("reset", "reset")])
def test_a_dropped_request_gets_no_byte(how, ended):
    async def story():
        async with open_mock() as running:
            assert await everything(running, x_mock_drop=how) == (b"", ended)
            (entry,) = await settled(running)
            assert (entry.status, entry.input, entry.whole) == (None, 0, False)

    asyncio.run(story())


def test_a_lie_about_the_length_ends_with_the_connection():
    async def story():
        async with open_mock() as running:
            got, ended = await everything(running, x_mock_content_length="5", x_mock_body="{}")
            assert (got.partition(b"\r\n\r\n")[2], ended) == (b"{}", "closed")
            assert b"content-length: 7" in got

    asyncio.run(story())


@pytest.mark.parametrize("fault", [{"x_mock_hang": "yes"}, {"x_mock_hang_after": "2"}])
def test_a_silent_mock_notices_that_its_caller_leaves(fault):
    async def story():
        async with open_mock() as running:
            async with connected(running) as (reader, writer):
                writer.write(request({**HI, "stream": True}, **fault))
                with contextlib.suppress(TimeoutError):
                    while True:
                        await asyncio.wait_for(reader.read(65536), 0.05)
                assert running.mock.truth.entries[0].ended is None
                left = time.time()
            (entry,) = await settled(running)
            assert 0 <= entry.left - left < 0.2
            assert (entry.status, entry.output) == (
                (None, 0) if "x_mock_hang" in fault else (200, 1)
            )

    asyncio.run(story())


def test_a_paced_stream_stops_when_its_caller_leaves_and_bills_what_went_out():
    async def story():
        async with open_mock() as running:
            async with connected(running) as (reader, writer):
                writer.write(request({**HI, "stream": True}, x_mock_chunk_delay="20"))
                got = b""
                while got.count(b'"content"') < 4:
                    got += await reader.read(65536)
            (entry,) = await settled(running)
            assert entry.left is not None
            assert 2 <= entry.output < 12
            assert entry.input == 5

    asyncio.run(story())


def test_a_caller_that_does_not_read_is_waited_for():
    async def story():
        async with open_mock() as running, connected(running) as (reader, writer):
            writer.transport.pause_reading()
            body = {**HI, "stream": True}
            writer.write(
                request(
                    body, x_mock_length="12000000", x_mock_words="100000", x_mock_chunk_delay="1"
                )
            )
            await asyncio.sleep(0.5)
            assert running.mock.truth.entries[0].ended is None
            writer.transport.resume_reading()
            _, got = await read_reply(reader)
            assert got.endswith(b"data: [DONE]\n\n")
            assert (await settled(running))[0].whole

    asyncio.run(story())


def test_a_slow_answer_takes_the_time_of_its_text():
    async def story():
        config = changed(IMMEDIATE, b'{"tokenSpeed": 100, "baseDelay": 20}')
        async with open_mock(config) as running:
            begun = time.perf_counter()
            assert (await ask(running, {**HI, "max_tokens": 10}))[0] == 200
            assert 0.115 <= time.perf_counter() - begun < 0.6

    asyncio.run(story())


@pytest.mark.req("R-MOCK-002", "R-MOCK-005", "R-TEST-009")
def test_a_high_error_rate_is_set_felt_and_reset():
    async def story():
        start = MockConfig(0, 0, 0, 0, 0, enable_logs=False, seed=1)
        async with open_mock(start) as running:
            assert json.loads((await ask(running, path="/mock/config"))[1])["errorRate"] == 0
            assert (await ask(running, {"errorRate": 0.3}, "/mock/config"))[0] == 200
            statuses = [(await ask(running, HI))[0] for _ in range(300)]
            assert 0.2 <= sum(status >= 400 for status in statuses) / 300 <= 0.4
            assert {status for status in statuses if status >= 400} == {429, 500, 503, 400}
            assert (await ask(running, {}, "/mock/reset"))[0] == 200
            assert {(await ask(running, HI))[0] for _ in range(50)} == {200}

    asyncio.run(story())


def test_leaving_the_block_ends_connections_that_are_still_open():
    async def story():
        async with open_mock() as running:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", int(running.url.rsplit(":", 1)[1])
            )
            writer.write(request(HI, x_mock_hang="yes"))
            async with asyncio.timeout(5):
                while not running.mock.truth.entries:  # noqa: ASYNC110 - the mock has no event for it
                    await asyncio.sleep(0.01)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        assert running.mock.truth.entries[0].left is not None
        writer.close()

    asyncio.run(story())
