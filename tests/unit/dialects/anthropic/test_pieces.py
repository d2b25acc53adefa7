"""Pieces of text in a stream are read by a short way, and give the events that they give without it."""

import json
from unittest.mock import patch

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.events import Failure, PartDelta
from dragoman.dialects.anthropic import stream_read
from dragoman.dialects.anthropic.stream_read import AnthropicStreamReader
from dragoman.dialects.base import Target, Undo

_START = {"type": "message_start", "message": {"id": "m", "model": "c"}}
_indices = st.sampled_from([0, 0, 0, 1, None])
_delta = st.sampled_from(
    [
        {"type": "text_delta", "text": "w"},
        {"type": "text_delta", "text": ""},
        {"type": "text_delta", "text": "\ud83d"},
        {"type": "text_delta", "text": "\ude00 then"},
        {"type": "text_delta", "text": "w", "stop_reason": 5},
        {"type": "text_delta"},
        {"type": "input_json_delta", "partial_json": "{}"},
        {"type": "thinking_delta", "thinking": "hm"},
        None,
    ]
)
_block = st.sampled_from(
    [
        {"type": "text", "text": ""},
        {"type": "text", "text": "begun"},
        {"type": "thinking", "thinking": ""},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        {"type": "tool_use", "id": "t", "name": "json", "input": {}},
    ]
)
_piece = st.just(
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "w"}}
)
_event = st.one_of(
    _piece,
    st.builds(
        lambda i, d: {"type": "content_block_delta", "index": i, "delta": d}, _indices, _delta
    ),
    st.builds(
        lambda i, b: {"type": "content_block_start", "index": i, "content_block": b},
        _indices,
        _block,
    ),
    st.builds(lambda i: {"type": "content_block_stop", "index": i}, _indices),
    st.just({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
    st.just({"type": "message_stop"}),
)


def _told(events):
    reader = AnthropicStreamReader(Target("anthropic", "c"), Undo(json_tool="json"))
    lines = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]
    found = reader.feed("".join(lines).encode()) + reader.close()
    return [
        (each.error.code, each.error.message) if isinstance(each, Failure) else each
        for each in found
    ]


@given(st.lists(_event, max_size=10))
def test_a_stream_is_read_alike(events):
    told = _told([_START, *events])
    with patch.object(stream_read, "_read_piece", msgspec.json.Decoder(int).decode):
        assert told == _told([_START, *events])


def test_a_piece_is_read_by_the_short_way():
    start = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "text", "text": ""},
    }
    piece = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "w"},
    }
    with patch.object(AnthropicStreamReader, "_block_delta") as slow:
        told = _told([_START, start, piece, piece])
    assert told.count(PartDelta(0, "w")) == 2
    slow.assert_not_called()
