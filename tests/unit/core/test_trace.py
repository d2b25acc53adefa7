"""W3C Trace Context: what of a caller's headers counts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.ids import uuid7_of
from dragoman.core.trace import (
    TraceContext,
    read_traceparent,
    read_tracestate,
    span_of,
    write_traceparent,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.req("R-OBS-004")
@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_what_is_written_is_read(trace, span, sampled):
    context = TraceContext(f"{trace:032x}", f"{span:016x}", sampled)
    assert read_traceparent(write_traceparent(*context[:2], sampled=sampled)) == context


@given(st.text(max_size=80))
def test_whatever_comes_is_a_context_or_none(text):
    found = read_traceparent(text)
    assert found is None or re.fullmatch("[0-9a-f]{32}", found.trace_id)


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)]
)
def test_the_lowest_flag_counts(flags, sampled):
    found = read_traceparent(f"00-{TRACE}-{SPAN}-{flags}")
    assert found == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
    ],
)
def test_another_form_is_none(header):
    assert read_traceparent(header) is None


def test_a_state_of_another_form_is_empty():
    assert read_tracestate({"tracestate": " a=1,b=2 "}) == "a=1,b=2"
    assert read_tracestate({"tracestate": "x" * 513}) == ""
    assert read_tracestate({"tracestate": "a=\x00"}) == ""
    assert read_tracestate({}) == ""


@given(st.floats(0, 2**32), st.integers(0, 2**76 - 1), st.integers(0, 2**76 - 1))
def test_spans_of_one_moment_differ_as_their_dice_do(wall, one, other):
    found = [span_of(uuid7_of(wall, noise)) for noise in (one, other)]
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in found)
    assert all(int(each, 16) for each in found)
    if (one ^ other) & (2**62 - 1):
        assert found[0] != found[1]
