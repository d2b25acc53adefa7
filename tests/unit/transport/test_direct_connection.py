"""A reply is the same however its bytes are cut up, and no bytes make anything but a reply or a fault."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.transport.deadline import Deadlines
from dragoman.transport.direct_connection import (
    HEAD_LIMIT,
    HIGH_WATER,
    DirectConnection,
    by_name,
)
from dragoman.transport.direct_idle import Idle
from dragoman.transport.direct_reply import DirectReply, UnderWay
from dragoman.transport.direct_request import Origin
from dragoman.transport.failures import HEAD_TOO_LARGE, LOST, MALFORMED, RESET
from sampling import examples

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n"
HERE = Origin("a", 80, secure=False)


class Wire:
    """A transport that writes down what it is told."""

    def __init__(self):
        self.written = b""
        self.open = True
        self.reading = True
        self.unsent = 0

    def write(self, data):
        self.written += data

    def writelines(self, pieces):
        self.written += b"".join(pieces)

    def is_closing(self):
        return not self.open

    def abort(self):
        self.open = False

    def get_write_buffer_size(self):
        return self.unsent

    def pause_reading(self):
        assert self.reading, "paused twice"
        self.reading = False

    def resume_reading(self):
        assert not self.reading, "resumed twice"
        self.reading = True


class Case:
    """A connection over such a wire, and the reply that is under way."""

    def __init__(self, loop):
        self.book = UnderWay(loop, Deadlines(), set())
        self.idle = Idle(loop)
        self.wire = Wire()
        self.buffer = memoryview(bytearray(2**18))
        self.connection = DirectConnection(HERE, self.idle, self.buffer)
        self.connection.connection_made(self.wire)
        self.ask()

    def ask(self, *, bodiless=False):
        self.reply = DirectReply(self.book, "a", 1e9)
        self.book.replies.add(self.reply)
        self.connection.send(self.reply, b"HEAD", b"BODY", bodiless)

    def hear(self, data):
        """Bytes arrive, unless the socket is closed."""
        while data and self.wire.open:
            part, data = data[: len(self.buffer)], data[len(self.buffer) :]
            target = self.connection.get_buffer(-1)
            target[: len(part)] = part
            self.connection.buffer_updated(len(part))
            target[: len(part)] = b"\xff" * len(part)  # nobody may hold on to it

    def end(self):
        """The provider closes."""
        if self.wire.open:
            self.connection.eof_received()
            self.wire.open = False
        self.connection.connection_lost(None)

    def read(self):
        """What a reader would get: status, headers, body, how it ended."""
        reply = self.reply
        ended = "whole" if reply.ended else reply.fault
        return reply.status, reply.headers, b"".join(reply.pieces), ended

    @property
    def kept(self):
        return self.idle.take(HERE) is self.connection


@pytest.fixture(scope="module")
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.close()


def heard(loop, *pieces, ended=False):
    case = Case(loop)
    for piece in pieces:
        case.hear(piece)
    if ended:
        case.end()
    return case


def test_a_request_is_one_write_and_its_connection_is_kept_when_the_reply_is_whole(loop):
    case = heard(loop, OK + b"content-length: 2\r\nX-A:  b \r\n\r\nhi")
    assert case.wire.written == b"HEADBODY"
    assert case.read() == (200, {"content-length": "2", "x-a": "b"}, b"hi", "whole")
    assert case.kept
    assert case.book.replies == set()


def test_a_reply_that_breaks_off_is_none_also_after_one_without_a_body(loop):
    case = heard(loop, b"HTTP/1.1 204 No Content\r\n\r\n")
    assert case.read() == (204, {}, b"", "whole")
    case.ask()
    case.hear(OK + b"content-length: 100\r\n\r\nhi")
    case.end()
    assert case.read() == (200, {"content-length": "100"}, b"hi", LOST)


REPLIES = st.sampled_from(
    [
        OK + b"content-length: 0\r\n\r\n",
        OK + b"content-length: 11\r\nx-a: b\r\nx-A: c\r\n\r\nhello world",
        HINTS + HINTS + OK + b"content-length: 2\r\n\r\nhi",
        CHUNKED + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nhi\r\n0\r\nx-t: 1\r\ncontent-encoding: gzip\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\netag: x\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno",
        OK + b"\r\nuntil the end",
        OK + b"content-length: 5\r\n\r\nhi",
        CHUNKED + b"5\r\nhel",
        CHUNKED + b"zz\r\nhello",
        OK + b"content-length: 2\r\n\r\nhi" + OK + b"content-length: 4\r\n\r\nevil",
        OK + b"nonsense\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        OK + b"content-le",
    ]
)


def parts(data, cuts):
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


@settings(max_examples=examples(400))
@given(REPLIES, st.lists(st.integers(0, 200), max_size=12), st.booleans())
def test_however_a_reply_is_cut_it_is_the_same_reply(loop, data, cuts, ended):
    whole = heard(loop, data, ended=ended)
    cut = heard(loop, *parts(data, cuts), ended=ended)
    assert cut.read() == whole.read()
    # What follows a whole reply is seen with it or after it: the connection is lost either way.
    assert cut.kept == whole.kept


@given(
    REPLIES, st.lists(st.integers(0, 200), max_size=6), st.lists(st.binary(min_size=1), max_size=3)
)
@settings(max_examples=examples(400))
def test_no_bytes_make_anything_but_a_reply_or_a_fault(loop, data, cuts, garbage):
    pieces = parts(data, cuts)
    for number, each in enumerate(garbage):
        pieces.insert((number * 7) % (len(pieces) + 1), each)
    case = heard(loop, *pieces, ended=True)
    assert case.reply.ended or case.reply.fault in {LOST, MALFORMED, RESET}
    assert case.book.replies == set()
    assert not case.kept, "it was closed"


@pytest.mark.parametrize(
    "garbage", [b"x", b"\r\n", b"HTTP/1.1 ", OK + b"content-length: 4\r\n\r\nevil"]
)
@pytest.mark.parametrize("when", ["with the reply", "while idle"])
def test_what_nobody_asked_for_ends_the_connection(loop, garbage, when):
    said = OK + b"content-length: 2\r\n\r\nhi"
    case = heard(loop, said + garbage) if when == "with the reply" else heard(loop, said, garbage)
    assert case.read()[2:] == (b"hi", "whole")
    if garbage == b"\r\n" and when == "with the reply":
        assert case.kept, "an empty line more does no harm (RFC 9112 §2.2)"
    else:
        assert not case.wire.open
        assert not case.kept


def test_a_connection_serves_again_and_nothing_of_the_first_reply_is_left(loop):
    case = heard(loop, CHUNKED + b"2\r\nhi\r\n0\r\nx-trailer: 1\r\n\r\n")
    first = case.reply
    assert case.kept
    assert not case.connection.heard or case.connection.used
    case.ask()
    assert not case.connection.heard
    case.hear(OK + b"content-length: 3\r\n\r\nits")
    assert case.read() == (200, {"content-length": "3"}, b"its", "whole")
    assert first.headers == {"transfer-encoding": "chunked"}


def test_an_answer_to_head_ends_with_its_head_and_takes_the_connection_along(loop):
    case = heard(loop, OK + b"content-length: 1\r\n\r\nx")
    assert case.kept
    case.ask(bodiless=True)
    case.hear(OK + b"content-length: 5\r\n\r\nhello")
    assert case.read()[2:] == (b"", "whole")
    assert not case.wire.open


def test_an_answer_before_the_request_was_sent_takes_the_connection_along(loop):
    case = Case(loop)
    case.wire.unsent = 5
    case.hear(b"HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno")
    assert case.read()[2:] == (b"no", "whole")
    assert not case.wire.open


@pytest.mark.parametrize("size", [HEAD_LIMIT - 100, HEAD_LIMIT + 1, 3 * HEAD_LIMIT])
@pytest.mark.parametrize("step", [1000, 2**18])
def test_a_head_has_a_limit_however_it_comes(loop, size, step):
    data = OK + b"x: " + b"a" * size + b"\r\ncontent-length: 0\r\n\r\n"
    case = heard(loop, *(data[at : at + step] for at in range(0, len(data), step)))
    assert case.read()[3] == ("whole" if size < HEAD_LIMIT else HEAD_TOO_LARGE)


@pytest.mark.parametrize("line", [b"x: " + b"a" * 500 + b"\r\n", b"x"])
def test_trailers_and_chunk_lines_have_a_limit(loop, line):
    case = heard(loop, CHUNKED + b"2\r\nhi\r\n0" + (b"\r\n" if line != b"x" else b";"))
    count = 0
    while case.wire.open:
        case.hear(line * 100)
        count += len(line) * 100
    assert count < 2 * HEAD_LIMIT
    assert case.read()[2:] == (b"hi", LOST)


def test_hints_without_end_keep_nothing_and_are_no_head(loop):
    case = Case(loop)
    for _ in range(100):
        case.hear(HINTS * 1000)
    assert case.wire.open
    assert case.reply.status == 0
    case.hear(OK + b"content-length: 0\r\n\r\n")
    assert case.read() == (200, {"content-length": "0"}, b"", "whole")


def test_a_reader_that_is_behind_stops_the_socket_and_starts_it_again(loop):
    case = heard(loop, CHUNKED + b"%x\r\n" % (10 * HIGH_WATER), b"a" * HIGH_WATER)
    assert case.wire.reading
    case.hear(b"b")
    assert not case.wire.reading
    assert len(loop.run_until_complete(case.reply.next())) == HIGH_WATER + 1
    assert case.wire.reading
    case.hear(b"c" * 10)
    assert loop.run_until_complete(case.reply.next()) == b"c" * 10
    assert case.wire.reading


def test_a_connection_that_was_stopped_reads_again_when_it_is_kept(loop):
    body = b"a" * (HIGH_WATER + 8)
    case = heard(loop, OK + b"content-length: %d\r\n\r\n" % (len(body) + 1) + body)
    assert not case.wire.reading
    case.hear(b"z")  # as TLS may still hold decrypted bytes
    assert case.reply.ended
    assert case.kept
    assert case.wire.reading


def test_a_connection_that_died_unnoticed_is_a_reset(loop):
    case = Case(loop)
    case.end()
    assert case.read()[3] is RESET
    case.ask()
    assert case.read()[3] is RESET
    assert case.book.replies == set()


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_connection_that_ends_while_idle_is_not_taken(loop, how):
    case = heard(loop, OK + b"content-length: 0\r\n\r\n")
    if how == "end":
        case.connection.eof_received()
    else:
        case.connection.connection_lost(ConnectionResetError())
    assert not case.kept, "even before the loop has closed it"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({b"Content-Type": b"a/b \t", b"X-\xc4": b"\xc4\xa0"}, {"content-type": "a/b", "x-\xe4": "\xc4\xa0"}),
        ({b"A": b"1", b"a": b"2"}, {"a": "2"}),
        ({b"A": b"", b"B": b"x\0y"}, {"a": "", "b": "x\0y"}),
    ],
)  # fmt: skip
def test_the_lines_of_a_head_are_read_all_at_once_as_each_by_itself(given, expected):
    assert by_name(given) == expected


def test_what_has_come_is_at_hand_and_then_all_of_it_is_over(loop):
    case = Case(loop)
    case.hear(CHUNKED)
    assert (case.reply.at_hand(), case.reply.is_over()) == (None, False)
    case.hear(b"2\r\nab\r\n1\r\nc\r\n")
    assert case.reply.at_hand() == b"abc"
    assert (case.reply.at_hand(), case.reply.is_over()) == (None, False)
    case.hear(b"1\r\nd\r\n0\r\n\r\n")
    assert not case.reply.is_over(), "a piece of it was not read"
    assert case.reply.at_hand() == b"d"
    assert (case.reply.at_hand(), case.reply.is_over()) == (None, True)
    assert loop.run_until_complete(case.reply.next()) is None
