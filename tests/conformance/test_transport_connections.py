"""Connections: used again, stale, counted, closed with the transport; many at once."""

from __future__ import annotations

import asyncio
import gc
import socket
from contextlib import suppress

import pytest
from msgspec.structs import replace
from tests.conformance.rig import (
    LATE_S,
    busy,
    collect,
    count_up,
    failing,
    opened,
    post,
    sockets_to,
    stopwatch,
    story,
    told,
    whole,
)
from tests.conformance.upstream import Exchange, Upstream, black_hole, say, upstream, wire

from dragoman.attempt.ports import Transport, UpstreamReply, UpstreamRequest
from dragoman.core.errors import UpstreamError
from dragoman.transport import direct_client, library
from dragoman.transport.connections import Connections
from dragoman.transport.http import open_transport

CHUNKED = "transfer-encoding: chunked"


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
        # The second request met a stale connection; the libraries' new one for it is not kept. They take a
        # while to take a connection back, and may open another meanwhile.
        assert len(provider.requests) in ((5,) if client == "direct" else (3, 4))


@story
async def test_who_has_to_account_for_it_says_what_is_sent_over_the_new_connection(client):
    async def script(exchange: Exchange) -> None:
        if exchange.served:
            exchange.close()
        else:
            await exchange.reply(b"fine")

    asked = []

    async def again(request: UpstreamRequest) -> UpstreamRequest | None:
        asked.append(request)
        return replace(request, own={"x-try": "2"}) if len(asked) == 1 else None

    async with upstream(script) as provider, opened(client) as transport:
        first = post(provider.url(), headers={"x-try": "1"})

        async def until_stale() -> UpstreamReply:
            """The libraries take a while to take a connection back, and open another meanwhile."""
            before = len(asked)
            while True:
                reply = await transport.send(first, again)
                if len(asked) > before:
                    return reply
                await reply.read(100)

        reply = await until_stale()
        assert await reply.read(100) == b"fine"
        assert asked == [first]
        assert [seen.header("x-try") for seen in provider.requests][-2:] == ["1", "2"]
        error = await failing(until_stale())
        assert told(error) == ("upstream", "connection_reset", "maybe", True)
        assert asked == [first, first]
        assert provider.requests[-1].header("x-try") == "1"


@story
async def test_a_request_that_was_retried_is_closed_with_the_transport(client):
    async def script(exchange: Exchange) -> None:
        if exchange.served:
            exchange.close()
        elif len(provider.requests) == 1:
            await exchange.reply(b"fine")
        else:
            await busy(exchange)

    async with upstream(script) as provider, opened(client) as transport:
        await whole(transport, post(provider.url()))
        reply = await transport.send(post(provider.url()))
        assert await reply.next()
        await transport.close()
        await provider.all_closed()
        assert (await failing(reply.next())).code == "stream_connection_lost"


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


@pytest.mark.parametrize("method", ["POST", "GET"])
@story
async def test_the_silent_retry_happens_once(client, method):
    async def script(exchange: Exchange) -> None:
        if exchange.seen.target == "/good":
            await exchange.reply(b"fine")
        else:
            exchange.close()

    async with upstream(script) as provider, opened(client) as transport:
        body = b"{}" if method == "POST" else None
        good, bad = (post(provider.url(x), method=method, body=body) for x in ("/good", "/bad"))
        assert await whole(transport, good) == b"fine"
        error = await failing(transport.send(bad))
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
        served = 0
        while True:
            try:
                assert await whole(transport, post(provider.url())) == b"fine"
            except UpstreamError as broken:
                error = broken
                break
            # A library takes a while to take a connection back, and may open others meanwhile.
            served += 1
        assert served >= 1
        assert error.sent == "maybe"
        assert len(provider.requests) == served + 1


@story
async def test_a_used_connection_that_breaks_within_a_head_was_no_stale_one(client):
    """A byte of a reply has come (U15); the libraries do not tell."""

    async def script(exchange: Exchange) -> None:
        if exchange.served:
            await exchange.send(b"HTTP/1.1 200 O")
            exchange.close()
        else:
            await exchange.reply(b"fine")

    async with upstream(script) as provider, opened(client) as transport:
        assert await whole(transport, post(provider.url())) == b"fine"
        if client == "direct":
            error = await failing(transport.send(post(provider.url())))
            assert told(error) == ("upstream", "connection_reset", "maybe", True)
            assert len(provider.requests) == 2
        else:
            assert await whole(transport, post(provider.url())) == b"fine"
            # A library takes a while to take a connection back, and may open another meanwhile.
            again = provider.requests[1].connection == 0
            assert len(provider.requests) == 2 + again


@story
async def test_a_new_connection_beside_a_busy_one_is_not_taken_for_a_stale_one(client):
    busy_now = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if exchange.seen.target == "/break":
            exchange.close()
        elif exchange.seen.target == "/wait":
            await busy_now.wait()
            await exchange.reply(b"waited")
        else:
            await exchange.reply(b"fine")

    async with upstream(script) as provider, opened(client) as transport:
        waiting = asyncio.create_task(whole(transport, post(provider.url("/wait"))))
        await asyncio.sleep(0.05)
        error = await failing(transport.send(post(provider.url("/break"))))
        assert told(error) == ("upstream", "connection_reset", "maybe", True)
        busy_now.set()
        assert await waiting == b"waited"
        assert len(provider.requests) == 2


@story
async def test_a_reply_that_has_all_come_and_is_closed_unread(client):
    """Nothing is left on the wire: the connection is kept."""
    async with upstream(count_up) as provider, opened(client) as transport:
        for _ in range(2):
            reply = await transport.send(post(provider.url()))
            await asyncio.sleep(0.05)
            await reply.close()
            assert (await failing(reply.next())).code == "stream_connection_lost"
        assert len(provider.connections) == 1


@pytest.mark.parametrize("requests", [300, pytest.param(10_000, marks=pytest.mark.gate)])
@story
async def test_idle_connections_closed_at_random_are_never_noticed(client, requests, monkeypatch):
    # However long this process has to wait for its turn: that stale ones fail soon has a test of its own.
    for module in (direct_client, library):
        monkeypatch.setattr(module, "STALE_S", 60.0)

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
    async with upstream(busy) as provider, opened(client, max_connections=2) as transport:
        replies = [await transport.send(post(provider.url())) for _ in range(2)]
        took = stopwatch()
        error = await failing(transport.send(post(provider.url())))
        assert took() < LATE_S
        assert told(error) == ("overloaded", "connection_limit", "no", True)
        await replies[0].close()
        await (await transport.send(post(provider.url()))).close()
        await replies[1].close()


@story
async def test_whatever_becomes_of_a_request_it_gives_its_place_back(client):
    """With room for one: what was kept by mistake would refuse the next."""

    async def script(exchange: Exchange) -> None:
        match exchange.seen.target:
            case "/reset":
                exchange.reset()
            case "/cut":
                await wire(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi")(exchange)
            case "/none":
                await wire(b"SSH-2.0\r\n\r\n")(exchange)
            case "/coded":
                await exchange.reply(b"x", 200, "content-encoding: br")
            case "/hang":
                await exchange.hang()
            case "/busy":
                await busy(exchange)
            case _:
                await exchange.reply(b"fine and long")

    async def left(transport: Transport, url: str, *, read: bool) -> None:
        async def story() -> None:
            reply = await transport.send(post(url))
            while read and await reply.next():
                pass

        task = asyncio.create_task(story())
        await asyncio.sleep(0.05)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async with (
        upstream(script) as provider,
        black_hole() as hole,
        opened(client, max_connections=1) as transport,
    ):
        nowhere = f"http://127.0.0.1:{hole}/"
        with socket.create_server(("127.0.0.1", 0)) as closed:
            refused = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        for path in ("/reset", "/cut", "/none", "/coded"):
            await failing(whole(transport, post(provider.url(path))))
        await failing(transport.send(post(provider.url("/hang"), first_byte_s=0.1)))
        await failing(transport.send(post(nowhere, connect_s=0.1)))
        await failing(transport.send(post(refused)))
        await failing(transport.send(post("http://no-such-host.invalid/")))
        await failing(transport.send(post(provider.url(), headers={"x": "\n"})))
        await left(transport, nowhere, read=False)
        await left(transport, provider.url("/hang"), read=False)
        await left(transport, provider.url("/busy"), read=True)
        await (await transport.send(post(provider.url("/busy")))).close()
        await (await transport.send(post(provider.url()))).close()
        reply = await transport.send(post(provider.url()))
        assert (await failing(reply.read(4))).code == "provider_error"
        assert await whole(transport, post(provider.url())) == b"fine and long"


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
    async with upstream(busy) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        (sock,) = sockets_to(provider.port)
        with sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await reply.close()


@pytest.mark.parametrize("requests", [200, pytest.param(10_000, marks=pytest.mark.gate)])
@story
async def test_connections_that_end_leave_nothing_behind(client, requests):
    """Neither sockets nor objects, however they end; no collector is needed for ours."""
    turn = 0

    async def script(exchange: Exchange) -> None:
        match exchange.seen.target:
            case "/close":
                await exchange.reply(b"fine", 200, "connection: close")
            case "/cut":
                await exchange.head(200, CHUNKED)
                exchange.close()
            case "/left":
                await busy(exchange)
            case "/reset":
                exchange.reset()

    async def one(transport: Transport, provider: Upstream, path: str) -> None:
        request = post(provider.url(path))
        if path == "/close":
            assert await whole(transport, request) == b"fine"
        elif path == "/left":
            reply = await transport.send(request)
            await reply.next()
            await reply.close()
        else:
            # Not ``failing``: what it catches holds the frames that raised it.
            with suppress(UpstreamError):
                raise AssertionError(await whole(transport, request))

    async with upstream(script) as provider, opened(client) as transport:
        gc.collect()
        gc.disable()
        try:
            for turn in range(requests):
                await one(transport, provider, ("/close", "/cut", "/left", "/reset")[turn % 4])
            await asyncio.sleep(0.1)
            assert len(sockets_to(provider.port)) <= 1
            if client == "direct":
                kinds = [type(each).__name__ for each in gc.get_objects()]
                assert kinds.count("DirectConnection") <= 1
                assert kinds.count("DirectReply") <= 1
        finally:
            gc.enable()


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
        request = post(provider.url())
        replies = await asyncio.gather(*(transport.send(request) for _ in range(streams)))
        await asyncio.gather(*map(first, replies))
        assert len(provider.connections) == streams
        waiting.set()
        assert set(await asyncio.gather(*map(collect, replies))) == {b"012"}
