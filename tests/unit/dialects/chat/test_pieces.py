"""Pieces of text in a stream go a short way, and a stream comes out as without it."""

import json
from itertools import chain
from unittest.mock import patch

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.provider import Quirks
from dragoman.dialects.base import Context, Target
from dragoman.dialects.chat.piece import are_pieces, read_piece
from dragoman.dialects.chat.relay import ChatRelay
from dragoman.dialects.chat.reply_wire import REFUSED
from dragoman.dialects.framing.sse import SseFrames

_plain = st.just({"id": "c", "choices": [{"index": 0, "delta": {"content": "w"}}]})
_delta = st.fixed_dictionaries(
    {},
    optional={
        "content": st.sampled_from(["", "w", None, [{"type": "text", "text": "w"}], 5]),
        "tool_calls": st.sampled_from(
            [
                None,
                [],
                [{"index": 0, "id": "t", "type": "function", "function": {"name": "f"}}],
                [{}],
            ]
        ),
        "reasoning_content": st.sampled_from([None, "hm", 5]),
        "function_call": st.sampled_from([None, {"name": "f"}]),
    },
)
_choice = st.fixed_dictionaries(
    {"delta": _delta | st.just({"content": "w"})},
    optional={
        "index": st.sampled_from([0, 0, 1]),
        "finish_reason": st.sampled_from([None, None, None, "stop", "error", ""]),
        "message": st.sampled_from([None, {"content": "x"}]),
        "error": st.sampled_from([None, {"message": "no"}]),
    },
)
_chunk = st.fixed_dictionaries(
    {"choices": st.lists(_choice, min_size=1, max_size=2) | st.just([])},
    optional={
        "id": st.sampled_from([None, "c", "d"]),
        "usage": st.sampled_from([None, {"prompt_tokens": 4, "completion_tokens": 2}]),
        "x_groq": st.sampled_from([None, {"id": "r"}, {"error": {"message": "no"}}]),
        "error": st.sampled_from([None, None, {"message": "no"}]),
        "created": st.sampled_from([None, 5, "x"]),
    },
)
_PIECE = {"id": "c", "choices": [{"index": 0, "delta": {"content": "w"}, "finish_reason": None}]}
_piece = st.just(_PIECE)
_often = st.integers(1, 20).map(lambda count: [("", _PIECE)] * count)
_names = st.sampled_from(["", "", "", "event: error\n", ": beat\n", "event: x\n"])
_frames = st.lists(st.tuples(_names, _piece | _piece | _plain | _chunk), max_size=12)


def _relayed(feeds, flavour):
    relay = ChatRelay(
        Target("acme", "m", Quirks(flavour=flavour)),
        Context("0" * 32, 0, "m", include_usage=True),
    )
    sent = [relay.feed(data) for data in feeds]
    sent.append(relay.close())
    facts = relay.facts
    error = None if facts.error is None else (facts.error.code, facts.error.message)
    told = (facts.id, facts.usage, facts.finish, facts.finished, facts.over, facts.content)
    return sent, told, error


@given(
    st.lists(_frames | _often, max_size=4).map(lambda lists: [*chain.from_iterable(lists)]),
    st.booleans(),
    st.sampled_from(["", "openai"]),
    st.booleans(),
)
def test_a_stream_is_relayed_alike(frames, ends, flavour, at_once):
    feeds = [f"{name}data: {json.dumps(chunk)}\n\n".encode() for name, chunk in frames]
    if ends:
        feeds.append(b"data: [DONE]\n\n")
    if at_once:
        feeds = [b"".join(feeds)]
    told = _relayed(feeds, flavour)
    with (
        patch("dragoman.dialects.chat.relay.read_piece", msgspec.json.Decoder(int).decode),
        patch.object(SseFrames, "plain", return_value=None),
    ):
        assert told == _relayed(feeds, flavour)


def test_most_of_a_stream_goes_the_short_way():
    choice = {"index": 0, "delta": {"content": "w"}, "logprobs": None, "finish_reason": None}
    chunk = json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [choice]})
    feeds = [f"data: {chunk}\n\n".encode()] * 5
    with patch("dragoman.dialects.chat.relay.read_piece", wraps=read_piece) as short:
        sent, _, _ = _relayed(feeds, "")
    assert sent[:5] == feeds
    assert short.call_count == 4


def test_pieces_that_come_at_once_are_looked_at_some_at_a_time():
    feeds = [f"data: {json.dumps(_PIECE)}\n\n".encode()] * 40
    with patch("dragoman.dialects.chat.relay.read_piece", wraps=read_piece) as alone:
        sent, _, _ = _relayed([b"".join(feeds) + b"data: [DONE]\n\n"], "")
    assert sent[0].startswith(b"".join(feeds))
    assert alone.call_count == 0


def _reads(told):
    try:
        read_piece(told)
    except REFUSED:
        return False
    return True


_LINE = json.dumps(_PIECE).encode()
_odd = st.sampled_from(
    [
        *(_LINE, _LINE, _LINE, _LINE + _LINE, _LINE + b"," + _LINE, b"", b" ", _LINE + b" "),
        *(_LINE[:5], _LINE[5:], _LINE[:-1], b"}", b'{"x":"a}', b'{b",' + _LINE[1:]),
        *(b'{"x":{}', b"," + _LINE[1:], b'{"x":[{}', b"{}]," + _LINE[1:], b"[DONE]", b"null"),
    ]
)


@given(st.lists(_odd, min_size=1, max_size=6))
def test_several_are_pieces_where_each_is_one(told):
    assert are_pieces(told) == (all(map(_reads, told)) and all(each[-1:] == b"}" for each in told))
