"""Pieces that are handed on as they arrive (``UpstreamReply.pour``), over every client."""

from __future__ import annotations

import asyncio

import pytest
from tests.conformance.rig import failing, opened, post, story, told
from tests.conformance.upstream import Exchange, upstream, wire

from dragoman.core.errors import UpstreamError

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
WORDS = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n", b"data: four\n\n"]


def paced(*words: bytes, end: bool = True):
    """A stream whose pieces come one after the other."""

    async def script(exchange: Exchange) -> None:
        await exchange.head(200, "transfer-encoding: chunked")
        for word in words:
            await asyncio.sleep(0.02)
            await exchange.chunk(word)
        if end:
            await exchange.chunk(b"")
        else:
            exchange.close()

    return script


@story
async def test_every_piece_is_taken_once_and_in_its_order(client):
    async with upstream(paced(*WORDS)) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        taken: list[bytes] = []
        assert await reply.pour(lambda piece: taken.append(piece) is None) is None
        assert b"".join(taken) == b"".join(WORDS)
        assert await reply.next() is None
        await reply.close()


@story
async def test_pieces_that_were_there_before_are_taken_too(client):
    async with (
        upstream(wire(CHUNKED + b"2\r\nab\r\n0\r\n\r\n")) as provider,
        opened(client) as transport,
    ):
        reply = await transport.send(post(provider.url()))
        await asyncio.sleep(0.05)
        taken: list[bytes] = []
        assert await reply.pour(lambda piece: taken.append(piece) is None) is None
        assert taken == [b"ab"]


@story
@pytest.mark.parametrize("refused", [0, 1, 3])
async def test_the_piece_that_is_not_taken_comes_back_and_nothing_is_lost(client, refused):
    async with upstream(paced(*WORDS)) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        seen: list[bytes] = []

        def take(piece: bytes) -> bool:
            if len(seen) == refused:
                return False
            seen.append(piece)
            return True

        back = await reply.pour(take)
        assert back == WORDS[refused]
        await asyncio.sleep(0.1)
        rest = []
        while (piece := await reply.next()) is not None:
            rest.append(piece)
        assert b"".join([*seen, back, *rest]) == b"".join(WORDS)


@story
async def test_what_goes_wrong_in_the_taking_is_the_readers(client):
    async with upstream(paced(*WORDS)) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        seen: list[bytes] = []

        def take(piece: bytes) -> bool:
            if seen:
                raise ZeroDivisionError
            seen.append(piece)
            return True

        with pytest.raises(ZeroDivisionError):
            await reply.pour(take)
        await reply.close()
        assert seen == WORDS[:1]


@story
async def test_a_body_that_breaks_off_is_an_error_after_its_pieces(client):
    async with upstream(paced(*WORDS, end=False)) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        taken: list[bytes] = []
        error = await failing(reply.pour(lambda piece: taken.append(piece) is None))
        assert told(error)[1] == "stream_connection_lost"
        assert b"".join(taken) == b"".join(WORDS)
        with pytest.raises(UpstreamError):
            await reply.next()


@story
async def test_whoever_stops_waiting_closes_the_connection(client):
    async def script(exchange: Exchange) -> None:
        await exchange.head(200, "transfer-encoding: chunked")
        await exchange.chunk(WORDS[0])
        await exchange.hang()

    async with upstream(script) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        taken: list[bytes] = []
        task = asyncio.ensure_future(reply.pour(lambda piece: taken.append(piece) is None))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await reply.close()
        await provider.all_closed(1.0)
        assert taken == WORDS[:1]
