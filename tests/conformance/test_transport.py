"""What attempt may rely on, over every client: replies, pieces, cancel, close, connections.

Faults are in ``test_transport_faults``, TLS and the environment in ``test_transport_trust``,
caps in ``test_transport_limits``. ``docs/transport.md`` names every test of the four with what
each client does; ``test_transport_docs`` holds the two together.
"""

from __future__ import annotations

import asyncio
from statistics import median

import pytest
from tests.conformance.rig import (
    LATE_S,
    busy,
    cancelled,
    closed_after,
    collect,
    failing,
    now,
    opened,
    post,
    story,
    told,
    until,
    whole,
)
from tests.conformance.upstream import Exchange, say, upstream, wire

from dragoman.transport.http import open_transport

CHUNKED = "transfer-encoding: chunked"
CLOSE_S = 0.2
"""A provider sees the close within this (D18)."""


@story
async def test_a_whole_reply_arrives_as_it_was_sent(client):
    async with upstream(say(b'{"a":1}', 201, "x-y: z")) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url("/v1/chat?beta=true")))
        assert (reply.status, reply.headers["x-y"]) == (201, "z")
        assert await reply.read(100) == b'{"a":1}'
        seen = provider.requests[0]
        assert (seen.method, seen.target) == ("POST", "/v1/chat?beta=true")
        assert seen.body == b'{"model":"m"}'


@story
async def test_nothing_is_added_to_the_request_but_what_http_needs(client):
    async with upstream(say()) as provider, opened(client) as transport:
        await whole(transport, post(provider.url(), headers={"accept-encoding": "identity"}))
        await whole(transport, post(provider.url(), method="GET", body=None))
        await whole(transport, post(provider.url(), body=b""))
        given = {"content-type", "authorization", "host"}
        if client != "direct":
            given |= {"accept"}
        names = [{name.lower() for name, _ in seen.headers} for seen in provider.requests]
        assert names == [
            given | {"content-length", "accept-encoding"},
            given,
            given | {"content-length"},
        ]
        assert provider.requests[0].header("accept-encoding") == "identity"
        assert provider.requests[0].header("host") == f"127.0.0.1:{provider.port}"
        assert provider.requests[2].header("content-length") == "0"


@story
async def test_header_names_are_lower_case_values_latin_1_and_of_repeated_ones_the_last(client):
    async def script(exchange: Exchange) -> None:
        await exchange.head(200, "content-length: 0", "X-One: 1", "X-ONE: 2", "X-Name: café")

    async with upstream(script) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        assert reply.headers["x-one"] == "2"
        assert reply.headers["x-name"] == "café"
        assert all(name == name.lower() for name in reply.headers)
        assert await reply.read(0) == b""


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@story
async def test_redirects_are_not_followed(client, status):
    async with upstream(say()) as elsewhere:
        away = say(b"gone", status, f"location: {elsewhere.url()}")
        async with upstream(away) as provider, opened(client) as transport:
            reply = await transport.send(post(provider.url()))
            assert (reply.status, reply.headers["location"]) == (status, elsewhere.url())
            assert await reply.read(100) == b"gone"
        assert elsewhere.connections == []


@story
async def test_cookies_are_not_kept(client):
    async with upstream(say(b"", 200, "set-cookie: a=b; path=/")) as provider:
        async with opened(client) as transport:
            await whole(transport, post(provider.url()))
            await whole(transport, post(provider.url()))
        assert [seen.header("cookie") for seen in provider.requests] == [None, None]


@story
async def test_an_error_status_is_a_reply_like_any_other(client):
    async with (
        upstream(say(b"slow down", 429, "retry-after: 7")) as provider,
        opened(client) as transport,
    ):
        reply = await transport.send(post(provider.url()))
        assert (reply.status, reply.headers["retry-after"]) == (429, "7")
        assert await reply.read(100) == b"slow down"


# ---------------------------------------------------------------------------- streams


@story
async def test_a_piece_is_readable_within_50_ms_of_being_sent(client):
    sent: list[float] = []

    async def script(exchange: Exchange) -> None:
        await exchange.head(200, CHUNKED)
        for number in range(10):
            sent.append(now())
            await exchange.chunk(b"data: %d\n\n" % number)
            await asyncio.sleep(0.02)
        await exchange.chunk(b"")

    async with upstream(script) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        late = []
        for number in range(10):
            assert await reply.next() == b"data: %d\n\n" % number
            late.append(now() - sent[number])
        assert await reply.next() is None
        assert await reply.next() is None, "the end stays the end"
        # Whoever holds pieces back holds back each; a busy machine one or two.
        assert median(late) < 0.05


@story
async def test_the_head_is_there_before_the_body(client):
    async def script(exchange: Exchange) -> None:
        await exchange.head(200, CHUNKED)
        await exchange.hang()

    async with upstream(script) as provider, opened(client) as transport:
        async with asyncio.timeout(LATE_S):
            reply = await transport.send(post(provider.url()))
        assert reply.status == 200
        await reply.close()


@story
async def test_a_body_without_a_length_ends_with_its_connection(client):
    async with (
        upstream(wire(b"HTTP/1.1 200 OK\r\n\r\nab", b"cd")) as provider,
        opened(client) as transport,
    ):
        reply = await transport.send(post(provider.url()))
        assert await collect(reply) == b"abcd"


@story
async def test_a_reader_that_does_not_read_stops_the_provider(client):
    sent = 0

    async def script(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.head(200, CHUNKED)
        for _ in range(1600):
            await exchange.chunk(b"x" * 65536)
            sent += 65536

    async with upstream(script) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        assert await reply.next()
        await asyncio.sleep(0.3)
        held = sent
        await asyncio.sleep(0.2)
        assert sent == held < 20 * 2**20, "the sockets' own buffers are full, nothing else"
        await reply.close()


# ---------------------------------------------------------------------------- cancel and close


@story
async def test_cancel_before_the_head_closes_the_connection(client):
    async with upstream(Exchange.hang) as provider, opened(client) as transport:
        task = asyncio.create_task(transport.send(post(provider.url())))
        await until(lambda: provider.requests)
        since = now()
        await cancelled(task)
        assert await closed_after(provider, since) < CLOSE_S


@story
async def test_cancel_in_an_idle_stream_closes_the_connection(client):
    async def script(exchange: Exchange) -> None:
        await exchange.head(200, CHUNKED)
        await exchange.chunk(b"a")
        await exchange.hang()

    async with upstream(script) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        assert await reply.next() == b"a"
        task = asyncio.create_task(reply.next())
        await asyncio.sleep(0.02)
        since = now()
        await cancelled(task)
        assert await closed_after(provider, since) < CLOSE_S
        assert told(await failing(reply.next()))[1] == "stream_connection_lost"
        assert task.cancelled(), "the task is still here, and holds nothing open"


@story
async def test_cancel_in_a_busy_stream_closes_the_connection(client):
    async with upstream(busy) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))

        async def read() -> None:
            while await reply.next():
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        since = now()
        await cancelled(task)
        assert await closed_after(provider, since) < CLOSE_S


@story
async def test_cancel_while_the_whole_is_read_closes_the_connection(client):
    for head in (b"content-length: 100", CHUNKED.encode()):
        async with (
            upstream(wire(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n", then="hang")) as up,
            opened(client) as transport,
        ):
            reply = await transport.send(post(up.url()))
            task = asyncio.create_task(reply.read(1000))
            await asyncio.sleep(0.02)
            since = now()
            await cancelled(task)
            assert await closed_after(up, since) < CLOSE_S


@story
async def test_cancel_at_any_moment_is_never_swallowed(client):
    async with upstream(busy) as provider, opened(client) as transport:

        async def read() -> None:
            reply = await transport.send(post(provider.url()))
            while await reply.next():
                assert not asyncio.current_task().cancelling(), "read on after the cancel"

        for moment in range(100):
            task = asyncio.create_task(read())
            await asyncio.sleep(moment / 20_000)
            await cancelled(task)
        await provider.all_closed()


@pytest.mark.parametrize("read_first", [0, 1, 5])
@story
async def test_close_without_reading_to_the_end_closes_the_connection(client, read_first):
    async with upstream(busy) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        for _ in range(read_first):
            assert await reply.next()
        since = now()
        await reply.close()
        await reply.close()
        assert await closed_after(provider, since) < CLOSE_S
        assert told(await failing(reply.next())) == (
            "upstream",
            "stream_connection_lost",
            "yes",
            True,
        )
        assert (await failing(reply.read(10))).code == "stream_connection_lost"


@story
async def test_close_wakes_a_reader_with_an_error_and_never_with_an_end(client):
    async def script(exchange: Exchange) -> None:
        await exchange.head(200, CHUNKED)
        await exchange.chunk(b"a")
        await exchange.hang()

    async with upstream(script) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        assert await reply.next() == b"a"
        task = asyncio.create_task(reply.next())
        await asyncio.sleep(0.02)
        since = now()
        await reply.close()
        assert (await failing(task)).code == "stream_connection_lost"
        assert await closed_after(provider, since) < CLOSE_S


@story
async def test_close_while_the_whole_is_read_closes_the_connection(client):
    said = wire(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nab", then="hang")
    async with upstream(said) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        task = asyncio.create_task(reply.read(1000))
        await asyncio.sleep(0.02)
        since = now()
        await reply.close()
        assert (await failing(task)).code == "stream_connection_lost"
        assert await closed_after(provider, since) < CLOSE_S


@story
async def test_closing_the_transport_closes_streams_and_idle_connections(client):
    async def script(exchange: Exchange) -> None:
        if exchange.seen.target == "/idle":
            await exchange.reply(b"")
        elif exchange.seen.target == "/slow":
            await asyncio.sleep(0.1)
            await exchange.reply(b"late")
        else:
            await busy(exchange)

    async with upstream(script) as provider:
        transport = open_transport(client)
        reply = await transport.send(post(provider.url("/busy")))
        assert await reply.next()
        late = asyncio.create_task(transport.send(post(provider.url("/slow"))))
        await whole(transport, post(provider.url("/idle")))
        await asyncio.sleep(0.02)
        await transport.close()
        await transport.close()
        error = await failing(late)
        assert error.code in {"network_error", "connection_reset"}
        await provider.all_closed()
        assert (await failing(transport.send(post(provider.url())))).sent == "no"
        assert (await failing(reply.next())).code == "stream_connection_lost"
