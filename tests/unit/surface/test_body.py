"""Reading a request's body: its cap, its time, and a caller that leaves."""

import asyncio

import pytest

from dragoman.core.errors import CallerError
from dragoman.surface import body as subject
from dragoman.surface.body import ClientGoneError, read_body


def pieces(*messages):
    waiting = list(messages)

    async def receive():
        if not waiting:
            await asyncio.sleep(3600)
        return waiting.pop(0)

    return receive


def piece(data, *, more=True):
    return {"type": "http.request", "body": data, "more_body": more}


def read(receive, headers=None, cap=10):
    return asyncio.run(read_body(receive, headers or {}, cap))


@pytest.mark.req("R-SEC-006")
def test_a_body_comes_whole_in_one_piece_or_in_many():
    assert read(pieces(piece(b"abc", more=False))) == b"abc"
    assert read(pieces(piece(b"abc"), piece(b""), piece(b"de", more=False))) == b"abcde"
    assert read(pieces({"type": "http.request"})) == b""


def test_too_much_is_413_by_its_word_and_by_its_length():
    for receive, headers in (
        (pieces(), {"content-length": "11"}),
        (pieces(piece(b"x" * 11, more=False)), {}),
        (pieces(piece(b"x" * 6), piece(b"x" * 6)), {}),
    ):
        with pytest.raises(CallerError) as told:
            read(receive, headers)
        assert told.value.status == 413


def test_a_compressed_body_is_415():
    with pytest.raises(CallerError) as told:
        read(pieces(), {"content-encoding": "gzip"})
    assert told.value.status == 415


@pytest.mark.parametrize("first", [(), (piece(b"abc"),)])
def test_a_body_that_does_not_come_is_408_whether_it_began_or_not(monkeypatch, first):
    monkeypatch.setattr(subject, "SLOW_BODY_S", 0.05)
    with pytest.raises(CallerError) as told:
        read(pieces(*first))
    assert told.value.status == 408


@pytest.mark.parametrize("first", [(), (piece(b"abc"),)])
def test_a_caller_that_leaves_meanwhile_is_gone(first):
    with pytest.raises(ClientGoneError):
        read(pieces(*first, {"type": "http.disconnect"}))
