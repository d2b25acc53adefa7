"""The frames that hold the response are found however the pieces are cut; the others are not touched."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.keeping.reply import read_reply, tell
from dragoman.keeping.tap import Begun, Told, look
from sampling import examples


def frame(kind, number, end="\n", **members):
    data = json.dumps({"type": kind, "sequence_number": number, **members})
    return f"event: {kind}{end}data: {data}{end}{end}".encode()


def stream(end="\n"):
    response = {"id": "resp_1", "store": False, "output": []}
    return [
        frame("response.created", 0, end, response=response),
        frame("response.output_text.delta", 1, end, delta='say "response.completed" twice'),
        frame("response.output_text.delta", 2, end, delta="x"),
        frame("response.completed", 3, end, response={**response, "status": "completed"}),
    ]


def run(pieces, said):
    seen = [part for piece in pieces for part in look(piece)]
    written = b"".join(part if isinstance(part, bytes) else part.write(said) for part in seen)
    return written, [part for part in seen if isinstance(part, Told)]


@given(st.sets(st.integers(1, 3)), st.sampled_from(["\n", "\r\n", "\r"]))
@settings(max_examples=examples(30))
def test_without_a_word_to_say_the_bytes_are_the_same(places, end):
    frames = stream(end)
    edges = [0, *sorted(places), len(frames)]
    pieces = [b"".join(frames[start:stop]) for start, stop in pairwise(edges)]
    written, told = run(pieces, {})
    assert written == b"".join(frames)
    assert [part.is_last for part in told] == [False, True]


def test_the_first_and_the_last_frame_are_told_and_nothing_else():
    frames = stream()
    written, told = run([frames[0], frames[1] + frames[2], frames[3]], {"store": True, "x": None})
    assert [part.is_last for part in told] == [False, True]
    assert read_reply(told[1].reply).id == "resp_1"
    parts = written.split(b"\n\n")
    assert b"\n\n".join(parts[1:3]) + b"\n\n" == frames[1] + frames[2]
    for part, number in ((parts[0], 0), (parts[3], 3)):
        event, data = part.split(b"\n")
        assert event.startswith(b"event: response.c")
        shown = json.loads(data.removeprefix(b"data: "))
        assert (shown["sequence_number"], shown["response"]["store"]) == (number, True)
        assert shown["response"]["x"] is None
        assert list(shown) == ["type", "sequence_number", "response"]


def test_a_frame_without_a_name_gets_none():
    data = json.dumps({"type": "response.failed", "response": {"id": "r"}}).encode()
    written, told = run([b"data: " + data + b"\n\n"], {"store": False})
    assert told[0].is_last
    assert written == b'data: {"type":"response.failed","response":{"id":"r","store":false}}\n\n'


def test_what_only_looks_like_it_is_left_alone():
    odd = (
        b"event: response.completed\ndata: {broken\n\n"
        b'data: {"type":"response.completed"}\n\n'
        b'data: {"type":["response.completed"],"response":{}}\n\n'
        b": response.completed\n\n"
    )
    written, told = run([odd], {"store": True})
    assert written == odd
    assert told == []


def test_a_reply_that_is_none_says_nothing():
    for body in (b"", b"[]", b"{}", b"\xff", b'{"id":5}', b"[" * 5000):
        assert read_reply(body) is None
    assert tell(b"[]", {"store": True}) == b"[]"
    assert tell(b'{"id":"r","n":1.0}', {"store": True}) == b'{"id":"r","n":1.0,"store":true}'
    assert tell(b'{ "id":"r"}', {}) == b'{ "id":"r"}'


def test_the_beginning_of_an_item_tells_its_id_and_passes_as_it_is():
    item = {"id": "msg_1", "type": "message"}
    begun = frame("response.output_item.added", 1, item=item)
    done = frame("response.output_text.delta", 2, delta="response.output_item.added")
    first, second = look(begun + done)
    assert first == Begun(begun, json.dumps(item).encode())
    assert second == done
    (bare,) = look(frame("response.output_item.added", 1))
    assert bare.item == b"null"
