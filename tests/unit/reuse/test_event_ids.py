"""Ids of events: every one has its own, and nothing else of it changes."""

from hypothesis import given
from hypothesis import strategies as st

from dragoman.dialects.framing.sse import SseFrames
from dragoman.reuse.event_ids import EventIds

LINES = st.sampled_from(
    [b"data: {}", b"data: id: 3", b"event: x", b": note", b"data:", b"idle: 1"]
)


def numbered(*pieces):
    ids = EventIds("call")
    return [event for piece in pieces for event in ids.number(piece)]


def test_every_event_gets_the_next_number():
    found = numbered(b'data: {"a":1}\n\nevent: x\ndata: 2\n\n', b"data: [DONE]\n\n")
    assert found == [
        b'id: call:1\ndata: {"a":1}\n\n',
        b"id: call:2\nevent: x\ndata: 2\n\n",
        b"id: call:3\ndata: [DONE]\n\n",
    ]


def test_a_providers_own_id_gives_way():
    found = numbered(b"id: 7\nevent: x\ndata: id: 8\n\n", b"event: y\r\nid\r\ndata: 1\r\n\r\n")
    assert found == [
        b"id: call:1\nevent: x\ndata: id: 8\n\n",
        b"id: call:2\nevent: y\r\ndata: 1\r\n\r\n",
    ]


def test_a_last_event_without_its_blank_line_gets_it():
    assert numbered(b"data: 1\n") == [b"id: call:1\ndata: 1\n\n"]


@given(st.lists(st.lists(LINES, min_size=1, max_size=3), min_size=1, max_size=5))
def test_what_the_events_say_is_what_they_said(frames):
    stream = b"".join(b"\n".join(lines) + b"\n\n" for lines in frames)
    before = [(frame.data, frame.event) for frame in SseFrames().feed(b"\n" + stream)]
    after = [
        (frame.data, frame.event) for frame in SseFrames().feed(b"\n" + b"".join(numbered(stream)))
    ]
    assert [said for said in after if said[0] or said[1]] == [
        said for said in before if said[0] or said[1]
    ]
