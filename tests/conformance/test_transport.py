"""What attempt may rely on, over every client: replies, pieces, cancel, close, connections.

Faults are in ``test_transport_faults``, TLS and the environment in ``test_transport_trust``,
caps in ``test_transport_limits``. ``docs/transport.md`` names every test of the four with what
each client does; ``test_transport_docs`` holds the two together.
"""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.conformance.rig import (
    cancelled,
    closed_after,
    collect,
    count_up,
    failing,
    now,
    opened,
    post,
    sockets_to,
    stopwatch,
    story,
    told,
    until,
    whole,
)
from tests.conformance.upstream import Exchange, say, upstream, wire

from dragoman.attempt.ports import UpstreamReply
from dragoman.transport.connections import Connections
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
        given = {"content-type", "authorization", "host", "accept"}
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
        assert max(late) < 0.05


@story
async def test_the_head_is_there_before_the_body(client):
    async def script(exchange: Exchange) -> None:
        await exchange.head(200, CHUNKED)
        await exchange.hang()

    async with upstream(script) as provider, opened(client) as transport:
        async with asyncio.timeout(1):
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
    async with upstream(_busy) as provider, opened(client) as transport:
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
    async with upstream(_busy) as provider, opened(client) as transport:

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
    async with upstream(_busy) as provider, opened(client) as transport:
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
            await _busy(exchange)

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


# ---------------------------------------------------------------------------- connections


@story
async def test_a_connection_is_used_again_once_its_reply_was_read_to_the_end(client):
    async with upstream(count_up) as provider, opened(client) as transport:
        for number in range(3):
            reply = await transport.send(post(provider.url()))
            assert await collect(reply) == str(number).encode()
            await reply.close()
        assert len(provider.connections) == 1


@story
async def test_a_connection_that_the_provider_ends_is_not_used_again(client):
    async with upstream(say(b"{}", 200, "Connection: Close")) as provider:
        async with opened(client) as transport:
            await whole(transport, post(provider.url()))
            await whole(transport, post(provider.url()))
        assert [seen.connection for seen in provider.requests] == [0, 1]


@story
async def test_a_stale_connection_costs_one_silent_retry(client):
    async def script(exchange: Exchange) -> None:
        if exchange.served:
            exchange.close()
        else:
            await exchange.reply(b"fine")

    async with upstream(script) as provider, opened(client) as transport:
        for _ in range(3):
            assert await whole(transport, post(provider.url())) == b"fine"
        # The second request met a stale connection; the new one for it is not kept.
        assert len(provider.requests) == 4


@story
async def test_a_connection_that_resets_at_the_second_request_is_stale_as_well(client):
    async def script(exchange: Exchange) -> None:
        if exchange.served:
            exchange.reset()
        else:
            await exchange.reply(b"fine")

    async with upstream(script) as provider, opened(client) as transport:
        assert await whole(transport, post(provider.url())) == b"fine"
        assert await whole(transport, post(provider.url())) == b"fine"


@story
async def test_a_new_connection_is_never_retried(client):
    async with upstream(wire(then="close")) as provider, opened(client) as transport:
        error = await failing(transport.send(post(provider.url())))
        assert told(error) == ("upstream", "connection_reset", "maybe", True)
        assert len(provider.requests) == 1


@story
async def test_the_silent_retry_happens_once(client):
    async def script(exchange: Exchange) -> None:
        if exchange.seen.target == "/good":
            await exchange.reply(b"fine")
        else:
            exchange.close()

    async with upstream(script) as provider, opened(client) as transport:
        assert await whole(transport, post(provider.url("/good"))) == b"fine"
        error = await failing(transport.send(post(provider.url("/bad"))))
        assert (error.code, error.sent) == ("connection_reset", "maybe")
        assert [seen.target for seen in provider.requests] == ["/good", "/bad", "/bad"]


@story
async def test_a_used_connection_that_breaks_late_was_being_worked_on_and_is_not_retried(client):
    async def script(exchange: Exchange) -> None:
        if exchange.served:
            await asyncio.sleep(1.1)
            exchange.close()
        else:
            await exchange.reply(b"fine")

    async with upstream(script) as provider, opened(client) as transport:
        await whole(transport, post(provider.url()))
        assert (await failing(transport.send(post(provider.url())))).sent == "maybe"
        assert len(provider.requests) == 2


@pytest.mark.parametrize("requests", [300, pytest.param(10_000, marks=pytest.mark.gate)])
@story
async def test_idle_connections_closed_at_random_are_never_noticed(client, requests):
    async def script(exchange: Exchange) -> None:
        await exchange.reply(b"fine")
        if not len(provider.requests) % 3:
            asyncio.get_running_loop().call_later(0.0003 * (exchange.served % 4), exchange.close)

    async with upstream(script) as provider, opened(client) as transport:

        async def caller(share: int) -> None:
            for _ in range(share):
                assert await whole(transport, post(provider.url())) == b"fine"

        await asyncio.gather(*(caller(requests // 10) for _ in range(10)))
        assert len(provider.connections) > requests // 20


def test_only_a_connection_that_was_given_back_lately_counts_as_used():
    book = Connections(limit=10)
    new = book.take("a", 100.0)
    assert not book.may_be_used("a", new)
    book.give_back("a", 101.0)
    assert not book.may_be_used("b", book.take("b", 102.0))
    assert book.may_be_used("a", book.take("a", 102.0))
    second = book.take("a", 102.0)
    assert not book.may_be_used("a", second)
    book.give_back("a", 103.0)
    assert book.may_be_used("a", second), "hyper may have taken the one that came back"
    assert not book.may_be_used("a", book.take("a", 200.0)), "idle for longer than any is kept"
    assert book.in_use == 3


@story
async def test_beyond_the_limit_of_connections_a_request_is_refused_at_once(client):
    async with upstream(_busy) as provider, opened(client, max_connections=2) as transport:
        replies = [await transport.send(post(provider.url())) for _ in range(2)]
        took = stopwatch()
        error = await failing(transport.send(post(provider.url())))
        assert took() < 0.05
        assert told(error) == ("overloaded", "connection_limit", "no", True)
        await replies[0].close()
        await (await transport.send(post(provider.url()))).close()
        await replies[1].close()


@story
async def test_no_socket_is_opened_before_the_first_request(client):
    async with upstream(say()) as provider:
        transport = open_transport(client)
        await asyncio.sleep(0.01)
        assert provider.connections == []
        assert sockets_to(provider.port) == []
        await transport.close()


@story
async def test_nagle_is_off(client):
    async with upstream(_busy) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        (sock,) = sockets_to(provider.port)
        with sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await reply.close()


@pytest.mark.parametrize("streams", [500, pytest.param(2000, marks=pytest.mark.gate)])
@story
async def test_many_streams_at_once_all_get_every_piece(client, streams):
    waiting = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.head(200, CHUNKED)
        await exchange.chunk(b"first")
        await waiting.wait()
        for number in range(3):
            await exchange.chunk(b"%d" % number)
        await exchange.chunk(b"")

    async def first(reply: UpstreamReply) -> None:
        assert await reply.next() == b"first"

    async with upstream(script) as provider, opened(client) as transport:
        request = post(provider.url(), connect_s=20)
        replies = await asyncio.gather(*(transport.send(request) for _ in range(streams)))
        await asyncio.gather(*map(first, replies))
        assert len(provider.connections) == streams
        waiting.set()
        assert set(await asyncio.gather(*map(collect, replies))) == {b"012"}


async def _busy(exchange: Exchange) -> None:
    await exchange.head(200, CHUNKED)
    while True:
        await exchange.chunk(b"data: x\n\n")
        await asyncio.sleep(0.0005)
