"""Reading a provider's stream of chunks as events."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from dragoman.core.events import (
    Cited,
    End,
    Failure,
    Finished,
    LogprobNote,
    PartDelta,
    PartStart,
    PartStop,
    Ping,
    Start,
    UsageNote,
)
from dragoman.core.fold import check, fold
from dragoman.core.parts import Inline, Media, Opaque, Refusal, Text, Thinking, ToolCall, Url
from dragoman.core.response import Finish
from dragoman.core.usage import Usage
from dragoman.dialects.base import Target, Undo
from dragoman.dialects.chat.stream_read import stream_reader

DONE = "data: [DONE]\n\n"


def chunk(delta=None, finish=None, **members):
    """One chunk of choice 0; without a delta a chunk of the given members alone."""
    base = {"id": "c1", "object": "chat.completion.chunk", "created": 1700000000, "model": "m-1"}
    if delta is not None:
        base["choices"] = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return "data: " + json.dumps({**base, **members}) + "\n\n"


def choices(*found, **members):
    return chunk(choices=list(found), **members)


def call(index, arguments=None, call_id=None, name=None, **more):
    function = {}
    if name is not None:
        function["name"] = name
    if arguments is not None:
        function["arguments"] = arguments
    wire = {"function": function, **more}
    if index is not None:
        wire["index"] = index
    if call_id is not None:
        wire["id"] = call_id
    return wire


def read(*frames, undo=None, size=None):
    data = "".join(frames).encode()
    reader = stream_reader(Target("p", "m"), undo or Undo())
    size = size or max(1, len(data))
    events = [
        event for at in range(0, len(data), size) for event in reader.feed(data[at : at + size])
    ]
    events += reader.close()
    check(events)
    assert reader.feed(b"data: {}\n\n") == []
    assert reader.close() == []
    return events


def folded(*frames, undo=None):
    return fold(read(*frames, undo=undo))


def parts(*frames, undo=None):
    return folded(*frames, undo=undo).choices[0].parts


def failure(*frames):
    last = read(*frames)[-1]
    assert isinstance(last, Failure)
    return last.error


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk({}, "stop") + DONE
CALLS = chunk({}, "tool_calls") + DONE


def test_a_plain_answer_is_one_text_between_start_and_end():
    events = read(ROLE, chunk({"content": "Hel"}), chunk({"content": "lo"}), STOP)
    assert events == [
        Start("c1", "m-1", 1700000000),
        PartStart(0, Text("")),
        PartDelta(0, "Hel"),
        PartDelta(0, "lo"),
        PartStop(0),
        Finished(Finish("stop", "stop")),
        End(),
    ]


@pytest.mark.pitfall(1, 2, 3, 5)
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_bytes_may_be_cut_anywhere_and_lines_may_end_in_any_way(size, end):
    frames = [": busy\n\n", ROLE, chunk({"content": "grüß 🌍"}), STOP]
    text = "".join(frames).replace("\n", end).replace("data: ", "data:", 1)
    events = [event for event in read(text, size=size) if not isinstance(event, Ping)]
    assert fold(events).choices[0].parts == (Text("grüß 🌍"),)


@pytest.mark.pitfall(4)
def test_the_last_frame_may_lack_its_blank_line():
    assert parts(ROLE, chunk({"content": "a"}), chunk({}, "stop").rstrip("\n")) == (Text("a"),)


@pytest.mark.pitfall(6)
def test_done_is_optional_after_a_finish_and_what_follows_it_is_ignored():
    whole = read(ROLE, chunk({"content": "a"}), STOP)
    assert read(ROLE, chunk({"content": "a"}), chunk({}, "stop")) == whole
    assert read(ROLE, chunk({"content": "a"}), STOP, chunk({"content": "late"}), "junk") == whole


def test_done_ends_an_answer_that_never_said_why_it_ended():
    answer = folded(ROLE, chunk({"content": "a"}), DONE)
    assert answer.choices[0].finish == Finish("unknown", None)


@pytest.mark.pitfall(13, 14)
def test_the_end_without_a_finish_reason_is_a_cut_stream():
    error = failure(ROLE, chunk({"content": "a"}))
    assert (error.kind, error.status, error.code) == ("upstream", 502, "upstream_truncated")
    assert error.upstream_status == 200


@pytest.mark.pitfall(14)
@pytest.mark.parametrize(
    "body", ["", "\n\n", ": nothing\n\n", DONE, 'data: {"id":"c1"}\n\n' + DONE]
)
def test_a_stream_that_says_nothing_is_cut(body):
    assert failure(body).code == "upstream_truncated"


def test_a_last_frame_that_broke_off_is_a_cut_and_not_garbage():
    assert failure(ROLE, 'data: {"id":"c1","choices":[{"ind').code == "upstream_truncated"


@pytest.mark.parametrize("data", ["hello", "[1]", "12", '{"a":NaN}', '{"a":' * 5000, '"text"'])
def test_a_frame_that_is_no_chunk_is_a_failure(data):
    error = failure(ROLE, f"data: {data}\n\n")
    assert (error.kind, error.status, error.code) == ("upstream", 502, "upstream_malformed")


def test_one_choice_of_several_that_never_ends_is_a_cut():
    frames = [
        choices({"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}),
        choices({"index": 1, "delta": {"content": "b"}}),
    ]
    assert failure(*frames).code == "upstream_truncated"


@pytest.mark.pitfall(11)
def test_a_whole_reply_in_place_of_a_stream_is_read_as_one():
    body = {
        "id": "c1",
        "created": 5,
        "model": "m-1",
        "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    }
    events = read("\n\n" + json.dumps(body), size=3)
    assert fold(events).choices[0].parts == (Text("hi"),)
    assert fold(events).usage == Usage(input=1, output=2)


@pytest.mark.pitfall(11, 140)
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("<html><body>502 Bad Gateway</body></html>", "upstream_malformed"),
        ('{"error":{"message":"no","code":"rate_limit_exceeded"}}', "rate_limit_exceeded"),
    ],
)
def test_a_page_or_an_error_in_place_of_a_stream_is_a_failure(body, code):
    assert failure(body).code == code


@pytest.mark.pitfall(18)
def test_azures_first_chunk_without_id_and_choices_does_not_begin_the_answer():
    azure = chunk(id="", model="", created=0, choices=[], prompt_filter_results=[{"x": 1}])
    assert read(azure, ROLE, STOP)[0] == Start("c1", "m-1", 1700000000)


@pytest.mark.pitfall(20)
@pytest.mark.parametrize("extra", [{"choices": []}, {"choices": None}, {}])
def test_usage_may_come_without_choices(extra):
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    answer = folded(ROLE, chunk({}, "stop"), chunk(usage=usage, **extra), DONE)
    assert answer.usage == Usage(input=3, output=4, total=7)


def test_usage_before_the_answer_waits_for_its_start():
    early = chunk(id="", usage={"prompt_tokens": 3}, choices=[])
    events = read(early, ROLE, STOP)
    assert events[:2] == [Start("c1", "m-1", 1700000000), UsageNote(Usage(input=3))]


@pytest.mark.pitfall(130)
def test_usage_comes_on_the_finish_chunk_in_x_groq_or_several_times_and_the_last_counts():
    mistral = chunk({"content": ""}, "stop", usage={"prompt_tokens": 1, "completion_tokens": 2})
    assert folded(ROLE, mistral, DONE).usage == Usage(input=1, output=2)
    groq = chunk(
        {}, "stop", x_groq={"id": "r", "usage": {"prompt_tokens": 5, "completion_tokens": 6}}
    )
    assert folded(ROLE, groq, DONE).usage == Usage(input=5, output=6)
    perplexity = chunk({"content": "a"}, usage={"prompt_tokens": 1, "completion_tokens": 1})
    assert folded(ROLE, perplexity, mistral, DONE).usage == Usage(input=1, output=2)


@pytest.mark.pitfall(125, 131, 132)
def test_usage_knows_every_providers_spelling():
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 7, "audio_tokens": 1},
        "completion_tokens_details": {
            "reasoning_tokens": 20,
            "audio_tokens": 2,
            "accepted_prediction_tokens": 3,
            "rejected_prediction_tokens": 4,
        },
        "cost": 0.00015780000000000001,
    }
    assert folded(ROLE, STOP.replace(DONE, ""), chunk(usage=usage, choices=[])).usage == Usage(
        input=100,
        cache_read=40,
        cache_write=7,
        output=50,
        reasoning=20,
        audio_input=1,
        audio_output=2,
        accepted_prediction=3,
        rejected_prediction=4,
        total=150,
        cost=Decimal("0.00015780000000000001"),
    )


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}, Usage(input=9, cache_read=4)),
        ({"prompt_tokens": 9, "num_cached_tokens": 5}, Usage(input=9, cache_read=5)),
        (
            {"cache_read_input_tokens": 6, "cache_creation_input_tokens": 1},
            Usage(cache_read=6, cache_write=1),
        ),
        ({"prompt_tokens": -1, "completion_tokens": "x", "cost": {"usd": 1}}, Usage()),
        (
            {"prompt_tokens": 2.0, "completion_tokens": 3.5, "total_tokens": "7"},
            Usage(input=2, total=7),
        ),
        ({"cost": -1}, Usage()),
    ],
)
def test_usage_of_odd_form_is_read_where_it_can_be(usage, expected):
    assert folded(ROLE, chunk({}, "stop", usage=usage), DONE).usage == expected


def test_reasoning_that_xai_leaves_out_of_its_output_is_told_by_its_own_total():
    details = {"completion_tokens_details": {"reasoning_tokens": 183}}
    beside = {"prompt_tokens": 49, "completion_tokens": 32, "total_tokens": 264, **details}
    found = folded(ROLE, chunk({}, "stop", usage=beside), DONE).usage
    assert (found.output, found.apart, found.billed_output) == (32, 183, 215)
    within = {"prompt_tokens": 49, "completion_tokens": 215, "total_tokens": 264, **details}
    found = folded(ROLE, chunk({}, "stop", usage=within), DONE).usage
    assert (found.output, found.apart, found.billed_output) == (215, None, 215)


@pytest.mark.pitfall(22)
@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("eos", "stop"),
        ("model_length", "length"),
        ("content_filter", "content_filter"),
        ("odd", "unknown"),
    ],
)
def test_finish_reasons_of_other_providers_are_understood_and_kept(raw, reason):
    assert folded(ROLE, chunk({}, raw), DONE).choices[0].finish == Finish(reason, raw)


@pytest.mark.pitfall(22)
def test_an_empty_finish_reason_is_none_at_all():
    snowflake = chunk({"content": "a"}, "")
    assert folded(ROLE, snowflake, STOP).choices[0].finish == Finish("stop", "stop")
    assert failure(ROLE, snowflake).code == "upstream_truncated"


def test_content_and_usage_after_the_finish_reason_still_count():
    late = [
        chunk({}, "stop"),
        chunk({"content": "b"}),
        chunk({}, "stop", usage={"prompt_tokens": 1}),
    ]
    answer = folded(ROLE, chunk({"content": "a"}), *late, DONE)
    assert answer.choices[0].parts == (Text("ab"),)
    assert answer.usage == Usage(input=1)


@pytest.mark.pitfall(23)
@pytest.mark.parametrize(
    ("created", "seconds"), [(None, None), (1.7e9, 1700000000), (-1, None), ("x", None)]
)
def test_odd_ids_times_and_objects_are_tolerated(created, seconds):
    odd = chunk({"content": "a"}, id=None, created=created, object="", model=None)
    start = read(odd, STOP)[0]
    assert (start.id, start.model, start.created) == ("", "", seconds)


@pytest.mark.pitfall(45, 46)
def test_the_finish_agrees_with_the_calls_of_the_whole_answer():
    whole = call(0, "{}", "a", "f")
    early = [ROLE, chunk({"tool_calls": [whole]}), chunk({"content": "."})]
    assert folded(*early, STOP).choices[0].finish == Finish("tool_calls", "stop")
    assert folded(ROLE, CALLS).choices[0].finish == Finish("stop", "tool_calls")
    cut = chunk({}, "length") + DONE
    assert folded(*early, cut).choices[0].finish == Finish("length", "length")


# --------------------------------------------------------------------------- tools


@pytest.mark.pitfall(28, 42)
def test_a_call_comes_in_fragments_keyed_by_its_index():
    events = read(
        ROLE,
        chunk({"tool_calls": [call(0, "", "call_1", "f", type="function")]}),
        chunk({"tool_calls": [call(0, '{"a":')]}),
        chunk({"tool_calls": [call(0, "1}")]}),
        CALLS,
    )
    assert events[1:5] == [
        PartStart(0, ToolCall("call_1", "f")),
        PartDelta(0, '{"a":', "arguments"),
        PartDelta(0, "1}", "arguments"),
        PartStop(0),
    ]


@pytest.mark.pitfall(39)
def test_interleaved_calls_stay_apart():
    found = parts(
        ROLE,
        chunk({"tool_calls": [call(0, '{"a', "x", "f"), call(1, '{"b', "y", "g")]}),
        chunk({"tool_calls": [call(1, '":2}')]}),
        chunk({"tool_calls": [call(0, '":1}')]}),
        CALLS,
    )
    assert found == (ToolCall("x", "f", '{"a":1}'), ToolCall("y", "g", '{"b":2}'))


def test_a_call_that_is_whole_stops_when_the_next_begins():
    events = read(
        ROLE,
        chunk({"tool_calls": [call(0, "{}", "x", "f")]}),
        chunk({"tool_calls": [call(1, "{}", "y", "g")]}),
        chunk({"tool_calls": [call(0, " ")]}),
        CALLS,
    )
    kinds = [(type(event).__name__, event.part) for event in events[1:-2]]
    assert kinds == [
        ("PartStart", 0),
        ("PartDelta", 0),
        ("PartStop", 0),
        ("PartStart", 1),
        ("PartDelta", 1),
        ("PartStop", 1),
    ]


@pytest.mark.pitfall(40)
@pytest.mark.parametrize("index", [0, None])
def test_another_id_on_the_same_index_is_another_call(index):
    found = parts(
        ROLE,
        chunk({"tool_calls": [call(index, '{"n":1}', "x", "f")]}),
        chunk({"tool_calls": [call(index, '{"n":2}', "y", "f")]}),
        CALLS,
    )
    assert found == (ToolCall("x", "f", '{"n":1}'), ToolCall("y", "f", '{"n":2}'))


@pytest.mark.pitfall(40)
@pytest.mark.parametrize("index", [0, None])
def test_whole_calls_without_ids_are_told_apart_by_their_names(index):
    delta = {"tool_calls": [call(index, "{}", None, "f"), call(index, "{}", "", "g")]}
    found = parts(ROLE, chunk(delta), CALLS)
    assert [(part.name, part.arguments) for part in found] == [("f", "{}"), ("g", "{}")]
    assert len({part.id for part in found}) == 2
    assert all(part.id.startswith("call_") for part in found)


def test_one_name_twice_without_ids_and_indices_is_two_calls_once_the_first_is_whole():
    two = {"tool_calls": [call(None, '{"a":1}', None, "f"), call(None, '{"a":2}', None, "f")]}
    assert len(parts(ROLE, chunk(two), CALLS)) == 2
    pieces = [{"tool_calls": [call(None, text, None, "f")]} for text in ('{"a":', "1}")]
    assert [part.arguments for part in parts(ROLE, *map(chunk, pieces), CALLS)] == ['{"a":1}']


def test_an_id_that_comes_where_no_index_is_given_begins_a_call():
    two = {"tool_calls": [call(None, "{", None, "f"), call(None, "{}", "y", "g")]}
    assert [part.name for part in parts(ROLE, chunk(two), CALLS)] == ["f", "g"]


@pytest.mark.pitfall(41)
def test_repeated_ids_names_and_types_are_not_added_up():
    again = {"type": "function"}
    found = parts(
        ROLE,
        chunk({"tool_calls": [call(0, '{"a"', "x", "f", **again)]}),
        chunk({"tool_calls": [call(0, ":1", "x", "f", **again)]}),
        chunk({"tool_calls": [call(0, "}", "", "", type=None)]}),
        CALLS,
    )
    assert found == (ToolCall("x", "f", '{"a":1}'),)


@pytest.mark.pitfall(42)
def test_arguments_may_come_before_the_name():
    found = parts(
        ROLE,
        chunk({"tool_calls": [call(0, '{"a":')]}),
        chunk({"tool_calls": [call(0, "1}", "x", "f")]}),
        CALLS,
    )
    assert found == (ToolCall("x", "f", '{"a":1}'),)


def test_a_call_that_never_says_its_name_is_shown():
    assert parts(ROLE, chunk({"tool_calls": [call(0, "{}", "x")]}), CALLS) == (
        ToolCall("x", "", "{}"),
    )


@pytest.mark.pitfall(44)
def test_empty_calls_do_not_appear():
    empty = [
        {"index": 0},
        {"index": 1, "function": {}},
        {"function": {"name": "", "arguments": ""}},
    ]
    answer = folded(ROLE, chunk({"tool_calls": empty}), chunk({"tool_calls": []}), CALLS)
    assert answer.choices[0].parts == ()
    assert answer.choices[0].finish.reason == "stop"


@pytest.mark.pitfall(27, 37)
def test_arguments_that_are_an_object_become_its_own_text():
    wire = '{"index":0,"id":"x","function":{"name":"f","arguments":{"n": 12345678901234567890.10, "n":1}}}'
    frame = 'data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[' + wire + "]}}]}\n\n"
    assert parts(frame, CALLS) == (ToolCall("x", "f", '{"n": 12345678901234567890.10, "n":1}'),)


def test_null_arguments_are_none():
    assert parts(ROLE, chunk({"tool_calls": [call(0, None, "x", "f")]}), CALLS) == (
        ToolCall("x", "f"),
    )


def test_made_ids_depend_on_the_answer_and_its_place_alone():
    frame = chunk({"tool_calls": [call(0, "{}", None, "f")]})
    assert parts(frame, CALLS) == parts(ROLE, frame, CALLS)
    other = parts(frame.replace("c1", "c2"), CALLS)
    assert other[0].id != parts(frame, CALLS)[0].id
    nameless = parts(chunk({"tool_calls": [call(0, "{}", None, "f")]}, id=None), CALLS)
    assert nameless[0].id == "call_0"


@pytest.mark.pitfall(68)
def test_the_deprecated_function_call_is_a_call():
    found = parts(
        ROLE,
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"a":1}'}}),
        chunk({"function_call": {}}),
        chunk({}, "function_call") + DONE,
    )
    assert [(part.name, part.arguments) for part in found] == [("f", '{"a":1}')]


def test_an_empty_function_call_is_none():
    assert parts(ROLE, chunk({"function_call": {}}), STOP) == ()


def test_custom_calls_and_googles_signatures_are_read():
    custom = {"index": 0, "id": "x", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    empty = {"custom": {"name": "", "input": ""}}
    signed = call(
        1, "{}", "y", "f", extra_content={"google": {"thought_signature": "sig"}}, **empty
    )
    unsigned = call(2, "{}", "z", "g", extra_content={"google": {"thought_signature": 5}})
    other = call(3, "{}", "w", "h", extra_content={"else": 1})
    assert parts(ROLE, chunk({"tool_calls": [custom, signed, unsigned, other]}), CALLS) == (
        ToolCall("x", "sh", "ls", "custom"),
        ToolCall("y", "f", "{}", signature="sig"),
        ToolCall("z", "g", "{}"),
        ToolCall("w", "h", "{}"),
    )


@pytest.mark.pitfall(57)
def test_tool_names_come_back_as_the_caller_knows_them():
    found = parts(
        ROLE,
        chunk({"tool_calls": [call(0, "{}", "x", "my_tool")]}),
        CALLS,
        undo=Undo(tool_names={"my_tool": "my.tool"}),
    )
    assert found == (ToolCall("x", "my.tool", "{}"),)


@pytest.mark.pitfall(64)
def test_a_forced_tool_that_stands_for_a_schema_is_the_answer_itself():
    answer = folded(
        ROLE,
        chunk({"tool_calls": [call(0, '{"a"', "x", "json")]}),
        chunk({"tool_calls": [call(0, ":1}")]}),
        CALLS,
        undo=Undo(json_tool="json"),
    )
    assert answer.choices[0].parts == (Text('{"a":1}'),)
    assert answer.choices[0].finish.reason == "stop"


@pytest.mark.pitfall(67)
@pytest.mark.parametrize(
    ("arguments", "text"),
    [('{"input":"ls -l \\"x\\""}', 'ls -l "x"'), ("ls", "ls"), ('{"input":""}', "")],
)
def test_a_wrapped_custom_tool_is_unwrapped_exactly(arguments, text):
    found = parts(
        ROLE,
        chunk({"tool_calls": [call(0, arguments[:5], "x", "sh")]}),
        chunk({"tool_calls": [call(0, arguments[5:])]}),
        CALLS,
        undo=Undo(custom_tools=frozenset({"sh"})),
    )
    assert found == (ToolCall("x", "sh", text, "custom"),)


# --------------------------------------------------------------------------- reasoning


@pytest.mark.pitfall(102, 181)
@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_its_own_part_before_the_words_of_its_chunk(name):
    deepseek = chunk({"role": "assistant", "content": None, name: ""})
    found = read(
        deepseek, chunk({"content": None, name: "hm"}), chunk({"content": "so", name: "."}), STOP
    )
    assert fold(found).choices[0].parts == (Thinking("hm.", family="chat"), Text("so"))


@pytest.mark.pitfall(181)
def test_both_spellings_of_reasoning_count_once():
    both = {"reasoning_content": "hm", "reasoning": "hm"}
    assert parts(ROLE, chunk(both), STOP) == (Thinking("hm", family="chat"),)


def detail(kind, index=0, form="anthropic-claude-v1", **members):
    return {"type": f"reasoning.{kind}", "format": form, "index": index, **members}


@pytest.mark.pitfall(92, 94, 97)
def test_reasoning_details_are_merged_by_index_and_keep_their_signatures():
    found = parts(
        ROLE,
        chunk({"reasoning": "a", "reasoning_details": [detail("text", text="a")]}),
        chunk({"reasoning": "b", "reasoning_details": [detail("text", text="b")]}),
        chunk({"reasoning_details": [detail("text", signature="s1")]}),
        chunk(
            {"reasoning": "c", "reasoning_details": [detail("text", 1, text="c", signature="s2")]}
        ),
        chunk({"reasoning_details": [detail("text", 1), detail("text", 1, text=None)]}),
        STOP,
    )
    common = {"format": "anthropic-claude-v1", "family": "anthropic"}
    assert found == (
        Thinking("ab", signature="s1", **common),
        Thinking("c", signature="s2", **common),
    )


def test_a_summary_and_its_encrypted_state_keep_the_states_id():
    form = "openai-responses-v1"
    found = parts(
        ROLE,
        chunk(
            {"reasoning": "sum", "reasoning_details": [detail("summary", 0, form, summary="sum")]}
        ),
        chunk({"reasoning_details": [detail("encrypted", 0, form, data="gAAA", id="rs_1")]}),
        STOP,
    )
    common = {"format": form, "family": "responses"}
    assert found == (
        Thinking("sum", summary=True, **common),
        Thinking(encrypted="gAAA", redacted=True, id="rs_1", **common),
    )


def test_encrypted_state_of_one_id_with_its_summary_is_one_part():
    form = "xai-responses-v1"
    details = [detail("summary", 0, form, summary="s"), detail("encrypted", 0, form, data="e")]
    found = parts(ROLE, chunk({"reasoning_details": details}), STOP)
    assert found == (Thinking("s", encrypted="e", summary=True, format=form, family="chat"),)


def test_the_text_beside_details_that_say_something_else_is_what_counts():
    other = chunk(
        {"reasoning": "abc", "reasoning_details": [detail("text", text="x", signature="s")]}
    )
    assert parts(ROLE, other, STOP)[0].text == "abc"
    sealed = chunk({"reasoning": "abc", "reasoning_details": [detail("encrypted", data="e")]})
    assert [part.text for part in parts(ROLE, sealed, STOP)] == ["abc", ""]


def test_details_of_unknown_type_say_no_thought():
    odd = {"reasoning_details": [{"type": "reasoning.server_tool_call"}, {}, 5]}
    assert parts(ROLE, chunk(odd), STOP) == ()


def test_mistrals_content_list_is_thinking_and_text_in_its_order():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "signature": "s"}
    more = {"type": "thinking", "thinking": "plain"}
    refused = {"type": "refusal", "refusal": "no"}
    content = [
        thinking,
        {"type": "text", "text": "so"},
        more,
        {"type": "thinking"},
        refused,
        {"type": "x"},
    ]
    assert parts(ROLE, chunk({"content": content}), STOP) == (
        Thinking("hm", signature="s", family="chat"),
        Text("so"),
        Thinking("plain", family="chat"),
        Refusal("no"),
    )


# --------------------------------------------------------------------------- other words


def test_refusals_are_kept_apart_from_text():
    assert parts(ROLE, chunk({"refusal": "I "}), chunk({"refusal": "can't"}), STOP) == (
        Refusal("I can't"),
    )


def annotation(**cited):
    return {"type": "url_citation", "url_citation": cited}


def test_annotations_are_citations_of_the_open_text():
    cited = annotation(url="https://e.x", title="E", start_index=0, end_index=2, content="quote")
    events = read(ROLE, chunk({"content": "ab", "annotations": [cited]}), STOP)
    found = next(event for event in events if isinstance(event, Cited)).citation
    assert (found.kind, found.url, found.title, found.start, found.end) == (
        "url",
        "https://e.x",
        "E",
        0,
        2,
    )
    assert (found.cited_text, found.unit, found.dialect) == ("quote", "char", "chat")


def test_annotations_wait_for_a_text_and_make_one_if_none_comes():
    waiting = [chunk({"annotations": [annotation(url="u")]}), chunk({"content": "late"})]
    assert len(parts(ROLE, *waiting, STOP)[0].citations) == 1
    alone = parts(ROLE, chunk({"annotations": [annotation(url="u")]}), STOP)
    assert [(part.text, len(part.citations)) for part in alone] == [("", 1)]


def test_annotations_of_unknown_kind_are_kept_for_their_own_dialect():
    file = {"type": "file", "file": {"hash": "h"}}
    events = read(
        ROLE, chunk({"content": "a", "annotations": [file, {"type": "url_citation"}]}), STOP
    )
    kept = next(event for event in events if isinstance(event, Finished)).ext["chat"][
        "annotations"
    ]
    assert json.loads(bytes(kept)) == [file, {"type": "url_citation"}]


def test_log_probabilities_are_noted_in_openais_shape_alone():
    tokens = {"content": [{"token": "a", "logprob": -0.1}], "refusal": None}
    choice = {"index": 0, "delta": {"content": "a"}, "logprobs": tokens}
    events = read(choices(choice), choices({**choice, "logprobs": {"token_logprobs": "x"}}), STOP)
    notes = [event for event in events if isinstance(event, LogprobNote)]
    assert [json.loads(note.logprobs) for note in notes] == [tokens]


def test_sound_in_pieces_is_one_opaque_part():
    found = parts(
        ROLE,
        chunk({"audio": {"id": "au", "transcript": "He"}}),
        chunk({"audio": {"data": "QUJD", "transcript": "llo"}}),
        chunk({"audio": {"data": "REVG", "expires_at": 5}}),
        STOP,
    )
    assert [(type(part), part.dialect, part.kind) for part in found] == [(Opaque, "chat", "audio")]
    assert json.loads(bytes(found[0].payload)) == {
        "id": "au",
        "transcript": "Hello",
        "data": "QUJDREVG",
        "expires_at": 5,
    }


def test_images_are_media_by_value_or_by_address():
    def image(url):
        return {"type": "image_url", "image_url": {"url": url}}

    images = [
        image("data:image/png;base64,AAAA"),
        image("https://e.x/i.png"),
        image(""),
        {"image_url": 5},
    ]
    assert parts(ROLE, chunk({"images": images}), STOP) == (
        Media("image", Inline("AAAA", "image/png")),
        Media("image", Url("https://e.x/i.png")),
    )


def test_choices_interleave_by_their_index():
    answer = folded(
        choices({"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}),
        choices({"index": 0, "delta": {}, "finish_reason": "stop"}),
        choices({"index": 1, "delta": {"content": "B"}, "finish_reason": "length"}),
        DONE,
    )
    found = [(choice.index, choice.parts, choice.finish.reason) for choice in answer.choices]
    assert found == [(0, (Text("a"),), "stop"), (1, (Text("bB"),), "length")]


def test_comments_after_the_start_are_signs_of_life():
    events = read(": early\n\n", ROLE, ": OPENROUTER PROCESSING\n\n", STOP)
    assert [type(event).__name__ for event in events] == ["Start", "Ping", "Finished", "End"]


# --------------------------------------------------------------------------- failures


@pytest.mark.pitfall(13, 140)
@pytest.mark.parametrize(
    ("frame", "kind", "code"),
    [
        (chunk(error={"message": "no", "code": 429}), "rate_limit", None),
        (chunk({}, "error", error={"message": "no", "code": 502}), "upstream", None),
        (chunk(x_groq={"error": "over"}), "upstream", None),
        (chunk(error="over"), "upstream", None),
        (
            choices({"index": 0, "delta": {}, "error": {"code": 503, "message": "x"}}),
            "overloaded",
            None,
        ),
        (chunk({}, "error"), "upstream", "provider_error"),
        (chunk({}, "insufficient_system_resource"), "overloaded", "upstream_overloaded"),
        (
            'event: error\ndata: {"error":{"message":"m","code":"tool_use_failed","status_code":400}}\n\n',
            "invalid_request",
            "tool_use_failed",
        ),
        ('event: error\ndata: {"message":"m","code":"x"}\n\n', "upstream", "x"),
        ('event: error\ndata: {"error":null}\n\n', "upstream", None),
    ],
)
def test_a_failure_inside_the_stream_ends_it(frame, kind, code):
    events = read(ROLE, chunk({"content": "a"}), frame, STOP)
    assert events[2:3] == [PartDelta(0, "a")]
    error = events[-1].error
    assert (error.kind, error.code) == (kind, code)
    assert not any(isinstance(event, (Finished, End)) for event in events)


def test_a_failure_may_be_the_first_thing_that_comes():
    assert [type(event) for event in read(chunk(id="", error={"message": "no"}))] == [Failure]


def test_words_in_the_chunk_of_the_failure_are_not_lost():
    last = chunk({"content": "b"}, "error", error={"message": "x"})
    assert PartDelta(0, "b") in read(ROLE, last)


def test_an_error_that_says_nothing_is_none():
    assert folded(chunk({"content": "a"}, error=None), STOP).choices[0].parts == (Text("a"),)
    assert folded(chunk({"content": 'say "error"'}), STOP).choices[0].parts == (
        Text('say "error"'),
    )


def test_a_frame_without_end_is_a_failure():
    reader = stream_reader(Target("p", "m"), Undo())
    reader._frames._limit = 100
    events = reader.feed(b"data: " + b"x" * 200)
    assert [event.error.code for event in events] == ["frame_too_large"]
    assert reader.feed(b"\n\n") == []


# --------------------------------------------------------------------------- halves of characters


def torn(text):
    return 'data: {"id":"c1","choices":[{"index":0,"delta":' + text + "}]}\n\n"


@pytest.mark.pitfall(26)
def test_halves_of_a_character_in_two_frames_are_joined():
    frames = [torn(r'{"content":"a\ud83c"}'), torn(r'{"content":"\udf0d b"}')]
    assert parts(ROLE, *frames, STOP) == (Text("a🌍 b"),)


@pytest.mark.pitfall(26)
@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([r"x\ud83c", "y"], "x\ufffdy"),
        ([r"\udf0d", "y"], "\ufffdy"),
        ([r"x\ud83c"], "x\ufffd"),
        ([r"\ud83c", r"\ud83c", r"\udf0d"], "\ufffd🌍"),
    ],
)
def test_a_half_that_stays_alone_is_replaced(pieces, text):
    frames = [torn('{"content":"' + piece + '"}') for piece in pieces]
    assert parts(*frames, STOP) == (Text(text),)


def test_halves_are_joined_in_reasoning_and_arguments_too():
    thought = [torn(r'{"reasoning":"\ud83c"}'), torn(r'{"reasoning":"\udf0d"}')]
    assert parts(*thought, STOP) == (Thinking("🌍", family="chat"),)
    begin = torn(
        r'{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"\ud83c"}}]}'
    )
    end = torn(r'{"tool_calls":[{"index":0,"function":{"arguments":"\udf0d"}}]}')
    assert parts(begin, end, CALLS) == (ToolCall("x", "f", "🌍"),)
    assert parts(begin, CALLS) == (ToolCall("x", "f", "\ufffd"),)


def test_a_half_before_the_choice_began_marks_later_choices_too():
    first = torn(r'{"content":"\ud83c"}')
    second = choices({"index": 1, "delta": {"content": "b"}, "finish_reason": "stop"})
    answer = folded(first, second, STOP)
    assert [choice.parts for choice in answer.choices] == [(Text("\ufffd"),), (Text("b"),)]


def test_text_without_halves_keeps_private_characters():
    assert parts(ROLE, chunk({"content": "\U0010f801\U0010fc02"}), STOP) == (
        Text("\U0010f801\U0010fc02"),
    )


# --------------------------------------------------------------------------- odd types


def test_members_of_the_wrong_type_are_left_out_and_the_rest_is_read():
    odd = {
        "index": "0",
        "delta": {"content": {"a": 1}, "tool_calls": "none", "refusal": 5, "reasoning": ["x"]},
        "finish_reason": None,
        "logprobs": 5,
    }
    frame = "data: " + json.dumps({"id": 7, "model": True, "choices": [odd, 5]}) + "\n\n"
    answer = folded(frame, STOP)
    assert (answer.id, answer.model) == ("7", "")
    assert answer.choices[0].parts == (Text('{"a": 1}'), Refusal("5"))


def test_a_message_stands_in_for_a_missing_delta():
    frame = choices({"index": 0, "message": {"content": "a"}})
    assert parts(frame, choices({"index": 0}), STOP) == (Text("a"),)


def test_a_whole_body_without_end_is_a_failure(monkeypatch):
    monkeypatch.setattr("dragoman.dialects.chat.stream_read.LIMIT", 10)
    reader = stream_reader(Target("p", "m"), Undo())
    assert reader.feed(b'{"id":') == []
    assert [event.error.code for event in reader.feed(b'"0123456789"')] == ["upstream_malformed"]


@pytest.mark.pitfall(26)
def test_half_a_character_outside_an_object_is_no_chunk_and_in_an_error_it_is_replaced():
    assert failure("data: " + r'["\ud83c"]' + "\n\n").code == "upstream_malformed"
    named = failure("event: error\ndata: " + r'{"message":"no \ud83c","code":"c"}' + "\n\n")
    assert (named.message, named.code) == ("no \N{REPLACEMENT CHARACTER}", "c")


def test_arguments_that_only_look_whole_do_not_end_their_call():
    odd = [call(None, "{1}", None, "f"), call(None, "{2}", None, "f")]
    assert parts(ROLE, chunk({"tool_calls": odd}), CALLS)[0].arguments == "{1}{2}"
