"""A way through a proxy: CONNECT with who we are, TLS inside it, and plain words where it does not connect."""

import asyncio
import datetime as dt
import http.server
import ssl
import threading

import pytest
import trustme

from connect_proxy import connect_proxy
from dragoman.attempt.ports import UpstreamRequest
from dragoman.core.errors import UpstreamError
from dragoman.credentials.questions import Question
from dragoman.transport.asking import asker
from dragoman.transport.http import open_transport
from dragoman.transport.tunnel import Tunnel, tunnel_of

pytestmark = pytest.mark.req("R-CRED-013")


class Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *arguments):
        pass


@pytest.fixture(params=["http", "https"])
def origin(request, tmp_path):
    """A server, with a file of the authority that it is to be trusted by."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    server.daemon_threads = True
    ca_file = None
    if request.param == "https":
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", not_after=ends).configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        ca_file = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(ca_file))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"{request.param}://127.0.0.1:{server.server_port}/", ca_file
    server.shutdown()
    server.server_close()


async def got(url, ca_file, tunnels) -> bytes:
    transport = open_transport("direct", tls_ca=ca_file, tunnels=tunnels)
    try:
        found = []
        for _ in range(2):
            reply = await transport.send(UpstreamRequest("GET", url, {}, None, 5, 5))
            found.append(await reply.read(100))
            await reply.close()
        assert found[0] == found[1]
        return found[0]
    finally:
        await transport.close()


def test_calls_go_through_it_and_a_kept_connection_stays_open(origin):
    url, ca_file = origin
    with connect_proxy() as proxy:
        tunnels = {"127.0.0.1": tunnel_of(proxy.url)}
        assert asyncio.run(got(url, ca_file, tunnels)) == b"hello"
        assert proxy.asked == [f"CONNECT {url.split('/')[2]}"]
        assert asyncio.run(got(url, ca_file, {"other.example": tunnels["127.0.0.1"]})) == b"hello"
        assert len(proxy.asked) == 1, "for the hosts that it is named for, and no other"


def test_so_do_questions_for_tokens(origin):
    url, ca_file = origin
    with connect_proxy() as proxy:
        ask = asker(ca_file, {"127.0.0.1": tunnel_of(proxy.url)})
        assert ask(Question(url)).body == b"hello"
        assert len(proxy.asked) == 1


def test_a_proxy_that_refuses_or_is_away_is_told_without_its_password(origin):
    url, ca_file = origin
    with connect_proxy() as proxy:
        wrong = tunnel_of(proxy.url.replace("p%40ss", "guess"))
        away = Tunnel("127.0.0.1", 9)
        for tunnel in (wrong, away):
            with pytest.raises(UpstreamError, match="proxy that is configured") as caught:
                asyncio.run(got(url, ca_file, {"127.0.0.1": tunnel}))
            assert caught.value.sent == "no"
            with pytest.raises(UpstreamError) as caught:
                asker(ca_file, {"127.0.0.1": tunnel})(Question(url))
            assert "guess" not in caught.value.message


@pytest.mark.parametrize(
    "url",
    [
        "",
        "proxy:3128",
        "socks5://proxy:1080",
        "http://proxy",
        "http://u:s3cret@[x:1",
        "https://p:1",
    ],
)
def test_what_is_no_proxy_is_refused_without_a_word_of_it(url):
    with pytest.raises(ValueError, match="http://host:port") as caught:
        tunnel_of(url)
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(tunnel_of("http://u:s3cret@proxy:3128"))
