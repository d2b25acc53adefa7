"""What a reply may not become: endless heads, endless bodies, bombs (U11)."""

from __future__ import annotations

import asyncio
import functools
import gzip
import zlib

import pytest
from tests.conformance.rig import (
    LATE_S,
    closed_after,
    collect,
    failing,
    now,
    opened,
    post,
    resident_mib,
    story,
    told,
    whole,
)
from tests.conformance.upstream import Exchange, say, upstream, wire

from dragoman.core.errors import UpstreamError
from dragoman.transport.limits import ALLOWANCE, MAX_RATIO, STEP, Bomb, Corrupt, inflation

CHUNKED = "transfer-encoding: chunked"
ZEROS = 64 * 2**20
TEXT = b'{"choices":[{"message":{"content":"h\xc3\xa9llo"}}]}' * 20


def packed(data: bytes, encoding: str) -> bytes:
    """The data in a coding; ``raw`` is what some servers call deflate."""
    windows = {"gzip": 31, "x-gzip": 31, "deflate": 15, "raw": -15}
    compressor = zlib.compressobj(9, zlib.DEFLATED, windows[encoding])
    return compressor.compress(data) + compressor.flush()


# ---------------------------------------------------------------------------- heads


@pytest.mark.parametrize("shape", ["one endless line", "endless lines", "endless status line"])
@story
async def test_a_head_of_a_gigabyte_is_refused_before_it_is_in_memory(client, shape):
    sent = 0

    async def script(exchange: Exchange) -> None:
        nonlocal sent
        match shape:
            case "one endless line":
                start, piece = b"HTTP/1.1 200 OK\r\nx: ", b"a" * 2**16
            case "endless lines":
                start, piece = b"HTTP/1.1 200 OK\r\n", (b"x-a: " + b"a" * 1000 + b"\r\n") * 64
            case "endless status line":
                start, piece = b"HTTP/1.1 200 ", b"a" * 2**16
        await exchange.send(start)
        for _ in range(16384):
            await exchange.send(piece)
            sent += len(piece)

    async with upstream(script) as provider, opened(client) as transport:
        before = resident_mib()
        error = await failing(transport.send(post(provider.url())))
        assert told(error) == ("upstream", "provider_error", "yes", False)
        assert "headers that are too large" in error.message
        assert await closed_after(provider, now()) < 0.2
        assert sent < 16 * 2**20
        assert resident_mib() - before < 32


@story
async def test_an_ordinary_large_head_is_read(client):
    lines = [f"x-{number}: {'v' * 500}" for number in range(60)]
    async with upstream(say(b"hi", 200, *lines)) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        assert reply.headers["x-59"] == "v" * 500
        assert await reply.read(10) == b"hi"


# ---------------------------------------------------------------------------- bodies


@pytest.mark.parametrize("size", [1000, 2**20])
@story
async def test_a_body_up_to_the_limit_is_read_and_one_byte_more_refused(client, size):
    async with upstream(say(b"x" * size)) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        assert len(await reply.read(size)) == size
        reply = await transport.send(post(provider.url()))
        error = await failing(reply.read(size - 1))
        assert told(error) == ("upstream", "provider_error", "yes", False)
        if size > 2**19:  # of what has all arrived the connection may be kept
            assert await closed_after(provider, now()) < 0.2


@story
async def test_a_body_that_says_no_length_is_held_to_the_limit_as_well(client):
    async def script(exchange: Exchange) -> None:
        await exchange.head(200, CHUNKED)
        await exchange.chunk(b"x" * 100)
        await exchange.chunk(b"")

    async with upstream(script) as provider, opened(client) as transport:
        for wait_s in (0, 0.05):  # before and after all of it is here
            reply = await transport.send(post(provider.url()))
            await asyncio.sleep(wait_s)
            assert len(await reply.read(100)) == 100
            reply = await transport.send(post(provider.url()))
            await asyncio.sleep(wait_s)
            error = await failing(reply.read(99))
            assert told(error) == ("upstream", "provider_error", "yes", False)


@story
async def test_an_endless_body_is_cut_at_the_limit(client):
    async def script(exchange: Exchange) -> None:
        await exchange.head(200, CHUNKED)
        while True:
            await exchange.chunk(b"x" * 65536)

    async with upstream(script) as provider, opened(client) as transport:
        before = resident_mib()
        reply = await transport.send(post(provider.url()))
        error = await failing(reply.read(4 * 2**20))
        assert told(error) == ("upstream", "provider_error", "yes", False)
        assert await closed_after(provider, now()) < 0.2
        assert resident_mib() - before < 32


# ---------------------------------------------------------------------------- compression


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "raw"])
@pytest.mark.parametrize("how", ["whole", "pieces"])
@story
async def test_a_compressed_reply_is_inflated_and_says_so_no_more(client, encoding, how):
    body = packed(TEXT, encoding)
    said = {"raw": "deflate"}.get(encoding, encoding)
    script = say(body, 200, f"Content-Encoding: {said}")
    async with upstream(script) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        assert "content-encoding" not in reply.headers
        assert "content-length" not in reply.headers
        got = await (reply.read(2**20) if how == "whole" else collect(reply))
        assert got == TEXT
        await asyncio.sleep(0.1)  # a client with threads of its own takes its connection back
        assert await whole(transport, post(provider.url())) == TEXT
        assert len(provider.connections) == 1


@story
async def test_identity_is_no_compression_and_stays_as_it_is(client):
    async with (
        upstream(say(b"hi", 200, "content-encoding: identity")) as provider,
        opened(client) as transport,
    ):
        assert await whole(transport, post(provider.url())) == b"hi"


@story
async def test_a_compressed_stream_is_readable_piece_by_piece(client):
    heard = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.head(200, CHUNKED, "content-encoding: gzip")
        compressor = zlib.compressobj(wbits=31)
        for number in range(5):
            event = compressor.compress(b"data: %d\n\n" % number)
            await exchange.chunk(event + compressor.flush(zlib.Z_SYNC_FLUSH))
            await heard.wait()  # nothing follows that could push the piece out
            heard.clear()
        await exchange.chunk(compressor.flush())
        await exchange.chunk(b"")

    async with upstream(script) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        for number in range(5):
            async with asyncio.timeout(LATE_S):
                assert await reply.next() == b"data: %d\n\n" % number
            heard.set()
        assert await reply.next() is None


@story
async def test_close_of_a_compressed_stream_closes_the_connection(client):
    async def script(exchange: Exchange) -> None:
        await exchange.head(200, CHUNKED, "content-encoding: gzip")
        compressor = zlib.compressobj(wbits=31)
        await exchange.chunk(compressor.compress(b"a") + compressor.flush(zlib.Z_SYNC_FLUSH))
        await exchange.hang()

    async with upstream(script) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        assert await reply.next() == b"a"
        since = now()
        await reply.close()
        assert await closed_after(provider, since) < 0.2
        assert (await failing(reply.next())).code == "stream_connection_lost"


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "gzip, identity"])
@story
async def test_a_coding_that_nobody_asked_for_is_refused(client, encoding):
    async with (
        upstream(say(b"whatever", 200, f"content-encoding: {encoding}")) as provider,
        opened(client) as transport,
    ):
        error = await failing(transport.send(post(provider.url())))
        assert told(error) == ("upstream", "provider_error", "yes", False)
        assert "compressed its reply" in error.message
        assert error.upstream_status == 200


@functools.cache
def packed_bomb(encoding: str) -> bytes:
    return packed(bytes(ZEROS), encoding)


@pytest.mark.parametrize("how", ["whole", "pieces"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@story
async def test_a_bomb_is_refused_without_growing(client, encoding, how):
    bomb = packed_bomb(encoding)
    assert ZEROS / len(bomb) > 1000
    async with (
        upstream(say(bomb, 200, f"content-encoding: {encoding}")) as provider,
        opened(client) as transport,
    ):
        reply = await transport.send(post(provider.url()))
        before = peak = resident_mib()
        if how == "whole":
            error = await failing(reply.read(2**30))
        else:
            with pytest.raises(UpstreamError) as caught:
                while (piece := await reply.next()) is not None:
                    assert len(piece) <= STEP
                    peak = max(peak, resident_mib())
            error = caught.value
        assert told(error) == ("upstream", "provider_error", "yes", False)
        assert "grows too far" in error.message
        assert max(peak, resident_mib()) - before < 32
        assert (await failing(reply.next())).code == "stream_connection_lost"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(b"not gzip at all", "does not decode", id="not gzip"),
        pytest.param(packed(TEXT, "gzip")[:-6], "does not decode", id="without its end"),
        pytest.param(
            packed(TEXT, "gzip")[:40], "does not decode", id="cut, with an honest length"
        ),
        pytest.param(packed(TEXT, "gzip") + b"more", "does not decode", id="with something after"),
        pytest.param(
            packed(TEXT, "gzip")[:-8] + bytes(8), "does not decode", id="with a wrong checksum"
        ),
    ],
)
@story
async def test_a_compressed_body_that_does_not_decode_never_ends_quietly(client, body, says):
    async with (
        upstream(say(body, 200, "content-encoding: gzip")) as provider,
        opened(client) as transport,
    ):
        reply = await transport.send(post(provider.url()))
        error = await failing(reply.read(2**20))
        assert told(error) == ("upstream", "provider_error", "yes", True)
        assert says in error.message
        assert (await failing(reply.next())).code == "stream_connection_lost"


@story
async def test_an_empty_body_that_calls_itself_compressed_is_empty(client):
    async with (
        upstream(say(b"", 204, "content-encoding: gzip")) as provider,
        opened(client) as transport,
    ):
        assert await whole(transport, post(provider.url())) == b""


@story
async def test_a_compressed_body_that_breaks_off_is_lost(client):
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 999\r\n\r\n"
    async with (
        upstream(wire(head + packed(TEXT, "gzip"))) as provider,
        opened(client) as transport,
    ):
        reply = await transport.send(post(provider.url()))
        assert (await failing(collect(reply))).code == "stream_connection_lost"


def test_members_of_gzip_may_follow_one_another_in_any_cut():
    body = gzip.compress(b"one ") + gzip.compress(b"two")
    for cut in range(len(body) + 1):
        state = inflation("gzip")
        got = b"".join([*state.feed(body[:cut]), *state.feed(body[cut:])])
        state.finish()
        assert got == b"one two"


def test_a_piece_is_never_larger_than_a_step_and_nothing_is_lost_at_its_edge():
    for size in (STEP - 1, STEP, STEP + 1, 3 * STEP, 3 * STEP + 258):
        data = bytes(range(256)) * (size // 256) + bytes(size % 256)
        state = inflation("gzip")
        pieces = list(state.feed(packed(data, "gzip")))
        state.finish()
        assert b"".join(pieces) == data
        assert max(map(len, pieces)) <= STEP


def test_the_allowance_is_for_small_bodies_and_the_ratio_for_large_ones():
    small = packed(bytes(ALLOWANCE), "gzip")
    assert sum(map(len, inflation("gzip").feed(small))) == ALLOWANCE
    large = packed(bytes(ALLOWANCE * 3), "gzip")
    with pytest.raises(Bomb):
        list(inflation("gzip").feed(large))
    assert len(large) * MAX_RATIO + ALLOWANCE < ALLOWANCE * 3


def test_deflate_has_no_second_member():
    with pytest.raises(Corrupt):
        list(inflation("deflate").feed(packed(b"one", "deflate") + b"x"))
