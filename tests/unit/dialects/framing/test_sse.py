"""Frames of server-sent events, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.errors import UpstreamError
from dragoman.dialects.framing.sse import Frame, SseFrames, parse_frame

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
VALUES = st.binary(max_size=12).filter(lambda v: b"\n" not in v and b"\r" not in v)


def frames_of(data: bytes, sizes: list[int]) -> list[Frame]:
    reader = SseFrames()
    found: list[Frame] = []
    position = 0
    for size in sizes:
        found += reader.feed(data[position : position + size])
        position += size
    found += reader.feed(data[position:])
    return found + reader.close()


def said(frames: list[Frame]) -> list[tuple[bytes, bytes | None]]:
    return [(frame.data, frame.event) for frame in frames]


@pytest.mark.pitfall(2)
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_ends_a_line(end):
    data = end.join([b"event: a", b"data: 1", b"", b"data: 2", b"", b""])
    assert said(frames_of(data, [])) == [(b"1", b"a"), (b"2", None)]


@pytest.mark.pitfall(3)
def test_comments_missing_spaces_and_several_data_lines_are_understood():
    data = b"\xef\xbb\xbf: OPENROUTER PROCESSING\n\ndata:x\ndata: y\nid: 7\nretry: 5\n\n"
    assert said(frames_of(data, [])) == [(b"", None), (b"x\ny", None)]


@pytest.mark.pitfall(4)
def test_a_last_frame_without_its_blank_line_is_flushed_at_the_end():
    assert said(frames_of(b"data: 1\n\ndata: 2", [])) == [(b"1", None), (b"2", None)]


@pytest.mark.pitfall(1, 5)
def test_utf8_and_json_cut_anywhere_give_the_same_frames():
    data = 'data: {"text":"größe 🐉"}\r\n\r\ndata: [DONE]\r\n\r\n'.encode()
    whole = said(frames_of(data, []))
    for cut in range(len(data)):
        assert said(frames_of(data, [cut])) == whole


def test_a_frames_own_bytes_are_kept_with_its_comments():
    data = b": hi\ndata: 1\n\n: bye\n\ndata: 2\n\n"
    frames = frames_of(data, [])
    assert b"".join(frame.raw for frame in frames) == data
    assert frames[0].raw == b": hi\ndata: 1\n\n"


@pytest.mark.pitfall(25)
def test_a_frame_of_several_megabytes_passes_and_an_endless_one_does_not():
    large = b"data: " + b"x" * 3_000_000 + b"\n\n"
    assert len(frames_of(large, [1_000_000, 1_000_000])[0].data) == 3_000_000
    reader = SseFrames(limit=1000)
    with pytest.raises(UpstreamError, match="more than 1000 bytes"):
        reader.feed(b"data: " + b"x" * 2000)


@given(
    st.lists(st.tuples(VALUES, st.one_of(st.none(), VALUES)), max_size=6),
    LINE_ENDS,
    st.lists(st.integers(0, 9), max_size=30),
)
def test_any_cut_of_any_frames_reads_the_same(events, end, sizes):
    data = b""
    for value, name in events:
        if name is not None:
            data += b"event: " + name + end
        data += b"data: " + value + end + end
    expected = [(value, name) for value, name in events]
    assert said(frames_of(data, sizes)) == expected


@given(st.binary(max_size=200), st.lists(st.integers(0, 9), max_size=30))
def test_any_bytes_are_cut_alike_and_none_is_lost(data, sizes):
    whole, cut = frames_of(data, []), frames_of(data, sizes)
    assert said(whole) == said(cut)


PIECES = st.sampled_from(
    [b"data: ", b"data:", b"event: ", b"event:", b"id: 1", b": note", b"x", b"\n", b"\n", b"\n\n"]
)


@pytest.mark.pitfall(1, 3)
@given(st.lists(PIECES, max_size=24), st.lists(st.integers(1, 9), max_size=12))
def test_short_cuts_cut_where_blank_lines_are_and_nowhere_else(pieces, sizes):
    data = b"".join(pieces)
    raws: list[bytes] = []
    rest = data
    while b"\n\n" in rest:
        head, _, rest = rest.partition(b"\n\n")
        raws.append(head + b"\n\n")
    if rest.strip():
        raws.append(rest)
    assert frames_of(data, sizes) == [parse_frame(raw) for raw in raws]


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_a_byte_order_mark_is_said_once_wherever_it_is_cut(cut):
    data = b"\xef\xbb\xbfdata: 1\n\n"
    reader = SseFrames()
    assert reader.feed(data[:cut]) == []
    assert said(reader.feed(data[cut:])) == [(b"1", None)]
    assert said(reader.feed(b"data: 2\n\n")) == [(b"2", None)]


LONE = [b"data: {}\n\n", b"data: \n\n", b"event: a\ndata: {}\n\n", b"event: \ndata: x\n\n"]
NOT_LONE = [
    b"",
    b"\n",
    b"\n\n",
    b"x",
    b"data: {}\n",
    b"data: {}\n\n\n",
    b"data:{}\n\n",
    b"data: {}\r\n\r\n",
    b"data: 1\n\ndata: 2\n\n",
    b"data: 1\ndata: 2\n\n",
    b"id: 1\ndata: 2\n\n",
    b"event: a\nid: 1\ndata: 2\n\n",
    b": a\ndata: 2\n\n",
    b"event: a\n\n",
    b"data: {}\n ",
]


@pytest.mark.parametrize("data", LONE)
def test_a_piece_that_is_one_frame_is_that_frame(data):
    reader = SseFrames()
    assert reader.lone(data) is None, "before the first bytes there may be a mark of order"
    first = reader.feed(b"data: 0\n\n")
    assert said(first) == [(b"0", None)]
    frame = reader.lone(data)
    assert frame is not None
    assert frame.raw == data
    assert [frame] == reader.feed(data) == [parse_frame(data)]
    reader.feed(b"data: ha")
    assert reader.lone(data) is None


@pytest.mark.parametrize("data", NOT_LONE)
def test_what_is_less_or_more_than_one_frame_is_none(data):
    reader = SseFrames()
    reader.feed(b"data: 0\n\n")
    assert reader.lone(data) is None


@given(
    st.lists(
        st.sampled_from(
            [
                b"data: a\n\n",
                b"data: b\n\n",
                b"data: \n\n",
                b"data:c\n\n",
                b"event: e\n",
                b"\n",
                b": c\n",
                b"\r",
            ]
        ),
        min_size=1,
        max_size=6,
    ).map(b"".join)
)
def test_frames_of_one_line_each_are_what_feed_makes_of_them(data):
    told, frames = SseFrames().plain(data), SseFrames().feed(data)
    if told is not None:
        assert [Frame(each, None, b"data: %b\n\n" % each) for each in told] == frames
    else:
        usual = [frame for frame in frames if frame.raw == b"data: %b\n\n" % frame.data]
        assert usual != frames or not frames or not data.endswith(frames[-1].raw)
