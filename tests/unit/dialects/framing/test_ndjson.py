"""Lines out of bytes, however they are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.errors import UpstreamError
from dragoman.dialects.framing.ndjson import NdjsonLines

LINES = [b'{"a":"\xc3\xa4\xe2\x82\xac"}', b'{"b":1}', b'{"c":"\\n"}']


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[one:two] for one, two in pairwise(edges)]


@pytest.mark.pitfall(1)
@pytest.mark.pitfall(5)
@given(st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \r\n"]), st.lists(st.integers(0, 99)))
def test_however_the_bytes_are_cut_the_lines_are_the_same(end, places):
    frames = NdjsonLines()
    data = end.join(LINES) + end
    found = [line for piece in cut(data, places) for line in frames.feed(piece)]
    assert found + frames.close() == LINES


@pytest.mark.pitfall(4)
def test_a_last_line_without_its_end_is_given_at_the_close():
    frames = NdjsonLines()
    assert frames.feed(b"\xef\xbb\xbf" + b"\n".join(LINES)) == LINES[:2]
    assert frames.close() == LINES[2:]
    assert frames.close() == []


@pytest.mark.pitfall(9)
def test_blank_lines_are_no_lines():
    frames = NdjsonLines()
    assert frames.feed(b"\n\r\n \t\n{}\n\n") == [b"{}"]
    assert frames.feed(b"\n  ") == []
    assert frames.close() == []


@pytest.mark.pitfall(25)
def test_a_line_may_be_large_and_none_is_endless():
    frames = NdjsonLines(limit=1000)
    assert frames.feed(b"x" * 999) == []
    with pytest.raises(UpstreamError) as caught:
        frames.feed(b"xx")
    assert caught.value.code == "frame_too_large"
