import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.surface.sockets.chunks import Sum, joined


def chunk(delta=None, *, index=0, finish=None, **members):
    choices = [{"index": index, "delta": delta or {}, "finish_reason": finish}]
    return json.dumps({"model": "m", "choices": choices, **members}).encode()


def test_texts_are_added_up_and_told_piece_by_piece():
    added = Sum()
    said = [
        added.add(chunk({"role": "assistant", "content": ""})),
        added.add(chunk({"content": "Hel"})),
        added.add(chunk({"content": "lo", "reasoning_content": "hm"})),
        added.add(chunk(finish="stop")),
        added.add(b'{"model":"m","choices":[],"usage":{"total_tokens":3}}'),
    ]
    assert said == ["", "Hel", "lo", "", ""]
    assert added.message() == {
        "role": "assistant",
        "content": "Hello",
        "reasoning_content": "hm",
    }
    assert (added.finish_reason, added.model) == ("stop", "m")
    assert json.loads(bytes(added.usage or b"")) == {"total_tokens": 3}


def test_other_choices_are_not_mixed_in():
    added = Sum()
    assert added.add(chunk({"content": "one"})) == "one"
    assert added.add(chunk({"content": "two"}, index=1)) == ""
    assert added.message() == {"content": "one"}


def test_a_failure_is_no_piece():
    assert Sum().add(b'{"error":{"message":"gone"}}') is None


@pytest.mark.parametrize("usage", ["null", '{"total_tokens":1}'])
def test_a_usage_that_is_null_takes_nothing_back(usage):
    added = Sum()
    added.add(b'{"choices":[],"usage":{"total_tokens":1}}')
    added.add(f'{{"choices":[],"usage":{usage}}}'.encode())
    assert bytes(added.usage or b"") == b'{"total_tokens":1}'


@given(st.text(max_size=40), st.lists(st.integers(1, 5)), st.integers(1, 3))
def test_tool_calls_come_together_however_they_are_cut(arguments, cuts, calls):
    pieces = []
    for number in range(calls):
        begun = {"name": "f", "arguments": ""}
        head = {"index": number, "id": f"c{number}", "type": "function", "function": begun}
        pieces.append({"tool_calls": [head]})
    at = 0
    for cut in [*cuts, len(arguments)]:
        part, at = arguments[at : at + cut], at + cut
        pieces += [
            {"tool_calls": [{"index": number, "function": {"arguments": part}}]}
            for number in range(calls)
        ]
    message = joined(pieces)
    assert message["tool_calls"] == [
        {
            "index": number,
            "id": f"c{number}",
            "type": "function",
            "function": {"name": "f", "arguments": arguments},
        }
        for number in range(calls)
    ]


def test_many_pieces_are_kept_as_few():
    added = Sum()
    for number in range(1000):
        added.add(
            chunk(
                {
                    "content": f"{number} ",
                    "tool_calls": [{"index": 0, "function": {"arguments": "x"}}],
                }
            )
        )
    assert added.message()["content"] == "".join(f"{number} " for number in range(1000))
    assert added.message()["tool_calls"][0]["function"]["arguments"] == "x" * 1000
    assert len(added._deltas) < 300


def test_lists_without_places_are_one_behind_the_other():
    assert joined([{"annotations": [{"a": 1}]}, {"annotations": [2]}, {"annotations": None}]) == {
        "annotations": [{"a": 1}, 2]
    }


def test_what_is_nested_beyond_adding_up_is_as_it_was_said_last():
    deep = '{"a":' * 700 + "1" + "}" * 700
    added = Sum()
    for text in ("x", "y"):
        said = f'{{"choices":[{{"delta":{{"content":"{text}","more":{deep}}}}}]}}'
        assert added.add(said.encode()) == text
    assert added.message()["content"] == "xy"
    assert list(added.message()["more"]) == ["a"]
