"""A body that breaks off, at any byte and in any way: never a quiet end (S1)."""

from __future__ import annotations

import asyncio
import random
import zlib

import pytest
from tests.conformance.rig import SECRET, collect, failing, opened, post, story, told, whole
from tests.conformance.upstream import Exchange, upstream, wire

from dragoman.core.errors import UpstreamError

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
LOST = ("upstream", "stream_connection_lost", "yes", True)


@pytest.mark.req("R-ADD-025")
@pytest.mark.parametrize("how", ["pieces", "whole"])
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(wire(OK + b"content-length: 10\r\n\r\nab"), id="closed before the length"),
        pytest.param(wire(OK + b"content-length: 10\r\n\r\n"), id="closed before any of it"),
        pytest.param(
            wire(OK + b"content-length: 10\r\n\r\nab", then="reset", pause_s=0.02), id="reset"
        ),
        pytest.param(wire(CHUNKED + b"2\r\nab\r\n"), id="closed between chunks"),
        pytest.param(wire(CHUNKED + b"2\r\nab\r\n0\r\n"), id="closed in the last chunk"),
        pytest.param(wire(CHUNKED + b"9\r\nab"), id="closed in a chunk"),
        pytest.param(
            wire(CHUNKED + b"2\r\nab\r\n", then="reset", pause_s=0.02), id="reset between chunks"
        ),
        pytest.param(
            wire(OK + b"\r\nab", then="reset", pause_s=0.02), id="reset of a body without length"
        ),
        pytest.param(
            wire(CHUNKED + b"2\r\nab\r\n", b"zz\r\n", pause_s=0.02, then="hang"),
            id="a chunk that is none",
        ),
    ],
)
@story
async def test_a_body_that_breaks_off_never_ends_quietly(client, script, how):
    async with upstream(script) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url("/v1?key=" + SECRET)))
        error = await failing(collect(reply) if how == "pieces" else reply.read(100))
        assert told(error) == LOST
        assert (error.status, error.upstream_status) == (502, 200)
        assert told(await failing(reply.next())) == LOST, "it stays broken"
        await reply.close()


@story
async def test_what_came_before_the_cut_is_delivered_to_who_waits_for_it(client):
    async def script(exchange: Exchange) -> None:
        await exchange.head(200, "transfer-encoding: chunked")
        await asyncio.sleep(0.02)
        await exchange.chunk(b"data: last words\n\n")
        exchange.close()

    async with upstream(script) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        assert await reply.next() == b"data: last words\n\n"
        assert told(await failing(reply.next())) == LOST


@story
async def test_what_came_with_the_cut_before_it_was_asked_for(client):
    """aiohttp throws it away: the one difference in what a caller gets."""
    async with upstream(wire(CHUNKED + b"2\r\nhi\r\n")) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        await asyncio.sleep(0.05)
        if client != "aiohttp":
            assert await reply.next() == b"hi"
        assert told(await failing(reply.next())) == LOST


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("form", ["length", "chunked", "gzip"])
@story
async def test_a_cut_at_any_byte_is_an_error_and_what_was_read_a_prefix(client, form, then):
    text = b'data: {"n":1}\n\ndata: {"n":2}\n\ndata: [DONE]\n\n'
    match form:
        case "length":
            head, body = OK + b"content-length: %d\r\n\r\n" % len(text), text
        case "chunked":
            head = CHUNKED
            body = b"f\r\n" + text[:15] + b"\r\n%x\r\n" % (len(text) - 15) + text[15:]
            body += b"\r\n0\r\n\r\n"
        case "gzip":
            packed = zlib.compress(text, wbits=31)
            head = OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
            body = packed
    full = head + body
    reached = 0

    async def script(exchange: Exchange) -> None:
        if reached:
            await exchange.send(full[:reached])
            await asyncio.sleep(0.001 if then == "reset" else 0)
        exchange.reset() if then == "reset" else exchange.close()

    step = 1 if then == "close" else 7
    async with upstream(script) as provider, opened(client) as transport:
        for reached in range(0, len(full), step):
            got = []
            with pytest.raises(UpstreamError) as caught:
                reply = await transport.send(post(provider.url()))
                while (piece := await reply.next()) is not None:
                    got.append(piece)
            assert text.startswith(b"".join(got))
            expected = "connection_reset" if reached < len(head) else "stream_connection_lost"
            assert caught.value.code == expected, full[:reached]


@story
async def test_more_than_the_promised_length_is_not_read(client):
    async with (
        upstream(wire(OK + b"content-length: 2\r\n\r\nhi there")) as provider,
        opened(client) as transport,
    ):
        if client != "aiohttp":
            assert await whole(transport, post(provider.url())) == b"hi"
        else:
            error = await failing(transport.send(post(provider.url())))
            assert error.code == "provider_error", "aiohttp takes it for a second head"


@story
async def test_no_bytes_make_another_exception_than_ours(client):
    dice = random.Random(4711)
    good = [
        OK + b'content-length: 7\r\nx-a: b\r\n\r\n{"a":1}',
        CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        OK + b"content-encoding: gzip\r\n\r\n" + zlib.compress(b"hello world", wbits=31),
    ]
    said = b""

    async def script(exchange: Exchange) -> None:
        await exchange.send(said)
        exchange.close()

    outcomes = set()
    async with upstream(script) as provider, opened(client) as transport:
        for _ in range(150):
            bytes_ = bytearray(dice.choice(good))
            for _ in range(dice.randint(1, 6)):
                at = dice.randrange(len(bytes_))
                match dice.randrange(3):
                    case 0:
                        bytes_[at] = dice.randrange(256)
                    case 1:
                        del bytes_[at : at + dice.randint(1, 8)]
                    case _:
                        bytes_[at:at] = dice.randbytes(dice.randint(1, 8))
            said = bytes(bytes_)
            try:
                await whole(transport, post(provider.url(), first_byte_s=2))
                outcomes.add("read")
            except UpstreamError as error:
                outcomes.add(error.code)
    assert {"read", "provider_error", "stream_connection_lost"} <= outcomes
