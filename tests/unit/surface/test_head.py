"""Heads that a connection knows again: what comes of them is what its parser would have made of them."""

from __future__ import annotations

import asyncio

import pytest
import uvicorn
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dragoman.surface.connection import MOST_UNKNOWN, SELF, Connection, State
from dragoman.surface.head import BY_NAME, SEEN, headers_of_scope, known_head
from dragoman.surface.turn import TURN

OURS = {SELF, TURN, BY_NAME, SEEN}
LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
REGULAR = (b"Host: localhost", b"Authorization: Bearer drg_a", b"content-type: application/json")


class Wire(asyncio.Transport):
    """A transport without a socket."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.closing = False

    def get_extra_info(self, name, default=None):
        return {"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)}.get(name, default)

    def write(self, data):
        self.written += data

    def close(self):
        self.closing = True

    abort = close

    def is_closing(self):
        return self.closing

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


async def told(pieces, unknown):
    """Each request's scope and body as the application has them; ``unknown`` heads came before."""
    found = []

    async def app(scope, receive, send):
        body, more = b"", True
        headers = headers_of_scope(scope)
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body, more = body + message["body"], message["more_body"]
        members = {name: scope[name] for name in scope if name not in OURS}
        members["headers"] = list(scope["headers"])
        found.append((members, dict(headers), body))
        # What an application does with its own must not reach the next request.
        headers["x-mine"] = "1"
        scope["headers"].append((b"x-mine", b"1"))
        scope["path_params"] = {}
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, lifespan="off", log_config=None)
    config.load()
    config.loaded_app = app
    connection, wire = Connection(config, State(), {}), Wire()
    connection.connection_made(wire)
    connection._unknown = unknown
    knew = 0
    for piece in pieces:
        if wire.closing:
            break
        knew += connection._known is not None
        connection.data_received(piece)
        for _ in range(4):
            await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    answered = wire.written.count(b"HTTP/1.1 200")
    refused = wire.written.count(b"HTTP/1.1 400")
    connection.connection_lost(None)
    return found, answered, refused, wire.closing, knew


def cut(data, places):
    """The data in pieces, cut at these places."""
    ends = sorted({place for place in places if 0 < place < len(data)})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


def request(lines, body, line=LINE, length=b"content-length: %d"):
    return line + b"".join(one + b"\r\n" for one in (*lines, length % len(body))) + b"\r\n" + body


LINES = st.lists(
    st.sampled_from(
        [
            *REGULAR,
            b"authorization: Bearer drg_b",
            b"x-api-key: drg_b",
            b"X-Empty:",
            b"a:b",
            b"a:  c ",
            b"x-name: \xc3\xa4",
            b"Connection: keep-alive",
            b"connection: close",
            b"expect: 100-continue",
            b"connection: upgrade\r\nupgrade: h2c",
            b"proxy-connection: close",
            b"content-length: 3",
            b"transfer-encoding: chunked",
            b"a: content-length: 3",
            b"x-folded: a\r\n content-length: 3",
        ]
    ),
    max_size=5,
)
REQUESTS = st.builds(
    request,
    LINES,
    st.sampled_from([b"", b"{}", b"abc", b"a" * 20, b"\r\n\r\nx"]),
    st.sampled_from(
        [LINE, LINE, b"GET /a?b=c%20 HTTP/1.1\r\n", b"POST /b HTTP/1.0\r\n", b"\r\n" + LINE]
    ),
    st.sampled_from(
        [
            b"content-length: %d",
            b"Content-Length: %d",
            b"content-length:%d",
            b"content-length: 0%d",
        ]
    ),
)
TWICE = request((*REGULAR, REGULAR[1] + b"b"), b"{}")
ONE, TWO = request(REGULAR, b"{}"), request(REGULAR, b"a longer one, of 25 bytes")


@settings(max_examples=150, deadline=None)
@given(
    requests=st.lists(REQUESTS, min_size=1, max_size=3),
    order=st.lists(st.integers(0, 2), min_size=1, max_size=6),
    places=st.lists(st.integers(1, 1500), max_size=6),
    apart=st.booleans(),
)
@example(requests=[ONE, TWO], order=[0, 1, 0, 1], places=[], apart=True)
@example(requests=[ONE, TWO], order=[0, 1, 0, 1], places=[200, 206, 210], apart=False)
@example(requests=[ONE, TWICE], order=[0, 1, 0, 1, 0], places=[], apart=True)
def test_a_known_head_means_what_the_parser_would_have_read(requests, order, places, apart):
    sent = [requests[number % len(requests)] for number in order]
    pieces = sent if apart else cut(b"".join(sent), places)

    async def story():
        quick = await told(pieces, 0)
        slow = await told(pieces, MOST_UNKNOWN)
        assert slow[-1] == 0
        assert quick[:-1] == slow[:-1]

    asyncio.run(story())


def test_a_head_is_known_again_whatever_the_length_of_its_body():
    async def story():
        found, answered, *_, knew = await told([ONE, TWO, ONE, *cut(TWO, [60, 200]), ONE, ONE], 0)
        assert answered == len(found) == 6
        assert [body for *_, body in found][:3] == [b"{}", b"a longer one, of 25 bytes", b"{}"]
        assert knew >= 4

    asyncio.run(story())


def test_who_sends_another_head_each_time_has_none_kept():
    async def story():
        heads = [request((*REGULAR, b"x-request-id: %d" % number), b"{}") for number in range(9)]
        found, *_, knew = await told([*heads, heads[-1], heads[-1]], 0)
        assert len(found) == 11
        assert knew == MOST_UNKNOWN

    asyncio.run(story())


@pytest.mark.parametrize(
    "lines",
    [
        (b"authorization: a", b"Authorization: a"),
        (b"expect: 100-continue",),
        (b"connection: close",),
        (b"upgrade: h2c",),
        (b"transfer-encoding: chunked",),
        (b"x-long: " + b"a" * 10_000,),
    ],
)
def test_what_is_not_regular_is_left_to_the_parser(lines):
    data = request(lines, b"{}")
    head = data[len(LINE) : data.index(b"\r\n\r\n")]
    pairs = [tuple(line.split(b": ", 1)) for line in head.split(b"\r\n")]
    assert known_head(data, {"headers": [(name.lower(), value) for name, value in pairs]}) is None
