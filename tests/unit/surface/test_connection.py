"""A caller's connection, in front of a real uvicorn: heads, discarded bodies, and who never reads."""

import asyncio
import gc
import json
import socket
from contextlib import asynccontextmanager, suppress

import pytest
import uvicorn

from dragoman.surface import connection as subject
from dragoman.surface.connection import HEAD_LIMIT, Connection, State

HOST = b"host: localhost\r\n"


async def answer(scope, receive, send):
    """Answers at once, without a look at the body; ``/big`` with more than any buffer holds."""
    body = b"x" * 30_000_000 if scope["path"] == "/big" else b"ok"
    if scope["path"].startswith("/half"):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        size = int(scope["path"].removeprefix("/half"))
        await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
        scope[subject.SELF].give_up()
        scope[subject.SELF].give_up()
        return
    if scope["path"].startswith("/at-once"):
        value = "a\r\nb" if scope["path"] == "/at-once/broken" else scope["path"]
        text = f"content-length: 4\r\nx-path: {value}\r\n"
        headers = [(b"content-length", b"4"), (b"x-path", value.encode())]
        try:
            written = scope[subject.TURN].answer(200, text, 2, b"once")
        except ValueError:
            written, headers = False, headers[:1]
        if written:
            return
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": b"late"})
        return
    if scope["path"] == "/stream":
        turn = scope[subject.TURN]
        if not turn.begin(200, "x-path: /stream\r\n", 1):
            headers = [(b"x-path", b"by-message")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        if not turn.push(b"one"):
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
        if not turn.finish():
            await send({"type": "http.response.body", "body": b""})
        return
    if scope["path"] == "/farewell":
        headers = [(b"content-length", b"3"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"bye"})
        return
    if scope["path"] == "/echo":
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
    length = str(len(body)).encode()
    start = {
        "type": "http.response.start",
        "status": 200,
        "headers": [(b"content-length", length)],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving():
    config = uvicorn.Config(
        answer, http=Connection, port=0, lifespan="off", log_level="critical", ws="none"
    )
    server = uvicorn.Server(config)
    server.server_state = State()
    listening = socket.create_server(("127.0.0.1", 0))
    task = asyncio.create_task(server.serve([listening]))
    while not server.started:  # noqa: ASYNC110  uvicorn has no event to wait for
        await asyncio.sleep(0.01)
    try:
        yield server, listening.getsockname()[1]
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def dialled(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def said(port, *parts, pause=0.0):
    async with dialled(port) as (reader, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        return await asyncio.wait_for(reader.read(100_000), 5)


def test_a_request_is_answered_whole_or_in_pieces():
    async def story():
        async with serving() as (_, port):
            head = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
            assert (await said(port, head)).endswith(b"ok")
            assert (await said(port, head[:5], head[5:20], head[20:], pause=0.01)).endswith(b"ok")
            large = b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 200000\r\n\r\n"
            assert (await said(port, large + b"x" * 200_000)).startswith(b"HTTP/1.1 200")

    asyncio.run(story())


def test_an_answer_written_at_once_is_what_the_library_would_write():
    async def story():
        async with serving() as (_, port):
            # Pipelined: each answer belongs to its own request, and the connection goes on.
            one = b"GET /at-once/1 HTTP/1.1\r\n" + HOST + b"\r\n"
            two = b"POST /at-once/2 HTTP/1.1\r\n" + HOST + b"content-length: 2\r\n\r\nhi"
            async with dialled(port) as (reader, writer):
                for _ in range(3):
                    writer.write(one + two + one)
                    for path in (b"1", b"2", b"1"):
                        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
                        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
                        assert b"\r\nx-path: /at-once/" + path + b"\r\n" in head
                        assert b"\r\ndate: " in head
                        assert await reader.readexactly(4) == b"once"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("request_line", "header", "ends"),
    [
        (b"HEAD /at-once/1 HTTP/1.1", b"", b"\r\n\r\n"),
        (b"GET /at-once/1 HTTP/1.1", b"connection: close\r\n", b"late"),
        (b"GET /at-once/1 HTTP/1.0", b"", b"late"),
        (b"GET /at-once/broken HTTP/1.1", b"", b"late"),
    ],
)
def test_what_is_out_of_the_ordinary_is_not_written_at_once(request_line, header, ends):
    async def story():
        async with serving() as (_, port):
            found = await said(port, request_line + b"\r\n" + HOST + header + b"\r\n")
            assert found.startswith(b"HTTP/1.1 202")
            assert found.endswith(ends)
            assert b"a\r\nb" not in found

    asyncio.run(story())


@pytest.mark.parametrize(
    ("request_line", "header", "path", "body"),
    [
        (b"GET /stream HTTP/1.1", b"", b"/stream", b"3\r\none\r\n0\r\n\r\n"),
        (
            b"GET /stream HTTP/1.1",
            b"connection: close\r\n",
            b"by-message",
            b"3\r\none\r\n0\r\n\r\n",
        ),
        (b"HEAD /stream HTTP/1.1", b"", b"by-message", b""),
    ],
)
def test_a_stream_begins_at_once_where_nothing_is_out_of_the_ordinary(
    request_line, header, path, body
):
    async def story():
        async with serving() as (_, port), dialled(port) as (reader, writer):
            writer.write(request_line + b"\r\n" + HOST + header + b"\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"\r\nx-path: " + path + b"\r\n" in head
            assert head.count(b"transfer-encoding: chunked") == bool(body)
            if body:
                assert await asyncio.wait_for(reader.readexactly(len(body)), 5) == body

    asyncio.run(story())


@pytest.mark.parametrize("ends", [b"", b"connection: close\r\n"])
def test_that_a_connection_ends_is_said_once(ends):
    async def story():
        async with serving() as (_, port):
            found = await said(port, b"GET /farewell HTTP/1.1\r\n" + HOST + ends + b"\r\n")
            assert found.count(b"connection: close\r\n") == 1
            assert found.endswith(b"bye")

    asyncio.run(story())


def test_who_leaves_says_so_with_each_answer_and_takes_new_callers_meanwhile():
    async def story():
        async with serving() as (server, port), dialled(port) as (reader, writer):
            head = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
            writer.write(head)
            first = await reader.readuntil(b"ok")
            assert b"connection: close" not in first
            server.server_state.leaving = True
            writer.write(head)
            last = await asyncio.wait_for(reader.read(), 5)
            assert b"connection: close" in last
            assert last.endswith(b"ok")
            assert b"connection: close" in await said(port, head)

    asyncio.run(story())


@pytest.mark.parametrize("pause", [0.0, 0.005])
def test_an_endless_head_is_431_however_it_is_cut(pause):
    async def story():
        async with serving() as (_, port):
            lines = [b"x%d: %s\r\n" % (n, b"a" * 1000) for n in range(HEAD_LIMIT // 1000 + 5)]
            head = b"GET / HTTP/1.1\r\n" + HOST
            parts = [head, *lines, b"\r\n"] if pause else [head + b"".join(lines) + b"\r\n"]
            try:
                told = await said(port, *parts, pause=pause)
            except ConnectionError:
                return  # it was closed while we wrote on: refused as well
            assert told.startswith(b"HTTP/1.1 431 ")
            assert json.loads(told.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_http"

    asyncio.run(story())


def test_what_is_not_http_is_400_as_json():
    async def story():
        async with serving() as (_, port):
            told = await said(port, b"HELO there\r\n\r\n")
            assert told.startswith(b"HTTP/1.1 400 ")
            assert "HTTP/1.1" in json.loads(told.partition(b"\r\n\r\n")[2])["error"]["message"]

    asyncio.run(story())


@pytest.mark.parametrize("begun", [b"", b"GET / HT"])
def test_a_slow_head_is_cut_whether_it_began_or_not(monkeypatch, begun):
    monkeypatch.setattr(subject, "HEAD_S", 0.1)

    async def story():
        async with serving() as (server, port):
            assert await said(port, begun) == b""
            await asyncio.sleep(0.05)
            assert not server.server_state.connections

    asyncio.run(story())


def test_a_second_slow_head_on_a_kept_connection_is_cut_too(monkeypatch):
    monkeypatch.setattr(subject, "HEAD_S", 0.1)

    async def story():
        async with serving() as (_, port), dialled(port) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert await reader.readuntil(b"ok")
            await asyncio.sleep(0.2)
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\nGET /")
            assert await reader.readuntil(b"ok")
            assert await asyncio.wait_for(reader.read(), 5) == b""

    asyncio.run(story())


def test_a_body_that_nobody_wants_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr(subject, "DISCARD_LIMIT", 1_000_000)

    async def story():
        async with serving() as (_, port), dialled(port) as (_, writer):
            writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n")
            with pytest.raises(ConnectionError):
                for _ in range(1000):
                    writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                    await writer.drain()

    asyncio.run(story())


def test_a_body_that_goes_on_drop_by_drop_after_its_refusal_keeps_no_connection(monkeypatch):
    monkeypatch.setattr(subject, "LINGER_S", 0.4)

    async def story():
        loop = asyncio.get_running_loop()
        async with serving() as (_, port), dialled(port) as (reader, writer):
            # The longer patience with an idle connection has begun, and must not hold.
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            await reader.readuntil(b"ok")
            writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 100000\r\n\r\n")
            await reader.readuntil(b"ok")
            answered = loop.time()
            with suppress(ConnectionError):
                while not reader.at_eof():
                    assert loop.time() < answered + 5
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.05)
            assert 0.3 < loop.time() - answered < 3

    asyncio.run(story())


def test_who_sends_the_rest_of_a_body_after_its_refusal_in_time_keeps_the_connection():
    async def story():
        async with serving() as (_, port), dialled(port) as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"content-length: 3\r\n\r\n")
            await reader.readuntil(b"ok")
            writer.write(b"abc")
            writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            assert await asyncio.wait_for(reader.readuntil(b"ok"), 5)

    asyncio.run(story())


def test_a_caller_that_takes_nothing_is_cut_and_a_slow_one_is_not(monkeypatch):
    monkeypatch.setattr(subject, "STALL_S", 0.3)

    async def story():
        async with serving() as (server, port):
            with socket.socket() as deaf:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.connect(("127.0.0.1", port))
                deaf.sendall(b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n")
                await asyncio.sleep(0.15)
                assert len(server.server_state.connections) == 1
                await asyncio.sleep(0.6)
                assert not server.server_state.connections
            async with dialled(port) as (reader, writer):
                writer.write(b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n")
                taken = 0
                while taken < 30_000_000:
                    got = await reader.read(2_000_000)
                    assert got
                    taken += len(got)
                    await asyncio.sleep(0.002)

    asyncio.run(story())


@pytest.mark.parametrize(
    "offer",
    [
        b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMA\r\n",
        b"connection: keep-alive, upgrade\r\nupgrade: websocket\r\n",
    ],
)
@pytest.mark.parametrize("cut", [0, 20, 200])
def test_an_offer_of_another_protocol_is_ignored_and_loses_no_body(offer, cut):
    async def story():
        async with serving() as (_, port), dialled(port) as (reader, writer):
            head = b"POST /echo HTTP/1.1\r\n" + HOST + b"content-length: 5\r\n" + offer + b"\r\n"
            for number in (b"1", b"2"):
                sent = head + b"body" + number
                writer.write(sent[:cut])
                await writer.drain()
                await asyncio.sleep(0.01)
                writer.write(sent[cut:])
                assert (await reader.readuntil(b"body" + number)).startswith(b"HTTP/1.1 200")

    asyncio.run(story())


def test_an_offer_does_not_hide_that_the_connection_ends():
    async def story():
        async with serving() as (_, port):
            offer = b"connection: close, upgrade\r\nupgrade: h2c\r\n\r\n"
            assert (await said(port, b"GET / HTTP/1.1\r\n" + HOST + offer)).endswith(b"ok")
            tunnel = await said(port, b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n")
            assert tunnel.startswith(b"HTTP/1.1 400")

    asyncio.run(story())


@pytest.mark.parametrize("size", [10, 40_000])
def test_an_answer_that_is_given_up_ends_after_what_was_sent_and_without_its_end(size):
    async def story():
        async with serving() as (_, port):
            asked = b"GET /half%d HTTP/1.1\r\n" % size + HOST + b"\r\n"
            found = b""
            async with dialled(port) as (reader, writer):
                writer.write(asked)
                while piece := await asyncio.wait_for(reader.read(100_000), 5):
                    found += piece
            assert found.endswith(b"x" * size + b"\r\n")

    asyncio.run(story())


def test_a_caller_that_does_not_read_what_is_left_of_such_an_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr(subject, "STALL_S", 0.1)

    async def story():
        async with serving() as (server, port):
            for size in (50_000, 30_000_000):
                with socket.socket() as deaf:
                    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    deaf.connect(("127.0.0.1", port))
                    deaf.sendall(b"GET /half%d HTTP/1.1\r\n" % size + HOST + b"\r\n")
                    await asyncio.sleep(0.6)
                    assert not server.server_state.connections

    asyncio.run(story())


def test_a_connection_that_is_gone_leaves_nothing_for_the_collector():
    async def story():
        async with serving() as (_, port):
            gc.collect()
            gc.disable()
            try:
                for _ in range(3):
                    async with dialled(port) as (reader, writer):
                        writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
                        await asyncio.wait_for(reader.readuntil(b"ok"), 5)
                await asyncio.sleep(0.1)
                assert not [each for each in gc.get_objects() if isinstance(each, Connection)]
            finally:
                gc.enable()

    asyncio.run(story())
