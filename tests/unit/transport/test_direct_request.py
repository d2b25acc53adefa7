"""What is written towards a provider is one request and no other, whatever stood in it."""

import pytest
from httptools import HttpRequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from dragoman.attempt.ports import Shared, UpstreamRequest
from dragoman.transport.direct_request import Origin, head_of, place_of

TOKEN = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Read:
    """What an independent parser makes of the bytes."""

    def __init__(self, data):
        self.requests = 0
        self.headers = []
        self.body = b""
        self.target = b""
        parser = HttpRequestParser(self)
        parser.feed_data(data)
        self.method = parser.get_method()

    def on_url(self, url):
        self.target += url

    def on_header(self, name, value):
        self.headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.requests += 1


def written(headers, *, method="POST", url="https://api.example/v1", body=b"{}"):
    place = place_of(url)
    assert place is not None
    return head_of(UpstreamRequest(method, url, headers, body), place) + (body or b"")


def test_a_head_is_what_http_asks_for_and_the_callers_headers_in_their_order():
    assert written({"b": "2", "a": "1"}) == (
        b"POST /v1 HTTP/1.1\r\nhost: api.example\r\nb: 2\r\na: 1\r\ncontent-length: 2\r\n\r\n{}"
    )
    assert written({}, method="GET", body=None) == b"GET /v1 HTTP/1.1\r\nhost: api.example\r\n\r\n"
    assert b"\r\ncontent-length: 0\r\n" in written({}, body=None)
    assert b"\r\ncontent-length: 0\r\n" in written({}, method="DELETE", body=b"")


@pytest.mark.parametrize(
    ("url", "origin", "authority", "target"),
    [
        ("http://a", ("a", 80, False), "a", "/"),
        ("https://a.example", ("a.example", 443, True), "a.example", "/"),
        ("https://A_b-c.d:8443/x?y=z#part", ("A_b-c.d", 8443, True), "A_b-c.d:8443", "/x?y=z"),
        ("http://[::1]:80/v1", ("::1", 80, False), "[::1]:80", "/v1"),
        ("http://a?x=/y", ("a", 80, False), "a", "/?x=/y"),
        ("http://a#b", ("a", 80, False), "a", "/"),
        (
            "http://127.0.0.1:1/%2F;:@&=+$,'\"",
            ("127.0.0.1", 1, False),
            "127.0.0.1:1",
            "/%2F;:@&=+$,'\"",
        ),
    ],
)
def test_a_url_leads_to_one_place(url, origin, authority, target):
    start = f" {target} HTTP/1.1\r\nhost: {authority}"
    assert place_of(url) == (Origin(*origin), authority, target, start)


@pytest.mark.parametrize(
    "url",
    [
        "", "a", "//a/", "http:/a", "http//a", "ftp://a/", "HTTP://a/", "http://", "http:///v1",
        "http://:80/", "http://a:/", "http://a:0/", "http://a:65536/", "http://a:-1/", "http://a:8x/",
        "http://u@a/", "http://u:p@a/", "http://a@/", "http://a\\@b/", "http://a\\b/", "http://a b/",
        "http://a/ b", "http://a/\r\nx: y", "http://a/\n", "http://a\n/", "http://a/\t", "http://a/\x00",
        "http://a/é", "http://é/", "http://①②⑦.0.0.1/", "http://a/\x7f", "http://[::1/", "http://::1/",
        "http://[::1]x/", "http://[fe80::1%25eth0]/", "http://a%2eb/", " http://a/", "http://a/ ",
        "http://a/#\r\nx: y",
    ],
)  # fmt: skip
def test_a_url_that_is_none_leads_nowhere(url):
    assert place_of(url) is None


@given(st.text(max_size=40))
def test_what_leads_somewhere_is_visible_ascii_that_names_one_host(rest):
    place = place_of("http://" + rest)
    if place is not None:
        assert rest.isascii()
        assert rest.isprintable()
        assert " " not in rest
        assert not set(place.authority) & set("@/?#\\ ")
        assert rest.startswith(place.authority)
        read = Read(written({}, url="http://" + rest))
        assert (read.target.decode(), read.requests) == (place.target, 1)


@given(
    st.dictionaries(
        st.text(max_size=8) | st.text(TOKEN, min_size=1, max_size=8),
        st.text(max_size=12),
        max_size=4,
    ),
    st.sampled_from(["POST", "GET", "PUT", "P\r\nX", "G T", ""]) | st.text(max_size=5),
)
@example({"x": "a\r\ny: z"}, "POST")
@example({"x\r\ny": "z"}, "POST")
@example({"x": "a\n\nGET / HTTP/1.1\n\n"}, "POST")
@example({"x": "\u560a\u560d"}, "POST")
@example({"x: y": "z"}, "POST")
@example({"": "z"}, "POST")
@example({"x": "\x00"}, "POST")
@example({"x": "\x85\x0b\x0c\x1c"}, "POST")
@example({"content-length": "0"}, "POST")
@example({"Transfer-Encoding": "chunked"}, "POST")
def test_a_request_is_refused_or_is_one_request_with_just_these_headers(headers, method):
    try:
        data = written(headers, method=method, body=b"hello")
    except (ValueError, TypeError):
        return
    head, _, rest = data.partition(b"\r\n\r\n")
    assert rest == b"hello", "nothing ends the head before its end"
    lines = head.decode("latin-1").split("\r\n")
    assert lines[0] == f"{method} /v1 HTTP/1.1"
    assert len(lines) == len(headers) + 3
    assert not set("\r\n\0") & set("".join(lines))
    assert lines[2:-1] == [f"{name}: {value}" for name, value in headers.items()]
    assert lines[-1] == "content-length: 5"
    if method in {"POST", "PUT"}:
        read = Read(data)
        assert (read.requests, read.body, read.method) == (1, b"hello", method.encode())
        assert len(read.headers) == len(lines) - 1


@pytest.mark.parametrize(
    "name", ["host", "Content-Length", "transfer-encoding", "Connection", "te"]
)
def test_what_frames_a_body_is_not_the_callers_to_say(name):
    for _ in range(2):
        with pytest.raises(ValueError, match="frames"):
            written({name: "x"})


def test_letters_beyond_ascii_go_out_as_the_bytes_they_came_in():
    assert b"\r\nx: caf\xc3\xa9\r\n" in written({"x": b"caf\xc3\xa9".decode("latin-1")})
    with pytest.raises(ValueError, match="control"):
        written({"x": "\u200b"})


def test_a_value_that_is_no_text_is_refused():
    with pytest.raises(TypeError):
        written({"x": 1})


HEADERS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "host", "x y"]), st.sampled_from(["1", "é", "\t", "\r\n", ""])
)


def lines_of(own, shared, trace=""):
    url = "https://api.example/v1" if shared is None else shared.url
    place = place_of(url)
    request = UpstreamRequest("POST", url, own, b"{}", shared=shared, trace=trace)
    try:
        return sorted(head_of(request, place).split(b"\r\n"))
    except ValueError:
        return None


@given(HEADERS, st.lists(HEADERS, min_size=1, max_size=3))
def test_headers_that_requests_share_are_sent_and_refused_as_those_of_each_alone(shared, owns):
    same = Shared("https://api.example/v1", shared)
    for own in owns:
        assert lines_of(own, same) == lines_of({**shared, **own}, None)
        for trace in ("00-1-2-01", "\r\n", "é"):
            traced = {**shared, **own, "traceparent": trace}
            assert lines_of(own, same, trace) == lines_of(traced, None)
            assert lines_of({}, same, trace) == lines_of({**shared, "traceparent": trace}, None)
