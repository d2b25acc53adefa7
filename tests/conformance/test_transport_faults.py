"""Every way a provider can fail, and the one error that each becomes.

``told`` is (kind, code, sent, retryable): what a verdict is made of.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.conformance.rig import (
    LATE_S,
    SECRET,
    cancelled,
    closed_after,
    collect,
    failing,
    now,
    opened,
    page_rows,
    post,
    ran_out,
    stopwatch,
    story,
    told,
    until,
    whole,
)
from tests.conformance.upstream import Exchange, black_hole, say, upstream, wire

from dragoman.core.errors import UpstreamError

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
LOST = ("upstream", "stream_connection_lost", "yes", True)


# ---------------------------------------------------------------------------- before a connection


@pytest.mark.req("R-ADD-025")
@story
async def test_a_refused_connection_is_told_at_once(client):
    async with upstream(say()) as provider:
        url = provider.url("/v1?key=" + SECRET)
    async with opened(client) as transport:
        await failing(transport.send(post(url)))  # the first one makes the client
        took = stopwatch()
        error = await failing(transport.send(post(url)))
        assert took() < LATE_S
        assert told(error) == ("upstream", "network_error", "no", True)
        assert error.status == 502
        assert error.message == f"127.0.0.1:{provider.port} refused the connection."


@pytest.mark.req("R-ADD-025")
@story
async def test_a_host_that_does_not_resolve_is_a_dns_error(client):
    async with opened(client) as transport:
        error = await failing(transport.send(post("http://no-such-host.invalid/v1")))
        assert told(error) == ("upstream", "dns_error", "no", True)
        assert "no-such-host.invalid" in error.message


@pytest.mark.req("R-ADD-025")
@pytest.mark.parametrize("connect_s", [0.4, pytest.param(3.0, marks=pytest.mark.gate)])
@story
async def test_a_black_hole_is_given_up_after_the_connect_timeout(client, connect_s):
    async with black_hole() as port, opened(client) as transport:
        took = stopwatch()
        error = await failing(
            transport.send(post(f"http://127.0.0.1:{port}/", connect_s=connect_s))
        )
        assert ran_out(took(), connect_s)
        assert told(error) == ("timeout", "connection_timeout", "no", True)
        assert error.status == 504


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nothing",
        "http://",
        "http:///v1",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http://user:sk-canary-4711@127.0.0.1:1/",
        "http://127.0.0.1\\@evil.example/",
        "http://a b/",
        "http://[::1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
    ],
)
@story
async def test_a_url_that_is_none_is_refused_without_a_connection(client, url):
    async with opened(client) as transport:
        error = await failing(transport.send(post(url)))
        assert told(error) == ("upstream", "configuration_error", "no", False)


@pytest.mark.parametrize("headers", [{"x-a": "b\r\nx-evil: 1"}, {"x\n": "b"}, {"": "b"}])
@story
async def test_a_header_that_is_none_is_refused_and_does_not_smuggle(client, headers):
    async with upstream(say()) as provider, opened(client) as transport:
        error = await failing(transport.send(post(provider.url(), headers=headers)))
        assert told(error) == ("upstream", "configuration_error", "no", False)
        assert provider.requests == []


# ---------------------------------------------------------------------------- before the head


@pytest.mark.req("R-ADD-025")
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(wire(then="reset"), id="reset"),
        pytest.param(wire(then="close"), id="closed"),
        pytest.param(wire(b"HTTP/1.1 200 O", then="close"), id="half a status line"),
        pytest.param(wire(OK + b"content-le", then="close"), id="half a head"),
        pytest.param(
            wire(OK + b"content-le", then="reset", pause_s=0.02), id="half a head, reset"
        ),
        pytest.param(wire(b"HTTP/1.1 100 Continue\r\n\r\n", then="close"), id="only a 100"),
    ],
)
@story
async def test_a_connection_that_ends_before_the_head_may_have_been_worked_on(client, script):
    async with upstream(script) as provider, opened(client) as transport:
        error = await failing(transport.send(post(provider.url("/v1?key=" + SECRET))))
        assert told(error) == ("upstream", "connection_reset", "maybe", True)
        assert error.status == 502
        assert error.upstream_status is None
        assert len(provider.requests) == 1


@pytest.mark.req("R-ADD-025")
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-"])
@story
async def test_a_provider_that_hangs_before_the_head_is_given_up_in_time(client, said):
    async with upstream(wire(said, then="hang")) as provider, opened(client) as transport:
        took = stopwatch()
        error = await failing(transport.send(post(provider.url(), first_byte_s=0.3)))
        since = now()
        assert ran_out(took(), 0.3)
        assert told(error) == ("timeout", "read_timeout", "maybe", True)
        assert error.status == 504
        assert await closed_after(provider, since) < 0.2
        assert asyncio.current_task().cancelling() == 0


@story
async def test_the_first_byte_timeout_says_nothing_of_the_stream_after_it(client):
    async def script(exchange: Exchange) -> None:
        await exchange.head(200, "transfer-encoding: chunked")
        await asyncio.sleep(0.8)
        await exchange.chunk(b"late")
        await exchange.chunk(b"")

    async with upstream(script) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url(), first_byte_s=0.5))
        assert await collect(reply) == b"late"


@story
async def test_a_whole_reply_is_bounded_by_the_time_of_its_request(client):
    async with (
        upstream(wire(CHUNKED + b"1\r\na\r\n", then="hang")) as provider,
        opened(client) as transport,
    ):
        took = stopwatch()
        reply = await transport.send(post(provider.url(), first_byte_s=0.3))
        error = await failing(reply.read(100))
        since = now()
        assert ran_out(took(), 0.3)
        assert told(error) == ("timeout", "read_timeout", "yes", True)
        assert await closed_after(provider, since) < 0.2


@story
async def test_a_cancel_from_outside_is_never_taken_for_a_timeout(client):
    async with upstream(Exchange.hang) as provider, opened(client) as transport:
        task = asyncio.create_task(transport.send(post(provider.url(), first_byte_s=1.0)))
        await until(lambda: provider.requests)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert task.cancelled()

    async with upstream(wire(CHUNKED, then="hang")) as provider, opened(client) as transport:
        reply = await transport.send(post(provider.url()))
        reading = asyncio.create_task(reply.read(100))
        await asyncio.sleep(0.02)
        await cancelled(reading)


# ---------------------------------------------------------------------------- not HTTP


MALFORMED = {
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "binary": bytes(range(128, 256)) + b"\r\n\r\n",
    "HTTP/2 without being asked": b"HTTP/2 200 OK\r\ncontent-length: 0\r\n\r\n",
    "version 9.9": b"HTTP/9.9 200 OK\r\ncontent-length: 0\r\n\r\n",
    "status of letters": b"HTTP/1.1 abc OK\r\ncontent-length: 0\r\n\r\n",
    "status of two digits": b"HTTP/1.1 20 OK\r\ncontent-length: 0\r\n\r\n",
    "status below 100": b"HTTP/1.1 000 No\r\ncontent-length: 0\r\n\r\n",
    "a switch of protocols": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nhi",
    "no status": b"HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
    "no version": b"200 OK\r\ncontent-length: 0\r\n\r\n",
    "header without a colon": OK + b"nonsense\r\n\r\n",
    "header without a name": OK + b": value\r\ncontent-length: 0\r\n\r\n",
    "space before the colon": OK + b"content-length : 2\r\n\r\nhi",
    "space in a name": OK + b"content length: 2\r\n\r\nhi",
    "NUL in a name": OK + b"x\x00y: 1\r\ncontent-length: 0\r\n\r\n",
    "NUL in a value": OK + b"x: a\x00b\r\ncontent-length: 0\r\n\r\n",
    "two lengths": OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi!",
    "two lengths in one": OK + b"content-length: 2, 3\r\n\r\nhi!",
    "a negative length": OK + b"content-length: -2\r\n\r\nhi",
    "a length with a sign": OK + b"content-length: +2\r\n\r\nhi",
    "a length of letters": OK + b"content-length: two\r\n\r\nhi",
    "an endless length": OK + b"content-length: " + b"9" * 40 + b"\r\n\r\nhi",
    "chunk size of letters": CHUNKED + b"zz\r\nhi\r\n0\r\n\r\n",
    "negative chunk size": CHUNKED + b"-2\r\nhi\r\n0\r\n\r\n",
    "endless chunk size": CHUNKED + b"f" * 40 + b"\r\nhi\r\n0\r\n\r\n",
    "chunk longer than its size": CHUNKED + b"2\r\nhi!!\r\n0\r\n\r\n",
    "chunk without its line end": CHUNKED + b"2\r\nhi0\r\n\r\n",
    "HTML instead of HTTP": b"<html><body>Bad Gateway</body></html>\r\n\r\n",
    "unknown transfer coding": OK + b"transfer-encoding: rot13\r\n\r\nuv",
    "a coding under the chunks": OK
    + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "a length and chunks": OK
    + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunks and a length": OK
    + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "the same length twice": OK + b"content-length: 2\r\ncontent-length: 2\r\n\r\nhi",
    "a folded header": OK + b"x: a\r\n b\r\ncontent-length: 2\r\n\r\nhi",
    "line feeds alone": b"HTTP/1.1 200 OK\ncontent-length: 2\n\nhi",
    "chunk size with a prefix": CHUNKED + b"0x2\r\nhi\r\n0\r\n\r\n",
    "chunk size with a sign": CHUNKED + b"+2\r\nhi\r\n0\r\n\r\n",
    "chunk lines with line feeds alone": CHUNKED + b"2\nhi\n0\n\n",
}


@pytest.mark.req("R-ADD-025")
@pytest.mark.parametrize("said", MALFORMED.values(), ids=MALFORMED)
@pytest.mark.parametrize("then", ["close", "keep"])
@story
async def test_what_is_not_http_is_an_error_or_read_as_nothing_but_its_own_bytes(
    client, said, then
):
    async def script(exchange: Exchange) -> None:
        if exchange.seen.target == "/next":
            await exchange.reply(b"its own")
        else:
            await wire(said, then=then)(exchange)

    async with upstream(script) as provider, opened(client) as transport:
        # Only what is kept open can be waited for in vain.
        within_s = 0.4 if then == "keep" else 20.0
        read = whole(transport, post(provider.url(), first_byte_s=within_s))
        (outcome,) = await asyncio.gather(read, return_exceptions=True)
        if isinstance(outcome, bytes):
            assert outcome in said, "lenient, but nothing is made up"
            said_of_it = f"read as `{outcome.decode()}`"
        else:
            error = outcome
            assert isinstance(error, UpstreamError)
            said_of_it = str(error.code)
            assert error.kind in {"upstream", "timeout"}
            assert error.code in {
                "provider_error",
                "connection_reset",
                "stream_connection_lost",
                "read_timeout",
                "connection_timeout",  # where the machine is that busy
            }
            if then == "close":
                assert error.kind == "upstream"
        assert await whole(transport, post(provider.url("/next"))) == b"its own"
    if then == "close":
        (name,) = (name for name, bytes_ in MALFORMED.items() if bytes_ == said)
        assert said_of_it == page_rows()[name][client], "docs/transport.md says otherwise"


@pytest.mark.parametrize(
    "name",
    ["another protocol", "status of letters", "header without a colon", "a negative length"],
)
@story
async def test_what_is_not_http_is_told_as_such(client, name):
    async with (
        upstream(wire(MALFORMED[name], then="hang")) as provider,
        opened(client) as transport,
    ):
        error = await failing(transport.send(post(provider.url("/v1?key=" + SECRET))))
        assert told(error) == ("upstream", "provider_error", "yes", True)


@story
async def test_a_second_head_is_not_the_answer_to_the_next_request(client):
    async def script(exchange: Exchange) -> None:
        if exchange.seen.target == "/next":
            await exchange.reply(b"its own")
        else:
            await exchange.send(
                OK + b"content-length: 2\r\n\r\nhi" + OK + b"content-length: 4\r\n\r\nevil"
            )

    async with upstream(script) as provider, opened(client) as transport:
        for _ in range(5):
            assert await whole(transport, post(provider.url())) == b"hi"
            assert await whole(transport, post(provider.url("/next"))) == b"its own"


@story
async def test_bytes_that_nobody_asked_for_do_not_answer_a_later_request(client):
    async def script(exchange: Exchange) -> None:
        await exchange.reply(b"its own")
        await asyncio.sleep(0.01)
        await exchange.send(OK + b"content-length: 4\r\n\r\nevil")

    async with upstream(script) as provider, opened(client) as transport:
        for _ in range(3):
            assert await whole(transport, post(provider.url())) == b"its own"
            await asyncio.sleep(0.03)


@story
async def test_a_flood_of_1xx_ends_with_the_real_head_or_an_error(client):
    flood = b"HTTP/1.1 102 Processing\r\n\r\n" * 5000
    async with (
        upstream(wire(flood, OK + b"content-length: 2\r\n\r\nhi", then="hang")) as provider,
        opened(client) as transport,
    ):
        assert await whole(transport, post(provider.url())) == b"hi"


@story
async def test_an_endless_flood_of_1xx_is_given_up_in_time(client):
    async def script(exchange: Exchange) -> None:
        while True:
            await exchange.send(b"HTTP/1.1 102 Processing\r\n\r\n")
            await asyncio.sleep(0.001)

    async with upstream(script) as provider, opened(client) as transport:
        error = await failing(transport.send(post(provider.url(), first_byte_s=0.3)))
        assert (error.kind, error.code) == ("timeout", "read_timeout")
