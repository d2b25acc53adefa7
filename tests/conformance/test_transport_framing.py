"""Where a reply begins and where it ends, however it is cut up: heads, hints, chunks, ends."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from tests.conformance.rig import (
    Certificates,
    collect,
    failing,
    opened,
    post,
    resident_mib,
    story,
    told,
    whole,
)
from tests.conformance.upstream import Exchange, Upstream, say, upstream, wire

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\ncontent-length: 9\r\n\r\n"
LOST = ("upstream", "stream_connection_lost", "yes", True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


# ---------------------------------------------------------------------------- heads


@pytest.mark.parametrize("together", [True, False])
@story
async def test_early_hints_are_not_the_reply(client, together):
    said = [HINTS, b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"content-length: 2\r\nx: y\r\n\r\nhi"]
    pieces = [b"".join(said)] if together else said
    script = wire(*pieces, pause_s=0.01, then="keep")
    async with upstream(script) as provider, opened(client) as transport:
        for _ in range(2):
            reply = await transport.send(post(provider.url()))
            assert (reply.status, reply.headers["x"]) == (200, "y")
            assert "link" not in reply.headers
            assert await reply.read(100) == b"hi"
        assert len(provider.connections) == 1


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(OK + b"x-a: b\r\ncontent-length: 5\r\n\r\nhello", id="length"),
        pytest.param(
            CHUNKED[:-2] + b"X-A:b\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", id="chunked"
        ),
        pytest.param(HINTS + OK + b"x-a: b \r\ncontent-length: 5\r\n\r\nhello", id="after hints"),
    ],
)
@story
async def test_a_reply_cut_in_two_at_any_byte_is_the_same_reply(client, said):
    cut = 0

    async def script(exchange: Exchange) -> None:
        await exchange.send(said[:cut])
        await asyncio.sleep(0.001)
        await exchange.send(said[cut:])

    async with upstream(script) as provider, opened(client) as transport:
        for cut in range(1, len(said)):  # noqa: B007 - the script reads it
            reply = await transport.send(post(provider.url()))
            assert (reply.status, reply.headers["x-a"]) == (200, "b")
            assert await collect(reply) == b"hello"


@story
async def test_a_reply_in_drops_of_a_byte_is_the_same_reply(client):
    said = OK + b"x-a: b\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
    script = wire(*(said[at : at + 1] for at in range(len(said))), then="keep", pause_s=0.001)
    async with upstream(script) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        assert reply.headers["x-a"] == "b"
        assert await collect(reply) == b"hello"
        assert await whole(transport, post(provider.url())) == b"hello"


@story
async def test_header_values_are_without_the_space_around_them_and_may_be_empty(client):
    lines = ["x-empty:", "x-spaces:  a b \t", "x-next: c"]
    async with upstream(say(b"", 200, *lines)) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        assert [reply.headers[f"x-{name}"] for name in ("empty", "spaces", "next")] == [
            "",
            "a b",
            "c",
        ]
        await reply.close()


@story
async def test_an_upgrade_that_is_only_offered_is_no_switch(client):
    """Apache says so on a 200."""
    offer = say(b"hi", 200, "Upgrade: h2,h2c", "Connection: Upgrade, Keep-Alive")
    async with upstream(offer) as provider, opened(client) as transport:
        assert await whole(transport, post(provider.url())) == b"hi"
        assert await whole(transport, post(provider.url())) == b"hi"
        assert len(provider.connections) == 1


@pytest.mark.parametrize(
    ("value", "arrives"),
    [("a\tb", "a\tb"), ("x" * 20_000, "x" * 20_000), ("", "")],
)
@story
async def test_a_header_that_may_be_sent_arrives_as_it_is(client, value, arrives):
    async with upstream(say()) as provider, opened(client) as transport:
        await whole(transport, post(provider.url(), headers={"x-title": value}))
        assert provider.requests[0].header("x-title") == arrives


@story
async def test_letters_beyond_ascii_in_a_header_go_out_as_the_bytes_that_they_came_in(client):
    """What a caller sends is read as latin 1, whatever it was written in."""
    async with upstream(say()) as provider, opened(client) as transport:
        await whole(transport, post(provider.url(), headers={"x-title": "CafÃ©"}))
        got = provider.requests[0].header("x-title")
        assert got == ("CafÃ©" if client == "direct" else "CafÃ\x83Â©")


@pytest.mark.parametrize("value", ["a\x01b", "a\x7fb", "a\x0bb"])
@story
async def test_a_control_character_in_a_header_is_refused(client, value):
    async with upstream(say()) as provider, opened(client) as transport:
        error = await failing(transport.send(post(provider.url(), headers={"x": value})))
        assert told(error) == ("upstream", "configuration_error", "no", False)
        assert provider.requests == []


# ---------------------------------------------------------------------------- ends


@pytest.mark.parametrize(
    ("status", "lines"),
    [(204, []), (304, ["content-length: 5"]), (204, ["content-length: 5"]), (304, [])],
)
@story
async def test_a_status_without_a_body_ends_with_its_head(client, status, lines):
    async def script(exchange: Exchange) -> None:
        await exchange.head(status, *lines)

    async with upstream(script) as provider, opened(client) as transport:
        for _ in range(2):
            assert await whole(transport, post(provider.url())) == b""
        assert len(provider.connections) == 1


@story
async def test_the_reply_to_head_has_no_body(client):
    async def script(exchange: Exchange) -> None:
        await exchange.head(200, "content-length: 5")

    async with upstream(script) as provider, opened(client) as transport:
        for _ in range(2):
            reply = await transport.send(post(provider.url(), method="HEAD", body=None))
            assert reply.status == 200
            assert await collect(reply) == b""


@pytest.mark.parametrize("keep", [True, False])
@story
async def test_http_1_0_keeps_its_connection_only_if_it_says_so(client, keep):
    said = b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n"
    said += b"connection: keep-alive\r\n\r\nhi" if keep else b"\r\nhi"
    async with upstream(wire(said, then="keep")) as provider, opened(client) as transport:
        for _ in range(2):
            assert await whole(transport, post(provider.url())) == b"hi"
        assert len(provider.connections) == (1 if keep else 2)


@story
async def test_chunk_extensions_and_trailers_are_neither_body_nor_headers(client):
    said = CHUNKED + b'2;a="b;c"\r\nhi\r\n0;last\r\nx-trailer: 1\r\ncontent-encoding: gzip\r\n\r\n'
    async with upstream(wire(said, then="keep")) as provider, opened(client) as transport:
        for _ in range(2):
            reply = await transport.send(post(provider.url()))
            assert await collect(reply) == b"hi"
            assert set(reply.headers) == {"transfer-encoding"}


@story
async def test_trailers_without_end_are_no_end(client):
    async def script(exchange: Exchange) -> None:
        await exchange.send(CHUNKED + b"2\r\nhi\r\n0\r\n")
        for number in range(2**17):
            await exchange.send(b"x-%d: " % number + b"a" * 1000 + b"\r\n")

    async with upstream(script) as provider, opened(client) as transport:
        before = resident_mib()
        reply = await transport.send(post(provider.url(), first_byte_s=5))
        assert (await failing(reply.read(100))).code == "stream_connection_lost"
        assert resident_mib() - before < 32


@story
async def test_a_body_without_a_length_cut_without_a_tls_farewell_is_no_regular_end(
    client, certificates
):
    async with (
        upstream(wire(OK + b"\r\nab", then="reset", pause_s=0.02), tls=certificates.good()) as up,
        opened(client, tls_ca=certificates.file) as transport,
    ):
        reply = await transport.send(post(up.url()))
        assert told(await failing(reply.read(100))) == LOST


@story
async def test_a_body_without_a_length_ends_with_a_tls_farewell(client, certificates):
    async with (
        upstream(wire(OK + b"\r\nab"), tls=certificates.good()) as up,
        opened(client, tls_ca=certificates.file) as transport,
    ):
        assert await whole(transport, post(up.url())) == b"ab"


# ---------------------------------------------------------------------------- sizes


@pytest.mark.parametrize("size", [16, pytest.param(64, marks=pytest.mark.gate)])
@pytest.mark.parametrize("secure", [False, True])
@story
async def test_one_huge_chunk_is_handed_on_as_it_comes_and_waits_for_its_reader(
    client, certificates, secure, size
):
    piece = bytes(range(256)) * 4096
    sent = 0

    async def script(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.send(CHUNKED + b"%x\r\n" % (size * len(piece)))
        for _ in range(size):
            await exchange.send(piece)
            sent += 1
        await exchange.send(b"\r\n0\r\n\r\n")

    tls = certificates.good() if secure else None
    async with (
        upstream(script, tls=tls) as provider,
        opened(client, tls_ca=certificates.file) as transport,
    ):
        reply = await transport.send(post(provider.url()))
        await asyncio.sleep(0.2)
        assert sent < size, "the sockets' own buffers are full, nothing else"
        settled = None
        got, longest, total = hashlib.sha256(), 0, 0
        while (part := await reply.next()) is not None:
            got.update(part)
            total += len(part)
            longest = max(longest, len(part))
            if settled is None and total >= size * len(piece) // 4:
                # What a library and its threads take for themselves once they have by now.
                settled = resident_mib()
            if total % 7 == 0:
                await asyncio.sleep(0)
        assert total == size * len(piece)
        assert got.digest() == hashlib.sha256(piece * size).digest()
        assert longest <= 2**20
        # Held whole, the rest would be three quarters of it. Of the short one threads take as much for themselves.
        assert size < 64 or resident_mib() - settled < size / 2


@story
async def test_a_large_request_arrives_as_it_is(client):
    body = bytes(range(256)) * 2**15
    async with upstream(say(b"hi")) as provider, opened(client) as transport:
        for _ in range(2):
            assert await whole(transport, post(provider.url(), body=body)) == b"hi"
        assert all(seen.body == body for seen in provider.requests)
        assert len(provider.connections) == 1


@story
async def test_an_answer_before_the_request_was_read_leaves_nothing_for_the_next(client):
    """A 413 comes while the body is still being written; its rest may not stand before a head."""

    heads: list[bytes] = []

    class Hasty(Upstream):
        async def _serve(self, reader, writer, connection):
            head = await reader.readuntil(b"\r\n\r\n")
            heads.append(head)
            if b"POST /large" not in head:
                await reader.readexactly(2)
                await Exchange(None, connection, writer, 0).reply(b"its own")
                return
            await Exchange(None, connection, writer, 0).reply(b"too large", 413)
            await asyncio.sleep(0.3)

    async with upstream(say(), kind=Hasty) as provider, opened(client) as transport:
        large = post(provider.url("/large"), body=b"POST / HTTP/1.1\r\n\r\n" * 2**20)
        reply = await transport.send(large)
        assert (reply.status, await reply.read(100)) == (413, b"too large")
        await asyncio.sleep(0.02)
        assert await whole(transport, post(provider.url("/next"), body=b"{}")) == b"its own"
        assert [head.split(b" ", 2)[1] for head in heads] == [b"/large", b"/next"]
