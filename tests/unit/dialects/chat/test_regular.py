"""The short way of a whole reply says what the careful one says, and takes nothing odd."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.errors import UpstreamError
from dragoman.core.provider import Quirks
from dragoman.dialects.base import Context, Target
from dragoman.dialects.chat.regular import read_regular
from dragoman.dialects.chat.response import _tap_with_care, tap_response

TARGET = Target("acme", "m-1", Quirks())
CONTEXT = Context("0" * 32, 0, "m-1")

_counts = st.one_of(
    st.none(), st.integers(0, 2000), st.integers(), st.booleans(), st.just(7.0), st.just("7")
)
_details = st.dictionaries(
    st.sampled_from(
        ["cached_tokens", "audio_tokens", "reasoning_tokens", "image_tokens", "cache_write_tokens"]
    ),
    _counts,
)
_usage = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": _counts,
        "completion_tokens": _counts,
        "total_tokens": _counts,
        "prompt_tokens_details": st.none() | _details,
        "completion_tokens_details": st.none() | _details,
        "prompt_cache_hit_tokens": _counts,
        "reasoning_tokens": _counts,
        "cost": st.sampled_from([None, 0.25, {"total_cost": 1}, "x"]),
        "prompt_audio_seconds": st.sampled_from([None, {}, 0, 3]),
        "cost_in_usd_ticks": st.sampled_from([None, 5]),
    },
)
_call = st.fixed_dictionaries(
    {"id": st.just("c1")},
    optional={
        "type": st.sampled_from(["function", "custom", None, "", 5]),
        "function": st.sampled_from(
            [{"name": "f", "arguments": "{}"}, {"name": "f", "arguments": {}}, None]
        ),
    },
)
_message = st.fixed_dictionaries(
    {"role": st.just("assistant")},
    optional={
        "content": st.sampled_from([None, "", "words", [{"type": "text", "text": "w"}], {"a": 1}]),
        "refusal": st.sampled_from([None, "no", 5]),
        "tool_calls": st.none() | st.lists(_call, max_size=2),
        "function_call": st.sampled_from([None, {"name": "f", "arguments": "{}"}]),
        "reasoning_content": st.sampled_from([None, "hm", ["hm"]]),
    },
)
_choice = st.fixed_dictionaries(
    {"index": st.just(0)},
    optional={
        "message": st.none() | _message,
        "delta": st.none() | _message,
        "finish_reason": st.sampled_from(
            [None, "stop", "length", "tool_calls", "content_filter", "error", "eos", ""]
        ),
        "logprobs": st.none(),
        "error": st.sampled_from([None, False, {"message": "no", "code": 500}]),
    },
)
_replies = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from([None, "", "chatcmpl-1", 5]),
        "model": st.sampled_from([None, "m"]),
        "created": st.sampled_from([None, 5, 5.5, "5"]),
        "choices": st.none() | st.lists(_choice, max_size=2),
        "usage": st.none() | _usage,
        "error": st.sampled_from([None, {}, {"message": "no", "code": 500}]),
        "x_groq": st.sampled_from(
            [None, {"id": "r"}, {"usage": {"prompt_tokens": 5}}, {"error": {"message": "no"}}]
        ),
    },
)
_plain = {
    "id": "chatcmpl-1",
    "choices": [
        {"message": {"role": "assistant", "content": "Good day."}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7},
}


def _outcome(tap, *args):
    try:
        return tap(*args)
    except UpstreamError as error:
        return (error.kind, error.code, error.message)


def _both(reply):
    body = json.dumps(reply).encode()
    short = _outcome(tap_response, body, TARGET, CONTEXT)
    assert short == _outcome(_tap_with_care, body, TARGET)
    return body


@given(_replies)
def test_any_reply_is_tapped_alike_on_either_way(reply):
    _both(reply)


@given(_usage, _choice)
def test_replies_near_the_regular_shape_are_tapped_alike(usage, choice):
    _both(_plain | {"usage": usage})
    _both(_plain | {"choices": [_plain["choices"][0] | choice]})


def test_ordinary_replies_go_the_short_way():
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    message = {"role": "assistant", "content": None, "tool_calls": calls}
    for reply in (
        _plain,
        _plain | {"x_groq": {"id": "req_1"}, "error": None},
        _plain | {"choices": [{"message": message, "finish_reason": "tool_calls"}]},
    ):
        body = _both(reply)
        assert read_regular(body)
        assert tap_response(body, TARGET, CONTEXT).body is body


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": _plain["choices"] * 2},
        {"choices": []},
        {"choices": [_plain["choices"][0] | {"finish_reason": "error"}]},
        {"choices": [_plain["choices"][0] | {"delta": {}}]},
        {"usage": {"prompt_tokens": -1}},
        {"error": {"message": "no"}},
    ],
)
def test_what_is_odd_does_not(odd):
    with pytest.raises(msgspec.ValidationError):
        read_regular(_both(_plain | odd))
