"""Requests and replies of words alone are translated by short ways, which say what the long ones say."""

import json
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.capability import Capability
from dragoman.core.errors import GatewayError
from dragoman.core.parts import CacheMark, Citation, Message, Refusal, Text, ToolCall
from dragoman.core.provider import Quirks
from dragoman.core.request import Output, Reasoning, Request, Sampling
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage
from dragoman.dialects.anthropic import ANTHROPIC, write_plain
from dragoman.dialects.anthropic import regular as anthropic_regular
from dragoman.dialects.base import Context, Target, Undo
from dragoman.dialects.chat import CHAT
from dragoman.dialects.chat import read_plain as chat_plain

CONTEXT = Context("0" * 32, 5, "m-1")
TARGET = Target("acme", "m-1", Quirks(), Capability(), 4096)

words = st.sampled_from(["", " ", "Good day.", "<b> é \u2028", "\n\t"])
numbers = st.sampled_from([None, 0, 1, 0.5, 2, 1.0, True, "1", -1, 10**30, [1]])


def _told(work, *args):
    try:
        return work(*args)
    except GatewayError as error:
        return (error.kind, error.code, error.message, getattr(error, "param", None))


def _alike(short, work, *args):
    """What comes of work with its short way, after a look that it is the same without."""
    told = _told(work, *args)
    with patch(short, lambda *_: None):
        assert told == _told(work, *args)
    return told


# --------------------------------------------------------------------------- a chat client's request

_message = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"])},
    optional={
        "content": words | st.none() | st.just([{"type": "text", "text": "hi"}]),
        "name": st.just("n"),
    },
)
_plain_message = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant"]), "content": st.just("words")}
)
_options = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ["temperature", "top_p", "frequency_penalty", "presence_penalty", "n", "seed"], numbers
        ),
        "max_tokens": numbers,
        "max_completion_tokens": numbers,
        "stop": st.sampled_from([None, "", "end", [], ["a", "b"], [1], 5]),
        "stream": st.sampled_from([None, True, False, 1]),
        "stream_options": st.sampled_from(
            [None, {}, {"include_usage": True}, {"include_usage": None}, {"more": 1}, 5]
        ),
        "user": st.sampled_from([None, "", "u", 5]),
        "tools": st.just([]),
    },
)


@given(st.lists(_message, max_size=4) | st.lists(_plain_message, max_size=4), _options)
def test_a_chat_request_is_read_alike(messages, options):
    body = json.dumps({"model": "m", "messages": messages, **options}).encode()
    told = _alike("dragoman.dialects.chat.read.read_plain", CHAT.read_request, body)
    if isinstance(told, Request) and (said := told.sampling.temperature) is not None:
        # 1 is not 1.0 on the wire.
        assert repr(said) == repr(options["temperature"])


def test_ordinary_chat_requests_go_the_short_way():
    said = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi."}]
    for more in ({}, {"temperature": 0.7, "max_tokens": 5}, {"stream": True, "stop": "x"}):
        body = json.dumps({"model": "m", "messages": said, **more}).encode()
        assert chat_plain.read_plain(body) == CHAT.read_request(body)


# --------------------------------------------------------------------------- a request for Anthropic

_part = st.one_of(
    words.map(Text),
    st.just(Text("a", cache=CacheMark())),
    st.just(Text("a", ext={"chat": {}})),
    st.just(Text("a", citations=(Citation("url"),))),
    st.just(Refusal("no")),
)
_parts = st.lists(_part, max_size=2).map(tuple)
_one = st.just((Text("words"),))
_turn = st.builds(
    Message,
    st.sampled_from(["user", "assistant", "system"]),
    _parts | _one,
    st.sampled_from([None, None, "n"]),
)
_sampling = st.builds(
    Sampling,
    temperature=st.sampled_from([None, 0, 0.5, 1, 1.5]),
    top_p=st.sampled_from([None, 0.5]),
    top_k=st.sampled_from([None, 3]),
    n=st.sampled_from([None, 1, 2]),
    stop=st.sampled_from([(), ("x",), (" ",)]),
    presence_penalty=st.sampled_from([None, 0, 1]),
)
_request = st.builds(
    Request,
    st.just("m"),
    st.lists(_turn, max_size=3).map(tuple)
    | st.just((Message("user", (Text("a"),)), Message("assistant", (Text("b"),))))
    | st.just((Message("user", (Text("a"),)),)),
    stream=st.booleans(),
    system=_parts,
    sampling=_sampling | st.just(Sampling()),
    max_tokens=st.sampled_from([None, 0, 5, 10**6]),
    end_user=st.sampled_from([None, "", "u"]),
    output=st.sampled_from([Output(), Output(), Output("json")]),
    reasoning=st.sampled_from([Reasoning(), Reasoning(), Reasoning(effort="low")]),
    service_tier=st.sampled_from([None, None, "auto"]),
    include_usage=st.booleans(),
)
_target = st.builds(
    Target,
    st.just("anthropic"),
    st.just("claude"),
    st.sampled_from([Quirks(), Quirks(drop=("top_p",)), Quirks(rename={"top_k": "k"})]),
    st.builds(
        Capability,
        max_output_tokens=st.sampled_from([None, 100]),
        rejects_sampling=st.booleans(),
        temperature_xor_top_p=st.booleans(),
        prefill=st.booleans(),
        mid_system=st.booleans(),
    ),
)


@given(_request, _target)
def test_a_request_for_anthropic_is_written_alike(request, target):
    _alike(
        "dragoman.dialects.anthropic.write.write_plain", ANTHROPIC.write_request, request, target
    )


def test_ordinary_requests_for_anthropic_go_the_short_way():
    turns = tuple(Message(role, (Text("words"),)) for role in ("user", "assistant", "user"))
    request = Request("m", turns, system=(Text("Be kind."),), sampling=Sampling(temperature=1))
    written = write_plain.write_plain(request, TARGET)
    assert written == ANTHROPIC.write_request(request, TARGET)
    assert written is not None
    assert b'"temperature":1}' in written.body


# --------------------------------------------------------------------------- Anthropic's reply

_count = st.sampled_from([None, 0, 7, -1, 10**15, 5.0, "5", True])
_usage = st.fixed_dictionaries(
    {},
    optional={
        "input_tokens": _count,
        "output_tokens": _count,
        "cache_read_input_tokens": _count,
        "cache_creation_input_tokens": _count,
        "cache_creation": st.none() | st.fixed_dictionaries({"ephemeral_1h_input_tokens": _count}),
        "output_tokens_details": st.none() | st.fixed_dictionaries({"thinking_tokens": _count}),
        "server_tool_use": st.none() | st.fixed_dictionaries({"web_search_requests": _count}),
        "service_tier": st.sampled_from([None, "standard", "odd"]),
        "iterations": st.sampled_from([None, [], [{"type": "compaction", "input_tokens": 4}]]),
    },
)
_block = st.sampled_from(
    [
        {"type": "text", "text": "Good day."},
        {"type": "text", "text": "Good day.", "citations": None},
        {"type": "text", "text": "Good day.", "citations": []},
        {"type": "text", "text": "Good day.", "more": 1},
        {"type": "text"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "other"},
    ]
)
_reply = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": "Good day."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 5, "output_tokens": 3},
}
_odd = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from([None, ""]),
        "type": st.sampled_from([None, "error", "other"]),
        "model": st.sampled_from([None, ""]),
        "content": st.none() | st.lists(_block, max_size=2),
        "stop_reason": st.sampled_from(
            [None, "max_tokens", "stop_sequence", "refusal", "tool_use", "pause_turn", "odd"]
        ),
        "stop_sequence": st.sampled_from(["", "x"]),
        "stop_details": st.sampled_from([None, {"explanation": "so"}]),
        "usage": st.none() | _usage,
        "container": st.sampled_from([None, {"id": "c"}]),
    },
)


@given(_odd | _usage.map(lambda usage: {"usage": usage}))
def test_anthropics_reply_is_read_alike(odd):
    body = json.dumps(_reply | odd).encode()
    short = "dragoman.dialects.anthropic.response.read_regular"
    _alike(short, ANTHROPIC.read_response, body, TARGET, Undo())


def test_an_ordinary_reply_of_anthropic_goes_the_short_way():
    body = json.dumps(_reply).encode()
    found = anthropic_regular.read_regular(body, "m")
    assert found == ANTHROPIC.read_response(body, TARGET, Undo())


# --------------------------------------------------------------------------- a reply for a chat client

_finish = st.builds(
    Finish,
    st.sampled_from(["stop", "length", "refusal", "pause", "tool_calls", "unknown", "error"]),
    st.sampled_from([None, "odd"]),
    st.sampled_from([None, "x"]),
    explanation=st.sampled_from([None, "so"]),
)
_choice = st.builds(
    Choice,
    st.lists(_part | st.just(ToolCall("c", "f", "{}")), max_size=2).map(tuple),
    _finish | st.just(Finish("stop")),
    st.sampled_from([0, 1]),
)


@given(st.lists(_choice, max_size=2).map(tuple), st.sampled_from(["", "msg_a_b", "resp_1", "x"]))
def test_a_reply_for_a_chat_client_is_written_alike(choices, name):
    response = Response(name, "m", choices, Usage(input=1, output=2))
    told = _told(CHAT.write_response, response, CONTEXT)
    with patch("dragoman.dialects.chat.reply_write._PLAIN_ENDS", {}):
        assert told == _told(CHAT.write_response, response, CONTEXT)
