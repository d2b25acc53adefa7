import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from dragoman.surface.sockets.frames import (
    Asked,
    Auth,
    AuthOk,
    ChatDelta,
    FrameError,
    Ping,
    Refused,
    encode,
    read_frame,
)

MESSAGES = [{"role": "user", "content": "hi"}]


def said(**members):
    return json.dumps({"type": "chat.completions", "model": "m", "messages": MESSAGES, **members})


def test_what_is_asked_is_the_body_of_a_post_without_the_frames_own_members():
    asked = read_frame(said(requestId="a", temperature=1.50, tools=[{"type": "function"}]))
    assert isinstance(asked, Asked)
    assert (asked.request_id, asked.stream) == ("a", False)
    assert json.loads(asked.body) == {
        "model": "m",
        "messages": MESSAGES,
        "temperature": 1.5,
        "tools": [{"type": "function"}],
    }


def test_values_stay_as_they_were_written():
    text = '{"type":"chat.completions","model":"m","messages":[{"n":1.50e3, "big":12345678901234567890123}]}'
    asked = read_frame(text)
    assert isinstance(asked, Asked)
    assert b'[{"n":1.50e3, "big":12345678901234567890123}]' in asked.body


@pytest.mark.parametrize(
    "options", [None, {"include_usage": False}, {"include_obfuscation": True}]
)
def test_a_stream_is_asked_to_tell_its_usage_and_keeps_its_other_options(options):
    asked = read_frame(said(stream=True, **({"stream_options": options} if options else {})))
    assert isinstance(asked, Asked)
    assert asked.stream
    assert json.loads(asked.body)["stream_options"] == {**(options or {}), "include_usage": True}


def test_wrong_options_are_left_for_the_requests_reader_to_refuse():
    asked = read_frame(said(stream=True, stream_options=7))
    assert isinstance(asked, Asked)
    assert json.loads(asked.body)["stream_options"] == 7


def test_the_other_messages():
    assert read_frame('{"type":"ping"}') == Ping(UNSET)
    assert read_frame('{"type":"ping","requestId":"é"}') == Ping("é")
    assert read_frame('{"type":"auth","apiKey":"drg_x"}') == Auth("drg_x")


def test_a_refusal_keeps_the_id_of_what_it_refuses():
    with pytest.raises(FrameError) as refused:
        read_frame('{"type":"chat.completions","requestId":"a","messages":[]}')
    assert refused.value.request_id == "a"


@given(st.one_of(st.text(), st.binary()))
def test_anything_is_a_message_or_a_refusal(data):
    with suppress(FrameError):
        assert read_frame(data)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["type", "requestId", "model", "x"]), inner)
        ),
    )
)
def test_any_json_is_a_message_or_a_refusal(value):
    with suppress(FrameError):
        assert read_frame(json.dumps(value))


def test_what_is_not_said_is_not_there():
    assert encode(AuthOk("user")) == b'{"type":"auth.ok","role":"user"}'
    assert json.loads(encode(Refused("auth", "no"))) == {
        "type": "error",
        "code": "auth",
        "message": "no",
    }
    delta = ChatDelta("a", "x", msgspec.Raw(b'{"n":1.50}'))
    assert encode(delta) == b'{"type":"chat.delta","requestId":"a","delta":"x","chunk":{"n":1.50}}'
