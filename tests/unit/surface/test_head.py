"""Heads that a connection knows again: what comes of them is what its parser would have made of them."""

from __future__ import annotations

import asyncio

import pytest
import uvicorn
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dragoman.identity.proof import read_proof
from dragoman.surface.connection import MOST_UNKNOWN, PAUSE, SELF, Connection, State
from dragoman.surface.foreign_headers import FOREIGN, with_ours
from dragoman.surface.head import BY_NAME, SEEN, VARYING_NAMES, headers_of_scope, known_head
from dragoman.surface.turn import TURN
from sampling import examples

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


VARYING = (
    b"traceparent: 00-a",
    b"Traceparent: 00-b",
    b"x-request-id: a b: c",
    b"x-request-id: content-length: 3",
    b"x-stainless-retry-count: 1",
)
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
            *VARYING,
            b"traceparent:00-c",
            b"traceparent:  00-d ",
            b"x-request-id: a\tb",
            b"x-request-id: \xc3\xa4",
            b"idempotency-key:",
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
TRACED = [
    request((*REGULAR, b"Traceparent: 00-%d" % number, b"b: c"), b"{}") for number in range(3)
]


@settings(max_examples=examples(150), deadline=None)
@given(
    requests=st.lists(REQUESTS, min_size=1, max_size=3),
    order=st.lists(st.integers(0, 2), min_size=1, max_size=6),
    places=st.lists(st.integers(1, 1500), max_size=6),
    apart=st.booleans(),
)
@example(requests=[ONE, TWO], order=[0, 1, 0, 1], places=[], apart=True)
@example(requests=[ONE, TWO], order=[0, 1, 0, 1], places=[200, 206, 210], apart=False)
@example(requests=[ONE, TWICE], order=[0, 1, 0, 1, 0], places=[], apart=True)
@example(requests=TRACED, order=[0, 1, 2, 1], places=[], apart=True)
@example(requests=TRACED, order=[0, 1, 2, 1], places=[150, 250, 270, 400], apart=True)
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


def test_who_sends_another_head_each_time_has_few_kept():
    async def story():
        heads = [request((*REGULAR, b"x-mine: %d" % number), b"{}") for number in range(2 * PAUSE)]
        found, *_, knew = await told(heads, 0)
        assert len(found) == 2 * PAUSE
        assert knew == MOST_UNKNOWN + 1
        *_, knew = await told([*heads[: PAUSE - 1], *[heads[-1]] * 5], 0)
        assert knew == MOST_UNKNOWN + 4

    asyncio.run(story())


def parsed(monkeypatch):
    """The pieces that the parser is given from now on."""
    pieces, parse = [], Connection._parse

    def counted(self, data):
        pieces.append(data)
        parse(self, data)

    monkeypatch.setattr(Connection, "_parse", counted)
    return pieces


@pytest.mark.parametrize("behind", [False, True])
def test_a_head_is_known_again_though_its_trace_and_its_ids_are_new(monkeypatch, behind):
    pieces = parsed(monkeypatch)

    async def story():
        sent = []
        for number in range(20):
            told_anew = (
                b"traceparent: 00-%032x-%016x-01" % (number, number),
                b"X-Request-Id: mine-%d" % number,
                b"x-stainless-retry-count: %d" % (number % 3),
            )
            lines = (*told_anew, *REGULAR) if behind else (*REGULAR, *told_anew)
            body = b"a" * (number % 12)
            data = request(lines, body)
            if behind:
                length = b"content-length: %d\r\n" % len(body)
                data = data.replace(length, b"").replace(LINE, LINE + length)
            sent.append(data)
        found, answered, refused, *_ = await told(sent, 0)
        assert (answered, refused) == (20, 0)
        for number, (members, headers, body) in enumerate(found):
            assert body == b"a" * (number % 12)
            assert headers["traceparent"] == f"00-{number:032x}-{number:016x}-01"
            assert headers["x-request-id"] == f"mine-{number}"
            assert headers["content-length"] == str(len(body))
            assert headers["authorization"] == "Bearer drg_a"
            assert dict(members["headers"])[b"x-stainless-retry-count"] == b"%d" % (number % 3)

    asyncio.run(story())
    assert len(pieces) == 1


def test_a_head_with_another_key_is_never_a_known_one(monkeypatch):
    pieces = parsed(monkeypatch)

    async def story():
        sent = [
            request((b"traceparent: 00-%d" % number, b"authorization: Bearer %d" % number), b"{}")
            for number in range(6)
        ]
        found, *_ = await told(sent, 0)
        assert [headers["authorization"] for _, headers, _ in found] == [
            f"Bearer {number}" for number in range(6)
        ]

    asyncio.run(story())
    assert len(pieces) == 6


def test_what_varies_says_neither_who_calls_nor_what_answers_nor_where_a_body_ends():
    """What is remembered of a head holds for all those that differ in these alone."""
    credentials = {"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"}
    guarded = {"host", "origin", "access-control-request-headers"}
    framing = {"connection", "transfer-encoding", "upgrade", "expect", "trailer", "te"}
    keys = {name for name in FOREIGN if "x-api-key" in with_ours({name: "drg_a"})}
    assert len(keys) >= 5
    assert VARYING_NAMES.isdisjoint(credentials | guarded | framing | keys)
    for name in VARYING_NAMES:
        assert read_proof(with_ours({name: "Bearer drg_a"}), {}) is None


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
