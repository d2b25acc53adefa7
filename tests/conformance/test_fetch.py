"""What the fetcher does with servers that nobody chose: over real sockets, on loopback.

Loopback is opened by the policy where a story needs an answer; everything else is as it is served.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import gc
import gzip
import inspect
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.conformance.rig import LOOPS, Certificates, cancelled, environment, now, until
from tests.conformance.upstream import Exchange, Upstream, black_hole, say, upstream, wire

from dragoman.attempt.ports import Fetched, Wanted
from dragoman.core.errors import CallerError
from dragoman.transport import fetch_names
from dragoman.transport.fetch import FetchPolicy, UrlFetcher
from dragoman.transport.fetch_names import CheckedNames, DeniedError
from dragoman.transport.fetch_url import Rules
from dragoman.transport.names import Address

pytestmark = pytest.mark.req("R-IMG-001")

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 32
PDF = b"%PDF-1.7\n" + b"x" * 32
SECRET = "sig-canary-4711"


def story(test):
    """Runs an async test in each loop."""

    def run(loop, **others):
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(test(**others))

    functools.update_wrapper(run, test)
    del run.__wrapped__
    own = list(inspect.signature(test).parameters.values())
    loop = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = inspect.Signature([*own, loop])
    return pytest.mark.parametrize("loop", list(LOOPS))(run)


@asynccontextmanager
async def fetching(tls_ca: Path | None = None, **policy) -> AsyncIterator[UrlFetcher]:
    known = {"rules": Rules(any_port=True), "allow_private": True, **policy}
    fetcher = UrlFetcher(FetchPolicy(**known), tls_ca)
    try:
        yield fetcher
    finally:
        await fetcher.close()


def wanted(url, kind="image", at="messages[0].content[1]") -> Wanted:
    return Wanted(url, kind, at)


async def one(fetcher: UrlFetcher, url: str, kind="image", **more) -> Fetched:
    (found,) = (await fetcher.fetch((wanted(url, kind),), **more)).values()
    return found


async def refused(fetcher: UrlFetcher, url: str, kind="image", **more) -> CallerError:
    with pytest.raises(CallerError) as caught:
        await one(fetcher, url, kind, **more)
    error = caught.value
    assert error.param == "messages[0].content[1]"
    assert error.param in error.message
    for text in (str(error), repr(error), error.message):
        assert SECRET not in text
        assert "://127" not in text
    return error


# --- what is asked, and what comes back


@story
async def test_a_picture_comes_as_base64_of_the_type_that_its_bytes_are():
    script = say(PNG, 200, "content-type: application/octet-stream")
    async with upstream(script) as server, fetching() as fetcher:
        found = await one(fetcher, server.url("/a.png"))
    assert found == Fetched("image", "image/png", base64.b64encode(PNG).decode())


@story
async def test_a_server_hears_what_it_needs_and_nothing_else():
    async with upstream(say(PNG)) as server, fetching(user_agent="dragoman/9") as fetcher:
        await one(fetcher, server.url("/a?b=c"), authorization="Bearer secret")
    (seen,) = server.requests
    assert (seen.method, seen.target, seen.body) == ("GET", "/a?b=c", b"")
    headers = dict(seen.headers)
    names = {name.lower() for name in headers}
    assert names <= {"host", "accept", "accept-encoding", "user-agent", "connection"}
    assert seen.header("user-agent") == "dragoman/9"
    assert seen.header("accept") == "image/*"
    assert seen.header("accept-encoding") == "identity"
    assert seen.header("host") == f"127.0.0.1:{server.port}"


@pytest.mark.req("R-IMG-003")
@story
async def test_a_referer_is_the_configured_one_unless_the_caller_names_another():
    async with upstream(say(PNG)) as server, fetching(referer="https://ours.example/") as fetcher:
        await one(fetcher, server.url())
        await one(fetcher, server.url(), referer="https://theirs.example/")
    said = [seen.header("referer") for seen in server.requests]
    assert said == ["https://ours.example/", "https://theirs.example/"]


@pytest.mark.parametrize(
    ("body", "declared", "kind", "found"),
    [
        (PNG, "image/png", "image", ("image", "image/png")),
        (JPEG, "text/html", "image", ("image", "image/jpeg")),
        (b"GIF89a" + b"\0" * 9, "", "image", ("image", "image/gif")),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/png", "image", ("image", "image/webp")),
        (PDF, "application/pdf", "document", ("document", "application/pdf")),
        (PDF, "image/png", "image", ("document", "application/pdf")),
        (b"Hello", "text/plain; charset=utf-8", "document", ("document", "text/plain")),
        (b"{}", "application/json", "document", ("document", "application/json")),
        (b"RIFF\0\0\0\0WAVEfmt ", "", "audio", ("audio", "audio/wav")),
        (b"ID3\4" + b"\0" * 20, "", "audio", ("audio", "audio/mpeg")),
        (b"\0\0\0\x18ftypmp42" + b"\0" * 9, "", "video", ("video", "video/mp4")),
        (b"\x1a\x45\xdf\xa3" + b"\0" * 9, "", "audio", ("audio", "audio/webm")),
    ],
)
def test_the_bytes_decide_what_something_is(body, declared, kind, found):
    async def go():
        lines = (f"content-type: {declared}",) if declared else ()
        async with upstream(say(body, 200, *lines)) as server, fetching() as fetcher:
            return await one(fetcher, server.url(), kind)

    got = asyncio.run(go())
    assert (got.kind, got.mime) == found


@pytest.mark.req("R-IMG-005")
@pytest.mark.parametrize(
    ("body", "declared", "kind"),
    [
        (b"<html>log in</html>", "image/png", "image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", "image"),
        (b"", "image/png", "image"),
        (b"root:x:0:0", "text/plain", "image"),
        (PNG, "image/png", "document"),
        (PNG, "audio/wav", "audio"),
        (b"\0\1\2\3", "text/plain", "document"),
        (b"\xff\xfe\x00", "text/plain", "document"),
        (b"PK\3\4" + b"\0" * 30, "application/zip", "document"),
    ],
)
def test_what_is_something_else_is_refused(body, declared, kind):
    async def go():
        script = say(body, 200, f"content-type: {declared}")
        async with upstream(script) as server, fetching() as fetcher:
            return await refused(fetcher, server.url(f"/x?{SECRET}"), kind)

    error = asyncio.run(go())
    assert error.code == "image_fetch_wrong_type"
    assert "127.0.0.1:" in error.message


@pytest.mark.req("R-IMG-005")
@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 401, 403, 404, 429, 500, 503])
def test_any_answer_but_200_is_told(status):
    async def go():
        async with upstream(say(b"", status)) as server, fetching() as fetcher:
            return await refused(fetcher, server.url(f"/x?{SECRET}"))

    error = asyncio.run(go())
    assert error.code == "image_fetch_failed"
    assert f"it answers with {status}" in error.message


@pytest.mark.req("R-IMG-005")
@pytest.mark.parametrize(
    "script",
    [
        wire(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", PNG),
        wire(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", PNG, then="reset"),
        wire(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 9\r\n\r\n", PNG),
        wire(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", PNG),
        wire(b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 72\r\n\r\n", PNG),
        wire(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 72\r\n\r\n", PNG),
        wire(b"SSH-2.0-OpenSSH_9.9\r\n"),
        wire(b"220 mail.example ESMTP\r\n"),
        wire(b""),
        wire(b"", then="reset"),
    ],
)
def test_what_is_no_whole_answer_is_told(script):
    async def go():
        async with upstream(script) as server, fetching(total_s=2) as fetcher:
            return await refused(fetcher, server.url(f"/x?{SECRET}"))

    assert asyncio.run(go()).code == "image_fetch_failed"


# --- size


@pytest.mark.req("R-IMG-002", "R-IMG-005")
@story
async def test_what_says_that_it_is_too_large_is_not_read():
    async def script(exchange: Exchange) -> None:
        await exchange.head(200, "content-length: 2000")
        await exchange.hang()

    async with upstream(script) as server, fetching(max_bytes=1999) as fetcher:
        since = now()
        error = await refused(fetcher, server.url())
        assert now() - since < 1
        await server.all_closed()
    assert error.code == "image_fetch_too_large"
    assert "larger than 1999 bytes" in error.message


@pytest.mark.req("R-IMG-005")
@story
async def test_what_says_nothing_is_cut_where_the_limit_is():
    sent = 0

    async def script(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.head(200, "transfer-encoding: chunked")
        while True:
            await exchange.chunk(b"x" * 4096)
            sent += 4096

    async with upstream(script) as server, fetching(max_bytes=100_000) as fetcher:
        error = await refused(fetcher, server.url())
        await server.all_closed()
    assert error.code == "image_fetch_too_large"
    assert sent < 20_000_000, "buffers of sockets, and no more"


@story
async def test_a_medium_of_just_the_limit_is_taken():
    async with upstream(say(PNG)) as server, fetching(max_bytes=len(PNG)) as fetcher:
        assert (await one(fetcher, server.url())).mime == "image/png"


@pytest.mark.req("R-IMG-005")
@story
async def test_a_compressed_body_counts_as_what_comes_out_of_it():
    packed = gzip.compress(PNG + b"\0" * 3_000_000)
    assert len(packed) < 10_000
    script = say(packed, 200, "content-encoding: gzip")
    async with upstream(script) as server:
        async with fetching(max_bytes=1_000_000) as fetcher:
            assert (await refused(fetcher, server.url())).code == "image_fetch_too_large"
        async with fetching(max_bytes=4_000_000) as fetcher:
            found = await one(fetcher, server.url())
            assert len(base64.b64decode(found.data)) == len(PNG) + 3_000_000


@pytest.mark.req("R-IMG-005")
@story
async def test_all_media_of_one_request_have_a_bound_of_their_own():
    body = PNG + b"\0" * 1000
    async with upstream(say(body)) as server:
        every = tuple(wanted(server.url(f"/{number}")) for number in range(5))
        async with fetching(most_bytes=5 * len(body)) as fetcher:
            assert len(await fetcher.fetch(every)) == 5
        async with fetching(most_bytes=5 * len(body) - 1) as fetcher:
            with pytest.raises(CallerError, match="all that the request names") as caught:
                await fetcher.fetch(every)
    assert caught.value.code == "image_fetch_too_large"


# --- time


@pytest.mark.req("R-IMG-002", "R-IMG-005")
@pytest.mark.parametrize("pieces", [(), (b"HTTP/1.1 200 OK\r\n",)])
def test_a_server_that_does_not_answer_costs_the_time_of_one_fetch(pieces):
    async def go():
        async with upstream(wire(*pieces, then="hang")) as server, fetching(total_s=0.3) as it:
            since = now()
            error = await refused(it, server.url(f"/x?{SECRET}"))
            assert 0.25 < now() - since < 1.5
            await server.all_closed()
            return error

    assert asyncio.run(go()).code == "image_fetch_timeout"


@pytest.mark.req("R-IMG-005")
@story
async def test_a_server_that_is_silent_in_the_middle_is_left_before_the_whole_time():
    script = wire(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", PNG, then="hang")
    async with upstream(script) as server, fetching(idle_s=0.2) as fetcher:
        since = now()
        error = await refused(fetcher, server.url())
        assert 0.15 < now() - since < 1.5
        await server.all_closed()
    assert error.code == "image_fetch_timeout"
    assert "silent" in error.message


@pytest.mark.req("R-IMG-005")
@story
async def test_a_server_that_drips_is_left_after_the_whole_time():
    async def script(exchange: Exchange) -> None:
        await exchange.head(200, "content-length: 10000")
        while True:
            await exchange.send(b"x")
            await asyncio.sleep(0.02)

    async with upstream(script) as server, fetching(idle_s=1, total_s=0.4) as fetcher:
        since = now()
        error = await refused(fetcher, server.url())
        assert 0.3 < now() - since < 1.5
        await server.all_closed()
    assert error.code == "image_fetch_timeout"
    assert "longer than 0.4 seconds" in error.message


@pytest.mark.req("R-IMG-005")
@story
async def test_redirects_share_the_time_of_one_fetch():
    async def script(exchange: Exchange) -> None:
        await asyncio.sleep(0.2)
        await exchange.reply(b"", 302, f"location: {exchange.seen.target}x")

    async with upstream(script) as server, fetching(total_s=0.5, max_redirects=9) as fetcher:
        since = now()
        assert (await refused(fetcher, server.url())).code == "image_fetch_timeout"
        assert now() - since < 1.5


@pytest.mark.req("R-IMG-005")
@story
async def test_a_connection_that_is_never_made_costs_its_own_time():
    async with black_hole() as port, fetching(connect_s=0.3) as fetcher:
        since = now()
        error = await refused(fetcher, f"http://127.0.0.1:{port}/")
        assert 0.25 < now() - since < 2
    assert error.code == "image_fetch_timeout"


@story
async def test_a_port_where_nobody_listens_is_told():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        async with fetching() as fetcher:
            error = await refused(fetcher, f"http://127.0.0.1:{probe.getsockname()[1]}/")
    assert error.code == "image_fetch_failed"


# --- redirects


def hops(number: int, status: int = 302):
    """Redirects so many times, then answers."""

    async def script(exchange: Exchange) -> None:
        count = int(exchange.seen.target.strip("/") or 0)
        if count < number:
            await exchange.reply(b"", status, f"location: /{count + 1}", "set-cookie: a=b")
        else:
            await exchange.reply(PNG)

    return script


@pytest.mark.req("R-IMG-002")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_so_far(status):
    async def go():
        async with upstream(hops(3, status)) as server, fetching() as fetcher:
            assert (await one(fetcher, server.url())).mime == "image/png"
            assert [seen.target for seen in server.requests] == ["/", "/1", "/2", "/3"]
            assert {seen.method for seen in server.requests} == {"GET"}
            assert not any(seen.header("cookie") for seen in server.requests)
        async with upstream(hops(4, status)) as server, fetching() as fetcher:
            error = await refused(fetcher, server.url())
            assert len(server.requests) == 4
            return error

    error = asyncio.run(go())
    assert error.code == "image_fetch_blocked"
    assert "more than 3 times" in error.message


@story
async def test_a_redirect_to_itself_ends():
    async with upstream(say(b"", 302, "location: /")) as server, fetching() as fetcher:
        assert (await refused(fetcher, server.url())).code == "image_fetch_blocked"
        assert len(server.requests) == 4


@story
async def test_without_redirects_none_is_followed():
    async with upstream(hops(1)) as server, fetching(max_redirects=0) as fetcher:
        assert (await refused(fetcher, server.url())).code == "image_fetch_blocked"
        assert len(server.requests) == 1


@pytest.mark.req("R-IMG-004")
@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/latest/",
        "http://100.100.100.200/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::7f00:1]/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://user@127.0.0.1/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_x",
        "//169.254.169.254/",
        "",
    ],
)
def test_a_redirect_to_where_nobody_may_go_is_refused(location):
    async def go():
        script = say(b"", 302, *([f"location: {location}"] if location else []))
        async with upstream(script) as server, fetching() as fetcher:
            error = await refused(fetcher, server.url(f"/x?{SECRET}"))
            assert len(server.requests) == 1
            return error

    assert asyncio.run(go()).code == "image_fetch_blocked"


@pytest.mark.req("R-IMG-004")
@story
async def test_a_redirect_leads_to_no_host_that_is_not_on_the_list():
    async with upstream(say(PNG)) as canary:
        script = say(b"", 302, f"location: {canary.url('/x')}")
        async with upstream(script) as server:
            rules = Rules(hosts=(f"127.0.0.1:{server.port}",), any_port=True)
            async with fetching(rules=rules) as fetcher:
                error = await refused(fetcher, server.url())
        assert canary.connections == []
    assert error.code == "image_fetch_blocked"
    assert "of a redirect" in error.message


# --- addresses


@pytest.mark.req("R-IMG-004")
@story
async def test_private_addresses_are_closed_unless_the_operator_opens_them():
    async with upstream(say(PNG)) as server, fetching(allow_private=False) as fetcher:
        for host in ("127.0.0.1", "localhost", "127.0.0.1.", "[::1]"):
            error = await refused(fetcher, server.url("/x", host))
            assert error.code == "image_fetch_blocked"
            assert "public address" in error.message
        assert server.connections == []


@pytest.mark.req("R-IMG-004")
@story
async def test_a_name_one_of_whose_addresses_is_denied_is_not_asked(monkeypatch):
    def look_up(host, port):
        family = socket.AF_INET
        return [Address(family, ("8.8.8.8", port)), Address(family, ("127.0.0.1", port))]

    monkeypatch.setattr(fetch_names, "_look_up", look_up)
    async with upstream(say(PNG)) as canary, fetching(allow_private=False) as fetcher:
        error = await refused(fetcher, canary.url("/x", "mixed.example"))
        assert canary.connections == []
    assert error.code == "image_fetch_blocked"


@pytest.mark.req("R-IMG-004")
@story
async def test_a_name_that_leads_nowhere_is_told_as_one_that_leads_inside(monkeypatch):
    """Whether an internal name exists is nobody's to ask (F13)."""

    def look_up(host, port):
        if host == "gone.example":
            raise socket.gaierror(socket.EAI_NONAME, "gone")
        return [Address(socket.AF_INET, ("10.0.0.5", port))]

    monkeypatch.setattr(fetch_names, "_look_up", look_up)
    async with fetching(allow_private=False) as fetcher:
        gone = await refused(fetcher, "https://gone.example/")
        inside = await refused(fetcher, "https://here.example/")
    assert gone.code == inside.code
    assert gone.message.replace("gone", "here") == inside.message


@pytest.mark.req("R-IMG-004")
@story
async def test_a_name_that_changes_between_check_and_connection_reaches_what_was_checked(
    monkeypatch,
):
    """DNS rebinding (F3): every other answer is the canary's, and none of its TTLs counts."""
    asked = 0

    def look_up(host, port):
        nonlocal asked
        asked += 1
        address = "127.0.0.2" if asked % 2 else "127.0.0.1"
        return [Address(socket.AF_INET, (address, port))]

    monkeypatch.setattr(fetch_names, "_look_up", look_up)
    names = CheckedNames(lambda address: address == "127.0.0.2")
    origin = ("rebinding.example", 80, False)
    denied = 0
    for _ in range(1000):
        try:
            found = await names.addresses(fetch_names.Origin(*origin))
        except DeniedError:
            denied += 1
        else:
            assert [each.address[0] for each in found] == ["127.0.0.2"]
        names.forget(fetch_names.Origin(*origin))
    names.close()
    assert (asked, denied) == (1000, 500)


@pytest.mark.req("R-IMG-004")
@story
async def test_one_answer_of_the_resolver_is_both_checked_and_connected_to(monkeypatch):
    asked = []

    def look_up(host, port):
        asked.append(host)
        return [Address(socket.AF_INET, ("127.0.0.1", port))]

    monkeypatch.setattr(fetch_names, "_look_up", look_up)
    async with upstream(say(PNG)) as server, fetching() as fetcher:
        await one(fetcher, server.url("/x", "name.example"))
    assert asked == ["name.example"]
    assert server.requests[0].header("host") == f"name.example:{server.port}"


@story
async def test_a_resolver_that_never_answers_costs_the_time_of_a_connection(monkeypatch):
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look_up(host, port):
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(10)
        return []

    monkeypatch.setattr(fetch_names, "_look_up", look_up)
    async with fetching(connect_s=0.2) as fetcher:
        since = now()
        error = await refused(fetcher, "http://slow.example/")
        assert now() - since < 1.5
        gate.set()
        await asyncio.sleep(0.05)
    assert error.code in {"image_fetch_timeout", "image_fetch_blocked"}


@story
async def test_no_proxy_of_the_environment_is_asked():
    async with upstream(say(PNG)) as proxy, upstream(say(PNG)) as server:
        address = proxy.url("")
        with environment(HTTP_PROXY=address, HTTPS_PROXY=address, ALL_PROXY=address, NO_PROXY=""):
            async with fetching() as fetcher:
                await one(fetcher, server.url())
        assert proxy.connections == []


# --- secrets


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("authority"))


@pytest.mark.req("R-IMG-002")
@story
async def test_a_credential_goes_to_named_hosts_over_tls_and_never_beyond(certificates):
    async with upstream(say(PNG), tls=certificates.good()) as other:

        async def script(exchange: Exchange) -> None:
            match exchange.seen.target:
                case "/beyond":
                    await exchange.reply(b"", 302, f"location: {other.url('/b')}")
                case "/within":
                    await exchange.reply(b"", 302, "location: /a")
                case _:
                    await exchange.reply(PNG)

        async with upstream(script, tls=certificates.good()) as server:
            both = tuple(f"localhost:{each.port}" for each in (server, other))
            policy = {"rules": Rules(hosts=both), "forward_auth": True}
            async with fetching(certificates.file, **policy) as fetcher:
                for path in ("/a", "/within", "/beyond"):
                    await one(fetcher, server.url(path), authorization="Bearer canary")
            async with fetching(certificates.file, rules=Rules(hosts=both)) as fetcher:
                await one(fetcher, server.url("/a"), authorization="Bearer canary")
            open_to_all = {"rules": Rules(any_port=True), "forward_auth": True}
            async with fetching(certificates.file, **open_to_all) as fetcher:
                await one(fetcher, server.url("/a"), authorization="Bearer canary")
        heard = [(seen.target, seen.header("authorization")) for seen in server.requests]
        assert heard == [
            ("/a", "Bearer canary"),
            ("/within", "Bearer canary"),
            ("/a", "Bearer canary"),
            ("/beyond", "Bearer canary"),
            ("/a", None),
            ("/a", None),
        ]
        assert [seen.header("authorization") for seen in other.requests] == [None]


@pytest.mark.req("R-IMG-002")
@story
async def test_a_credential_goes_nowhere_in_the_clear():
    async with upstream(say(PNG)) as server:
        rules = Rules(hosts=(f"127.0.0.1:{server.port}",))
        async with fetching(rules=rules, forward_auth=True) as fetcher:
            await one(fetcher, server.url(), authorization="Bearer canary")
    assert server.requests[0].header("authorization") is None


@story
async def test_a_certificate_of_somebody_else_is_not_taken(certificates):
    async with upstream(say(PNG), tls=certificates.bad("wrong host")) as server:
        async with fetching(certificates.file) as fetcher:
            error = await refused(fetcher, server.url(f"/{SECRET}"))
        assert server.requests == []
    assert error.code == "image_fetch_failed"
    assert "certificate" in error.message


# --- several at once


class Busy:
    """Answers after a while, and knows how many wait."""

    def __init__(self, pause_s: float = 0.05) -> None:
        self.now = self.most = 0
        self._pause_s = pause_s

    async def __call__(self, exchange: Exchange) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self._pause_s)
        self.now -= 1
        await exchange.reply(PNG)


def many(server: Upstream, number: int, start: int = 0) -> tuple[Wanted, ...]:
    return tuple(wanted(server.url(f"/{start + each}")) for each in range(number))


@story
async def test_a_request_fetches_a_few_at_once():
    busy = Busy()
    async with upstream(busy) as server, fetching(at_once=3) as fetcher:
        assert len(await fetcher.fetch(many(server, 10))) == 10
    assert busy.most == 3
    assert len(server.connections) == len(server.requests) == 10, "none serves twice"


@story
async def test_all_requests_together_fetch_some_at_once():
    busy = Busy()
    async with upstream(busy) as server, fetching(at_once=4, at_once_in_all=5) as fetcher:
        await asyncio.gather(
            *(fetcher.fetch(many(server, 4, 9 * each), tenant=f"t{each}") for each in range(5))
        )
    assert busy.most == 5
    assert len(server.requests) == 20


def is_busy(error: CallerError) -> bool:
    return (error.status, error.code) == (503, "image_fetch_busy") and bool(error.retry_after_s)


@story
async def test_a_tenant_whose_hosts_are_slow_leaves_places_for_others():
    slow = Busy(pause_s=30)
    async with (
        upstream(slow) as tarpit,
        upstream(say(PNG)) as server,
        fetching(at_once_in_all=8, wait_s=0.1) as fetcher,
    ):
        hog = asyncio.create_task(fetcher.fetch(many(tarpit, 4), tenant="hog"))
        await until(lambda: slow.now == 4)
        found = await one(fetcher, server.url(), tenant="other")
        error = await refused(fetcher, server.url("/own"), tenant="hog")
        await cancelled(hog)
        assert (await one(fetcher, server.url("/own"), tenant="hog")).mime == "image/png"
    assert found.mime == "image/png"
    assert is_busy(error)
    assert slow.most == 4


@story
async def test_a_tenant_whose_names_never_resolve_leaves_threads_for_others(monkeypatch):
    gate = threading.Event()

    def look_up(host, port):
        if host.endswith(".slow.example"):
            gate.wait(20)
            return []
        return [Address(socket.AF_INET, ("127.0.0.1", port))]

    monkeypatch.setattr(fetch_names, "_look_up", look_up)
    async with upstream(say(PNG)) as server, fetching(connect_s=0.2, at_once=16) as fetcher:
        try:
            port = server.url("").rpartition(":")[2].strip("/")
            asked = [
                refused(fetcher, f"http://n{each}.slow.example/", tenant="hog")
                for each in range(16)
            ]
            await asyncio.gather(*asked)
            # Their callers have their answer; the resolver still works for them.
            error = await refused(fetcher, f"http://fine.example:{port}/", tenant="hog")
            found = await one(fetcher, f"http://fine.example:{port}/", tenant="other")
        finally:
            gate.set()
        await asyncio.sleep(0.05)
        again = await one(fetcher, f"http://fair.example:{port}/", tenant="hog")
    assert is_busy(error)
    assert found.mime == again.mime == "image/png"


@story
async def test_whoever_asks_for_the_same_name_does_not_share_the_refusal(monkeypatch):
    gate = threading.Event()

    def look_up(host, port):
        gate.wait(5)
        return [Address(socket.AF_INET, ("127.0.0.1", port))]

    monkeypatch.setattr(fetch_names, "_look_up", look_up)
    monkeypatch.setattr(fetch_names, "_THREADS", 2)
    names = CheckedNames(lambda _: True)

    async def ask(tenant, host):
        fetch_names.TENANT.set(tenant)
        return await names.addresses(fetch_names.Origin(host, 80, secure=False))

    first = asyncio.create_task(ask("hog", "a.example"))
    await asyncio.sleep(0)
    both = [asyncio.create_task(ask(tenant, "b.example")) for tenant in ("hog", "other")]
    await asyncio.sleep(0.02)
    gate.set()
    done = await asyncio.gather(first, *both, return_exceptions=True)
    names.close()
    assert isinstance(done[1], fetch_names.BusyError)
    assert done[0] == done[2] == [Address(socket.AF_INET, ("127.0.0.1", 80))]


@story
async def test_what_all_requests_hold_is_bounded_and_free_once_nobody_has_it():
    size = len(PNG)
    async with upstream(say(PNG)) as server, fetching(most_held=4 * size) as fetcher:
        kept = [await one(fetcher, server.url(f"/{each}"), tenant="hog") for each in range(2)]
        error = await refused(fetcher, server.url("/c"), tenant="hog")
        assert (await one(fetcher, server.url("/d"), tenant="other")).mime == "image/png"
        kept.clear()
        gc.collect()
        await asyncio.sleep(0.01)
        assert (await one(fetcher, server.url("/e"), tenant="hog")).mime == "image/png"
    assert is_busy(error)


@story
async def test_what_is_refused_for_its_type_is_not_held():
    async with upstream(say(b"<html>")) as server, fetching(most_held=12) as fetcher:
        codes = [(await refused(fetcher, server.url(f"/{each}"))).code for each in range(5)]
    assert set(codes) == {"image_fetch_wrong_type"}


@story
async def test_what_stands_there_twice_is_fetched_once():
    async with upstream(say(PNG)) as server, fetching() as fetcher:
        found = await fetcher.fetch((wanted(server.url("/a")),) * 3 + (wanted(server.url("/b")),))
    assert set(found) == {server.url("/a"), server.url("/b")}
    assert len(server.requests) == 2


@story
async def test_too_many_are_refused_before_any_is_fetched():
    async with upstream(say(PNG)) as server, fetching(most=3) as fetcher:
        with pytest.raises(CallerError, match="at most 3") as caught:
            await fetcher.fetch(many(server, 4))
        assert server.connections == []
    assert caught.value.code == "image_fetch_too_many"


@story
async def test_one_url_that_may_not_be_fetched_keeps_the_others_from_it():
    async with upstream(say(PNG)) as server, fetching() as fetcher:
        with pytest.raises(CallerError):
            await fetcher.fetch((*many(server, 2), wanted("file:///etc/passwd")))
        assert server.connections == []


@story
async def test_the_first_that_fails_ends_the_others():
    async def script(exchange: Exchange) -> None:
        if exchange.seen.target == "/1":
            await exchange.reply(b"", 404)
        else:
            await exchange.hang()

    async with upstream(script) as server, fetching() as fetcher:
        since = now()
        with pytest.raises(CallerError, match="answers with 404"):
            await fetcher.fetch(many(server, 3))
        assert now() - since < 1
        await server.all_closed()


@story
async def test_a_caller_who_leaves_takes_the_connections_along():
    async def script(exchange: Exchange) -> None:
        await exchange.hang()

    async with upstream(script) as server, fetching(at_once=2) as fetcher:
        task = asyncio.create_task(fetcher.fetch(many(server, 6)))
        await until(lambda: len(server.requests) == 2)
        await cancelled(task)
        await server.all_closed()
        assert len(server.requests) == 2
        server.script = say(PNG)
        assert len(await fetcher.fetch(many(server, 3))) == 3, "nothing stays taken"


def test_what_is_printed_of_a_wish_holds_no_address():
    assert SECRET not in repr(wanted(f"https://a.example/?{SECRET}"))
    assert "AAAA" not in repr(Fetched("image", "image/png", "AAAA"))
