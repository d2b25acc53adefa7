"""TLS, and what the environment may not decide: who is trusted, which way the request goes."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from tests.conformance.rig import (
    CLIENTS,
    SECRET,
    Certificates,
    busy,
    cancelled,
    closed_after,
    environment,
    failing,
    now,
    opened,
    post,
    ran_out,
    stopwatch,
    story,
    told,
    until,
    whole,
)
from tests.conformance.upstream import Exchange, Upstream, say, upstream, wire

from dragoman.transport.http import open_transport
from dragoman.transport.trust import authorities


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


def never_read(provider: Upstream) -> bool:
    """Whether no request, and with it no key, came through."""
    return provider.requests == []


@story
async def test_a_good_certificate_of_a_named_authority_is_accepted(client, certificates):
    async with upstream(say(b"hi"), tls=certificates.good()) as provider:
        async with opened(client, tls_ca=certificates.file) as transport:
            assert await whole(transport, post(provider.url())) == b"hi"
            assert await whole(transport, post(provider.url())) == b"hi"
        assert len(provider.connections) == 1


@pytest.mark.req("R-ADD-025")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("expired", "has expired"),
        ("early", "not valid yet"),
        ("wrong host", "made for another host"),
        ("untrusted", "self-signed or its issuer is not trusted"),
    ],
)
@story
async def test_a_bad_certificate_is_refused_and_the_error_says_which(
    client, certificates, name, says
):
    async with upstream(say(), tls=certificates.bad(name)) as provider:
        async with opened(client, tls_ca=certificates.file) as transport:
            error = await failing(transport.send(post(provider.url("/v1?key=" + SECRET))))
        assert told(error) == ("upstream", "tls_error", "no", False)
        assert error.status == 502
        assert says in error.message
        assert f"localhost:{provider.port}" in error.message
        assert never_read(provider)


@story
async def test_a_self_signed_certificate_is_refused(client, certificates):
    async with upstream(say(), tls=certificates.self_signed()) as provider:
        async with opened(client, tls_ca=certificates.file) as transport:
            error = await failing(transport.send(post(provider.url())))
        assert told(error) == ("upstream", "tls_error", "no", False)
        assert never_read(provider)


@story
async def test_without_a_named_authority_only_the_systems_count(client, certificates):
    async with upstream(say(), tls=certificates.good()) as provider:
        async with opened(client) as transport:
            error = await failing(transport.send(post(provider.url())))
        assert (error.code, error.sent) == ("tls_error", "no")


@story
async def test_the_environment_does_not_name_authorities(client, certificates):
    with environment(
        SSL_CERT_FILE=str(certificates.file), SSL_CERT_DIR=str(certificates.file.parent)
    ):
        async with upstream(say(), tls=certificates.good()) as provider:
            async with opened(client) as transport:
                assert (await failing(transport.send(post(provider.url())))).code == "tls_error"
            assert never_read(provider)


@story
async def test_a_tls_handshake_that_hangs_ends_with_the_connect_timeout(client):
    async with _not_tls(hang=True) as provider, opened(client) as transport:
        took = stopwatch()
        url = f"https://localhost:{provider.port}/"
        error = await failing(transport.send(post(url, connect_s=0.4)))
        assert ran_out(took(), 0.4)
        assert told(error) == ("timeout", "connection_timeout", "no", True)


@story
async def test_connecting_takes_no_longer_than_the_first_byte_may(client):
    async with _not_tls(hang=True) as provider, opened(client) as transport:
        took = stopwatch()
        request = post(f"https://localhost:{provider.port}/", first_byte_s=0.3)
        assert (await failing(transport.send(request))).kind == "timeout"
        assert ran_out(took(), 0.3)


@story
async def test_cancel_in_a_tls_handshake_closes_the_connection(client):
    async with _not_tls(hang=True) as provider, opened(client) as transport:
        url = f"https://localhost:{provider.port}/"
        task = asyncio.create_task(transport.send(post(url)))
        await until(lambda: provider.connections)
        await asyncio.sleep(0.05)
        since = now()
        await cancelled(task)
        assert await closed_after(provider, since) < 0.2


@story
async def test_closing_the_transport_ends_what_is_being_connected(client):
    """Sooner or later: a library connects on, and the reply is refused then."""
    connect_s = 20 if client == "direct" else 0.5
    async with _not_tls(hang=True) as provider, opened(client) as transport:
        url = f"https://127.0.0.1:{provider.port}/"
        task = asyncio.create_task(transport.send(post(url, connect_s=connect_s)))
        await until(lambda: provider.connections)
        await asyncio.sleep(0.05)
        since = now()
        await transport.close()
        error = await failing(task)
        assert error.sent == "no"
        if client == "direct":
            assert error.code == "network_error"
            assert await closed_after(provider, since) < 0.2
        await provider.all_closed()


@story
async def test_cancel_in_a_stream_over_tls_closes_the_connection(client, certificates):
    async with (
        upstream(busy, tls=certificates.good()) as provider,
        opened(client, tls_ca=certificates.file) as transport,
    ):
        reply = await transport.send(post(provider.url()))

        async def read() -> None:
            while await reply.next():
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        since = now()
        await cancelled(task)
        assert await closed_after(provider, since) < 0.2


@pytest.mark.parametrize("hang", [False, None])
@story
async def test_a_broken_tls_handshake_is_a_tls_error_that_may_be_tried_again(client, hang):
    async with _not_tls(hang=hang) as provider, opened(client) as transport:
        error = await failing(transport.send(post(f"https://localhost:{provider.port}/")))
        assert told(error) == ("upstream", "tls_error", "no", True)


@story
async def test_a_tls_version_that_is_too_old_is_a_tls_error(client, certificates):
    context = certificates.good()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with upstream(say(), tls=context) as provider:
        async with opened(client, tls_ca=certificates.file) as transport:
            error = await failing(transport.send(post(provider.url())))
        assert (error.code, error.sent) == ("tls_error", "no")
        assert never_read(provider)


@story
async def test_http_1_1_is_spoken_even_where_http_2_is_offered(client, certificates):
    context = certificates.good()
    context.set_alpn_protocols(["h2", "http/1.1"])
    agreed = []

    async def script(exchange: Exchange) -> None:
        agreed.append(exchange.agreed())
        await exchange.reply(b"hi")

    async with upstream(script, tls=context) as provider:
        async with opened(client, tls_ca=certificates.file) as transport:
            assert await whole(transport, post(provider.url())) == b"hi"
        assert provider.requests[0].method == "POST"
        assert agreed == ["http/1.1"]


@story
async def test_a_cut_without_a_tls_farewell_is_no_regular_end(client, certificates):
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab"
    async with (
        upstream(wire(head, then="reset", pause_s=0.02), tls=certificates.good()) as up,
        opened(client, tls_ca=certificates.file) as transport,
    ):
        reply = await transport.send(post(up.url()))
        assert (await failing(reply.read(100))).code == "stream_connection_lost"


@pytest.mark.parametrize("scheme", ["http", "https"])
@story
async def test_proxies_of_the_environment_are_not_used(client, certificates, scheme):
    async with upstream(say(b"proxied")) as canary:
        proxy = canary.url()
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        with environment(**dict.fromkeys(names, proxy)):
            tls = certificates.good() if scheme == "https" else None
            async with (
                upstream(say(b"direct"), tls=tls) as provider,
                opened(client, tls_ca=certificates.file) as transport,
            ):
                for host in ("127.0.0.1", "localhost") if tls is None else ("localhost",):
                    request = post(provider.url(host=host))
                    assert await whole(transport, request) == b"direct"
        assert canary.connections == []


@story
async def test_a_netrc_is_not_read(client, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login canary password canary\n")
    with environment(NETRC=str(netrc), HOME=str(tmp_path)):
        (tmp_path / ".netrc").write_text(netrc.read_text())
        async with upstream(say()) as provider, opened(client) as transport:
            request = post(provider.url())
            del request.headers["authorization"]
            await whole(transport, request)
            assert provider.requests[0].header("authorization") is None


def test_authorities_are_the_systems_file_and_the_operators(tmp_path):
    one, two, three = (
        b"-----BEGIN CERTIFICATE-----\n%b\n-----END CERTIFICATE-----" % name
        for name in (b"ONE", b"TWO", b"THREE")
    )
    empty, system, own = tmp_path / "empty.pem", tmp_path / "system.pem", tmp_path / "own.pem"
    empty.write_bytes(b"# nothing yet\n")
    system.write_bytes(b"# first\n" + one + b"\n\n# second\n" + two)
    own.write_bytes(three)
    files = (str(tmp_path / "absent.pem"), str(empty), str(system))
    assert authorities(None, files) == ([one, two], [])
    assert authorities(own, files) == ([one, two], [three])
    assert authorities(own, files[:2]) == ([], [three])


@story
async def test_where_the_system_has_no_file_the_clients_own_way_is_left(
    client, certificates, monkeypatch
):
    module = f"dragoman.transport.{client}_client"
    monkeypatch.setattr(f"{module}.authorities", lambda file: authorities(file, ()))
    async with upstream(say(b"hi"), tls=certificates.good()) as provider:
        async with opened(client, tls_ca=certificates.file) as transport:
            assert await whole(transport, post(provider.url())) == b"hi"
        async with opened(client) as transport:
            assert (await failing(transport.send(post(provider.url())))).code == "tls_error"


@pytest.mark.parametrize("client", CLIENTS)
def test_a_file_of_authorities_that_is_none_is_told_when_the_transport_is_opened(client, tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        open_transport(client, tls_ca=tmp_path / "absent.pem")
    (tmp_path / "empty.pem").write_text("no certificate")
    with pytest.raises(ValueError, match=r"empty\.pem' holds no certificate"):
        open_transport(client, tls_ca=tmp_path / "empty.pem")


def _not_tls(*, hang: bool | None):
    """A server that takes the client's hello and hangs, answers in plain text, or leaves."""

    class Raw(Upstream):
        async def _serve(self, reader, writer, connection):
            await reader.read(1)
            if hang:
                await Exchange.hang(Exchange(None, connection, writer, 0))
            elif hang is None:
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                await asyncio.sleep(0.05)

    return upstream(say(), kind=Raw)
