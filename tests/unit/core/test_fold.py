"""Events build responses, and responses unfold into events."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.errors import UpstreamError
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
from dragoman.core.fold import check, fold, unfold
from dragoman.core.parts import (
    Citation,
    Inline,
    Media,
    Opaque,
    Refusal,
    SearchResult,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    raw,
)
from dragoman.core.response import Choice, Finish, Response
from dragoman.core.usage import Usage, count, merge

WORDS = st.text(max_size=8)
PARTS = st.one_of(
    st.builds(
        Text, text=WORDS, citations=st.just((Citation("url", url="http://a"),)) | st.just(())
    ),
    st.builds(Refusal, text=WORDS),
    st.builds(Thinking, text=WORDS, signature=st.none() | WORDS, family=st.just("anthropic")),
    st.just(Thinking(redacted=True, encrypted="abc", family="anthropic")),
    st.builds(ToolCall, id=WORDS, name=WORDS, arguments=WORDS),
    st.just(Opaque("anthropic", "server_tool_use", raw({"id": "x"}))),
    st.just(Media("image", Inline("AA==", "image/png"))),
    st.just(SearchResult("s", "t", ())),
    st.just(ToolResult("c")),
)
CHOICES = st.lists(st.lists(PARTS, max_size=4), min_size=1, max_size=3)


@given(CHOICES)
def test_what_is_unfolded_folds_to_the_same(choices):
    response = Response(
        id="r",
        model="m",
        choices=tuple(
            Choice(tuple(parts), Finish("stop"), index) for index, parts in enumerate(choices)
        ),
        usage=Usage(input=3, output=4),
        created=5,
    )
    events = unfold(response)
    check(events)
    assert fold(events) == response


def test_log_probabilities_of_several_chunks_are_joined():
    events = [
        Start(),
        PartStart(0, Text("")),
        LogprobNote(b'{"content":[{"token":"a"}],"refusal":null}'),
        PartDelta(0, "a"),
        LogprobNote(b'{"content":[{"token":"b"}],"refusal":null}'),
        PartDelta(0, "b"),
        PartStop(0),
        Finished(Finish("stop")),
        End(),
    ]
    choice = fold(events).choices[0]
    assert choice.logprobs is not None
    assert msgspec.json.decode(choice.logprobs) == {
        "content": [{"token": "a"}, {"token": "b"}],
        "refusal": None,
    }


def test_encrypted_reasoning_and_call_signatures_grow_by_their_own_deltas():
    events = [
        Start(),
        PartStart(0, Thinking()),
        PartDelta(0, "enc", "encrypted"),
        PartStop(0),
        PartStart(1, ToolCall("c", "f", signature="a")),
        PartDelta(1, "b", "signature"),
        PartStop(1),
        Ping(),
        Finished(Finish("tool_calls")),
        End(),
    ]
    parts = fold(events).choices[0].parts
    assert parts == (Thinking(encrypted="enc"), ToolCall("c", "f", signature="ab"))


def test_a_failure_is_raised_as_it_came():
    error = UpstreamError("overloaded", "busy")
    with pytest.raises(UpstreamError) as caught:
        fold([Start(), Failure(error)])
    assert caught.value is error


def test_a_stream_without_choices_folds_to_an_empty_answer():
    response = fold([Start(usage=Usage(input=1)), UsageNote(Usage(output=2)), End()])
    assert response.usage == Usage(input=1, output=2)
    assert response.choices[0].finish.reason == "unknown"


@pytest.mark.parametrize(
    "events",
    [
        [],
        [End()],
        [Start(), Start(), End()],
        [Start(), PartDelta(0, "x"), End()],
        [Start(), PartStart(0, Text("")), Finished(Finish("stop")), End()],
        [Start(), PartStart(0, Text("")), PartStop(0), End()],
        [Start(), Finished(Finish("stop")), Finished(Finish("stop")), End()],
        [Start(), Finished(Finish("stop")), PartStart(0, Text("")), PartStop(0), End()],
        [Start(), PartStart(1, Text("")), PartStop(1), PartStart(0, Text("")), PartStop(0), End()],
        [Start(), End(), Ping()],
        [Start(), PartStop(0), End()],
        [Start(), Cited(0, Citation("url")), End()],
    ],
)
def test_a_broken_invariant_is_noticed(events):
    with pytest.raises(AssertionError):
        check(events)


@pytest.mark.pitfall(126)
def test_later_usage_replaces_field_by_field_and_none_does_not_erase():
    first = Usage(input=10, cache_read=4, output=1)
    assert merge(first, Usage(output=7)) == Usage(input=10, cache_read=4, output=7)
    assert merge(None, Usage(output=7)) == Usage(output=7)


def test_hostile_counts_are_unknown_instead_of_charged():
    assert [count(v) for v in (3, 3.0, 0)] == [3, 3, 0]
    assert [count(v) for v in (-1, 10**18, True, "7", None, 1.5, float("inf"))] == [None] * 7


@pytest.mark.pitfall(125)
def test_uncached_input_is_never_negative():
    assert Usage(input=10, cache_read=4, cache_write=2).uncached == 4
    assert Usage(input=1, cache_read=4).uncached == 0
    assert Usage().uncached is None
    assert not Usage().known
    assert Usage(output=0).known
